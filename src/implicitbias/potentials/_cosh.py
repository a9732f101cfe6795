"""The potential of hyperbolic cosines."""

import math

import jax
import jax.numpy as jnp

from implicitbias.gauges import Gauge, LInf
from implicitbias.potentials._separable import SteepPotential


class Cosh(SteepPotential):
    r"""The potential $\phi(w) = \sum_i (\cosh w_i - 1)$, whose horizon is the l_infinity norm.

    Its mirror map is $\sinh(w)$. The sublevel sets converge to the l_infinity ball only logarithmically in their level,
    where several entries tie for the largest.

    The dual variable z = sinh(w) leaves float64 for |w| > 710. Mirror flows of a `Classification` therefore integrate w
    itself, and they reach any ln t at which float64 resolves the margins. Along them
    $\ln t \approx (1 + \gamma) \max_i |w_i|$ with the largest margin $\gamma$ of the l_infinity norm.
    `Trajectory.dual` is infinite where z leaves float64. The flow of a `LeastSquares` problem uses z.

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

    @property
    def growth(self) -> float:
        return math.inf

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

    def log_curvature_formula(self, w: jax.Array) -> jax.Array:
        return jnp.logaddexp(w, -w) - jnp.log(2.0)
