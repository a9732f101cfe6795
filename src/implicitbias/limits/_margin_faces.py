"""The set of solutions of a margin program: its equations, the exact solution on it, and the canonical point."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from scipy.linalg import qr
from scipy.optimize import nnls

from implicitbias.limits._interior_point import Point, Program
from implicitbias.limits._linear_programs import one_point

# Diagonal entries of the triangular factor below this share of the largest one count as 0.
_RANK = 1e-10
# The largest number of entries of the system of a face.
_LARGEST = 4 * 10**6
# The largest numbers of entries for which the canonical point of a face is computed.
_LARGEST_FACE = 4 * 10**6
# A polished point is used if its gap is at most this, or smaller than before.
_ACCEPTED = 1e-12
_NEWTON_STEPS = 8
# Newton's method stops at this gap.
_EXACT = 1e-13
# A coarser iterate does not say which rows are active.
_NEAR = 1e-4


def polished(
    program: Program, point: Point, gap: float, measure: Callable[[Point], float]
) -> tuple[Point, bool | None]:
    """Return the exact solution near an interior-point iterate, and whether the solution is unique (None: unknown).

    The iterate says which rows and which bounds are active. Their equations are solved by Newton's method. If a linear
    program has many solutions, the one of least Euclidean norm is returned.
    """
    if not gap < _NEAR:
        return point, None
    if not program.terms.linear:  # The gauge is strictly convex.
        return _polished_curved(program, _without_small(program, point, gap, measure), gap, measure), True
    face = _Face.of(program, point)
    if face is None:
        return point, None
    exact = face.corrected(point)
    error = measure(exact)
    if not error <= max(gap, _ACCEPTED):
        return point, None
    if face.dimension == 0:
        return exact, True
    canonical = face.least_norm(exact)
    if canonical is exact:
        return exact, True
    if canonical is not None and measure(canonical) <= max(10.0 * error, _ACCEPTED):
        return canonical, False
    return exact, False


def _without_small(program: Program, point: Point, gap: float, measure: Callable[[Point], float]) -> Point:
    """Return the point with multipliers 0 in the rows that are not active, if its gap stays small."""
    active = np.zeros(len(point.q), dtype=bool)
    active[_active_rows(program, point)] = True
    cut = point._replace(q=np.where(active, point.q, 0.0))
    return cut if measure(cut) <= max(2.0 * gap, 10.0 * _ACCEPTED) else point


def _polished_curved(program: Program, point: Point, gap: float, measure: Callable[[Point], float]) -> Point:
    """Return the solution of the equations of the active rows by Newton's method in their multipliers."""
    active = _active_rows(program, point)
    A, B, terms = program.A[active], program.B[active], program.terms
    q, b = point.q[active], point.b
    best, least = point, gap
    if len(active) ** 2 > _LARGEST:
        return point
    for _ in range(_NEWTON_STEPS):
        z = terms.spread(A.T @ q)
        w, slope = terms.fold(terms.conjugate(z)), terms.fold_sizes(terms.conjugate_slope(z))
        if not (np.all(np.isfinite(w)) and np.all(np.isfinite(slope))):
            break
        rows, free = program.right[active] - A @ w - B @ b, program.free_cost - B.T @ q
        zero = np.zeros((B.shape[1], B.shape[1]))
        system = np.block([[(A * slope) @ A.T, B], [B.T, zero]])
        step = _least_squares(system, np.concatenate([rows, free]))
        q, b = q + step[: len(active)], b + step[len(active) :]
        if not np.all(q >= 0.0):
            break
        full = np.zeros(len(point.q))
        full[active] = q
        u = terms.conjugate(terms.spread(A.T @ q))
        new = point._replace(u=u, b=b, q=full)
        error = measure(new)
        if not error < least and not error <= _ACCEPTED:
            break
        best, least = new, error
        if error <= _EXACT:
            break
    return best


def _positive(values: ndarray, size: float, others: ndarray, other_size: float) -> Bool[ndarray, " k"]:
    """Return where `values` are the positive ones of complementary variables, given the sizes of both."""
    return values * other_size > others * size


def _active_rows(program: Program, at: Point) -> Int64[ndarray, " e"]:
    """Return the rows with a positive multiplier. Their slacks are computed anew, without the error of the iterate."""
    level = program.A @ program.terms.fold(at.u)
    slack = level + program.B @ at.b - program.right
    sizes = float(np.max(at.q)), float(np.max(np.abs(level))) or 1.0
    return np.flatnonzero(_positive(at.q, sizes[0], slack - np.min(slack), sizes[1]))


class _Face(NamedTuple):
    """The solutions of a linear program: the active rows, and the entries of w that are not at a bound.

    Attributes:
        program: the program.
        rows: positions of the rows with a positive multiplier.
        entries: positions of the entries of w that are not fixed.
        fixed: (d,) the values of the other entries, and 0 in `entries`.
        signs: (d,) for positive and negative parts, the sign of the part that is positive; otherwise 0.
        system: [A B] in the active rows and free entries.
        dimension: the dimension of the set of solutions.
    """

    program: Program
    rows: Int64[ndarray, " e"]
    entries: Int64[ndarray, " f"]
    fixed: Float64[ndarray, " d"]
    signs: Float64[ndarray, " d"]
    system: Float64[ndarray, "e c"]
    dimension: int

    @classmethod
    def of(cls, program: Program, at: Point) -> "_Face | None":
        """Return the face that the iterate is nearest to; None if its system is too large."""
        terms = program.terms
        rows = _active_rows(program, at)
        primal = float(np.max(np.abs(at.u), initial=0.0)) or 1.0
        dual = float(np.max(np.abs(program.A.T @ at.q), initial=0.0)) or 1.0
        inside = _positive(at.below, primal, at.at_below, dual) | ~terms.has_lower
        if terms.split:
            inside &= terms.used
            half = len(inside) // 2
            signs = inside[:half].astype(float) - inside[half:].astype(float)
            entries = np.flatnonzero(inside[:half] | inside[half:])
            fixed = np.zeros(half)
        else:
            under = _positive(at.above, primal, at.at_above, dual) | ~terms.has_upper
            signs = np.zeros(len(inside))
            entries = np.flatnonzero(inside & under)
            fixed = np.where(inside & under, 0.0, np.where(inside, terms.upper, terms.lower))
        if len(rows) * (len(entries) + program.B.shape[1]) > _LARGEST or not len(rows):
            return None
        system = np.hstack([program.A[np.ix_(rows, entries)], program.B[rows]])
        triangle = np.abs(np.diag(qr(system, mode="r", pivoting=True)[0]))
        rank = int(np.count_nonzero(triangle > _RANK * np.max(triangle, initial=0.0)))
        return cls(program, rows, entries, fixed, signs, system, system.shape[1] - rank)

    def corrected(self, at: Point) -> Point:
        """Return the nearest solution of the equations of the face, for the primal and for the dual variables."""
        program, terms = self.program, self.program.terms
        w, b = np.where(self._held(), 0.0, terms.fold(at.u)) + self.fixed, at.b
        q = np.zeros(len(at.q))
        q[self.rows] = at.q[self.rows]
        costs = self._costs()
        for _ in range(2):
            missing = (program.right - program.A @ w - program.B @ b)[self.rows]
            step = _least_squares(self.system, missing)
            w[self.entries] += step[: len(self.entries)]
            b = b + step[len(self.entries) :]
            missing = np.concatenate([costs, program.free_cost]) - self.system.T @ q[self.rows]
            q[self.rows] += _least_squares(self.system.T, missing)
        return at._replace(u=self._parts(w), b=b, q=np.maximum(q, 0.0))

    def _held(self) -> Bool[ndarray, " d"]:
        held = np.ones(len(self.fixed), dtype=bool)
        held[self.entries] = False
        return held

    def _costs(self) -> Float64[ndarray, " f"]:
        """Return the value that the dual combination has in the free entries."""
        terms, half = self.program.terms, len(self.fixed)
        if not terms.split:
            return np.zeros(len(self.entries))
        signs = self.signs[self.entries]
        sides = np.where(signs > 0.0, terms.costs[:half][self.entries], terms.costs[half:][self.entries])
        return signs * sides

    def _parts(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " k"]:
        return np.concatenate([np.maximum(w, 0.0), np.maximum(-w, 0.0)]) if self.program.terms.split else w

    def least_norm(self, at: Point) -> Point | None:
        """Return the solution in the face with the least Euclidean norm of w; None if the face is too large.

        If the inequalities leave only one point of the face, up to rounding, the argument itself is returned.

        The face is w_0 + N t with an orthonormal N, and the inequalities are C t >= h. The nearest t to a target is
        found by non-negative least squares (Lawson and Hanson, problem LDP).
        """
        terms, k = self.program.terms, len(self.entries)
        if self.system.shape[1] ** 2 > _LARGEST:
            return None
        directions = np.linalg.svd(self.system, full_matrices=True)[2][-self.dimension :].T
        w0, b0 = terms.fold(at.u), at.b
        along = directions[:k]
        blocks, bounds = self._inequalities(w0, b0, directions)
        if blocks.size > _LARGEST_FACE:
            return None
        # Directions that move only the intercepts have no norm, so the basis is made orthonormal in w.
        basis, sizes, turns = np.linalg.svd(along, full_matrices=False)
        moved = turns.T / np.where(sizes > _RANK, sizes, np.inf)
        target = -(basis.T @ w0[self.entries])
        if one_point(blocks @ moved, bounds):
            return at
        t = _least_distance(blocks @ moved, bounds - blocks @ (moved @ target))
        if t is None:
            return None
        change = directions @ (moved @ (t + target))
        w = w0.copy()
        w[self.entries] += change[:k]
        return at._replace(u=self._parts(w), b=b0 + change[k:])

    def _inequalities(
        self, w0: ndarray, b0: ndarray, directions: ndarray
    ) -> tuple[Float64[ndarray, "c t"], Float64[ndarray, " c"]]:
        """Return (C, h) with C t >= h in the face: the other rows, and the bounds of the free entries."""
        program, terms = self.program, self.program.terms
        k = len(self.entries)
        others = np.setdiff1d(np.arange(len(program.A)), self.rows)
        slack = program.A[others] @ w0 + program.B[others] @ b0 - program.right[others]
        moves = program.A[np.ix_(others, self.entries)] @ directions[:k] + program.B[others] @ directions[k:]
        if terms.split:
            signs = self.signs[self.entries]
            return (
                np.vstack([moves, signs[:, None] * directions[:k]]),
                np.concatenate([-slack, -signs * w0[self.entries]]),
            )
        lower, upper = terms.lower[self.entries], terms.upper[self.entries]
        below, above = np.isfinite(lower), np.isfinite(upper)
        return (
            np.vstack([moves, directions[:k][below], -directions[:k][above]]),
            np.concatenate([-slack, (lower - w0[self.entries])[below], (w0[self.entries] - upper)[above]]),
        )


def _least_distance(C: Float64[ndarray, "c t"], h: Float64[ndarray, " c"]) -> Float64[ndarray, " t"] | None:
    """Return the t of least norm with C t >= h, or None if the method fails."""
    sizes = np.linalg.norm(C, axis=1)
    moving = sizes > 1e-13
    C, h = C[moving] / sizes[moving, None], h[moving] / sizes[moving]
    if not np.any(h > 0.0):
        return np.zeros(C.shape[1])
    matrix = np.vstack([C.T, h])
    goal = np.zeros(len(matrix))
    goal[-1] = 1.0
    try:
        weights, _ = nnls(matrix, goal)
    except RuntimeError:
        return None
    rest = matrix @ weights - goal
    if not abs(rest[-1]) > 0.0:
        return None
    t: ndarray = -rest[:-1] / rest[-1]
    return t


def _least_squares(system: ndarray, right: ndarray) -> Any:
    """Return the solution of a linear system if its residual is rounding, else its least-squares solution."""
    rows, columns = system.shape
    if rows == columns:
        try:
            answer = np.linalg.solve(system, right)
            if np.all(np.isfinite(answer)) and np.max(
                np.abs(system @ answer - right), initial=0.0
            ) <= 1e-10 * (np.max(np.abs(right), initial=0.0)):
                return answer
        except np.linalg.LinAlgError:
            pass  # the system is singular, and its least-squares solution follows
    return np.linalg.lstsq(system, right, rcond=1e-13)[0]
