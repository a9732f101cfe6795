"""Certificates that a change of the parameters is the least one in the tangent features."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError
from implicitbias.limits._kernel_program import Solved, solve
from implicitbias.limits._least_change import LeastChange
from implicitbias.limits._margin_certificate import GAP
from implicitbias.limits._margin_price import MarginPrice
from implicitbias.limits._min_l1 import COARSEST
from implicitbias.limits._tangent_features import TangentFeatures
from implicitbias.limits._tolerances import EPSILON, TOLERANCE

# The largest relative size of a combination that counts as 0: smaller margins than this are lost in rounding.
_ZERO = 1e-11
# The largest size in bytes of the rows in which vanishing weights are made more accurate.
_DENSE_BYTES = 2**29


def fit_certificate(
    features: TangentFeatures, h: Float64[ndarray, " p"], ridge: float, least: LeastChange
) -> Certificate:
    """Return the certificate of a change h in regression.

    Args:
        features: the tangent features.
        h: the change that is judged.
        ridge: the number that is added to the diagonal of the kernel.
        least: the least change for the predictions of h, or for the targets if it is h itself.
    """
    missing = features.target - features.apply(h)
    length = float(np.linalg.norm(h)) or 1.0
    goal = float(np.linalg.norm(features.target)) or 1.0
    if ridge > 0.0:
        outside = float(np.linalg.norm(h - features.transpose(missing / ridge)))
        statement = f"the change h minimises ||h||^2 + ||J h - (y - f)||^2 / {ridge:g} at the parameters"
        return Certificate(statement, None, {"stationarity": outside / length}, TOLERANCE)
    residuals = {"range": float(np.linalg.norm(h - features.transpose(least.q))) / length}
    note = ""
    rank, m = least.rank, features.number
    if rank is not None and rank < m:
        note = f"The tangent kernel has rank {rank} and {m} rows."
    if np.linalg.norm(missing) <= TOLERANCE * goal or rank == m:
        residuals["violation"] = float(np.linalg.norm(missing)) / goal
        return Certificate(
            "the change h is the least one with J h = y - f at the parameters",
            None,
            residuals,
            TOLERANCE,
            note=note,
        )
    slope = float(np.linalg.norm(features.transpose(missing)))
    residuals["stationarity"] = slope / (features.size * np.sqrt(m) * goal)
    note += f" No h fits the targets; the relative residual is {np.linalg.norm(missing) / goal:.2g}."
    statement = "the change h is the least one that minimises ||J h - (y - f)|| at the parameters"
    return Certificate(statement, None, residuals, TOLERANCE, note=note.strip())


def margin_certificate_of(
    features: TangentFeatures, h: Float64[ndarray, " p"], q: Float64[ndarray, " m"], price: MarginPrice
) -> Certificate:
    r"""Return the certificate of a change h in classification, from multipliers $0 \le q_i \le C$.

    With hard margins $\min_i \langle g_i, h \rangle \sum_i q_i \le \lVert h \rVert \lVert \sum_i q_i g_i \rVert$ for
    all h and all $q \ge 0$. Otherwise the gap is that of the objective and its dual.
    """
    margins, combination = features.apply(h), features.transpose(q)
    total, dual = float(np.sum(q)), float(np.linalg.norm(combination))
    length = float(np.linalg.norm(h))
    rounding = len(q) * EPSILON * features.size * float(np.linalg.norm(q)) / dual if dual > 0.0 else np.inf
    if price.hard:
        smallest = float(np.min(margins))
        gap = 1.0 - (smallest / length) * (total / dual) if length > 0.0 and dual > 0.0 else np.inf
        statement = "the change h has the largest margin of all h of its norm in the tangent features"
    else:
        below = np.maximum(1.0 - margins, 0.0)
        if price.ridge > 0.0:
            primal = length**2 / 2.0 + _priced(below, price)
            statement = (
                f"the change h minimises 1/2 ||h||^2 plus the price of its violations (ridge {price.ridge:g})"
            )
        else:
            primal = length**2 / 2.0 + price.C * float(np.sum(below))
            statement = (
                f"the change h minimises 1/2 ||h||^2 + {price.C:g} sum of the violations of its margins"
            )
        value = total - dual**2 / 2.0 - price.ridge * float(q @ q) / 2.0
        gap = 1.0 - value / primal
    return Certificate(
        statement, max(gap, 0.0), {"dual_rounding": rounding}, GAP, {"dual_rounding": COARSEST}
    )


def _priced(below: Float64[ndarray, " m"], price: MarginPrice) -> float:
    """Return the sum of min over e of e^2 / (2 ridge) + C max(0, b - e), over the violations b."""
    quadratic = np.minimum(below, price.ridge * price.C)
    linear = 0.0 if np.isinf(price.C) else price.C * float(np.sum(below - quadratic))
    return float(quadratic @ quadratic) / (2.0 * price.ridge) + linear


def multipliers(features: TangentFeatures, price: MarginPrice) -> Float64[ndarray, " m"]:
    """Return the multipliers of the dual program.

    Raises:
        InfeasibleError: with hard margins, a convex combination of the features is 0.
    """
    found = solve(features, price.C, price.ridge)
    if found.vanishing is None:
        return found.q
    _refuse_inseparable(features, found)
    return solve(features, price.C, price.ridge, vanishing=False).q


def _refuse_inseparable(features: TangentFeatures, found: Solved) -> None:
    """Raise an `InfeasibleError` if the vanishing weights prove that no h has positive margins."""
    assert found.vanishing is not None
    weights = _polished(features, found.vanishing)
    # The terms of the combination have about the norm of a feature.
    residual = float(np.linalg.norm(features.transpose(weights))) / (features.size or 1.0)
    statement = "a convex combination of the signed tangent features is 0, so that no h has a positive margin"
    proof = Certificate(statement, None, {"combination": residual}, _ZERO)
    if not proof.holds:
        return
    rows = np.flatnonzero(np.any(features.constraints.by_margins(weights) > 0.0, axis=1))
    raise InfeasibleError(
        f"the tangent features do not separate the data: a convex combination of those of {len(rows)} rows, "
        f"{', '.join(map(str, rows[:5]))}{' ...' if len(rows) > 5 else ''}, is 0 up to rounding, so that no change of "
        "the parameters has positive margins in the linearised model. The likely causes are mislabelled rows, or fewer "
        "parameters than rows; type C=1.0 for soft margins, or drop rows",
        proof,
        features.constraints.by_rows(weights),
    )


def _polished(features: TangentFeatures, weights: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
    """Return the weights with the least correction that makes the combination 0, if it keeps them non-negative."""
    support = np.flatnonzero(weights > 1e-9 * np.max(weights))
    few = weights[support] / np.sum(weights[support])
    better = np.zeros(len(weights))
    better[support] = few
    if 8 * len(support) * len(features.flat) <= _DENSE_BYTES:
        rows = features.rows(support) / (features.size or 1.0)
        equations = np.vstack([rows.T, np.ones(len(support))])
        missing = np.append(-(few @ rows), 0.0)
        corrected = few + np.linalg.lstsq(equations, missing, rcond=1e-13)[0]
        if np.all(corrected >= 0.0):
            better[support] = corrected / np.sum(corrected)
    return better
