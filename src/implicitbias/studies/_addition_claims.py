"""Claims about early and late phases in addition modulo a prime, as functions of the stored dataset."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._stored_claims import all_finished, number

PAPER = "lyu2024dichotomy"
_THEORY = "docs/theory.md, Early and late phases"
_LIBRARY = "this library"
# The test accuracy of the kernel machine and of early networks is at most this multiple of guessing.
_CHANCE = 3.0
# The smallest test accuracy of a network that generalises.
_GENERAL = 0.9
# The ln(t) up to which training without weight decay is expected not to generalise.
_FINITE = 100.0
# The places of verdicts of `diagnostics.phase` in the stored list.
_LAZY, _MOVING, _RICH = 0, 1, 2


def addition_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about one setting of the study."""
    return [
        *early_claims(point, data),
        *late_claims(point, data),
        *time_claims(point, data),
        *phase_claims(point, data),
        *control_claims(point, data),
    ]


def early_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that early training is the machine of the tangent kernel, which does not generalise."""
    chance = 1.0 / number(data, "size")
    scales, cosines = data["scale"].values, data["early_cosine"].values
    same = data["weight_decay"].values == data["weight_decay"].values[0]
    order = np.argsort(scales[same])
    falls = int(np.sum(~(np.diff(cosines[same][order]) > 0.0)))
    return [
        at_most(point, "the machine of the tangent kernel at the start is certified (gap, in units of its tolerance)",
                _LIBRARY, (number(data, "kernel_gap") / number(data, "kernel_tolerance"), 1.0)),
        at_least(point, "it has all training sums right (accuracy)", PAPER, (number(data, "kernel_train"), 1.0)),
        at_most(point, "it has about as many test sums right as guessing (accuracy, in units of 1 / p; the bound is a "
                "choice)", PAPER,
                (number(data, "kernel_test") / chance, _CHANCE)),
        at_most(point, "when all training sums are right, so has every network (largest accuracy, in units of 1 / p; "
                "the bound is a choice)",
                PAPER, (np.max(data["early_test"].values) / chance, _CHANCE), all_finished(data)),
        at_most(point, "the larger the start, the nearer the outputs for test sums are to those of the machine at this "
                "time (number of scales at which their cosine does not rise)", PAPER, (falls, 0), all_finished(data)),
        at_least(point, "from the largest start their direction is that of the machine (cosine; "
                 "the bound is a choice)", PAPER,
                 (np.max(cosines), 0.9)),
    ]  # fmt: skip


def late_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the training sums are learned early, and the test sums late."""
    first, full = data["memorized"].values, data["full"].values
    best = data["curve_test"].values[:, -1]
    late = full / first
    decays, margins, gaps = (
        data[name].values for name in ("weight_decay", "end_margin", "end_complementarity")
    )
    small, large = np.argmin(decays), np.argmax(decays)
    return [
        at_least(point, "all test sums are right at the end of the main run (accuracy)", PAPER, (best[0], 1.0),
                 all_finished(data)),
        at_least(point, "the test sums are learned much later than the training sums (ratio of the times in the main "
                 "run; 10 is the definition of grokking in `ib.forecast_grokking`)", PAPER, (late[0], 10.0)),
        at_least(point, "every run generalises (smallest test accuracy at the end; "
                 "the bound is a choice)", PAPER, (np.min(best), _GENERAL)),
        at_most(point, "the ends are stationary points of the objective with weight decay (largest relative gradient; "
                "the bound is a choice)", _LIBRARY, (np.max(data["end_stationarity"].values), 0.1)),
        at_most(point, "the end with the smallest weight decay is nearer to a KKT point of the least norm "
                "than that with the largest one (ratio of the complementarities; the bound is a choice)", PAPER,
                (gaps[small] / gaps[large], 0.9)),
        close(point, "a smaller weight decay leaves a larger margin: at rest lam |theta|^2 = 3 sum p m / n for the "
              "margins m with the probabilities p = e^-m, so that M - (1/3) ln M = ln(1 / lam) + constant for a fixed "
              "direction (difference of M at both ends, up to the next order 1 / M)", _LIBRARY,
              (np.log(decays[large] / decays[small]) + np.log(margins[small] / margins[large]) / 3.0,
               margins[small] - margins[large], 1.0 / np.min(margins))),
    ]  # fmt: skip


def time_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the time of the transition."""
    predicted, moved, middle = (data[name].values for name in ("predicted", "moved", "middle"))
    scales, decays = data["scale"].values, data["weight_decay"].values
    error = number(data, "time_error")
    logs = np.log(scales)
    same = decays == decays[0]
    # A mean of no numbers would warn, while this quotient is NaN and lets the claim fail.
    apart = logs[same] - np.sum(logs[same]) / np.float64(np.sum(same))
    slope = np.sum(apart * middle[same]) / np.sum(apart**2)
    exact = Assumption.checked(
        "a ten times larger rtol moves these times little (in lam t)", error, at_most=0.05
    )
    after, factor = middle - predicted, np.sum(middle * logs) / np.sum(logs**2)
    return [
        at_most(point, "training leaves the kernel regime soon after the predicted time T = ln(gamma_0 |theta_0| / "
                "ln(1 / lam)) / (3 lam): the parameters have moved as far as what is left of the start (largest "
                "lam |t - T|; the bound is a choice, because theory gives an unknown constant)", _THEORY,
                (np.max(np.abs(moved - predicted)), 2.0), exact),
        at_most(point, "runs of all scales and weight decays collapse there on lam (t - T) (range; "
                "the bound is a choice)", _THEORY,
                (np.ptp(moved - predicted), 0.2), exact),
        at_most(point, "most test sums become right at the same lam (t - T), for all scales and weight decays (range; "
                "the bound is a choice)", _THEORY, (np.ptp(after), 0.2), exact),
        close(point, "lam times this time grows like ln(scale) (slope; "
              "its tolerance is a choice)", PAPER, (1.0, slope, 0.1), exact),
        at_least(point, "ln(scale) / lam with the best factor fits these times worse (range of its errors, in units of "
                 "that of T; "
                 "the bound is a choice)", _THEORY, (np.ptp(middle - factor * logs) / np.ptp(after), 2.0), exact),
        at_most(point, "the steps do not grow like 1 / lam (largest number, relative to the smallest)", _LIBRARY,
                (np.max(data["steps"].values) / np.float64(np.min(data["steps"].values)),
                 0.5 * np.max(decays) / np.min(decays)), all_finished(data)),
    ]  # fmt: skip


def phase_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the answers of `diagnostics.phase` along the main run."""
    verdict, degree = data["phase_verdict"].values, data["phase_degree"].values
    T = data["phase_transition_time"].values * data["weight_decay"].values[0]
    return [
        close(point, "`diagnostics.phase` calls the network lazy when all training sums are right (its verdict)",
              _LIBRARY, (_LAZY, verdict[0], 0.0)),
        close(point, "it calls the network on the way when it has moved as far as what is left of the start (its "
              "verdict)", _LIBRARY, (_MOVING, verdict[1], 0.0)),
        close(point, "it calls the last network rich (its verdict)", _LIBRARY, (_RICH, verdict[2], 0.0)),
        close(point, "it measures the degree 3 (the degree that is furthest from it)", _LIBRARY,
              (3.0, degree[np.argmax(np.abs(degree - 3.0))], 1e-6)),
        close(point, "it predicts the same time T (lam T)", _LIBRARY, (data["predicted"].values[0], T[0], 1e-6)),
    ]  # fmt: skip


def control_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about training without weight decay, and about training from a small start."""
    logs, test, margin = (data[name].values for name in ("log_time", "baseline_test", "baseline_margin"))
    finite = logs <= _FINITE
    right = np.flatnonzero(test >= 0.5)
    half = logs[right[0]] if len(right) else np.nan
    shift = np.mean(data["middle"].values - data["predicted"].values)
    expected = number(data, "baseline_reach") * np.exp(3.0 * shift)
    outside = Assumption.checked(
        "the start is outside the kernel regime (lam T)", number(data, "small_predicted"), at_most=0.0
    )
    ended, held = all_finished(data, "baseline"), all_finished(data, "held")
    return [
        at_least(point, "without weight decay all training sums are right from ln t = 10 on (smallest accuracy)", PAPER,
                 (np.min(data["baseline_train"].values[logs >= 10.0]), 1.0), ended),
        at_most(point, "without weight decay about as many test sums as by guessing are right until ln t = 100, that "
                "is t = 10^43 (largest accuracy, in units of 1 / p; the bound is a choice)", PAPER,
                (np.max(test[finite]) * number(data, "size"), _CHANCE), ended),
        at_least(point, "without weight decay the network generalises at t = 10^(10^4) (accuracy; "
                 "the bound is a choice)", PAPER,
                 (test[-1], _GENERAL), ended),
        at_most(point, "without weight decay most test sums are right where ln t replaces ln(1 / lam) e^(3 lam t), as "
                "predicted by gamma_0 |theta_0| and the runs with weight decay (factor between both ln t; "
                "the bound is a choice)", _LIBRARY,
                (np.exp(np.abs(np.log(half / expected))), 2.0), ended),
        at_most(point, "without weight decay the margin over |theta|^3 rises (number of falls by more than 1 % after "
                "the training sums are right)", PAPER, (_falls(margin[margin > 0.0]), 0), ended),
        at_most(point, "without weight decay the parameters turn towards KKT points of the largest margin until "
                "ln t = 100 (number of falls of the cosine to the combination of gradients with their multipliers)",
                PAPER, (np.sum(~(np.diff(data["baseline_aligned"].values[finite]) > 0.0)), 0), ended),
        at_least(point, "if the weight decay pulls towards the start, so that the network is not homogeneous in what "
                 "decays, all training sums are right at the end of the main run (accuracy)", _LIBRARY,
                 (number(data, "held_train"), 1.0), held),
        at_most(point, "and about as many test sums as by guessing (accuracy, in units of 1 / p; "
                "the bound is a choice)",
                _LIBRARY, (number(data, "held_test") * number(data, "size"), _CHANCE), held),
        at_least(point, "from a small start there is no early phase: when all training sums are right the parameters "
                 "have moved further than what is left of the start (ratio)", PAPER,
                 (number(data, "small_moved"), 1.0), outside),
    ]  # fmt: skip


def _falls(values: ndarray) -> int:
    """Return how often a value is more than 1 % below the one before it; 1 if there are fewer than two."""
    return int(np.sum(~(values[1:] >= 0.99 * values[:-1]))) if len(values) > 1 else 1
