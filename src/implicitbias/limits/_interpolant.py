"""The interpolant of least Bregman divergence from a start, where mirror flows of linear models end."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError
from implicitbias._core.status import Status
from implicitbias.limits._bregman_judgement import BregmanAt, checked_map, checked_start
from implicitbias.limits._dual_continuation import followed
from implicitbias.limits._dual_problem import DualProblem
from implicitbias.limits._limit import Limit
from implicitbias.limits._loss_minimisers import loss_minimisers
from implicitbias.limits._tolerances import TOLERANCE

# Multiples of a dual direction along which the domain of a potential is explored, in powers of 2.
_DOUBLINGS = 60


def interpolant(problem: Any, potential: Any, start: Any = None) -> Limit:
    r"""Return the minimiser of the loss with the least Bregman divergence $D_\phi(w, w_0)$ from a start.

    The mirror flow of $\phi$ from $w_0$ converges to it, if the loss has a minimiser in the domain. A parametrization
    whose brackets vanish, such as `HadamardProduct`, follows a mirror flow, so that this is the end of its training
    too. It is found from the dual: $w = \nabla\phi^*(\nabla\phi(w_0) + X^\top \nu)$ with $X w = y$ in the n unknowns
    $\nu$, by damped Newton steps with the matrix $X (\nabla^2\phi)^{-1} X^\top$ and a continuation in the size of the
    targets, which is a continuation in the scale of the potential.

    All minimisers of a strictly convex loss have the same predictions X w, and only these matter. Every loss that is
    least at X w = y alone has therefore the interpolants of least squares. The predictions of a `Classification` on
    data that no linear classifier separates are found by Newton's method in the range of X; for "cross_entropy" they
    are differences of scores. On separable data no minimiser is finite, and the direction of the flow converges to
    `ib.max_margin(problem, potential)`.

    Args:
        problem: a `LeastSquares`, `LeastSquares.entries` or `Classification` problem.
        potential: a `Potential`. If w is a matrix, `Spectral` potentials apply to it, and other potentials to its
            entries in row order.
        start: the start w0, of the shape of w; None for the point at which the mirror map is 0.

    Returns:
        A `Limit`: `point` w; `value` $D_\phi(w, w_0)$; `dual` $\nabla\phi(w) - \nabla\phi(w_0) = X^\top \nu$, of the
        shape of w; `multipliers` nu, (n,), or (n, k) with rows of sum 0 for "cross_entropy". The relative duality gap
        of the certificate is at most 1e-10. If y is not in the range of X, the minimisers of the loss are the
        least-squares solutions.

    Raises:
        InputError: the problem is of another kind, the potential or the start does not fit it, or the loss of a
            `Classification` has no finite minimiser.
        InfeasibleError: the domain of the potential is bounded, and no point of it minimises the loss.

    Reference:
        li2022implicit; woodworth2020kernel for the hyperbolic entropy.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0], [2.0, 4.0]], [2.0, 4.0])
        >>> ib.interpolant(problem, ib.SquaredNorm()).point.round(6).tolist()
        [0.4, 0.8]
        >>> limit = ib.interpolant(problem, ib.HyperbolicEntropy(1e-12))
        >>> limit.point.round(4).tolist(), limit.certificate.holds
        ([0.0, 1.0], True)
    """
    minimisers = loss_minimisers(problem, "interpolant")
    dual_map = checked_map(problem, potential)
    w0 = checked_start(problem, dual_map, start)
    n, d = minimisers.linear_map.shape
    with one_blas_thread(n * d * min(n, d) < FEW_PRODUCTS):
        independent, note = minimisers.rows()
        z0 = dual_map.mirror(w0)
        dual = DualProblem(dual_map, independent.rows, independent.targets, z0)
        found = followed(dual)
        nu = independent.every(found.nu)
        judge = BregmanAt(dual_map, minimisers, w0, z0)
        judgement = judge.judgement(found.w, nu, note)
    certificate = judgement.certificate
    if not certificate.holds:
        _refuse_unreachable(dual, found.nu)
    shape = problem.predictor_shape
    return Limit(
        problem=problem,
        point=frozen(found.w.reshape(shape)),
        value=judgement.divergence,
        certificate=certificate,
        status=Status.CONVERGED if certificate.holds else Status.NOT_CERTIFIED,
        dual=frozen(judgement.dual.reshape(shape)),
        multipliers=frozen(minimisers.by_rows(nu)),
    )


def _refuse_unreachable(dual: DualProblem, nu: Float64[ndarray, " n"]) -> None:
    r"""Raise an `InfeasibleError` if no point of the domain of the potential has the targets.

    For a unit vector $\nu$, $\langle X^\top \nu, \nabla\phi^*(z_0 + c X^\top \nu) \rangle$ increases in c to the
    largest value of $\langle \nu, X w \rangle$ in the domain. If it stays below $\langle \nu, y \rangle$, then no w
    in the domain has X w = y.
    """
    size = float(np.linalg.norm(nu))
    if not 0.0 < size < np.inf:
        return
    unit, last, settled = nu / size, -np.inf, False
    ray, targets = dual.pull(unit), dual.base + dual.goal
    wanted = float(unit @ targets)
    for power in range(_DOUBLINGS):
        w = dual.dual_map.point(dual.z0 + 2.0**power * ray)
        if not np.all(np.isfinite(w)):
            break  # Far out, a computed potential overflows; what was reached until then counts.
        reached = float(ray @ w)
        if reached >= wanted:
            return
        settled = abs(reached - last) <= TOLERANCE * abs(wanted - reached)
        last = reached
    if not settled:
        return
    scale = float(np.linalg.norm(targets))
    certificate = Certificate(
        "a linear function of the predictions is smaller on the whole domain of the potential than at the targets",
        None,
        {"excess of the domain": max(0.0, 1.0 - (wanted - last) / (TOLERANCE * scale))},
        0.5,
    )
    if certificate.holds:
        raise InfeasibleError(
            f"no point in the domain of {type(dual.dual_map.potential).__name__} minimises the loss: a combination of "
            f"the predictions is at most {last:.6g} in the domain and {wanted:.6g} at the targets; use a potential "
            "with a larger domain, or add features",
            certificate,
            unit,
        )
