"""The mirror flow of least squares in dual variables: n unknowns, whatever d."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.flows._system import Linear, System
from implicitbias.potentials import Potential
from implicitbias.problems import LeastSquares

# Steps between 2^-1000 and all of the time left are told apart to 2^-18 of their size. In units of the time left,
# because data has a unit of its own: y -> c y makes every time 1/c of what it was.
_LEAST, _BISECTIONS = -1000.0, 28


class DualSystem(System):
    r"""$z = z_0 + X^\top \nu$, $\nu' = (y - X w(z)) / n$, w the inverse mirror of z.

    Its Jacobian $-X \operatorname{diag}(dw/dz) X^\top / n$ is symmetric and negative: one Cholesky factor a step.
    For n > d, X is replaced by the triangular factor of X = QR and y by Q^T y: the same z, in d unknowns.
    """

    X: jax.Array
    y: jax.Array
    rows: jax.Array
    z0: jax.Array
    floor: jax.Array
    potential: Potential

    def dual(self, nu: jax.Array) -> jax.Array:
        """z."""
        return self.z0 + nu @ self.X

    def state(self, u: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_formula(self.dual(u))

    def field(self, u: jax.Array) -> jax.Array:
        return (self.y - self.X @ self.state(u)) / self.rows

    def linearize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Linear, Linear]:
        slope = self.potential.inverse_mirror_slope_formula(self.dual(u)) / self.rows
        matrix = jnp.eye(len(u)) + gamma_step * (self.X * slope) @ self.X.T
        factor = jax.scipy.linalg.cho_factor(matrix)

        def apply(v: jax.Array) -> jax.Array:
            return -self.X @ (slope * (v @ self.X))

        def solve(b: jax.Array) -> jax.Array:
            return jax.scipy.linalg.cho_solve(factor, b)

        return apply, solve

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        z = jax.vmap(self.dual)(jnp.stack([u, end, embedded]))
        w = jax.vmap(self.potential.inverse_mirror_formula)(z)
        seen = jnp.abs(w[1] - w[2]) / (jnp.maximum(jnp.abs(w[0]), jnp.abs(w[1])) + self.floor)
        # In w alone, two ends that both threw a growing coordinate far back would agree. In z they do not.
        unseen = jnp.max(jnp.abs(z[1] - z[2])) / jnp.maximum(jnp.max(jnp.abs(z[:2])), 1e-300)
        return jnp.maximum(jnp.max(seen), unseen)

    def quiet_time(self, u: jax.Array, rtol: jax.Array, left: jax.Array) -> jax.Array:
        z, speed = self.dual(u), self.field(u) @ self.X
        small = rtol * self.floor
        # Half of what is seen: a coordinate brought just below the border by this very bound may then cross it.
        unseen = jnp.abs(self.potential.inverse_mirror_formula(z)) < small / 2

        def halve(_: jax.Array, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            middle = (ends[0] + ends[1]) / 2
            ahead = jnp.abs(self.potential.inverse_mirror_formula(z + left * 2.0**middle * speed))
            stays = jnp.all(~unseen | (ahead <= small))
            return jnp.where(stays, middle, ends[0]), jnp.where(stays, ends[1], middle)

        # |w| grows with |z|, so the set of quiet steps is an interval: bisection on log2 of the step.
        low, _ = jax.lax.fori_loop(0, _BISECTIONS, halve, (jnp.asarray(_LEAST), jnp.asarray(1.0)))
        return left * 2.0**low


def dual_system(problem: LeastSquares, potential: Potential, start: Float64[ndarray, " d"]) -> DualSystem:
    """The system from w = start; called under double precision."""
    X, y = problem.X, problem.y
    n, d = X.shape
    if n > d:
        Q, X = np.linalg.qr(X)
        y = Q.T @ y
    norms = problem.column_norms
    size = float(np.sqrt(problem.y @ problem.y)) or 1.0
    # What one coordinate contributes where all share the fit evenly.
    floor = size / (np.where(norms > 0.0, norms, np.inf) * np.sqrt(d))
    floor = np.where(norms > 0.0, floor, 1.0)
    return DualSystem(
        X=jnp.asarray(X),
        y=jnp.asarray(y),
        rows=jnp.asarray(float(n)),
        z0=potential.mirror_formula(jnp.asarray(start)),
        floor=jnp.asarray(floor),
        potential=jax.tree.map(jnp.asarray, potential),
    )
