"""The Euclidean potential."""

import jax
import jax.numpy as jnp

from implicitbias.gauges import L2, Gauge
from implicitbias.potentials._separable import SeparablePotential


class SquaredNorm(SeparablePotential):
    r"""The potential $\phi(w) = \frac12 \lVert w \rVert^2$, whose mirror flow is the gradient flow in w.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> ib.SquaredNorm().divergence([3.0, 0.0], [0.0, 4.0])
        12.5
    """

    @property
    def growth(self) -> float:
        return 2.0

    def horizon(self) -> Gauge:
        """Return the l_2 norm."""
        return L2()

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return w * w / 2

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return w

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return z

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return jnp.ones_like(z)
