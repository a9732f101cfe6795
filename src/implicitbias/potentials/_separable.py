"""Potentials that are sums over coordinates."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias.potentials._potential import Potential, ScaledPotential


class SeparablePotential(Potential):
    r"""A potential $\phi(w) = \sum_i h_i(w_i)$, whose mirror map and Hessian act on each coordinate separately.

    Subclasses define four formulas, which JAX traces in float64 on (d,) arrays: `terms_formula`, `mirror_formula`,
    `inverse_mirror_formula` and `inverse_mirror_slope_formula`.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> isinstance(ib.HyperbolicEntropy(0.1), ib.SeparablePotential)
        True
    """

    @abstractmethod
    def terms_formula(self, w: jax.Array) -> jax.Array:
        """Return the terms h_i(w_i), (d,)."""

    @abstractmethod
    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        """Return the derivatives d w_i / d z_i = 1 / h_i''(w_i) of the inverse mirror map, (d,)."""

    @property
    def separable(self) -> Any:
        return self

    def multiple(self, factor: float) -> Potential:
        return SeparableMultiple(np.float64(factor), self)

    def value_formula(self, w: jax.Array) -> jax.Array:
        return jnp.sum(self.terms_formula(w))

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return v / self.inverse_mirror_slope_formula(self.mirror_formula(w))

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return self.inverse_mirror_slope_formula(z) * v


class SteepPotential(SeparablePotential):
    """A separable potential whose mirror map may grow so fast that z leaves float64 while w is moderate.

    Mirror flows of a classification integrate w itself if `steep` is not None.
    """

    @abstractmethod
    def log_curvature_formula(self, w: jax.Array) -> jax.Array:
        """Return ln h_i''(w_i), (d,), for any w; it may be infinite where w_i = 0."""

    @property
    def steep(self) -> Any:
        return self

    def multiple(self, factor: float) -> Potential:
        return SteepMultiple(np.float64(factor), self)


class SeparableMultiple(ScaledPotential, SeparablePotential):
    """The potential c phi for a number c > 0 and a separable potential phi."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.terms_formula(w)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_slope_formula(z / self.factor) / self.factor


class SteepMultiple(ScaledPotential, SteepPotential):
    """The potential c phi for a number c > 0 and a steep potential phi."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.terms_formula(w)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_slope_formula(z / self.factor) / self.factor

    @property
    def steep(self) -> Any:
        return None if self.inner.steep is None else self

    def log_curvature_formula(self, w: jax.Array) -> jax.Array:
        return jnp.log(self.factor) + self.inner.log_curvature_formula(w)
