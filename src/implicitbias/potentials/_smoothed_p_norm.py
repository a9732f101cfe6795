"""Powers of the l_p norm, smoothed near 0."""

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.errors import InputError
from implicitbias.gauges import Gauge, Lp
from implicitbias.potentials._separable import SeparablePotential

# Newton steps of the inverse mirror map. They increase from a lower bound, and converge quadratically.
_STEPS = 14
# Above this |w| / width, 1 + x^2 equals x^2 in float64, and x^2 could overflow.
_FAR = 1e9


class SmoothedPNorm(SeparablePotential):
    r"""The potential with $h''(w) = (p - 1)(w^2 + \varepsilon^2)^{(p-2)/2}$ and h(0) = h'(0) = 0, for 1 < p < 2.

    It is close to $\frac1p |w|^p$, whose second derivative is infinite at 0, so that it has no parametrization there:
    $0 \le \frac1p |w|^p - h(w) \le c \, \varepsilon^{p-1} |w|$ with the number c = `excess`. With
    $x = w / \varepsilon$ and the incomplete beta function,
    $h'(w) = \varepsilon^{p-1} \bigl[ x (1 + x^2)^{p/2-1} -
    \frac{2-p}{2} B_{x^2/(1+x^2)}(\frac12, \frac{3-p}{2}) \bigr]$.

    Args:
        p: the exponent, between 1 and 2.
        width: epsilon > 0.

    Raises:
        InputError: p or the width is outside of its range.

    Reference:
        li2022implicit for the need of a finite second derivative.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.SmoothedPNorm(1.5, 1e-6)
        >>> phi.inverse_mirror(phi.mirror([0.0, 1e-6, 2.0])).round(9).tolist()
        [0.0, 1e-06, 2.0]
        >>> bool(abs(phi.value([2.0]) - ib.PNorm(1.5).value([2.0])) <= phi.excess * 1e-3 * 2.0)
        True
    """

    p: Any
    width: Any

    def __init__(self, p: Any, width: Any) -> None:
        if not _number(p) or not 1.0 < float(p) < 2.0:
            raise InputError(
                f"p is {p!r}, a number between 1 and 2 is expected; type ib.HyperbolicEntropy(width) for p = 1 and "
                "ib.PNorm(p) for p >= 2"
            )
        if not _number(width) or not 0.0 < float(width) < np.inf:
            raise InputError(f"width is {width!r}, a positive, finite number is expected; type width=1e-6")
        self.p, self.width = np.float64(p), np.float64(width)

    @property
    def growth(self) -> float:
        return float(self.p)

    def horizon(self) -> Gauge:
        """Return the l_p norm."""
        return Lp(float(self.p))

    @property
    def excess(self) -> float:
        r"""The number $c = (p-1) \int_0^\infty u^{p-2} - (1 + u^2)^{(p-2)/2} du$."""
        from scipy.special import beta

        return float((2.0 - self.p) / 2.0 * beta(0.5, (3.0 - self.p) / 2.0))

    def curvature(self, w: jax.Array) -> jax.Array:
        """Return h''(w), (d,)."""
        return (
            (self.p - 1.0) * self.width ** (self.p - 2.0) * jnp.hypot(1.0, w / self.width) ** (self.p - 2.0)
        )

    def terms_formula(self, w: jax.Array) -> jax.Array:
        # By parts: h = w h' - int v h''(v) dv. The last integral is written without cancellation for small w.
        x = jnp.abs(w) / self.width
        near = jnp.clip(x, 1e-150, _FAR)
        power = jnp.expm1(self.p / 2.0 * jnp.log1p(near * near)) / near
        slope = self.width ** (self.p - 1.0) * jnp.where(x > _FAR, x ** (self.p - 1.0), power)
        # w is factored out, because the two terms may overflow where their difference must not be NaN.
        return jnp.abs(w) * (jnp.abs(self.mirror_formula(w)) - (self.p - 1.0) / self.p * slope)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        x = jnp.abs(w) / self.width
        square = jnp.minimum(x, _FAR) ** 2
        share, b = square / (1.0 + square), (3.0 - self.p) / 2.0
        total = jax.scipy.special.beta(0.5, b)
        incomplete = total * jax.scipy.special.betainc(0.5, b, share)
        value = x * jnp.hypot(1.0, x) ** (self.p - 2.0) - (2.0 - self.p) / 2.0 * incomplete
        # The two terms cancel to (p - 1) x for small x.
        near = (self.p - 1.0) * x * (1.0 - (2.0 - self.p) / 6.0 * square)
        return jnp.sign(w) * self.width ** (self.p - 1.0) * jnp.where(x < 1e-4, near, value)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        size = jnp.abs(z)
        # h' is concave and below both its tangent at 0 and |w|^(p-1), so that Newton's method increases from here.
        least = jnp.maximum(
            size / ((self.p - 1.0) * self.width ** (self.p - 2.0)), size ** (1.0 / (self.p - 1.0))
        )

        def step(_: Any, w: jax.Array) -> jax.Array:
            return w + (size - self.mirror_formula(w)) / self.curvature(w)

        return jnp.sign(z) * jax.lax.fori_loop(0, _STEPS, step, least)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return 1.0 / self.curvature(self.inverse_mirror_formula(z))

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.curvature(w) * v


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
