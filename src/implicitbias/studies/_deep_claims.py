"""Claims about diagonal networks with growth times: the path, its end, and simulations at ever smaller scales."""

import numpy as np
from numpy import ndarray

from implicitbias.limits import MinL1, SaddlePath, certify, least_l1_dual
from implicitbias.studies._claim import Assumption, Claim, at_most, close
from implicitbias.studies._deep_flows import Growths
from implicitbias.studies._flow_claims import slope
from implicitbias.studies._path_claims import worst_saddle

_PAPER = "zhao2026gradient"
_RATES = "docs/theory.md, Growth times"
# Integration errors below this part of what is measured do not bend a slope by more than its tolerance.
_SMALL_PART = 0.05
_SLOPE_TOLERANCE = 0.05


def end_claims(point: str, path: SaddlePath) -> list[Claim]:
    """Every saddle is optimal, and the last point has the least modified l1 norm of all minimisers."""
    last = path.coefficients[-1]
    certificate = certify(path.problem, last, MinL1(growth_times=path.growth_times))
    gap = abs(modified_norm(path, last) / _least_norm(path) - 1.0)
    return [
        at_most(
            point, "every saddle minimises the loss under its signs (worst relative KKT residual)",
            f"{_PAPER}, algorithm 1", (worst_saddle(path), 1e-9),
        ),
        at_most(
            point, "the limit minimises sum t+ w+ + t- w- over all minimisers (relative gap to the linear program)",
            f"{_PAPER}, implicit bias", (gap, 1e-8),
            Assumption.checked("the last point minimises the loss", certificate.residuals["stationarity"] <= 1e-9),
        ),
        at_most(
            point, "and its own dual proves that (relative duality gap)", f"{_PAPER}, implicit bias",
            (np.nan if certificate.gap is None else certificate.gap, certificate.tolerance),
            Assumption.checked("the dual is feasible", certificate.residuals["dual_feasibility"] <= 1e-9),
        ),
    ]  # fmt: skip


def not_plain_claim(point: str, path: SaddlePath) -> Claim:
    """With unequal growth times the l1 norm itself is not what the limit minimises."""
    problem, last = path.problem, path.coefficients[-1]
    fit = problem.X @ last
    dual = least_l1_dual(problem.X, problem.column_norms, fit, np.zeros(len(last)))
    least = float("nan") if dual is None else float(dual @ fit)
    excess = float(np.sum(np.abs(last))) / least - 1.0
    statement = "its l1 norm is larger than the least one (relative excess)"
    return Claim(point, statement, _PAPER, (), "more than 0.01", excess, 0.0, excess > 0.01)


def two_layer_claims(point: str, growths: Growths) -> list[Claim]:
    """Two layers: rates in 1/ln(1/scale), and saddles that are reached fast."""
    strict = Assumption.checked("all saddles are strictly complementary", _strict(growths))
    statement = "jump times converge like 1/ln(1/scale): slope furthest from 1"
    worst = float(np.max(growths.saddle_errors[-1]))
    scale = f"1e-{growths.network.exponents[-1]:g}"
    return [
        _slope_claim(point, statement, 1.0, (1.0 / growths.units, growths.jump_errors), growths),
        at_most(
            point, f"saddles are reached fast: largest distance in the middle of a plateau at scale {scale}",
            _RATES, (worst, 10 * growths.network.rtol), strict, _finished(growths),
        ),
        _end_claim(point, growths),
    ]  # fmt: skip


def deep_claims(point: str, growths: Growths) -> list[Claim]:
    """Three layers or more: powers of the scale."""
    D = growths.network.order
    strict = Assumption.checked("all saddles are strictly complementary", _strict(growths))
    jumps = f"jump times converge like scale^(D-2): slope in ln(scale) furthest from {D - 2}"
    rest = (
        f"what rests at 0 stays as small as scale^D: slope furthest from {D}, in the middle of the plateaus"
    )
    return [
        _slope_claim(point, jumps, D - 2.0, (growths.scales, growths.jump_errors), growths),
        _slope_claim(point, rest, float(D), (growths.scales, growths.off_support), growths, strict),
        _end_claim(point, growths),
    ]


def modified_norm(path: SaddlePath, w: ndarray) -> float:
    """sum t+ w+ + t- w-; inf where a coordinate has a sign that it never takes."""
    assert path.growth_times is not None
    plus, minus = path.growth_times
    support = np.flatnonzero(w)
    return float(np.abs(w[support]) @ np.where(w > 0.0, plus, minus)[support])


def _least_norm(path: SaddlePath) -> float:
    """The least modified norm of all minimisers, by a linear program; nan where it is not solved."""
    problem = path.problem
    fit = problem.X @ path.coefficients[-1]
    dual = least_l1_dual(problem.X, problem.column_norms, fit, np.zeros(problem.shape[1]), path.growth_times)
    return float("nan") if dual is None else float(dual @ fit)


def _end_claim(point: str, growths: Growths) -> Claim:
    """The simulated flow ends at the least modified norm, too."""
    path, final = growths.path, growths.runs[-1].trajectory.final
    excess = abs(modified_norm(path, final) / _least_norm(path) - 1.0)
    scale = f"1e-{growths.network.exponents[-1]:g}"
    statement = f"the flow from scale {scale} ends there, too (its norm against the linear program, relative)"
    return at_most(point, statement, f"{_PAPER}, implicit bias", (excess, 1e-5), _finished(growths))


def _slope_claim(
    point: str,
    statement: str,
    expected: float,
    values: tuple[ndarray, ndarray],
    growths: Growths,
    *assumptions: Assumption,
) -> Claim:
    """values = (small parameter, errors with a column for each jump or saddle): the slope furthest from `expected`."""
    small, errors = values
    slopes = np.array([slope(small, column) for column in errors.T])
    worst = slopes[int(np.argmax(np.abs(slopes - expected)))]  # nan counts as the largest
    measured = (expected, worst, _SLOPE_TOLERANCE)
    return close(point, statement, _RATES, measured, _finished(growths), _integrated(growths), *assumptions)


def _finished(growths: Growths) -> Assumption:
    return Assumption.checked("every simulation reached its end time", growths.finished)


def _integrated(growths: Growths) -> Assumption:
    rtol = growths.network.rtol
    text = (
        f"the integration error is small: rtol {rtol:g} and {10 * rtol:g} agree to {_SMALL_PART:.0%} of the measured "
        "distances at the smallest scale"
    )
    return Assumption.checked(text, growths.integration_error <= _SMALL_PART)


def _strict(growths: Growths) -> bool:
    return bool(np.all(growths.path.strictly_complementary))
