"""The potential that is a full quadratic form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import frozen, symmetric_array
from implicitbias._core.errors import InputError
from implicitbias.gauges import Ellipsoid, Gauge
from implicitbias.potentials._potential import Potential
from implicitbias.potentials._written import written

# An eigenvalue below this fraction of the largest one cannot be distinguished from 0.
_DEFINITE = 1e-14


class QuadraticForm(Potential):
    r"""The quadratic form $\phi(w) = \frac12 w^\top A w$ with a symmetric positive definite matrix A.

    Its mirror map is $A w$, and its mirror flow is the gradient flow in w preconditioned by $A^{-1}$. It is separable
    only if A is diagonal; this class does not use that.

    Args:
        A: the symmetric positive definite matrix, (d, d).

    Raises:
        InputError: A is not square, not symmetric or not positive definite, or holds NaN or infinite entries.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.QuadraticForm([[2.0, 1.0], [1.0, 2.0]])
        >>> phi.mirror([1.0, 0.0]).tolist()
        [2.0, 1.0]
        >>> phi.value([1.0, 1.0])
        3.0
    """

    A: Any
    inverse: Any

    def __init__(self, A: Any) -> None:
        matrix = symmetric_array(A, "A")
        values, vectors = np.linalg.eigh(matrix)
        if not values[0] > _DEFINITE * values[-1] or not values[-1] > 0.0:
            raise InputError(
                f"A has eigenvalues from {values[0]:g} to {values[-1]:g}, positive ones are expected, because a "
                "potential is strictly convex"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            inverse = (vectors / values) @ vectors.T
        if not np.all(np.isfinite(inverse)):
            raise InputError(
                f"A has eigenvalues from {values[0]:g} to {values[-1]:g}, whose reciprocals exceed float64; change the "
                "unit of w, for instance type A = A / numpy.max(numpy.abs(A))"
            )
        self.A = frozen(matrix)
        self.inverse = frozen(inverse)

    def __repr__(self) -> str:
        return f"QuadraticForm({written(self.A)})"

    @property
    def growth(self) -> float:
        return 2.0

    def horizon(self) -> Gauge:
        """Return the gauge (w^T A w)^(1/2)."""
        return Ellipsoid(self.A)

    def value_formula(self, w: jax.Array) -> jax.Array:
        return w @ (self.A @ w) / 2

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.A @ w

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        rough = self.inverse @ z
        # One step of iterative refinement reduces the error of the computed inverse if A is ill-conditioned.
        return rough + self.inverse @ (z - self.A @ rough)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.A @ v

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return jnp.asarray(self.inverse) @ v
