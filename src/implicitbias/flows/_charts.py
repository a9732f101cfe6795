"""How w follows from the integrated gradient: charts of mirror flows and of two-layer diagonal networks."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias.parametrizations import ExponentialChart
from implicitbias.potentials import Potential, SeparablePotential

# Columns kept in a kernel, in multiples of n, where what the others add is this small.
_FEW, _NOTHING = 2, 1e-12


class Rows(NamedTuple):
    """X (n, d), its columns one after another (d, n), and their squared norms."""

    X: jax.Array
    columns: jax.Array
    squares: jax.Array


class Chart(eqx.Module):
    r"""w as a function of the dual variable $z = z_0 - \int \nabla L$ and of $s = \lambda t$."""

    @abstractmethod
    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """w."""

    def state(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """What the flow moves, as one vector; w unless a chart says otherwise."""
        return self.predictor(z, s)

    @abstractmethod
    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return X (dw / dz) X^T, (n, n)."""

    @abstractmethod
    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return dw / ds."""

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the z_i at which w_i = -size_i and w_i = size_i; infinite where w_i does not depend on z_i alone."""
        return jnp.full_like(size, -jnp.inf), jnp.full_like(size, jnp.inf)


class SeparableChart(Chart):
    """w_i depends on z_i alone."""

    @abstractmethod
    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return dw_i / dz_i >= 0."""

    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        """X diag(slope) X^T; where all but a few columns are too small to count, from those few."""
        X, slope = rows.X, self.slope(z, s)
        few, d = _FEW * len(X), X.shape[1]

        def of_all() -> jax.Array:
            return (X * slope) @ X.T

        if d <= 2 * few:
            return of_all()
        weights = slope * rows.squares
        counts = d * weights > _NOTHING * jnp.max(weights)

        def of_few() -> jax.Array:
            index = jnp.nonzero(counts, size=few, fill_value=0)[0]
            kept = jnp.where(jnp.arange(few) < jnp.sum(counts), slope[index], 0.0)
            columns = rows.columns[index]
            return (columns * kept[:, None]).T @ columns

        return jax.lax.cond(jnp.sum(counts) <= few, of_few, of_all)


class MirrorChart(Chart):
    """The inverse mirror map of a potential; the state is w."""

    potential: Potential

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_formula(z)

    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        # dw / dz is the inverse Hessian of the potential: one product with it for each row of X.
        products = jax.vmap(lambda row: self.potential.inverse_hessian_formula(z, row))(rows.X)
        return products @ rows.X.T

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.zeros_like(z)


class SeparableMirrorChart(SeparableChart):
    """The inverse mirror map of a separable potential; the state is w."""

    potential: SeparablePotential

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_formula(z)

    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_slope_formula(z)

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.zeros_like(z)

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.potential.mirror_formula(-size), self.potential.mirror_formula(size)


class DiagonalChart(SeparableChart):
    """The closed form of a two-layer diagonal network; the state is theta."""

    closed_form: ExponentialChart

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        # The closed form's own predictor keeps relative digits where p and q cancel, at four times the cost. A flow
        # sees w beside the sizes of p and q.
        up, down = self.closed_form.parts(z, s)
        return up - down

    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.closed_form.slope(z, s)

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return -2 * self.predictor(z, s)

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.closed_form.reach(size, s)

    def state(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.concatenate([leaf.ravel() for leaf in self.closed_form.theta(z, s)])
