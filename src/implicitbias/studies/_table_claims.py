"""Claims about the two phases in the completion of a multiplication table, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Claim, at_least, at_most, close
from implicitbias.studies._grokking_claims import Slope, sharp_slope, slope_in
from implicitbias.studies._stored_claims import all_finished, number

PAPER = "lyu2024dichotomy"
_LIBRARY = "this library"
# The largest relative error of the value of the conic program, which is solved to about 1e-8.
_SOLVED = 1e-6
# How many error bars apart two numbers must be to count as different.
_APART = 10.0
# So many decays do not give an error bar of a slope: they leave one degree of freedom.
_FEW_DECAYS = 3


def table_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about one setting of the study."""
    return [
        *early_claims(point, data),
        *time_claims(point, data),
        *late_claims(point, data),
        *control_claims(point, data),
    ]


def early_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the early phase has its closed form, with the order of the distance from it."""
    words = (
        "for the table: unobserved entries are 0",
        "for an asymmetric matrix: entries of which both (i, j) and (j, i) are seen are averages",
    )
    claims = []
    for text, apart, errors in zip(
        words, data["early_apart"].values, data["early_error"].values, strict=True
    ):
        found = slope_in(1.0 / data["alpha"].values, apart, errors)
        claims.append(
            close(point, "at t = ln(alpha) / (2 lam) the distance from the early closed form is of the order "
                  f"alpha^-2, {text} (slope 2, within its error bar)", PAPER, (2.0, found.value, found.bar),
                  sharp_slope(f"the early distance, {text}", found))
        )  # fmt: skip
    return claims


def time_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the time, the order and the width of the transition."""
    decay, middle, error = (
        data[name].values for name in ("weight_decay", "decay_middle", "decay_middle_error")
    )
    begin, end, predicted = (data[f"alpha_{name}"].values for name in ("begin", "end", "predicted"))
    outside = int(np.sum(~((begin <= predicted) & (predicted <= end))))
    late = int(np.sum(~(decay * data["decay_fitted"].values < data["decay_begin"].values)))
    slope = _growth(data)
    logs, times = np.log(data["alpha"].values), data["alpha_middle"].values
    ratio = times / logs
    bars = float(np.max(data["alpha_error"].values / logs))
    width = end - begin
    steps = np.diff(middle[::-1])
    rate = steps[0] / np.float64(steps[1])
    doubt = float(2.0 * np.max(error) * (1.0 + abs(rate)) / abs(steps[1]))
    return [
        at_most(point, "the data are fitted before the test error has fallen by a tenth (number of runs in another "
                "order)",
                PAPER, (late, 0), all_finished(data)),
        at_most(point, "the predicted T = ln(|theta_0| / |h_0|) / (2 lam) is between the times at which the test error "
                "has fallen by a tenth and by nine tenths (number of scales at which it is not)",
                _LIBRARY, (outside, 0)),
        close(point, "lam t of the transition grows like ln(alpha) (slope 1, within its error bar)", PAPER,
              (1.0, slope.value, slope.bar), sharp_slope("lam t in ln(alpha)", slope)),
        at_least(point, "the times do not collapse on lam t / ln(alpha) at finite alpha (spread in error bars)",
                 _LIBRARY,
                 (np.ptp(ratio) / np.float64(bars), _APART)),
        at_most(point, "in lam t the width of the transition does not depend on alpha (spread in error bars of it)",
                PAPER,
                (np.ptp(width) / np.float64(2.0 * np.max(data["alpha_error"].values) + _next_order(data)), 1.0)),
        close(point, "lam t of the transition tends to a limit at first order in lam, which is halved in each step "
              "(ratio of "
              "the last change to the one before, within its error bar)",
              PAPER, (0.5, rate, doubt), all_finished(data)),
        at_most(point, "the steps of the flow do not grow like 1 / lam (exponent of their growth)", _LIBRARY,
                (-np.polyfit(np.log(decay), np.log(data["decay_steps"].values), 1)[0], 0.1), all_finished(data)),
    ]  # fmt: skip


def late_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the late phase ends at the symmetric completion of least nuclear norm."""
    decay, lower, upper = (data[name].values for name in ("weight_decay", "decay_lower", "decay_upper"))
    bracket = (upper - lower) / lower
    # The smallest singular values have not reached their ends, by which W misses the minimum and the bounds are moved.
    found = slope_in(decay, bracket, data["decay_gap"].values * bracket)
    claims = [
        at_most(point, "the end of the run minimises L + (lam / 2) |W|_* over symmetric W (largest relative duality "
                "gap, in units of the distance between the bounds of the least nuclear norm)", PAPER,
                (np.max(data["decay_gap"].values) / np.float64(bracket[-1]), 1.0), all_finished(data)),
    ]  # fmt: skip
    if len(decay) > _FEW_DECAYS:
        claims += [
            close(point, "the bounds of the least nuclear norm that the ends give approach each other at first order "
                  "in lam (slope 1, within its error bar)", PAPER, (1.0, found.value, found.bar),
                  sharp_slope("the distance of the bounds", found), all_finished(data)),
        ]  # fmt: skip
    if "conic_value" not in data:
        return claims
    conic = number(data, "conic_value")
    return [
        *claims,
        at_most(point, "the KKT point near the end has the least nuclear norm (relative duality gap of its own dual)",
                PAPER,
                (number(data, "kkt_gap"), number(data, "kkt_tolerance"))),
        at_most(point, "it is a KKT point of the least norm of the parameters (relative tangent residual)", PAPER,
                (number(data, "kkt_stationarity"), number(data, "kkt_tolerance"))),
        close(point, "its nuclear norm is the value of the semidefinite program", PAPER,
              (conic, number(data, "kkt_value"), _SOLVED * conic)),
    ]  # fmt: skip


def control_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the run without weight decay, from a small start, and held at its start."""
    held = [
        at_least(point, "if the weight decay pulls towards the start, so that the network is not homogeneous in what "
                 "decays, the table is not completed either (share of the early test error at the end; the bound is a "
                 "choice)", _LIBRARY, (number(data, "held_test"), 0.9)),
    ] if "held_test" in data else []  # fmt: skip
    return [
        *held,
        at_most(point, "without weight decay the data are fitted (training error, in units of its level)", PAPER,
                (number(data, "baseline_train"), 1.0)),
        at_least(point, "without weight decay the table is never completed (least share of the early test error)",
                 PAPER,
                 (number(data, "baseline_test"), 0.9)),
        at_most(point, "from a small start there is no early phase: the table is half completed when the data are "
                "fitted "
                "(share of the early test error)", PAPER, (number(data, "small_test"), 0.5)),
    ]  # fmt: skip


def _growth(data: Any) -> Slope:
    """Return the slope of lam t in ln(alpha), by the relative errors of e^(lam t)."""
    times = data["alpha_middle"].values
    found = slope_in(1.0 / data["alpha"].values, np.exp(times), np.exp(times) * data["alpha_error"].values)
    return Slope(-found.value, found.change, found.noise)


def _next_order(data: Any) -> float:
    """Return the largest next term of the early phase, of relative order (e^(lam T) / alpha)^4."""
    smallest = np.exp(-4.0 * np.min(data["alpha_predicted"].values))
    return float(smallest)
