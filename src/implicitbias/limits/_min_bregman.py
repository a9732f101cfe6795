"""The criterion that a point has the least Bregman divergence from a start among the minimisers of the loss."""

from dataclasses import dataclass
from typing import Any

from implicitbias._core.arrays import kept
from implicitbias._core.certificate import Certificate
from implicitbias.limits._criterion import Criterion


@dataclass(frozen=True, eq=False)
class MinBregman(Criterion):
    r"""The property that w minimises the divergence $D_\phi(w, w_0)$ over the minimisers of L.

    The point w is optimal if and only if $\nabla L(w) = 0$, which is $X^\top (y - X w) = 0$ for least squares, and
    $\nabla\phi(w) - \nabla\phi(w_0) = X^\top \nu$ for some $\nu$. Every $\nu$ gives a lower bound of the least
    divergence: with $v = \nabla\phi^*(\nabla\phi(w_0) + X^\top \nu)$ the duality gap is $D_\phi(w, v)$. The best $\nu$
    for the fit X w is computed here. The gap is
    $\langle \nabla\phi(w) - \nabla\phi(v), w - v \rangle \ge D_\phi(w, v)$, relative to $D_\phi(w, w_0)$; this upper
    bound does not cancel.

    The residual `stationarity` is the relative gradient. `dual_form` is the distance of $\nabla\phi(w)$ from
    $\nabla\phi(w_0) + X^\top \nu$ in the norm of the inverse Hessian, relative to the root of $2 D_\phi(w, w_0)$; it
    counts like the root of a gap. `dual_rounding` bounds the share of the gap that rounding of $X^\top \nu$ can make.

    Args:
        potential: a `Potential`. If w is a matrix, `Spectral` potentials apply to it, and other potentials to its
            entries in row order.
        start: the start w0, of the shape of w; None for the point at which the mirror map is 0.

    Raises:
        InputError: the potential is not a `Potential`.

    Reference:
        li2022implicit; rockafellar1970convex for the duality.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 1.0], [2.0, 2.0]], [2.0, 4.0])
        >>> ib.certify(problem, [1.0, 1.0], ib.MinBregman(ib.HyperbolicEntropy(0.1))).holds
        True
        >>> ib.certify(problem, [2.0, 0.0], ib.MinBregman(ib.HyperbolicEntropy(0.1))).holds
        False
    """

    potential: Any
    start: Any = None

    def __post_init__(self) -> None:
        from implicitbias.limits._bregman_judgement import checked_potential  # it loads JAX

        checked_potential(self.potential)
        object.__setattr__(self, "start", kept(self.start))

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of the point, for a least-squares problem or a `Classification`.

        Raises:
            InputError: the problem is of another kind; the point or the start has the wrong shape, holds NaN, or lies
                outside the domain of the potential.
        """
        from implicitbias.limits._bregman_judgement import point_certificate  # it loads JAX

        return point_certificate(problem, point, self.potential, self.start)
