"""The potential of hyperbolic cosines."""

import jax
import jax.numpy as jnp

from implicitbias.gauges import Gauge, LInf
from implicitbias.potentials._separable import SeparablePotential


class Cosh(SeparablePotential):
    r"""The potential $\phi(w) = \sum_i (\cosh w_i - 1)$, whose horizon is the l_infinity norm.

    Its mirror map is $\sinh(w)$. The sublevel sets converge to the l_infinity ball only logarithmically in their level,
    where several entries tie for the largest.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.Cosh()
        >>> phi.inverse_mirror(phi.mirror([1.0, -2.0])).round(12).tolist()
        [1.0, -2.0]
        >>> phi.horizon()
        LInf()
    """

    def horizon(self) -> Gauge:
        """Return the l_infinity norm."""
        return LInf()

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return 2.0 * jnp.sinh(w / 2.0) ** 2

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jnp.sinh(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return jnp.arcsinh(z)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return 1.0 / jnp.hypot(1.0, z)
