"""Powers of the l_p norm as a potential."""

from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.errors import InputError
from implicitbias.gauges import Gauge, Lp
from implicitbias.potentials._separable import SteepPotential


class PNorm(SteepPotential):
    r"""The potential $\phi(w) = \frac1p \lVert w \rVert_p^p$ for p > 1; its horizon is the l_p norm.

    Its mirror map is $\operatorname{sign}(w) |w|^{p-1}$. Below p = 2 the Hessian is infinite where an entry is 0, and
    above p = 2 it is 0 there.

    Args:
        p: the exponent, a finite number above 1.

    Raises:
        InputError: p is not a finite number above 1.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.PNorm(3)
        >>> phi.mirror([2.0, -1.0]).tolist(), phi.inverse_mirror([4.0, -1.0]).tolist()
        ([4.0, -1.0], [2.0, -1.0])
        >>> phi.horizon()
        Lp(p=3.0)
    """

    p: Any

    def __init__(self, p: Any) -> None:
        number = isinstance(p, Real) and not isinstance(p, bool)
        if not number or not 1.0 < float(p) < np.inf:
            raise InputError(
                f"p is {p!r}, a finite number above 1 is expected (at 1 the potential is not strictly convex); type "
                "ib.HyperbolicEntropy(1e-3) for the horizon l_1 and ib.Cosh() for the horizon l_infinity"
            )
        self.p = np.float64(p)

    @property
    def growth(self) -> float:
        return float(self.p)

    def horizon(self) -> Gauge:
        """Return the l_p norm."""
        return Lp(float(self.p))

    @property
    def steep(self) -> Any:
        """The potential itself above p = 2, where dw / dz is infinite at 0, else None."""
        return self if self.p > 2.0 else None

    def log_curvature_formula(self, w: jax.Array) -> jax.Array:
        return jnp.log(self.p - 1.0) + (self.p - 2.0) * jnp.log(jnp.abs(w))

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return _power(w, self.p) / self.p

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jnp.sign(w) * _power(w, self.p - 1.0)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return jnp.sign(z) * _power(z, 1.0 / (self.p - 1.0))

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        return signs * jnp.exp((self.p - 1.0) * logs)

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.sign(z), jnp.log(jnp.abs(z)) / (self.p - 1.0)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return jnp.abs(z) ** ((2.0 - self.p) / (self.p - 1.0)) / (self.p - 1.0)


def _power(w: jax.Array, exponent: Any) -> jax.Array:
    """Return |w|^exponent with the derivative 0 at 0."""
    size = jnp.abs(w)
    return jnp.where(size == 0.0, 0.0, jnp.where(size == 0.0, 1.0, size) ** exponent)
