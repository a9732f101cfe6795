"""An interior-point method for margins in separable gauges. It stops at the duality gap of the margin itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias.limits._separable_terms import Terms

# Each step goes this share of the way to the boundary of the positive orthant.
_TO_BOUNDARY = 0.995
_MOST_STEPS = 80
# The method stops if the gap has not decreased for this number of steps.
_PATIENCE = 8
# Relative increases of the diagonal that are tried if rounding makes the matrix of a step indefinite.
_RIDGES = (0.0, 1e-15, 1e-13, 1e-11)


class Program(NamedTuple):
    r"""The program: minimise $\sum_k F_k(u_k) + \langle f, b \rangle$ over $A w + B b \ge r$, $w = S u$.

    Attributes:
        A: (m, d) dense rows of the working set.
        B: (m, r) columns of the free variables b, which have no cost but f and no bounds.
        right: (m,) the right-hand side r.
        free_cost: (r,) the cost f.
        terms: the functions F_k with the bounds of u, and the map S.
    """

    A: Float64[ndarray, "m d"]
    B: Float64[ndarray, "m r"]
    right: Float64[ndarray, " m"]
    free_cost: Float64[ndarray, " r"]
    terms: Terms


class Point(NamedTuple):
    """A primal and dual iterate.

    Attributes:
        u: (k,) the variables with costs or bounds.
        b: (r,) the free variables.
        s: (m,) the slacks of the rows, positive.
        q: (m,) the multipliers of the rows, positive.
        below: (k,) the distances to the lower bounds; 1 where there is none.
        above: (k,) the distances to the upper bounds; 1 where there is none.
        at_below: (k,) the multipliers of the lower bounds; 0 where there is none.
        at_above: (k,) the multipliers of the upper bounds; 0 where there is none.
    """

    u: Float64[ndarray, " k"]
    b: Float64[ndarray, " r"]
    s: Float64[ndarray, " m"]
    q: Float64[ndarray, " m"]
    below: Float64[ndarray, " k"]
    above: Float64[ndarray, " k"]
    at_below: Float64[ndarray, " k"]
    at_above: Float64[ndarray, " k"]

    def moved(self, step: "Point", primal: float, dual: float) -> "Point":
        """Return the point after a step with these two lengths."""
        lengths = (primal, primal, primal, dual, primal, primal, dual, dual)
        return Point(*(x + size * dx for x, dx, size in zip(self, step, lengths, strict=True)))


Measure = Callable[[Point], float]
"""The relative duality gap of the margin at a point."""


def interior_point(program: Program, measure: Measure, tolerance: float) -> tuple[Point, float]:
    """Return the iterate with the smallest gap, and its gap; the method stops when the gap is below the tolerance."""
    at = _start(program)
    best, least, since = at, np.inf, 0
    gram = _constant_gram(program)
    with np.errstate(all="ignore"):  # Iterates that diverge are recognised by their gap.
        for _ in range(_MOST_STEPS):
            gap = measure(at)
            if gap < least:
                best, least, since = at, gap, 0
            since += least < 1.0  # before the first separating iterate, the gap says little
            if least <= tolerance or since > _PATIENCE:
                break
            moved = _step(program, at, gram)
            if moved is None or not all(np.all(np.isfinite(part)) for part in moved):
                break
            at = moved
    return best, least


def _step(program: Program, at: Point, gram: ndarray | None) -> Point | None:
    """Return the point after one predictor-corrector step (Mehrotra); None if the matrix is too close to singular."""
    newton = _Newton.at(program, at, gram)
    if newton is None:
        return None
    terms = program.terms
    low, high = terms.has_lower, terms.has_upper
    pairs = len(at.s) + np.count_nonzero(low) + np.count_nonzero(high)
    mean = _products(at, low, high) / pairs
    first = newton.direction(-at.s * at.q, -at.below * at.at_below, -at.above * at.at_above)
    primal, dual = _lengths(at, first, low, high, terms.coupled, 1.0)
    share = (_products(at.moved(first, primal, dual), low, high) / pairs / mean) ** 3
    target = share * mean
    second = newton.direction(
        target - at.s * at.q - first.s * first.q,
        target - at.below * at.at_below - first.below * first.at_below,
        target - at.above * at.at_above - first.above * first.at_above,
    )
    return at.moved(second, *_lengths(at, second, low, high, terms.coupled, _TO_BOUNDARY))


def _products(at: Point, low: Bool[ndarray, " k"], high: Bool[ndarray, " k"]) -> float:
    """Return the sum of all complementary products."""
    bounds = at.below[low] @ at.at_below[low] + at.above[high] @ at.at_above[high]
    return float(at.s @ at.q + bounds)


def _lengths(
    at: Point,
    step: Point,
    low: Bool[ndarray, " k"],
    high: Bool[ndarray, " k"],
    coupled: bool,
    share: float,
) -> tuple[float, float]:
    """Return the primal and the dual step length that keep all products positive, at most 1."""
    primal = min(
        _reach(at.s, step.s), _reach(at.below[low], step.below[low]), _reach(at.above[high], step.above[high])
    )
    dual = min(
        _reach(at.q, step.q),
        _reach(at.at_below[low], step.at_below[low]),
        _reach(at.at_above[high], step.at_above[high]),
    )
    if coupled:  # A curved cost couples primal and dual residuals, which then need one common length.
        primal = dual = min(primal, dual)
    return min(1.0, share * primal), min(1.0, share * dual)


def _reach(values: ndarray, step: ndarray) -> float:
    down = step < 0.0
    return float(np.min(-values[down] / step[down], initial=np.inf))


class _Newton(NamedTuple):
    """The linear system of a step, reduced to the rows and factorised."""

    program: Program
    point: Point
    inverse: Float64[ndarray, " k"]
    shift: Float64[ndarray, " k"]
    row_residual: Float64[ndarray, " m"]
    free_residual: Float64[ndarray, " r"]
    factor: Any
    border: Float64[ndarray, "m r"]

    @classmethod
    def at(cls, program: Program, at: Point, gram: ndarray | None) -> "_Newton | None":
        A, B, terms = program.A, program.B, program.terms
        z = terms.spread(A.T @ at.q)
        barrier = at.at_below / at.below + at.at_above / at.above
        inverse, shift = terms.linearised(at.u, z, barrier, at.at_above - at.at_below)
        matrix = (A * terms.fold_sizes(inverse)) @ A.T if gram is None else gram.copy()
        matrix[np.diag_indices(len(matrix))] += at.s / at.q
        factor = _factorised(matrix)
        if factor is None:
            return None
        border = cho_solve(factor, B, check_finite=False) if B.shape[1] else B
        residual = A @ terms.fold(at.u) + B @ at.b - at.s - program.right
        free = program.free_cost - B.T @ at.q
        return cls(program, at, inverse, shift, residual, free, factor, border)

    def direction(self, rows: ndarray, lower: ndarray, upper: ndarray) -> Point:
        """Return the step whose complementary products change by these amounts to first order."""
        at, terms = self.point, self.program.terms
        low, high = terms.has_lower, terms.has_upper
        shift = self.shift
        if low.any():
            shift = shift + self.inverse * np.where(low, lower / at.below, 0.0)
        if high.any():
            shift = shift - self.inverse * np.where(high, upper / at.above, 0.0)
        du, db, dq = self._solve(shift, rows / at.q - self.row_residual)
        ds = (rows - at.s * dq) / at.q
        d_below, d_above = np.where(low, du, 0.0), np.where(high, -du, 0.0)
        d_at_below = np.where(low, (lower - at.at_below * d_below) / at.below, 0.0)
        d_at_above = np.where(high, (upper - at.at_above * d_above) / at.above, 0.0)
        return Point(du, db, ds, dq, d_below, d_above, d_at_below, d_at_above)

    def _solve(self, shift: ndarray, h: ndarray) -> tuple[ndarray, ndarray, ndarray]:
        """Solve du = inverse * S^T A^T dq + shift, A S du + B db + (s / q) dq = h, B^T dq = free_residual."""
        A, B, terms = self.program.A, self.program.B, self.program.terms
        dq = cho_solve(self.factor, h - A @ terms.fold(shift), check_finite=False)
        db = np.zeros(B.shape[1])
        if len(db):
            db = np.linalg.solve(B.T @ self.border, B.T @ dq - self.free_residual)
            dq = dq - self.border @ db
        return self.inverse * terms.spread(A.T @ dq) + shift, db, dq


def _constant_gram(program: Program) -> Float64[ndarray, "m m"] | None:
    """Return A D A^T if the curvature does not change, as for a quadratic cost without bounds; else None."""
    terms = program.terms
    if terms.exponent != 2.0 or terms.has_lower.any():
        return None
    return (program.A * terms.fold_sizes(terms.costs**-2.0)) @ program.A.T


def _factorised(matrix: ndarray) -> Any:
    """Return the Cholesky factor, with a small relative increase of the diagonal where rounding requires it."""
    places = np.diag_indices(len(matrix))
    for ridge in _RIDGES:
        matrix[places] *= 1.0 + ridge
        try:
            return cho_factor(matrix, lower=True, check_finite=False)
        except (LinAlgError, ValueError):
            continue
    return None


def _start(program: Program) -> Point:
    """Return a point with positive slacks and multipliers."""
    A, B, terms = program.A, program.B, program.terms
    k = len(terms.has_lower)
    low, high = terms.has_lower, terms.has_upper
    if terms.linear and not high.any():
        return _linear_start(program)
    # The first free variable is the margin, whose cost is the combination of its coefficients.
    q = program.free_cost[0] * B[:, 0] / (B[:, 0] @ B[:, 0])
    z = terms.spread(A.T @ q)
    u = terms.start(z)
    level = A @ terms.fold(u)
    size = float(np.mean(np.abs(level))) or float(np.sqrt(np.mean(A * A))) or 1.0
    b = np.zeros(B.shape[1])
    s = np.maximum(level + B @ b - program.right, 0.0) + size
    pull = float(np.mean(np.abs(z))) or 1.0
    return Point(
        u,
        b,
        s,
        q,
        np.where(low, u - terms.lower, 1.0),
        np.where(high, terms.upper - u, 1.0),
        np.where(low, np.maximum(-z, 0.0) + pull, 0.0) if k else np.zeros(0),
        np.where(high, np.maximum(z, 0.0) + pull, 0.0) if k else np.zeros(0),
    )


def _linear_start(program: Program) -> Point:
    """Return Mehrotra's start of a linear program with the bounds u >= 0: least-squares points, moved inside."""
    A, terms = program.A, program.terms
    low = terms.has_lower
    sizes = terms.fold_sizes(low.astype(np.float64))
    matrix = (A * sizes) @ A.T
    matrix[np.diag_indices(len(matrix))] += 1.0
    factor = cho_factor(matrix, lower=True, check_finite=False)

    def least_squares(v: ndarray) -> ndarray:
        return cho_solve(factor, v, check_finite=False)

    y = least_squares(program.right)
    u, s = np.where(low, terms.spread(A.T @ y), 0.0), -y
    outside = max(-1.5 * min(float(np.min(u[low], initial=0.0)), float(np.min(s))), 0.0)
    u, s = np.where(low, u + outside, 0.0), s + outside
    q = least_squares(A @ terms.fold(np.where(low, terms.costs, 0.0)))
    rest = np.where(low, terms.costs - terms.spread(A.T @ q), 0.0)
    outside = max(-1.5 * min(float(np.min(rest[low], initial=0.0)), float(np.min(q))), 0.0)
    rest, q = np.where(low, rest + outside, 0.0), q + outside
    product = float(u @ rest + s @ q) or 1.0
    primal = 0.5 * product / (float(np.sum(rest) + np.sum(q)) or 1.0)
    dual = 0.5 * product / (float(np.sum(u) + np.sum(s)) or 1.0)
    u, rest = np.where(low, u + primal, 0.0), np.where(low, rest + dual, 0.0)
    none = np.zeros(len(u))
    free = np.zeros(program.B.shape[1])
    return Point(u, free, s + primal, q + dual, np.where(low, u, 1.0), none + 1.0, rest, none)
