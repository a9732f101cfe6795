"""A multiple of a potential."""

from numbers import Real
from typing import Any

import jax
import numpy as np

from implicitbias._core.errors import InputError
from implicitbias.potentials._potential import Potential


class _ScaledPotential(Potential):
    """c phi for c > 0: its mirror flow is that of phi, c times slower."""

    factor: Any
    inner: Potential

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.value_formula(w)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.mirror_formula(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_formula(z / self.factor)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_slope_formula(z / self.factor) / self.factor


def scaled(factor: Any, potential: Potential) -> Potential:
    """`factor` times a potential; multiples of multiples are one multiple."""
    number = isinstance(factor, Real) and not isinstance(factor, bool)
    if not number or not np.isfinite(factor) or not factor > 0.0:
        raise InputError(
            f"a potential was multiplied by {factor!r}, a positive, finite number is expected: 0.5 * potential"
        )
    if isinstance(potential, _ScaledPotential):
        return scaled(float(factor) * float(potential.factor), potential.inner)
    return _ScaledPotential(np.float64(factor), potential)
