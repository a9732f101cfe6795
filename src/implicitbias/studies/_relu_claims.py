"""Claims about grokking in two-layer ReLU networks, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._grokking_claims import (
    PAPER,
    apart_claim,
    baseline_claims,
    growth_claim,
    kkt_claims,
    phase_claims,
    slope_in,
    violation_claim,
)
from implicitbias.studies._stored_claims import all_finished, number

_SCALES = "lyu2024dichotomy"
_OWN = "this library"
# The largest relative difference of the bounds of the least norm.
_SOLVED = 1e-4


def relu_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about one setting of the study. The slope of the distance from the drift is none of them."""
    return [
        *phase_claims(point, data),
        *baseline_claims(point, data),
        *kkt_claims(point, data),
        *least_norm_claims(point, data),
        *end_claims(point, data),
        *start_claims(point, data),
        violation_claim(point, data),
    ]


def drift_slope(data: Any) -> float:
    """Return the slope in lam of the largest distance from the drift on [e, T], which is reported and not claimed."""
    apart = np.max(data["apart"].values, axis=1)
    return slope_in(data["weight_decay"].values, apart, data["apart_error"].values).value


def least_norm_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the norm at the limit, compared with networks of any width."""
    upper, lower = number(data, "least_square"), number(data, "least_bound")
    return [
        close(point, "the KKT point has the least norm of networks of any width that fit the data (|theta|^2, within "
              "the bounds of a convex program)", _OWN,
              ((upper + lower) / 2.0, number(data, "limit_square"), (upper - lower) / 2.0),
              Assumption.checked("the bounds of the convex program are close (relative difference)",
                                 (upper - lower) / upper, at_most=_SOLVED)),
        at_most(point, "the limit generalises (test error, in units of its level)", PAPER,
                (number(data, "limit_test") / number(data, "test_level"), 1.0)),
    ]  # fmt: skip


def end_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the ends of the runs, and about the order of limits."""
    decay, apart, errors = (data[name].values for name in ("weight_decay", "end_apart", "end_error"))
    found, rising = slope_in(decay, apart, errors), int(np.sum(~(np.diff(apart) < 0.0)))
    return [
        at_most(point, "the functions at the ends of the runs come nearer to that of the KKT point as lam falls "
                f"(number of steps of the sweep at which they do not; slope {found.value:.2f}; the distance from the "
                f"drift on [e, T] has the slope {drift_slope(data):.2f}, which is reported and not claimed because "
                "ReLU is not C^3)", PAPER, (rising, 0), all_finished(data)),
        apart_claim(point, "the limits do not commute in the time t: the function of Phi(theta_0) is not that of the "
                    "KKT point", number(data, "phi_apart"), number(data, "phi_error")),
    ]  # fmt: skip


def start_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the scale of the start."""
    level, fitted = number(data, "test_level"), data["scale_fitted_test"].values
    return [
        growth_claim(point, data, _SCALES),
        at_least(point, "from large starts the function does not generalise when the data are fitted (least test "
                 "error, in units of its level)", _SCALES, (np.min(fitted) / level, 1.0), all_finished(data, "scale")),
        at_most(point, f"from a start of scale {number(data, 'small_scale'):g} there is no delay: the function "
                "generalises when the data are fitted (test error, in units of its level)", _SCALES,
                (number(data, "small_fitted_test") / level, 1.0), all_finished(data, "scale")),
    ]  # fmt: skip
