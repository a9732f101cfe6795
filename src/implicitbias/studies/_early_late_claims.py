"""Claims that the studies of early and late phases share, as functions of the stored dataset.

The variables are those of `_early_late_evidence` and `_early_late_path`. The share of a transition is how far the score
has gone from that of the early limit to that of the late one. It begins at the share 0.1 and ends at 0.9.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._extrapolate import limit_at_zero
from implicitbias.studies._stored_claims import all_finished, number

PAPER = "lyu2024dichotomy"
THEORY = "docs/theory.md, Early and late phases"
# The largest relative gap of the certificates of the limits. The distance of two points whose norm is the least but for
# such gaps is at most the sum of their square roots.
_GAP = 1e-9
# The shares of the transition at which it begins and ends.
_BEGIN, _END = 0.1, 0.9
_CHOICE = "the bound is a choice, the share at which the transition is said to begin"
# How many times the spread of the collapsed transitions another spread is at least, so that it counts as no collapse.
_APART = 10.0
# The largest error bar of a place on the axis lam (t - T), and the smallest lam T of a kernel start.
_SHARP, _KERNEL = 0.5, 2.0


class Words(NamedTuple):
    """How a study calls its limits and its score, and whether the score of the late limit is the better one.

    Attributes:
        early: the early limit.
        late: the late limit.
        score: the score.
        rises: 1 if the score rises, -1 if it falls.
        fitted: the fit at which the training data count as fitted.
    """

    early: str
    late: str
    score: str
    rises: int
    fitted: float

    @property
    def moves(self) -> str:
        """What the score does in the transition."""
        return "rises" if self.rises > 0 else "falls"


def crossing(places: ndarray, difference: ndarray) -> float:
    """Return where the difference becomes positive for the first time; nan if it does not."""
    after = np.flatnonzero((difference[:-1] <= 0.0) & (difference[1:] > 0.0))
    if len(after) == 0:
        return np.nan
    i = int(after[0])
    share = -difference[i] / (difference[i + 1] - difference[i])
    return float(places[i] + share * (places[i + 1] - places[i]))


def share(data: Any, name: str) -> ndarray:
    """Return the share of the transition that scores have made."""
    first, last = number(data, "l2_score"), number(data, "l1_score")
    return np.asarray((data[name].values - first) / (last - first))


def transitions(data: Any) -> ndarray:
    """Return lam (t - T) of the transition of each run, where the cosine to the late limit becomes the larger one."""
    apart = data["cos_l1"].values - data["cos_l2"].values
    return np.array([crossing(data["place"].values, row) for row in apart])


def stages(data: Any) -> ndarray:
    """Return lam (t - T) of the begin, the middle and the end of the transition of the score, (run, 3)."""
    places = data["place"].values
    return np.array([_stages(places, row) for row in share(data, "score")])


def _stages(places: ndarray, shares: ndarray) -> list[float]:
    return [crossing(places, shares - level) for level in (_BEGIN, 0.5, _END)]


def coarse_error(data: Any) -> float:
    """Return the error of the integration in the place of the last transition, by a ten times larger tolerance."""
    coarse = crossing(data["place"].values, data["coarse_cos_l1"].values - data["coarse_cos_l2"].values)
    return abs(coarse - float(transitions(data)[-1]))


def kernel_start(data: Any) -> Assumption:
    """Return the assumption that the early phase is long."""
    text = "the starts are far in the kernel regime (smallest lam T)"
    return Assumption.checked(text, np.min(data["transition"].values), at_least=_KERNEL)


def limit_claims(point: str, data: Any, words: Words) -> list[Claim]:
    """Return the claims about the limits with which the runs are compared."""
    better = words.rises * (number(data, "l1_score") - number(data, "l2_score"))
    return [
        at_most(point, "the limits and the predictor of the tangent kernel are certified (largest relative gap)",
                "this library", (np.max(data["gaps"].values), _GAP)),
        at_most(point, f"the predictor of the tangent kernel at u = v = 1 is {words.early} (relative distance)", PAPER,
                (number(data, "kernel_apart"), 2.0 * np.sqrt(_GAP))),
        at_least(point, f"{words.score} of {words.late} is {'higher' if words.rises > 0 else 'lower'} than that of "
                 f"{words.early} (difference)", PAPER, (better, 0.2)),
    ]  # fmt: skip


def score_claims(point: str, data: Any, words: Words) -> list[Claim]:
    """Return the claims about the score early and late, and about the end of each run."""
    shares = share(data, "score")
    fitted = Assumption.checked(
        "the training data are fitted at lam (t - T) = -2 (worst fit)",
        np.min(data["fit"].values[:, 0]),
        at_least=words.fitted,
    )
    return [
        at_most(point, f"at lam (t - T) = -2, {words.score} is that of {words.early} (largest share of the "
                f"transition; {_CHOICE})", PAPER, (np.max(np.abs(shares[:, 0])), _BEGIN), fitted, all_finished(data)),
        at_least(point, f"late, {words.score} is that of {words.late} (smallest share of the transition)", PAPER,
                 (np.min(shares[:, -1]), _END), all_finished(data)),
        excess_claim(point, data),
    ]  # fmt: skip


def excess_claim(point: str, data: Any) -> Claim:
    """Return the claim that runs end at the minimum of the loss with a penalty."""
    return at_most(
        point, "each run ends near the minimum of L + lam/2 |w|_1 (bound of the relative excess, by a dual point)",
        "docs/theory.md, The end at a fixed weight decay", (np.max(data["excess"].values), 0.02),
    )  # fmt: skip


def time_claims(point: str, data: Any, words: Words) -> list[Claim]:
    """Return the claims about the time of the transition, and how it depends on the start."""
    at, slow, (begin, _, end) = transitions(data), data["transition"].values, stages(data).T
    outside = np.max(np.abs(at) / (end - begin))
    return [
        at_most(point, f"{words.score} {words.moves} at the predicted time T (largest lam |t - T|, in units of the "
                "time in which it does so)", THEORY,
                (outside, 1.0), kernel_start(data), _sharp(data)),
        *growth_claims(point, data),
        at_least(point, "runs do not collapse on the axis lam t / ln(alpha) at finite alpha (range of the transitions, "
                 "in units of that on lam (t - T))", THEORY,
                 (np.ptp((slow + at) / np.log(data["alpha"].values)) / np.float64(np.ptp(at)), _APART)),
    ]  # fmt: skip


def growth_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that runs from all starts collapse, and that their times grow like ln(alpha)."""
    at, logs = transitions(data), np.log(data["alpha"].values)
    same = data["weight_decay"].values == data["weight_decay"].values[0]
    apart = logs[same] - np.sum(logs[same]) / np.sum(same)
    slope = apart @ (data["transition"].values + at)[same] / (apart @ apart)
    # The part of the state that remembers the start is smaller by e^(-2 lam T) at the transition.
    bar = 2.0 * coarse_error(data) + float(np.exp(-2.0 * np.min(data["transition"].values)))
    return [
        at_most(point, "runs from all starts collapse on the axis lam (t - T) (range of the transitions, in units of "
                "the error of the integration and of what remains of the start, e^(-2 lam T))", THEORY,
                (np.ptp(at[same]) / bar, 1.0), kernel_start(data), _sharp(data)),
        close(point, "lam times the time of the transition grows like ln(alpha) (slope 1, within the same errors)",
              PAPER, (1.0, slope, bar / np.ptp(logs[same])), kernel_start(data), _sharp(data)),
    ]  # fmt: skip


def path_claims(point: str, data: Any, words: Words, small: ndarray, *assumptions: Assumption) -> list[Claim]:
    """Return the claims that the transition tends to that of the path of interpolants, as `small` tends to 0.

    Args:
        point: the setting.
        data: the dataset.
        words: the words of the study.
        small: the parameter in which the transition is linear, for the runs of `sweep`, from large to small.
        assumptions: further assumptions about the path.
    """
    places, shares = data["path_place"].values, share(data, "path_score")
    begin, middle, end = _stages(places, shares)
    chosen, error = sweep(data), coarse_error(data)
    measured = stages(data)[chosen]
    rows = (
        (f"the place lam (t - T) where the direction is as near to {words.late} as to {words.early}",
         transitions(data)[chosen],
         crossing(places, data["path_cos_l1"].values - data["path_cos_l2"].values)),
        (f"the place where {words.score} has made half of its way", measured[:, 1], middle),
        (f"the width of the transition of {words.score}, from 0.1 to 0.9 of its way", measured[:, 2] - measured[:, 0],
         end - begin),
    )  # fmt: skip
    claims = []
    for text, values, expected in rows:
        found = limit_at_zero(small[::-1], values[::-1])
        bar = found.bar + 4.0 * error
        sharp = Assumption.checked(
            f"the error bar of this limit is small (share of the width of the transition): {text}",
            bar / (end - begin),
            at_most=_SHARP,
        )
        claims.append(
            close(point, f"as lam -> 0, {text} tends to that of the interpolants (within the error bar of the limit)",
                  THEORY, (expected, found.value, bar), sharp, all_finished(data), *assumptions)
        )  # fmt: skip
    return claims


def sweep(data: Any) -> ndarray:
    """Return the runs from the start of the last run, with weight decays from large to small."""
    alphas, decays = data["alpha"].values, data["weight_decay"].values
    same = np.flatnonzero(alphas == alphas[-1])
    return np.asarray(same[np.argsort(-decays[same])])


def control_claims(point: str, data: Any, words: Words) -> list[Claim]:
    """Return the claims about the start of the paper, training without weight decay, and a small start."""
    own, slow, fits = share(data, "own_score"), data["own_slow_time"].values, data["small_fit"].values
    reached = crossing(slow, data["own_cos_l1"].values - data["own_cos_l2"].values) - number(
        data, "own_transition"
    )
    late = own[-1] - own[int(np.argmin(np.abs(slow - 1e-2)))]
    fitted = np.flatnonzero(fits >= words.fitted)
    again = share(data, "small_score")
    begin, _, end = stages(data)[0]
    return [
        at_least(point, f"from the start 0.286 of the paper, {words.score} {words.moves} late (share of the transition "
                 "after t = 10)", PAPER, (late, 0.5)),
        at_most(point, "this run has its transition near T too (lam |t - T|, in units of the time of the transition)",
                THEORY, (abs(reached) / (end - begin), 1.0)),
        at_most(point, f"without weight decay {words.score} stays that of {words.early} until 100 times the last time "
                f"(largest share of the transition; {_CHOICE})", PAPER,
                (np.max(np.abs(share(data, "control_score"))), _BEGIN), all_finished(data)),
        at_most(point, f"if the weight decay pulls towards the start, so that the network is not homogeneous in what "
                f"decays, {words.score} is still that of {words.early} at the end of the first run (share of the "
                f"transition; {_CHOICE})", THEORY,
                (abs(float(share(data, "held_score")[-1])), _BEGIN), all_finished(data)),
        at_least(point, f"from a small start there is no early phase: {words.score} is nearer to that of "
                 f"{words.late} as soon as the training data are fitted (share of the transition)", PAPER,
                 (again[fitted[0]] if len(fitted) else np.nan, 0.5)),
    ]  # fmt: skip


def _sharp(data: Any) -> Assumption:
    return Assumption.checked(
        "a ten times larger rtol moves the transition little (in lam t)", coarse_error(data), at_most=0.05
    )
