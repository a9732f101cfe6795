"""The study of arXiv 2311.18817 on sparse data: a margin in l2 early, and in l1 late."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias._core.progress import Progress
from implicitbias.studies._early_late_depth_claims import crossing, depth_claims, samples_claims
from implicitbias.studies._stored_claims import all_finished, number
from implicitbias.studies._study import Study

_PAPER = "lyu2024dichotomy"
_THEORY = "docs/theory.md, Early and late phases"
_POINTS = ("small", "paper", "depths", "samples")
# The largest relative gap of the margins.
_GAP = 1e-9


class EarlyLateSparse(Study):
    """The study that follows diagonal networks from the largest l2 margin to the largest l1 margin."""

    def points(self) -> tuple[str, ...]:
        """Return a setting that takes seconds, that of the paper, deeper networks, and the numbers of samples."""
        return _POINTS

    def compute(self, point: str, progress: Progress) -> Any:
        """Simulate training for several scales and weight decays, and compute both classifiers of largest margin."""
        # These imports are here, so that stored results can be judged without JAX.
        if point == "depths":
            from implicitbias.studies._early_late_depths import depth_dataset

            return depth_dataset(progress)
        if point == "samples":
            from implicitbias.studies._early_late_samples import samples_dataset

            return samples_dataset(progress)
        from implicitbias.studies._early_late_evidence import sparse_dataset
        from implicitbias.studies._early_late_settings import PAPER, SMALL

        return sparse_dataset(SMALL if point == "small" else PAPER, progress)

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        """Return the claims about both phases, about the time of the transition, and about the controls."""
        if point == "depths":
            return depth_claims(point, dataset)
        if point == "samples":
            return samples_claims(point, dataset)
        return [
            *oracle_claims(point, dataset),
            *phase_claims(point, dataset),
            *time_claims(point, dataset),
            *control_claims(point, dataset),
        ]

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        """Return the runs on the axis of the predicted time and of the paper's time, and the run of the paper."""
        from implicitbias.plotting import curves_figure

        if point == "depths":
            return _depth_figures(point, dataset)
        if point == "samples":
            return _samples_figures(point, dataset)
        x, names = dataset["place"].values, _names(dataset)
        panels = {
            label: {name: (x, values) for name, values in zip(names, dataset[key].values, strict=True)}
            for key, label in _SHOWN
        }
        t = dataset["place"].values + dataset["transition"].values[:, None]
        logs = np.log(dataset["alpha"].values)
        rows = zip(names, t / logs[:, None], dataset["accuracy"].values, strict=True)
        own = dataset["own_slow_time"].values
        return {
            f"{point}-collapse": curves_figure(panels, "$\\lambda (t - T)$", logarithmic=False),
            f"{point}-logarithm": curves_figure(
                {"test accuracy": {name: (time, values) for name, time, values in rows}},
                "$\\lambda t / \\ln \\alpha$",
                logarithmic=False,
            ),
            f"{point}-own": curves_figure(
                {label: {"alpha = 0.286": (own, dataset[f"own_{key}"].values)} for key, label in _SHOWN},
                "$\\lambda t$",
            ),
        }

    def notes(self) -> str:
        """Return a paragraph that says which settings are from the paper and which were chosen here."""
        return (
            "The data of the point 'paper' are those of the paper: signs in 100 000 dimensions, labels by the sign of "
            "three of them, 256 rows, 10 000 test rows and the logistic loss; its start of norm 128 is 0.286 in each "
            "coordinate, and its weight decay is 1e-3. The point 'small' has 96 rows in 600 dimensions. The other "
            "starts and weight decays were chosen here, because the start of the paper is too small for a long kernel "
            "phase. Gradient descent with the rate 0.01 is replaced by the flow, whose time is 0.01 times the number "
            "of steps. The predicted time is T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (2 lam) with the margin gamma_0 "
            "of the tangent-kernel machine at the start. It was derived here and is not in the paper, which has "
            "ln(alpha) / lam as alpha grows. The transition is measured where the cosine to the largest l1 margin "
            "becomes larger than that to the largest l2 margin. The point 'depths' has u^L - v^L with L = 2, 3 and 4 "
            "on 64 rows in 240 dimensions, and the point 'samples' counts the rows that both classifiers need, for 30 "
            "to 240 dimensions; both were chosen here. Every number below was computed in this run."
        )


def _depth_figures(point: str, data: Any) -> dict[str, Any]:
    from implicitbias.plotting import curves_figure

    names = [
        f"L = {L:.0f}, {name}"
        for L, name in zip(data["depth"].values, _names(data), strict=True)
    ]  # fmt: skip
    panels = {
        label: {name: (data["place"].values, row) for name, row in zip(names, data[key].values, strict=True)}
        for key, label in _SHOWN
    }
    return {f"{point}-collapse": curves_figure(panels, "$L \\lambda (t - T)$", logarithmic=False)}


def _samples_figures(point: str, data: Any) -> dict[str, Any]:
    from implicitbias.plotting import curves_figure

    panels = {
        f"test accuracy, largest ${label}$ margin": {
            f"d = {d}": (n, accuracy)
            for d, n, accuracy in zip(
                data["d"].values, data[f"{key}_n"].values, data[f"{key}_accuracy"].values, strict=True
            )
        }
        for key, label in (("l2", "l_2"), ("l1", "l_1"))
    }
    return {f"{point}-accuracy": curves_figure(panels, "samples n")}


_SHOWN = (
    ("accuracy", "test accuracy"),
    ("cos_l2", "cosine to the largest $l_2$ margin"),
    ("cos_l1", "cosine to the largest $l_1$ margin"),
)


def _names(data: Any) -> list[str]:
    pairs = zip(data["alpha"].values, data["weight_decay"].values, strict=True)
    return [f"alpha = {alpha:g}, lam = {decay:g}" for alpha, decay in pairs]


def oracle_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the classifiers with which the runs are compared."""
    gaps = [number(data, name) for name in ("l2_gap", "l1_gap", "kernel_gap")]
    # sqrt(8) is the norm of the features (2 x, -2 x) over that of x.
    expected = np.sqrt(8.0) * number(data, "l2_margin")
    return [
        at_most(point, "both margins and that of the tangent kernel are certified (largest relative gap)",
                "this library", (np.max(gaps), _GAP)),
        close(point, "the tangent-kernel machine at u = v = 1 is the largest l2 margin times sqrt(8) (ratio)", _PAPER,
              (1.0, number(data, "kernel_margin") / expected, 1e-8)),
        at_least(point, "the largest l1 margin predicts better than the largest l2 margin (difference of accuracies)",
                 _PAPER, (number(data, "l1_accuracy") - number(data, "l2_accuracy"), 0.2)),
    ]  # fmt: skip


def phase_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the directions and the accuracy early and late."""
    early, late = data["cos_l2"].values[:, 0], data["cos_l1"].values[:, -1]
    separate = Assumption.checked(
        "both directions differ (their cosine)", number(data, "l1_l2_cosine"), at_most=0.5
    )
    fitted = Assumption.checked(
        "the training rows are fitted at lam (t - T) = -2 (smallest margin)",
        np.min(data["margin"].values[:, 0]),
        at_least=1.0,
    )
    return [
        at_least(point, "at lam (t - T) = -2 the direction is that of the largest l2 margin (smallest cosine)",
                 _PAPER, (np.min(early), 0.99), separate, fitted, all_finished(data)),
        at_least(point, "at lam (t - T) = 12 the direction is that of the largest l1 margin (smallest cosine)",
                 _PAPER, (np.min(late), 0.99), separate, all_finished(data)),
        at_most(point, "early, the test accuracy is that of the largest l2 margin (largest difference)", _PAPER,
                (np.max(np.abs(data["accuracy"].values[:, 0] - number(data, "l2_accuracy"))), 0.03)),
        at_least(point, "late, the test accuracy is near 1 (smallest accuracy)", _PAPER,
                 (np.min(data["accuracy"].values[:, -1]), 0.97)),
        at_most(point, "each run ends near the minimum of L + lam/2 |w|_1 (bound of the relative excess, by a dual "
                "point)", "docs/theory.md, The end at a fixed weight decay", (np.max(data["excess"].values), 0.02)),
    ]  # fmt: skip


def transitions(data: Any) -> ndarray:
    """Return lam (t - T) of the measured transition of each run."""
    apart = data["cos_l1"].values - data["cos_l2"].values
    return np.array([crossing(data["place"].values, row) for row in apart])


def time_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the time of the transition."""
    at, slow = transitions(data), data["transition"].values
    logs, decays = np.log(data["alpha"].values), data["weight_decay"].values
    same = decays == decays[0]
    slope = np.polyfit(logs[same], (slow + at)[same], 1)[0]
    widths = _widths(data)
    coarse = crossing(data["place"].values, data["coarse_cos_l1"].values - data["coarse_cos_l2"].values)
    accurate = Assumption.checked(
        "a ten times larger rtol moves the transition little (in lam t)", abs(coarse - at[0]), at_most=0.05
    )
    kernel = Assumption.checked(
        "the starts are far in the kernel regime (smallest lam T)", np.min(slow), at_least=2.0
    )
    ratios = (slow + at) / logs
    return [
        at_most(point, "the transition is at the predicted time T (largest lam |t - T|)", _THEORY,
                (np.max(np.abs(at)), 0.5), kernel, accurate),
        at_most(point, "all runs collapse on the axis lam (t - T) (range of the transitions)", _THEORY,
                (np.max(at) - np.min(at), 0.1), kernel, accurate),
        close(point, "lam times the time of the transition grows like ln(alpha) (slope)", _PAPER, (1.0, slope, 0.02),
              kernel),
        at_least(point, "runs do not collapse on the axis lam t / ln(alpha) at finite alpha (range of the transitions)",
                 _THEORY, (np.max(ratios) - np.min(ratios), 0.5)),
        at_most(point, "the width of the transition in lam t does not depend on alpha and lam (relative range)",
                _THEORY, ((np.max(widths) - np.min(widths)) / np.mean(widths), 0.1), accurate),
    ]  # fmt: skip


def _widths(data: Any) -> ndarray:
    """Return for each run how long the cosine to the largest l1 margin takes from 0.5 to 0.9, times lam."""
    places, cosines = data["place"].values, data["cos_l1"].values
    return np.array([crossing(places, row - 0.9) - crossing(places, row - 0.5) for row in cosines])


def control_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the run of the paper, training without weight decay, and a small start."""
    own, slow = data["own_accuracy"].values, data["own_slow_time"].values
    reached = crossing(slow, data["own_cos_l1"].values - data["own_cos_l2"].values)
    margins, small = data["small_margin"].values, data["small_cos_l1"].values
    fitted = np.flatnonzero(margins >= 1.0)
    return [
        at_least(point, "in the paper's own setting the test accuracy rises late (difference of the last accuracy "
                 "and that at t = 10)", _PAPER,
                 (own[-1] - own[int(np.argmin(np.abs(slow - 1e-2)))], 0.2)),
        at_most(point, "the paper's own run has its transition near T too (lam |t - T|)", _THEORY,
                (abs(reached - number(data, "own_transition")), 0.5)),
        at_least(point, "without weight decay the direction stays that of the largest l2 margin until 100 times the "
                 "last time (cosine)", _PAPER, (data["control_cos_l2"].values[-1], 0.99)),
        at_most(point, "without weight decay the test accuracy stays low (last accuracy minus that of the l2 margin)",
                _PAPER, (data["control_accuracy"].values[-1] - number(data, "l2_accuracy"), 0.05)),
        at_least(point, "from a small start the direction is that of the largest l1 margin as soon as all margins are "
                 "1: there is no early phase (cosine)", _PAPER,
                 (small[fitted[0]] if len(fitted) else np.nan, 0.9)),
    ]  # fmt: skip


STUDY = EarlyLateSparse()
