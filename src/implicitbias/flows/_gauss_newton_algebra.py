"""Linear solves with the Gauss-Newton matrix of a step: with a kernel, normal equations, or products only."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx

from implicitbias.predictors import TracedJacobian

_CG_TOLERANCE, _CG_STEPS = 1e-10, 1000

# A function (right (p,), gap (n, k)) -> (x, J x) with (shift I + gamma_step J^T S J) x = right - gamma_step J^T S gap.
Elimination = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


class GaussNewtonMatrix(NamedTuple):
    """The matrix shift I + gamma_step J^T S J, where S is block diagonal with the blocks R R^T."""

    J: TracedJacobian
    roots: jax.Array
    gamma_step: jax.Array
    shift: jax.Array

    def curve(self, f: jax.Array) -> jax.Array:
        """Return S f."""
        return self.spread(self.collect(f))

    def collect(self, f: jax.Array) -> jax.Array:
        """Return R^T f."""
        return jnp.einsum("nkl,nk->nl", self.roots, f)

    def spread(self, r: jax.Array) -> jax.Array:
        """Return R r."""
        return jnp.einsum("nkl,nl->nk", self.roots, r)


def by_normal_equations(matrix: GaussNewtonMatrix) -> Elimination:
    """Return the solve that uses a p x p Cholesky factorisation."""
    J = matrix.J
    values = J.matrix()
    rows = jnp.einsum("nkl,nkp->nlp", matrix.roots, values).reshape(-1, values.shape[-1])
    eye = jnp.eye(rows.shape[1], dtype=rows.dtype)
    solve = _cholesky(matrix.shift * eye + matrix.gamma_step * rows.T @ rows)

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = solve(right - matrix.gamma_step * J.rmv(matrix.curve(gap)))
        return x, J.mv(x)

    return eliminate


def by_kernel(matrix: GaussNewtonMatrix) -> Elimination:
    """Return the solve that uses an n k x n k Cholesky factorisation and Woodbury's identity.

    Each right-hand side needs one product with J and one with J^T.
    """
    J, roots, shift = matrix.J, matrix.roots, matrix.shift
    n, k = roots.shape[:2]
    gram = J.gram()
    rooted = jnp.einsum("nkl,nkmi,mij->nlmj", roots, gram, roots, optimize="optimal").reshape(n * k, n * k)
    ratio = matrix.gamma_step / shift
    solve = _cholesky(jnp.eye(n * k, dtype=rooted.dtype) + ratio * rooted)
    gram = gram.reshape(n * k, n * k)

    def kernel(f: jax.Array) -> jax.Array:
        return (gram @ f.reshape(-1)).reshape(n, k)

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
        ahead, curved = J.mv(right), matrix.gamma_step * matrix.curve(gap)
        inner = solve(matrix.collect(ahead - kernel(curved)).reshape(-1)).reshape(n, k)
        back = curved + ratio * matrix.spread(inner)
        return (right - J.rmv(back)) / shift, (ahead - kernel(back)) / shift

    return eliminate


def by_products(matrix: GaussNewtonMatrix) -> Elimination:
    """Return the solve that uses conjugate gradients and stores neither J nor the kernel."""
    J, shift = matrix.J, matrix.shift
    ratio = matrix.gamma_step / shift

    def rooted(r: jax.Array) -> jax.Array:
        return r + ratio * matrix.collect(J.mv(J.rmv(matrix.spread(r))))

    solve = _conjugate_gradients(rooted, matrix.roots[:, 0])

    def eliminate(right: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
        b = right - matrix.gamma_step * J.rmv(matrix.curve(gap))
        x = (b - ratio * J.rmv(matrix.spread(solve(matrix.collect(J.mv(b)))))) / shift
        return x, J.mv(x)

    return eliminate


def _cholesky(matrix: jax.Array) -> Callable[[jax.Array], jax.Array]:
    operator = lx.MatrixLinearOperator(matrix, lx.positive_semidefinite_tag)
    solver = lx.Cholesky()
    factor = solver.init(operator, options={})
    return lambda b: lx.linear_solve(operator, b, solver, state=factor, throw=False).value


def _conjugate_gradients(apply: Any, like: jax.Array) -> Callable[[jax.Array], jax.Array]:
    operator = lx.FunctionLinearOperator(apply, jax.eval_shape(lambda: like), lx.positive_semidefinite_tag)
    solver = lx.CG(rtol=_CG_TOLERANCE, atol=0.0, max_steps=_CG_STEPS)

    def solve(b: jax.Array) -> jax.Array:
        found = lx.linear_solve(operator, b, solver, throw=False)
        # If conjugate gradients do not converge, NaN makes the stepper reject the step. A shorter step gives a
        # better-conditioned system.
        value = jnp.where(found.result == lx.RESULTS.successful, found.value, jnp.nan)
        # For b = 0 the relative tolerance cannot be reached, so the solution 0 is returned directly.
        return jnp.where(jnp.any(b != 0.0), value, 0.0)

    return solve
