"""Potentials of powers of a parameter, whose domain is one sign of each entry."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.gauges import Gauge
from implicitbias.potentials._separable import SeparablePotential

# The value is a power series in L = ln(w / w0) below this |L|, where its closed form cancels, with so many terms.
_NEAR, _TERMS = 1.0, 20


class OneSided(SeparablePotential):
    r"""The potential of $w = c u^k$ on one sign of each entry, $h''(w) = 1 / (c_i |w|^{1 + r_i})$ with $0 \le r_i < 1$.

    It is the potential that gradient flow of a power of one parameter, or of a sum of squares, induces: the metric of w
    is $c |w|^{1 + r}$ with $r = 1 - 2/k$. With $x = |w|$, $x_0 = |w_0|$ and the sign s of $w_0$,
    $h'(w) = s (x_0^{-r} - x^{-r}) / (c r)$, which for r = 0 is $s \ln(x / x_0) / c$. Both h and h' are 0 at $w_0$.

    Args:
        rate: c, (d,) positive numbers.
        power: r, (d,) numbers from 0 to below 1.
        centre: w_0, (d,) numbers that are not 0; their signs are those of the domain.

    Reference:
        li2022implicit; chou2023induce for deep powers.
    """

    rate: Any
    power: Any
    centre: Any

    def __init__(self, rate: Any, power: Any, centre: Any) -> None:
        self.rate, self.power, self.centre = (
            frozen(np.array(part, dtype=np.float64)) for part in (rate, power, centre)
        )

    def horizon(self) -> Gauge:
        """Raise an `InputError`: a horizon describes potentials whose domain is the whole space."""
        raise InputError(
            "the domain of this potential is one sign of each entry, and a domain that is the whole space is expected "
            "for a horizon; let G return a difference, for instance u**2 - v**2 with u and v different"
        )

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return jnp.all(w * jnp.sign(self.centre) > 0.0)

    def terms_formula(self, w: jax.Array) -> jax.Array:
        log, r = self._log(w), jnp.asarray(self.power)
        p = 1.0 - r
        # sum_n L^n / n! (1 + p + ... + p^(n - 2)), which for r > 0 is (expm1(L) - expm1(p L) / p) / r.
        near = jnp.where(jnp.abs(log) < _NEAR, log, 0.0)
        series, inner, geometric = jnp.zeros_like(log), near, jnp.zeros_like(log)
        for n in range(2, _TERMS):
            inner, geometric = inner * near / n, 1.0 + p * geometric
            series += inner * geometric
        flat = r == 0.0
        safe = jnp.where(flat, 0.5, r)
        power = (jnp.expm1(log) - jnp.expm1((1.0 - safe) * log) / (1.0 - safe)) / safe
        far = jnp.where(flat, jnp.exp(log) * log - jnp.expm1(log), power)
        size = jnp.abs(self.centre) ** p / self.rate
        return size * jnp.where(jnp.abs(log) < _NEAR, series, far)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self._mirror_at(self._log(w))

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        inside = signs == jnp.sign(self.centre)
        return jnp.where(inside, self._mirror_at(logs - jnp.log(jnp.abs(self.centre))), jnp.nan)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.centre * jnp.exp(self._log_of(z))

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        logs = self._log_of(z)
        return jnp.sign(self.centre) + 0.0 * logs, jnp.log(jnp.abs(self.centre)) + logs

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        size = jnp.abs(self.centre)
        return self.rate * size ** (1.0 + self.power) * jnp.exp((1.0 + self.power) * self._log_of(z))

    def inverse_mirror(self, z: Any) -> Any:
        """Return the inverse mirror map at z.

        Raises:
            InputError: z is not a finite (d,) array, or the flow of a power above 2 is infinite before it reaches z.
        """
        with double_precision():
            share = np.asarray(self._share(jnp.asarray(self._checked(z, "z"))))
        if np.any(share >= 1.0):
            i = int(np.argmax(share))
            raise InputError(
                f"z lies outside the range of the mirror map: w_{i} grows without bound, and the flow to z does not "
                f"exist beyond the fraction {1.0 / share[i]:.6g} of z; choose a z below this fraction of it"
            )
        return super().inverse_mirror(z)

    def _log(self, w: jax.Array) -> jax.Array:
        """Return ln(w / w0); near w0 the difference is formed first."""
        change = (w - self.centre) / self.centre
        near = jnp.abs(change) < 0.5
        plain = jnp.log(jnp.where(near, 1.0, w / self.centre))
        return jnp.where(near, jnp.log1p(jnp.where(near, change, 0.0)), plain)

    def _mirror_at(self, log: jax.Array) -> jax.Array:
        flat = self.power == 0.0
        safe = jnp.where(flat, 1.0, self.power)
        power = -jnp.expm1(-safe * log) / safe
        scale = jnp.sign(self.centre) * jnp.abs(self.centre) ** -self.power / self.rate
        return scale * jnp.where(flat, log, power)

    def _share(self, z: jax.Array) -> jax.Array:
        """Return the share of the way to the point at which w is infinite; it is reached at 1."""
        return self.power * self.rate * jnp.abs(self.centre) ** self.power * jnp.sign(self.centre) * z

    def _log_of(self, z: jax.Array) -> jax.Array:
        """Return ln(w / w0) at a dual point; NaN beyond the range of the mirror map."""
        flat = self.power == 0.0
        safe = jnp.where(flat, 1.0, self.power)
        power = -jnp.log1p(-self._share(z)) / safe
        return jnp.where(flat, self.rate * jnp.sign(self.centre) * z, power)
