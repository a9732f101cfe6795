"""The least gauge among the points with a given fit, or margins. This is the only file that imports Clarabel."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.linear_maps import LinearMap
from implicitbias.gauges import Cone, ConeKind, Gauge
from implicitbias.limits._tolerances import RANK
from implicitbias.problems._margins import Margins, Separator

# Accuracy that is requested from Clarabel. Its last iterate is judged even if it does not reach this accuracy.
_ACCURACY = 1e-12


class LeastGauge(NamedTuple):
    """An approximate minimiser of a gauge, and its dual.

    Attributes:
        point: w, of the shape of the domain.
        nu: (n,) with polar(X^T nu) <= 1 and <nu, fit> = gauge(w), up to the accuracy of the solver.
    """

    point: Float64[ndarray, "..."]
    nu: Float64[ndarray, " n"]


def least_gauge(linear_map: LinearMap, fit: Float64[ndarray, " n"], gauge: Gauge) -> LeastGauge | None:
    """Minimise the gauge over {w: X w = fit} by an interior-point method, for a fit in the range of X.

    X is replaced by orthonormal rows with the same row space, so that the solver does not suffer from a large condition
    number of X.

    Returns:
        The last iterate of the solver; None if the gauge has no conic form or the iterate is not finite.
    """
    form = gauge.conic_form(linear_map.domain)
    if form is None:
        return None
    X = linear_map.take(np.arange(linear_map.shape[1]))
    left, singular, right = np.linalg.svd(X, full_matrices=False)
    kept = singular > RANK * np.max(singular, initial=0.0)
    if not kept.any():
        return LeastGauge(np.zeros(linear_map.domain), np.zeros(len(fit)))
    left, singular, right = left[:, kept], singular[kept], right[kept]
    target = (left.T @ fit) / singular
    unit = float(np.linalg.norm(target)) or 1.0
    d, extra = form.on_point.shape[1], form.on_extra.shape[1]
    level = sparse.csc_array(form.on_level[:, None])
    constraints = sparse.hstack([sparse.csr_array(right), sparse.csr_array((len(right), 1 + extra))])
    A = sparse.csc_matrix(sparse.vstack([constraints, -sparse.hstack([form.on_point, level, form.on_extra])]))
    b = np.concatenate([target / unit, np.zeros(form.on_point.shape[0])])
    cost = np.zeros(d + 1 + extra)
    cost[d] = 1.0
    cones = (Cone(ConeKind.ZERO, len(right)), *form.cones)
    answer = _solve(cost, A, b, cones)
    x, dual = np.asarray(answer.x), np.asarray(answer.z)
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
        return None
    # The constraints V^T w = target / unit have the multipliers -mu, and nu = U diag(1/sigma) mu.
    nu = -(left @ (dual[: len(right)] / singular))
    return LeastGauge(unit * x[:d].reshape(linear_map.domain), nu)


def separating_point(margins: Margins, gauge: Gauge) -> Separator | None:
    """Minimise the gauge over the classifiers with margins of at least 1 by an interior-point method.

    Returns:
        The last iterate of the solver with its multipliers; None if the gauge has no conic form or the iterate is not
        finite.
    """
    return _separated(margins, gauge, None)


def soft_point(margins: Margins, gauge: Gauge, C: float) -> Separator | None:
    """Minimise the gauge plus C times the violations of the margins, one violation for each row of the data.

    The result is as for `separating_point`.
    """
    return _separated(margins, gauge, C)


def _separated(margins: Margins, gauge: Gauge, C: float | None) -> Separator | None:
    """Solve the program of the margins; C is the price of a violation, or None if the margins are constraints."""
    form = gauge.conic_form(margins.linear_map.domain)
    if form is None:
        return None
    m, d = margins.linear_map.shape
    n = 0 if C is None else m // margins.per_row
    rows = margins.part(np.arange(m), np.arange(d))
    size = float(np.max(np.abs(rows), initial=0.0)) or 1.0
    extra, free = form.on_extra.shape[1], margins.free.shape[1]
    level = sparse.csc_array(form.on_level[:, None])
    slack = sparse.kron(sparse.eye_array(n), np.ones((margins.per_row, 1))) if n else sparse.csr_array((m, 0))
    blocks = [
        sparse.csr_array(rows / size),
        sparse.csr_array((m, 1 + extra)),
        sparse.csr_array(margins.free),
        slack,
    ]
    high = form.on_point.shape[0]
    cone = sparse.hstack([form.on_point, level, form.on_extra, sparse.csr_array((high, free + n))])
    signs = sparse.hstack([sparse.csr_array((n, d + 1 + extra + free)), sparse.eye_array(n)])
    A = sparse.csc_matrix(
        -sparse.vstack([sparse.hstack(blocks), signs, cone] if n else [sparse.hstack(blocks), cone])
    )
    b = np.concatenate([-np.ones(m), np.zeros(n + high)])
    cost = np.zeros(d + 1 + extra + free + n)
    cost[d] = 1.0
    if C is not None:
        cost[d + 1 + extra + free :] = C * size  # the program is solved for size * w
    answer = _solve(cost, A, b, (Cone(ConeKind.NON_NEGATIVE, m + n), *form.cones))
    x, dual = np.asarray(answer.x), np.asarray(answer.z)
    if not (np.all(np.isfinite(x)) and np.all(np.isfinite(dual))):
        return None
    w = gauge.to_domain(x[:d].reshape(margins.linear_map.domain) / size, np.zeros(margins.linear_map.domain))
    q = np.maximum(dual[:m], 0.0)
    return Separator(w, x[d + 1 + extra : d + 1 + extra + free], q if C is None else q / size)


def _solve(
    cost: Float64[ndarray, " m"], A: Any, b: Float64[ndarray, " rows"], cones: tuple[Cone, ...]
) -> Any:
    """Return Clarabel's solution of: minimise <cost, x> subject to b - A x in the product of the cones."""
    import clarabel

    makers: dict[ConeKind, Callable[[Cone], Any]] = {
        ConeKind.ZERO: lambda cone: clarabel.ZeroConeT(cone.rows),
        ConeKind.NON_NEGATIVE: lambda cone: clarabel.NonnegativeConeT(cone.rows),
        ConeKind.SECOND_ORDER: lambda cone: clarabel.SecondOrderConeT(cone.rows),
        ConeKind.POWER: lambda cone: clarabel.PowerConeT(cone.exponent),
        ConeKind.POSITIVE_SEMIDEFINITE: lambda cone: clarabel.PSDTriangleConeT(_order(cone.rows)),
    }
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _ACCURACY
    quadratic = sparse.csc_matrix((len(cost), len(cost)))
    solver = clarabel.DefaultSolver(
        quadratic, cost, A, b, [makers[cone.kind](cone) for cone in cones], settings
    )
    return solver.solve()


def _order(rows: int) -> int:
    """Return the order of the symmetric matrices whose upper triangle has this number of entries."""
    return (int(np.sqrt(8 * rows + 1)) - 1) // 2
