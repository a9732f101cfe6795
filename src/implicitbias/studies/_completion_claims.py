"""Claims about grokking in matrix completion, as functions of the stored dataset."""

from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.studies._extrapolate import limit_at_zero
from implicitbias.studies._grokking_claims import (
    PAPER,
    SHARP,
    apart_claim,
    baseline_claims,
    drift_claims,
    equal_claim,
    growth_claim,
    kkt_claims,
    phase_claims,
    sharp_slope,
    slope_in,
    violation_claim,
)
from implicitbias.studies._stored_claims import CERTIFIED, all_finished, number

_NUCLEAR = "gunasekar2017implicit"
_SCALES = "lyu2024dichotomy"
# Singular values below this share of the largest one count as 0. The relative error of a certified point is of size
# 1e-9.
_ZERO = 1e-6
# The largest relative error of the value of the conic program, which is solved to about 1e-8.
_SOLVED = 1e-6


def completion_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about one setting of the study."""
    return [
        *phase_claims(point, data),
        *baseline_claims(point, data),
        *drift_claims(point, data),
        *kkt_claims(point, data),
        *nuclear_claims(point, data),
        *end_claims(point, data),
        *start_claims(point, data),
        violation_claim(point, data),
    ]


def nuclear_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that the limit of the drift is the matrix of least nuclear norm, which is the teacher."""
    W, rank = data["limit_matrix"].values, int(data["teacher_rank"])
    values = np.linalg.svd(W, compute_uv=False)
    nuclear, least = float(np.sum(values)), number(data, "least_nuclear")
    error = number(data, "least_error")
    exact = Assumption.checked(
        "the teacher has the least nuclear norm among all completions (relative duality gap)",
        number(data, "teacher_gap"), at_most=number(data, "nuclear_tolerance"),
    )  # fmt: skip
    return [
        at_most(point, "the limit has the least nuclear norm among all completions (relative duality gap of its own "
                "dual)", _NUCLEAR, (number(data, "nuclear_gap"), number(data, "nuclear_tolerance"))),
        close(point, "this norm is the value of the semidefinite program, within its duality gap", _NUCLEAR,
              (least, nuclear, error),
              Assumption.checked("the duality gap of the semidefinite program is small (relative)", error / least,
                                 at_most=_SOLVED)),
        close(point, "the factors of the limit are balanced: |theta|^2 is twice the nuclear norm (ratio)", _NUCLEAR,
              (2.0, number(data, "limit_square") / nuclear, 2.0 * CERTIFIED)),
        close(point, "the limit has the rank of the teacher (singular values that are not 0)", _NUCLEAR,
              (float(rank), float(np.sum(values > _ZERO * values[0])), 0.0), exact),
        at_most(point, "the limit generalises (test error, in units of its level)", PAPER,
                (number(data, "limit_test") / number(data, "test_level"), 1.0), exact),
    ]  # fmt: skip


def end_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the ends of runs and drift, and about the order of limits."""
    decay, apart, errors = (data[name].values for name in ("weight_decay", "end_apart", "end_error"))
    found = slope_in(decay, apart, errors)
    W, ends = data["limit_matrix"].values, data["end_matrix"].values
    extrapolated, size = limit_at_zero(decay[::-1], ends[::-1]), float(np.linalg.norm(W))
    bar = (extrapolated.bar + 2.0 * float(np.max(errors[-2:])) * size) / size
    drift_error, gap, bound = (
        number(data, "drift_end_error"),
        data["end_gap"].values,
        data["end_gap_bound"].values,
    )
    return [
        at_most(point, "each run ends at the minimum of L + lam times the nuclear norm (largest duality gap, in units "
                f"of the bound that follows from the integration error; the largest relative gap is {np.max(gap):.1e})",
                "docs/theory.md, The end at a fixed weight decay", (np.max(gap / bound), 1.0),
                Assumption.checked("the bounds of the duality gaps are small (largest relative one)", np.max(bound),
                                   at_most=SHARP), all_finished(data)),
        close(point, "the matrices at the ends of the runs tend to the limit at first order in lam (slope 1, within "
              "its error bar)", PAPER, (1.0, found.value, found.bar),
              sharp_slope("the distance of the ends", found), all_finished(data)),
        equal_claim(point, "the limits commute in the slow time: the matrices at the ends, extrapolated to lam = 0, "
                    "are the limit", float(np.linalg.norm(extrapolated.value - W) / size), bar),
        equal_claim(point, "the matrix at the end of the drift is the limit", number(data, "drift_end_apart"),
                    drift_error, all_finished(data, "drift")),
        apart_claim(point, "the limits do not commute in the time t: the matrix of Phi(theta_0) is not the limit",
                    number(data, "phi_apart"), number(data, "phi_error") + drift_error),
    ]  # fmt: skip


def start_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the scale of the start."""
    level, before = number(data, "test_level"), data["scale_phi_test"].values
    return [
        growth_claim(point, data, _SCALES),
        at_least(point, "from large starts Phi(theta_0) does not generalise (least test error, in units of its level)",
                 _SCALES, (np.min(before) / level, 1.0), all_finished(data, "scale")),
        at_most(point, f"from a start of scale {number(data, 'small_scale'):g} there is no delay: Phi(theta_0) "
                "generalises (test error, in units of its level)", _NUCLEAR,
                (number(data, "small_phi_test") / level, 1.0), all_finished(data, "small")),
    ]  # fmt: skip
