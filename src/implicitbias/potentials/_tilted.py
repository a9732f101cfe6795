"""Potentials less a linear function, whose mirror map is 0 at a chosen point."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import frozen
from implicitbias.gauges import Gauge
from implicitbias.potentials._potential import Potential
from implicitbias.potentials._separable import SeparablePotential


class TiltedPotential(Potential):
    r"""The potential $\phi(w) - \langle z_0, w \rangle$; what its separable and its general kind share."""

    inner: Any
    z0: Any

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.mirror_formula(w) - self.z0

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_formula(z + self.z0)

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        return self.inner.mirror_of_logs_formula(signs, logs) - self.z0

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.inner.inverse_mirror_logs_formula(z + self.z0)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.domain_formula(w)

    def horizon(self) -> Gauge:
        """Return the horizon of the inner potential, which grows faster than every linear function."""
        return self.inner.horizon()

    def length(self) -> tuple[str, int] | None:
        """Return the name and the length of the first axis of w."""
        return "z0", len(self.z0)

    @property
    def dimensions(self) -> int:
        """The number of dimensions of the inner potential."""
        return self.inner.dimensions

    @property
    def growth(self) -> float | None:
        return self.inner.growth

    def __repr__(self) -> str:
        return f"{self.inner!r} - <z0, w>"


class Tilted(TiltedPotential):
    """A tilted potential that is not a sum over coordinates."""

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.value_formula(w) - jnp.sum(self.z0 * w)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.inner.hessian_formula(w, v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return self.inner.inverse_hessian_formula(z + self.z0, v)


class SeparableTilted(TiltedPotential, SeparablePotential):
    """A tilted potential that is a sum over coordinates."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.terms_formula(w) - self.z0 * w

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_slope_formula(z + self.z0)


def tilted(inner: Potential, w0: Any) -> Potential:
    """Return the potential less the linear function that makes its mirror map 0 at w0; `inner` itself if it is 0."""
    z0 = np.asarray(inner.mirror(w0))
    if not np.any(z0):
        return inner
    return (
        Tilted(inner, frozen(z0)) if inner.separable is None else SeparableTilted(inner.separable, frozen(z0))
    )
