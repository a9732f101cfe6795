"""The interpolant of least Bregman divergence from a start, where mirror flows of linear models end."""

from typing import Any

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.errors import InfeasibleError
from implicitbias._core.status import Status
from implicitbias.limits._bregman_judgement import BregmanAt, checked_map, checked_start
from implicitbias.limits._dual_continuation import followed
from implicitbias.limits._dual_problem import DualProblem
from implicitbias.limits._limit import Limit
from implicitbias.limits._loss_minimisers import loss_minimisers
from implicitbias.limits._unreachable_targets import refuse_unreachable


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
        InfeasibleError: the domain of the potential is bounded, and no point of it minimises the loss; `combination`
            holds the weights of the rows whose sum of predictions is smaller on the whole domain than at the targets.

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
        judge = BregmanAt(dual_map, minimisers, w0, z0)
        try:
            found = followed(dual)
            nu = independent.every(found.nu)
            judgement = judge.judgement(found.w, nu, note)
            if not judgement.certificate.holds:
                refuse_unreachable(dual, found.nu)
        except InfeasibleError as error:
            # The proof combines independent rows, and users know the rows of X.
            combination = independent.every(error.combination)
            raise InfeasibleError(str(error), error.certificate, combination) from error
    certificate = judgement.certificate
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
