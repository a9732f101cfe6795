"""Claims about diagonal networks with growth times, as functions of the stored dataset."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.claim import Assumption, Claim, at_least, at_most, close
from implicitbias.diagnostics import rate_slopes
from implicitbias.studies._stored_claims import (
    CERTIFIED,
    STRICT,
    all_finished,
    departure_claim,
    end_optimal,
    furthest,
    number,
    worst_saddle_claim,
)

_PAPER = "zhao2026gradient"
_RATES = "docs/theory.md, Growth times"
# If integration errors are below this share of the measured distances, they change a slope by less than its tolerance.
_SMALL_PART = 0.05
_SLOPE_TOLERANCE = 0.05


def end_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims that saddles are optimal and that the last point has the least modified l1 norm."""
    gap = abs(number(data, "end_norm") / number(data, "least_norm") - 1.0)
    feasible = Assumption.checked(
        "the dual is feasible (relative)", number(data, "end_dual_feasibility"), at_most=CERTIFIED
    )
    return [
        worst_saddle_claim(point, data, f"{_PAPER}, algorithm 1"),
        at_most(
            point, "the limit minimises sum t+ w+ + t- w- over all minimisers (relative gap to the linear program)",
            f"{_PAPER}, implicit bias", (gap, 1e-8), end_optimal(data),
        ),
        at_most(
            point, "the limit's own dual proves this optimality (relative duality gap)", f"{_PAPER}, implicit bias",
            (number(data, "end_gap"), CERTIFIED), feasible,
        ),
    ]  # fmt: skip


def not_plain_claim(point: str, data: Any) -> Claim:
    """Return the claim that, with unequal growth times, the limit does not minimise the plain l1 norm."""
    excess = number(data, "end_l1_norm") / number(data, "least_l1_norm") - 1.0
    statement = "the l1 norm of the limit is larger than the least l1 norm (relative excess)"
    return at_least(point, statement, _PAPER, (excess, 0.01))


def plain_claim(point: str, data: Any) -> Claim:
    """Return the claim that at depth 2 all growth times are 1, so that the path is that of u * v."""
    statement = "at depth 2 the growth times are 1 and the path is that of the l1 norm (largest distance)"
    return at_most(point, statement, "pesme2023saddle", (number(data, "plain_distance"), 1e-12))


def paper_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about the paper's example, whose values are fractions.

    The paper uses the loss 1/2 ||X w - y||^2 and growth times 1. Its times are ours divided by n = 2 for the loss and
    by 1/2 for the growth times, so that they are the same numbers.
    """
    reference = "zhao2026gradient, appendix"
    found, w = data["time"].values, data["coefficients"].values
    # Algorithm 1, computed by hand: the times between jumps are 1, 3 and 80/49.
    times, end = np.array([0.0, 1.0, 4.0, 276 / 49]), np.array([0.0, 0.0, 10 / 7, -10 / 49])
    apart = np.max(np.abs(found - times)) if len(found) == len(times) else np.inf
    arrived = np.diff(data["boundary"].values, axis=0) == 1
    first = [int(np.argmax(row)) + 1 if row.any() else 0 for row in arrived]
    # The time after which feature 1 would become negative at the saddle (0, 0, 7/5, 0).
    force = abs(float(data["force"].values[2, 0]))
    wait = (data["dual"].values[2, 0] / 0.5 + 1.0) / force if force else np.inf
    return [
        at_most(point, "jumps at 1, 4 and 276/49 in the paper's units (distance)", reference, (apart, 1e-14)),
        at_most(
            point, "the end is (0, 0, 10/7, -10/49) (distance)", reference, (np.max(np.abs(w[-1] - end)), 1e-14)
        ),
        Claim(
            point, "features reach their thresholds in the order 1, 3, 4", reference, (), "1, 3, 4",
            ", ".join(map(str, first)),
        ),
        close(
            point, "the paper's formula gives feature 1 a waiting time of 40 at the third step (the paper prints 20)",
            reference, (40.0, wait, 1e-11),
        ),
    ]  # fmt: skip


def two_layer_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about two layers: jump times converge like 1/ln(1/scale), and saddles are reached fast."""
    statement = "jump times converge like 1/ln(1/scale): slope furthest from 1"
    worst = np.max(data["saddle_error"].values[-1])
    return [
        _slope_claim(point, statement, 1.0, (1.0 / data["unit"].values, data["jump_error"].values), data),
        at_most(
            point, f"saddles are reached fast: largest distance in the middle of a plateau at scale {_smallest(data)}",
            _RATES, (worst, 10 * number(data, "rtol")), _strict(data), all_finished(data),
        ),
        _end_claim(point, data),
    ]  # fmt: skip


def deep_claims(point: str, data: Any) -> list[Claim]:
    """Return the claims about three or more layers: errors are powers of the scale."""
    D, scales = int(data["order"]), 10.0 ** -data["exponent"].values
    jumps = f"jump times converge like scale^(D-2): slope in ln(scale) furthest from {D - 2}"
    rest = f"coordinates off the support of a saddle have the size scale^D: slope furthest from {D} in mid-plateau"
    return [
        _slope_claim(point, jumps, D - 2.0, (scales, data["jump_error"].values), data),
        _slope_claim(point, rest, float(D), (scales, data["off_support"].values), data, _strict(data)),
        _end_claim(point, data),
    ]


def network_claims(point: str, data: Any) -> list[Claim]:
    """Return every claim about one setting of the study."""
    two_layers = int(data["order"]) == 2
    if point == "four-features":
        extra = [*paper_claims(point, data), departure_claim(point, data)]
    elif two_layers:
        extra = [plain_claim(point, data), departure_claim(point, data)]
    else:
        extra = [not_plain_claim(point, data)]
    rates = two_layer_claims(point, data) if two_layers else deep_claims(point, data)
    return [*extra, *end_claims(point, data), *rates]


def _end_claim(point: str, data: Any) -> Claim:
    """Return the claim that the simulated flow also ends at the least modified norm."""
    excess = abs(number(data, "flow_end_norm") / number(data, "least_norm") - 1.0)
    statement = (
        f"the flow from scale {_smallest(data)} ends at the least norm (relative gap to the linear program)"
    )
    return at_most(point, statement, f"{_PAPER}, implicit bias", (excess, 1e-5), all_finished(data))


def _slope_claim(
    point: str,
    statement: str,
    expected: float,
    values: tuple[ndarray, ndarray],
    data: Any,
    *assumptions: Assumption,
) -> Claim:
    """Return a claim about slopes. `values` are the small parameter and the errors, one column per jump or saddle."""
    slope = furthest(rate_slopes(*values), expected)
    measured = (expected, slope, _SLOPE_TOLERANCE)
    return close(point, statement, _RATES, measured, all_finished(data), _integrated(data), *assumptions)


def _integrated(data: Any) -> Assumption:
    fine, coarse = number(data, "rtol"), number(data, "coarse_rtol")
    text = (
        f"the integration error is small (difference between rtol {fine:g} and {coarse:g} at the smallest scale, "
        "relative to the distances measured there)"
    )
    return Assumption.checked(text, number(data, "integration_error"), at_most=_SMALL_PART)


def _strict(data: Any) -> Assumption:
    return Assumption.checked(
        "all saddles are strictly complementary (least relative max(|w_i|, |grad_i|) at a threshold)",
        np.min(data["complementarity"].values), at_least=STRICT,
    )  # fmt: skip


def _smallest(data: Any) -> str:
    return f"1e-{data['exponent'].values[-1]:g}"
