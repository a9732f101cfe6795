"""Linear solves with the Gauss-Newton matrix if each entry of the parameters has its own weight decay."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from implicitbias.flows._gauss_newton_algebra import Elimination, GaussNewtonMatrix
from implicitbias.predictors import TracedJacobian


def decayed(
    solve: Callable[[GaussNewtonMatrix], Elimination],
    J: TracedJacobian,
    roots: jax.Array,
    gamma_step: jax.Array,
    decays: jax.Array,
) -> Elimination:
    """Return the solve with I + gamma_step (J^T S J + diag(decays)); `decays` is one number or has an entry for each.

    With several decays, the unknown is root * x with root^2 = 1 + gamma_step decays. In it, the matrix is the identity
    plus gamma_step J'^T S J', where J' is the Jacobian with its columns divided by the roots.
    """
    if decays.ndim == 0:
        return solve(GaussNewtonMatrix(J, roots, gamma_step, 1 + gamma_step * decays))
    root = jnp.sqrt(1 + gamma_step * decays)
    inner = solve(GaussNewtonMatrix(scaled_jacobian(J, root), roots, gamma_step, jnp.ones((), root.dtype)))

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, predicted = inner(right / root, gap)
        return x / root, predicted

    return eliminate


def scaled_jacobian(J: TracedJacobian, root: jax.Array) -> TracedJacobian:
    """Return the Jacobian with its columns divided by the entries of `root` (p,)."""

    def matrix() -> jax.Array:
        return J.matrix() / root

    def gram() -> jax.Array:
        values = matrix()
        n, k, p = values.shape
        flat = values.reshape(n * k, p)
        return (flat @ flat.T).reshape(n, k, n, k)

    return TracedJacobian(J.predictions, lambda v: J.mv(v / root), lambda r: J.rmv(r) / root, gram, matrix)
