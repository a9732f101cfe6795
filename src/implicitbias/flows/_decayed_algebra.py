"""Linear solves with the Gauss-Newton matrix if each entry of the parameters has its own weight decay."""

from typing import Any

import jax
import jax.numpy as jnp

from implicitbias.flows._gauss_newton_algebra import Algebra, Elimination, GaussNewtonMatrix
from implicitbias.predictors import TracedJacobian, from_products


def decayed(algebra: Algebra, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
    """Return the solve for a matrix whose `shift` is one number or has an entry for each parameter, and the memory.

    With several shifts, the unknown is root * x with root^2 = shift. In it, the matrix is the identity plus
    gamma_step J'^T S J', where J' is the Jacobian with its columns divided by the roots. The roots are at least 1, so
    that the error of x is at most that of the unknown.
    """
    if matrix.shift.ndim == 0:
        return algebra.solver(matrix, memory)
    root = jnp.sqrt(matrix.shift)
    scaled = matrix._replace(J=scaled_jacobian(matrix.J, root), shift=jnp.ones((), root.dtype))
    inner, memory = algebra.solver(scaled, memory)

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        x, predicted, iterations = inner(right / root, gap)
        return x / root, predicted, iterations

    return eliminate, memory


def scaled_jacobian(J: TracedJacobian, root: jax.Array) -> TracedJacobian:
    """Return the Jacobian with its columns divided by the entries of `root` (p,)."""
    scaled = from_products(
        J.predictions, lambda v: J.mv(v / root), lambda r: J.rmv(r) / root, lambda: J.matrix() / root
    )
    return scaled._replace(normal=lambda roots: J.normal(roots) / root[:, None] / root)
