"""The second-order condition of a KKT point: curvatures of the Lagrangian on the tangent space of the constraints."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import eigh, qr
from scipy.optimize import linprog
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from implicitbias.limits._norm_constraints import Linearized
from implicitbias.limits._working_set import fixed_set

# Singular values of J below this share of the largest one, and curvatures below this share of the largest, count as 0.
_RANK, _FLAT = 1e-7, 1e-6
# The largest number of parameters for which all curvatures are computed, how many are computed for more, and the most
# restarts of the Lanczos steps.
_MOST_DENSE, _FEW, _RESTARTS = 1200, 10, 200
# Multipliers below this share of the largest one belong to constraints that are not strictly active.
_POSITIVE = 1e-9
# Constraints up to this value count as active.
_WEAK = 1e-8
# The most cutting planes of the search for better multipliers, in rounds.
_ROUNDS = 30


class TangentCurvature(NamedTuple):
    r"""Signs of the curvatures of the Lagrangian $\frac12\lVert\theta\rVert^2 - \sum_i q_i c_i$ on the tangent space.

    The tangent space holds the directions that leave the constraints with multipliers unchanged to first order. Without
    constraints each curvature is 1.

    Attributes:
        directions: the dimension of the tangent space.
        negative: the number of negative curvatures.
        zero: the number of curvatures that are 0 up to rounding, for instance along the orbit of a symmetry.
        least: the least curvature; nan if there is no direction.
        rank: the rank of the Jacobian of the active constraints.
        active: the number of active constraints with a multiplier.
        weak: the number of active constraints whose multiplier is 0, which the tangent space does not respect.
        complete: whether all curvatures are known; otherwise `negative` and `zero` count those that were found.
    """

    directions: int
    negative: int
    zero: int
    least: float
    rank: int
    active: int
    weak: int
    complete: bool

    @property
    def sentence(self) -> str:
        """What the curvatures say about the point, in words."""
        rank = (
            f" The Jacobian of the {self.active} active constraints has rank {self.rank} up to {_RANK:.0e} of its "
            "largest singular value: the linear independence constraint qualification fails, so that the multipliers "
            "are not unique."
            if self.rank < self.active
            else ""
        )
        more = "" if self.complete else "at least "
        if self.directions == 0:
            return f"It is a strict local minimum: the active constraints leave no direction to first order.{rank}"
        if self.negative and (self.weak or self.rank < self.active):
            reason = (
                f"some of which may violate {self.weak} more active constraints"
                if self.weak
                else "for the multipliers that were found"
            )
            text = (
                f"Second derivatives do not decide whether it is a local minimum: {more}{self.negative} of "
                f"{self.directions} tangent directions have negative curvature, {reason}."
            )
        elif self.negative:
            text = (
                f"It is not a local minimum: {more}{self.negative} of {self.directions} tangent directions have "
                f"negative curvature, the least is {self.least:.2g}."
            )
        elif self.zero:
            text = (
                f"Second derivatives do not decide whether it is a strict local minimum: {more}{self.zero} of "
                f"{self.directions} tangent directions have curvature 0, as along the orbit of a symmetry, and "
                f"{'the others have positive curvature' if self.complete else 'no negative curvature was found'}."
            )
        else:
            text = (
                f"It is a strict local minimum: the least curvature in {self.directions} tangent directions is "
                f"{self.least:.2g}."
            )
        return text + rank


def tangent_curvature(
    at: Linearized, q: Float64[ndarray, " m"]
) -> tuple[TangentCurvature | None, Float64[ndarray, " m"]]:
    """Return the curvatures at a KKT point, and the multipliers for which they were computed.

    Where the rows of J depend on each other, the multipliers are not unique. If there is a negative curvature for the
    given ones, others are sought for which there is none, because any multipliers prove a local minimum.

    Returns:
        None in place of the curvatures if the eigenvalues did not converge.
    """
    active = np.ones(len(q), dtype=bool)
    if not at.constraints.equality:
        active = q > _POSITIVE * np.max(q, initial=0.0)
    if at.J is None or len(at.flat) > _MOST_DENSE:
        return _few(at, q, active), q
    basis, rank = _tangent_basis(at.J[active])
    found, vectors = _dense(at, q, active, basis, rank)
    if found.negative and rank < found.active:
        for _ in range(_ROUNDS):
            better = _better_multipliers(at, q, active, vectors)
            if better is None:
                break
            found, more = _dense(at, better, active, basis, rank)
            q = better
            if not found.negative:
                break
            vectors = np.column_stack([vectors, more])
    return found, q


def _tangent_basis(J: Float64[ndarray, "a p"]) -> tuple[Float64[ndarray, "p t"], int]:
    """Return an orthonormal basis of the null space of J, and the rank of J."""
    if not len(J):
        return np.eye(J.shape[1]), 0
    Q, R, _ = qr(J.T, pivoting=True, check_finite=False)
    sizes = np.abs(np.diag(R))
    rank = int(np.sum(sizes > _RANK * np.max(sizes, initial=0.0)))
    return Q[:, rank:], rank


def _dense(
    at: Linearized, q: ndarray, active: ndarray, basis: Float64[ndarray, "p t"], rank: int
) -> tuple[TangentCurvature, Float64[ndarray, "p e"]]:
    """Return all curvatures, and the directions of the negative ones."""
    t = basis.shape[1]
    if t == 0:
        return TangentCurvature(0, 0, 0, np.nan, rank, *_counts(at, active), True), basis
    hessian = at.constraints.curvature_matrix(at.flat, q)
    values, vectors = eigh(basis.T @ hessian @ basis, check_finite=False)
    flat = _FLAT * max(1.0, float(np.max(np.abs(values))))
    negative, zero = int(np.sum(values < -flat)), int(np.sum(np.abs(values) <= flat))
    found = TangentCurvature(t, negative, zero, float(values[0]), rank, *_counts(at, active), True)
    return found, basis @ vectors[:, :negative]


def _counts(at: Linearized, active: ndarray) -> tuple[int, int]:
    """Return the number of active constraints with and without a multiplier."""
    return int(np.sum(active)), int(np.sum(~active & (np.abs(at.c) <= _WEAK)))


def _few(at: Linearized, q: ndarray, active: ndarray) -> TangentCurvature | None:
    """Return the least curvatures by Lanczos steps with products only; None if they do not converge."""
    p, counts = len(at.flat), _counts(at, active)
    values = np.linalg.eigvalsh(at.kernel[np.ix_(active, active)])
    rank = int(np.sum(values > _RANK**2 * np.max(values, initial=0.0)))
    work = fixed_set(at, q, active, _RANK**2 * at.scale)
    product = at.constraints.curvature(at.flat, q)

    def matvec(v: ndarray) -> ndarray:
        # The curvatures are raised by 1, because ARPACK's tolerance is relative to an eigenvalue, and those near 0
        # are of interest. Directions outside the tangent space get the curvature 2, which does not widen the spectrum.
        v = np.asarray(v).ravel()
        inside = work.tangent(v)
        return work.tangent(product(inside)) + inside + 3.0 * (v - inside)

    operator = LinearOperator((p, p), matvec=matvec, dtype=np.float64)
    few = min(_FEW, p - rank)
    if few == 0:
        return TangentCurvature(0, 0, 0, np.nan, rank, *counts, True)
    try:
        raised = eigsh(
            operator,
            k=few,
            which="SA",
            ncv=min(p, 4 * _FEW),
            tol=1e-7,
            maxiter=_RESTARTS,
            v0=np.cos(1.0 + np.arange(p)),
            return_eigenvectors=False,
        )
    except ArpackNoConvergence:
        return None
    least = np.sort(raised) - 1.0
    negative, zero = int(np.sum(least < -_FLAT)), int(np.sum(np.abs(least) <= _FLAT))
    # Lanczos steps may miss copies of a multiple eigenvalue, so that counts are complete only if they are 0.
    complete = negative == zero == 0
    return TangentCurvature(p - rank, negative, zero, float(least[0]), rank, *counts, complete)


def _better_multipliers(
    at: Linearized, q: Float64[ndarray, " m"], active: ndarray, vectors: Float64[ndarray, "p e"]
) -> Float64[ndarray, " m"] | None:
    """Return multipliers with the same J^T q whose least curvature along the vectors is largest; None if it stays < 0.

    The curvature along a vector is linear in the multipliers, so this is a linear program (Kelley's cutting planes).
    """
    assert at.J is not None
    rows = at.J[active]
    U, sizes, _ = np.linalg.svd(rows, full_matrices=True)
    rank = int(np.sum(sizes > _RANK * np.max(sizes, initial=0.0)))
    free = U[:, rank:]
    bends = at.constraints.bends(at.flat, vectors)[active]
    start = 1.0 - q[active] @ bends
    slopes = -(free.T @ bends).T
    count = free.shape[1]
    # Maximise t <= 1 with start + slopes nu >= t, and q + free nu >= 0 in classification.
    above, right = [np.column_stack([-slopes, np.ones(len(start))])], [start]
    if not at.constraints.equality:
        above.append(np.column_stack([-free, np.zeros(len(free))]))
        right.append(q[active])
    size = 1e3 * float(np.max(np.abs(q), initial=0.0))
    found = linprog(
        np.append(np.zeros(count), -1.0),
        np.vstack(above),
        np.concatenate(right),
        bounds=[*[(-size, size)] * count, (None, 1.0)],
        method="highs",
    )
    if found.x is None or found.x[-1] < -_FLAT:
        return None
    better = q.copy()
    better[active] += free @ found.x[:-1]
    return better if at.constraints.equality else np.maximum(better, 0.0)
