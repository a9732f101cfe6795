"""The hyperbolic entropy: the potential of two-layer diagonal networks."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges import L1, Gauge
from implicitbias.potentials._separable import SeparablePotential
from implicitbias.potentials._written import written

# Scales with smaller absolute logarithms are shown as scales, others by their logarithms.
_LOGS = 600.0


class HyperbolicEntropy(SeparablePotential):
    r"""The hyperbolic entropy, which is the potential of two-layer diagonal networks.

    $\phi_a(w) = \frac12 \sum_i \bigl[ w_i \operatorname{arcsinh}(w_i / a_i) - \sqrt{w_i^2 + a_i^2} + a_i \bigr]$.

    It is the potential of $w = u \odot v$ with $a_i = |u_{0,i}^2 - v_{0,i}^2| / 2$, so that a = alpha^2 for
    u0 = sqrt(2) alpha and v0 = 0. Its mirror map is $\frac12 \operatorname{arcsinh}(w / a)$ and its inverse mirror map
    is $a \sinh(2z)$. All computations start from ln a, so that scales such as a = 1e-2000 do not underflow.

    Args:
        scale: the scale a > 0, a number or a (d,) array.
        log_scale: the natural logarithm of a, for scales that would underflow. Give exactly one of the two arguments.

    Raises:
        InputError: both or none of the arguments are given, a <= 0, or values are NaN or infinite.

    Reference:
        woodworth2020kernel; section 'The hyperbolic entropy' of the theory page.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.HyperbolicEntropy(log_scale=-4605.0)  # alpha = 1e-1000
        >>> z = phi.mirror([1.0, -0.5])
        >>> phi.inverse_mirror(z).round(9).tolist()
        [1.0, -0.5]
    """

    log_scale: Any

    def __init__(self, scale: Any = None, *, log_scale: Any = None) -> None:
        if (scale is None) == (log_scale is None):
            raise InputError(
                "give exactly one of scale=a and log_scale=ln(a), for instance log_scale=2 * ln(alpha)"
            )
        name, given = ("log_scale", log_scale) if scale is None else ("scale", scale)
        try:
            value = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} is {given!r}, a number or a (d,) array is expected") from error
        if value.ndim > 1:
            raise InputError(f"{name} has shape {value.shape}, a number or a (d,) array is expected")
        if not np.all(np.isfinite(value)) or (scale is not None and not np.all(value > 0.0)):
            expected = "a finite number" if scale is None else "a positive, finite number (alpha**2)"
            raise InputError(f"{name} is {value.tolist()}, {expected} is expected")
        self.log_scale = frozen(np.array(value) if scale is None else np.log(value))

    def __repr__(self) -> str:
        logs = self.log_scale
        if isinstance(logs, np.ndarray) and np.all(np.abs(logs) < _LOGS):
            return f"HyperbolicEntropy(scale={written(np.exp(logs))})"
        return f"HyperbolicEntropy(log_scale={written(logs)})"

    @property
    def growth(self) -> float:
        return 1.0

    def horizon(self) -> Gauge:
        """Return the l_1 norm, which is the horizon for all scales.

        The sublevel sets converge to its ball only logarithmically in their size.
        """
        return L1()

    def terms_formula(self, w: jax.Array) -> jax.Array:
        a = jnp.exp(self.log_scale)
        # This form of sqrt(w^2 + a^2) - a does not cancel for |w| << a, and does not form w^2, which may underflow.
        below = jnp.hypot(w, a) + a
        root = w * (w / jnp.where(below == 0.0, 1.0, below))
        return w * self.mirror_formula(w) - root / 2

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        a = jnp.exp(self.log_scale)
        size = jnp.abs(w)
        large = size > a
        far = jnp.log(jnp.where(large, size + jnp.hypot(w, a), 1.0)) - self.log_scale
        near = jnp.arcsinh(jnp.where(large | (a == 0.0), 0.0, size) / jnp.where(a == 0.0, 1.0, a))
        return jnp.sign(w) * jnp.where(large, far, near) / 2

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        size = 2 * jnp.abs(z)
        small = size < 1.0
        near = jnp.exp(self.log_scale) * jnp.sinh(jnp.where(small, size, 0.0))
        far = (jnp.exp(size + self.log_scale) - jnp.exp(self.log_scale - size)) / 2
        return jnp.sign(z) * jnp.where(small, near, far)

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        ratio = (
            logs - self.log_scale
        )  # arcsinh of its exponential; the logarithm is added where that is large
        large = ratio > 0.0
        above = jnp.where(large, ratio, 0.0)
        far = above + jnp.log1p(jnp.sqrt(1.0 + jnp.exp(-2.0 * above)))
        near = jnp.arcsinh(jnp.exp(jnp.where(large, 0.0, ratio)))
        return signs * jnp.where(large, far, near) / 2

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        size = 2 * jnp.abs(z)
        small = size < 1.0
        near = jnp.log(jnp.sinh(jnp.where(small, size, 1.0)))
        above = jnp.where(small, 1.0, size)
        far = above - jnp.log(2.0) + jnp.log1p(-jnp.exp(-2.0 * above))
        return jnp.sign(z), self.log_scale + jnp.where(small, near, far)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        size = 2 * jnp.abs(z)
        return jnp.exp(size + self.log_scale) + jnp.exp(self.log_scale - size)
