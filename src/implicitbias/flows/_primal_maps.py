"""Primal maps: w as a function of the dual variable, for mirror flows and two-layer diagonal networks."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.modules import PlainModule
from implicitbias.parametrizations import ExponentialFlow
from implicitbias.potentials import Potential, SeparablePotential

# A kernel X diag(slope) X^T is computed from at most _FEW * n columns of X if all other columns together contribute
# less than the fraction _NEGLIGIBLE of the largest contribution. A size below this fraction of the floor of w matters
# no more.
_FEW, _NEGLIGIBLE = 2, 1e-12
# While the speed of z is constant, z is integrated exactly. A growing w_i changes z in proportion to w_i, which becomes
# an error of the time of its jump. In one step of any length, w_i may therefore grow to _HIDDEN * rtol of its floor, at
# most to the share _HIDDEN_MOST. The stages of a step see this w_i for a time in proportion to the step. If it grows by
# the factor e^k in the step, this is k times too long, and it may grow only to _FOLDS / k of that size. From there on
# it may grow by the factor _GROWTH in a step, and by its floor. Below its floor, w_i moves in proportion to z_i if
# dw_i / dz_i at the floor is at most _EVEN times that at _NEAR_ZERO of it.
_HIDDEN, _HIDDEN_MOST, _FOLDS, _GROWTH, _EVEN, _NEAR_ZERO = 8.0, 0.07, 4.0, 12.0, 2.0, 1e-6
# From parameters of this logarithm on, w is computed without cancellation.
_LOG_LARGE = float(np.log(30.0))


class Rows(NamedTuple):
    """The matrix X (n, d), its transpose (d, n) in contiguous memory, and the squared norms of its columns (d,)."""

    X: jax.Array
    columns: jax.Array
    squares: jax.Array


class PrimalMap(PlainModule):
    r"""The map from the dual variable $z = z_0 - \int \nabla L \, dt$ and $s = \lambda t$ to w."""

    @abstractmethod
    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return w at (z, s)."""

    def state(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return the state of the flow at (z, s) as one vector, which is w by default."""
        return self.predictor(z, s)

    @abstractmethod
    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return X (dw / dz) X^T, (n, n)."""

    @abstractmethod
    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return dw / ds."""

    @abstractmethod
    def times_slope(self, A: jax.Array, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return A (dw / dz) for a matrix A (m, d)."""

    def state_error(self, z: jax.Array, change: jax.Array, s: jax.Array) -> jax.Array:
        """Return the relative change of the state at (z, s) by a small change of z, if the state never vanishes.

        It is 0 by default, because an error relative to a w near 0 does not matter.
        """
        return jnp.zeros(())

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the z_i at which w_i = -size_i and w_i = size_i; infinite if w_i depends on other z_j too."""
        return jnp.full_like(size, -jnp.inf), jnp.full_like(size, jnp.inf)

    def growth_time(
        self,
        z: jax.Array,
        speed: jax.Array,
        s: jax.Array,
        floor: jax.Array,
        stopped: jax.Array,
        rtol: jax.Array,
    ) -> jax.Array:
        """Return how long a step may be at this speed of z, so that no small w_i grows too far; infinite by default.

        Args:
            z: the dual variable.
            speed: its derivative in time.
            s: lambda t.
            floor: the sizes below which entries of w are small.
            stopped: the sizes of entries of w that change this speed by its own size.
            rtol: the tolerance of the flow.
        """
        return jnp.asarray(jnp.inf)

    def growing_speed(self, z: jax.Array, speed: jax.Array, s: jax.Array, decay: jax.Array) -> jax.Array:
        """Return the speed of z at which |w| would grow without weight decay as it does at `speed` with it."""
        return speed

    def small_dual(self, size: jax.Array) -> jax.Array:
        """Return the z of a small w whose entries have about the given sizes, where dw / dz is finite."""
        return self.reach(size, jnp.zeros(()))[1]

    def sloped(self, z: jax.Array, small: jax.Array) -> jax.Array:
        """Return z, or z plus the small z if dw / dz is infinite at z."""
        slope = self.times_slope(jnp.ones((1, len(z))), z, jnp.zeros(()))
        return jnp.where(jnp.all(jnp.isfinite(slope)), z, z + small)


class SeparablePrimalMap(PrimalMap):
    """A primal map whose coordinate w_i depends only on z_i and s."""

    @abstractmethod
    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return dw_i / dz_i >= 0."""

    def times_slope(self, A: jax.Array, z: jax.Array, s: jax.Array) -> jax.Array:
        return A * self.slope(z, s)

    def curved_sizes(self, z: jax.Array, s: jax.Array, floor: jax.Array) -> jax.Array:
        """Return the sizes from which on dw_i / dz_i differs from its value at z; |w_i| by default, as if exponential.

        A w_i of a smaller size moves in proportion to z_i, so that its speed does not grow unseen. Larger sizes than
        `floor`, below which entries of w are small, need not be told apart.
        """
        return jnp.abs(self.predictor(z, s))

    def growth_time(
        self,
        z: jax.Array,
        speed: jax.Array,
        s: jax.Array,
        floor: jax.Array,
        stopped: jax.Array,
        rtol: jax.Array,
    ) -> jax.Array:
        w = self.predictor(z, s)
        # The speed of an entry may be a rounding error, and then the size that stops it is one, too.
        typical = jnp.clip(stopped, _NEGLIGIBLE * floor, floor)
        size, hidden = jnp.abs(w), jnp.minimum(_HIDDEN * rtol, _HIDDEN_MOST) * typical
        low, high = self.reach(hidden, s)
        ahead = jnp.where(speed > 0.0, high, low)
        folds = jnp.abs(ahead - z) * self.slope(ahead, s) / hidden
        hidden = hidden * jnp.minimum(1.0, _FOLDS / jnp.where(jnp.isfinite(folds), folds, 1.0))
        curved = jnp.maximum(size, self.curved_sizes(z, s, floor))
        grown = jnp.maximum(hidden, jnp.minimum(_GROWTH * curved, size + floor))
        # Beyond 0 the entry begins with the size at which it is curved there.
        at_zero = jnp.sqrt((curved - size) * (curved + size))
        across = jnp.maximum(hidden, jnp.minimum(_GROWTH * at_zero, floor))
        low = self.reach(jnp.where(w < 0.0, grown, across), s)[0]
        high = self.reach(jnp.where(w > 0.0, grown, across), s)[1]
        times = jnp.where(speed > 0.0, high - z, low - z) / jnp.where(speed == 0.0, 1.0, speed)
        return jnp.min(jnp.where((size < floor) & (speed != 0.0), times, jnp.inf), initial=jnp.inf)

    def sloped(self, z: jax.Array, small: jax.Array) -> jax.Array:
        return jnp.where(z == 0.0, small, z)

    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        """Return X diag(slope) X^T, computed from a few columns if the contribution of the others is negligible."""
        X, slope = rows.X, self.slope(z, s)
        few, d = _FEW * len(X), X.shape[1]

        def of_all() -> jax.Array:
            return (X * slope) @ X.T

        if d <= 2 * few:
            return of_all()
        weights = slope * rows.squares
        counts = d * weights > _NEGLIGIBLE * jnp.max(weights)

        def of_few() -> jax.Array:
            index = jnp.nonzero(counts, size=few, fill_value=0)[0]
            kept = jnp.where(jnp.arange(few) < jnp.sum(counts), slope[index], 0.0)
            columns = rows.columns[index]
            return (columns * kept[:, None]).T @ columns

        return jax.lax.cond(jnp.sum(counts) <= few, of_few, of_all)


def on_device(value: Any) -> Any:
    """Return a value with its arrays as JAX arrays; functions of the user stay as they are."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if eqx.is_array_like(leaf) else leaf, value)


class InverseMirrorMap(PrimalMap):
    """The inverse mirror map of a potential at the entries of a point of the given shape; the state is w."""

    potential: Potential
    shape: tuple[int, ...] = eqx.field(static=True)

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_formula(z.reshape(self.shape)).ravel()

    def kernel(self, rows: Rows, z: jax.Array, s: jax.Array) -> jax.Array:
        # dw / dz is the inverse Hessian of the potential, so each row of X needs one product with the inverse Hessian.
        return self.times_slope(rows.X, z, s) @ rows.X.T

    def small_dual(self, size: jax.Array) -> jax.Array:
        # A Gaussian matrix has full rank. A potential of singular values with p > 2 has an infinite dw / dz elsewhere.
        generic = jnp.asarray(np.random.default_rng(0).standard_normal(self.shape))
        return self.potential.mirror_formula(size.reshape(self.shape) * generic).ravel()

    def times_slope(self, A: jax.Array, z: jax.Array, s: jax.Array) -> jax.Array:
        at = z.reshape(self.shape)
        return jax.vmap(
            lambda row: self.potential.inverse_hessian_formula(at, row.reshape(self.shape)).ravel()
        )(A)

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.zeros_like(z)


class SeparableInverseMirrorMap(SeparablePrimalMap):
    """The inverse mirror map of a separable potential; the state is w."""

    potential: SeparablePotential

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_formula(z)

    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.potential.inverse_mirror_slope_formula(z)

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.zeros_like(z)

    def curved_sizes(self, z: jax.Array, s: jax.Array, floor: jax.Array) -> jax.Array:
        def even(side: int) -> jax.Array:
            seen, small = (self.slope(self.reach(size, s)[side], s) for size in (floor, _NEAR_ZERO * floor))
            return seen <= _EVEN * small

        return jnp.where(even(0) & even(1), floor, super().curved_sizes(z, s, floor))

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.potential.mirror_formula(-size), self.potential.mirror_formula(size)


class DiagonalNetworkMap(SeparablePrimalMap):
    """The closed-form flow of a two-layer diagonal network; the state is theta.

    Attributes:
        closed_form: the flow.
        large: whether the start is so large that w is a small difference of p^2 and q^2.
    """

    closed_form: ExponentialFlow
    large: bool = eqx.field(static=True, default=False)

    @classmethod
    def of(cls, closed_form: ExponentialFlow) -> "DiagonalNetworkMap":
        """Return the map of a closed-form flow from a given start."""
        largest = max(float(np.max(log, initial=-np.inf)) for log in (closed_form.log_p, closed_form.log_q))
        return cls(on_device(closed_form), bool(largest > _LOG_LARGE))

    def predictor(self, z: jax.Array, s: jax.Array) -> jax.Array:
        if self.large:
            return self.closed_form.predictor(z, s)
        # `ExponentialFlow.predictor` keeps the relative accuracy where p^2 and q^2 cancel, but costs four times as
        # much. The flow needs w only up to rounding errors of p^2 and q^2.
        up, down = self.closed_form.parts(z, s)
        return up - down

    def slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return self.closed_form.slope(z, s)

    def curved_sizes(self, z: jax.Array, s: jax.Array, floor: jax.Array) -> jax.Array:
        # k (p^2 + q^2) is the root of w^2 and a constant, which is |w| where one of p and q is small.
        return self.slope(z, s) / (2 * self.closed_form.rate)

    def growing_speed(self, z: jax.Array, speed: jax.Array, s: jax.Array, decay: jax.Array) -> jax.Array:
        w, slope = self.predictor(z, s), self.slope(z, s)
        # dw / dt is slope * dz / dt - 2 lam w, and an entry whose decay is stronger does not grow.
        lost = jnp.where(w * speed > 0.0, 2 * decay * jnp.abs(w) / jnp.where(slope > 0.0, slope, 1.0), 0.0)
        return jnp.sign(speed) * jnp.maximum(jnp.abs(speed) - lost, 0.0)

    def decay_slope(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return -2 * self.predictor(z, s)

    def state_error(self, z: jax.Array, change: jax.Array, s: jax.Array) -> jax.Array:
        # The change of (p, q) is (c p, -c q) times that of z, and dw / dz is in proportion to p^2 + q^2.
        slope = self.slope(z, s)
        square = jnp.sum(slope * change**2) / jnp.where(jnp.any(slope > 0.0), jnp.sum(slope), 1.0)
        return self.closed_form.rate * jnp.sqrt(square)

    def reach(self, size: jax.Array, s: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.closed_form.reach(size, s)

    def state(self, z: jax.Array, s: jax.Array) -> jax.Array:
        return jnp.concatenate([leaf.ravel() for leaf in self.closed_form.theta(z, s)])
