"""The closed-form flow of two-layer diagonal networks: exponentials of the integrated gradient."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.modules import PlainModule

# The squares of larger numbers, and sums of such squares, may overflow in float64.
_LARGEST = 1e150

# If the size of ln|p / q| / 2 is below this bound, |p|^n - |q|^n is computed with sinh, which avoids
# cancellation. Above the bound there is no cancellation.
_NEAR = 1.0


class ExponentialFlow(PlainModule):
    r"""The closed-form flow $p = p_0 e^{c z - s}$, $q = q_0 e^{-c z - s}$, $w = k (p^2 - q^2)$ in each coordinate.

    Here $z = -\int_0^t \nabla L(w) \, dt$ and $s = \lambda t$. For $u \odot v$ and $u^2 - v^2$ this is the gradient
    flow with weight decay of any loss. All values are computed from $\ln|p_0|$ and $\ln|q_0|$, which are minus infinity
    where $p_0$ or $q_0$ is 0, so that intermediate values do not underflow. The differences p - q and $p^2 - q^2$ are
    computed without cancellation.

    JAX traces all methods in float64. The argument z has the shape of w, and s is a number or broadcasts with z.

    Attributes:
        log_p: $\ln|p_0|$.
        log_q: $\ln|q_0|$.
        half_log_ratio: $\frac12 \ln|p_0 / q_0|$, accurate where it is small, and 0 where both are 0.
        sign_p: the sign of p_0.
        sign_q: the sign of q_0.
        rotated: True if theta is $(p + q, p - q) / \sqrt2$, with k = 1/2 and c = 1; False if theta is (p, q), with
            k = 1 and c = 2.

    Reference:
        li2022implicit; section 'The hyperbolic entropy' of the theory page.
    """

    log_p: Any
    log_q: Any
    half_log_ratio: Any
    sign_p: Any
    sign_q: Any
    rotated: bool = eqx.field(static=True)

    @property
    def rate(self) -> float:
        """The factor c of the formulas, which is the growth rate of ln|p| in z."""
        return 1.0 if self.rotated else 2.0

    @property
    def weight(self) -> float:
        """The factor k of the formulas."""
        return 0.5 if self.rotated else 1.0

    def predictor(self, z: Any, s: Any) -> jax.Array:
        """Return w at (z, s)."""
        return self.weight * self._difference(z, s, 2)

    def slope(self, z: Any, s: Any) -> jax.Array:
        """Return dw/dz = 2 c k (p^2 + q^2), which is 0 only where p_0 = q_0 = 0."""
        positive, negative = self.parts(z, s)
        return 2 * self.rate * (positive + negative)

    def parts(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """Return k p^2 and k q^2, whose difference is w up to rounding errors of the larger one."""
        log_p, log_q, _ = self._logs(z, s)
        return self.weight * jnp.exp(2 * log_p), self.weight * jnp.exp(2 * log_q)

    def decay_slope(self, z: Any, s: Any) -> jax.Array:
        """Return dw/ds = -2 w."""
        return -2 * self.predictor(z, s)

    def reach(self, size: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """Return the z at which w = -size and at which w = size > 0; infinite where w never has this value."""
        # With x = 2 c z, k (p0^2 e^x - q0^2 e^-x) e^-2s = size is a quadratic equation in e^x.
        log_p, log_q = (2 * log + np.log(self.weight) - 2 * s for log in (self.log_p, self.log_q))
        log_root = jnp.log((size + jnp.hypot(size, 2 * jnp.exp((log_p + log_q) / 2))) / 2)
        low, high = log_q - log_root, log_root - log_p
        # A size below |p q| is reached while p and q are close. The differences of logarithms then lose all digits, and
        # the equation is 2 |p0 q0| k e^-2s sinh(x + ln|p0 / q0|) = size.
        log_ratio = jnp.log(size / 2) - (log_p + log_q) / 2
        arc = jnp.arcsinh(jnp.exp(jnp.minimum(log_ratio, 0.0)))
        near = log_ratio < 0.0
        low = jnp.where(near, -arc - 2 * self.half_log_ratio, low)
        high = jnp.where(near, arc - 2 * self.half_log_ratio, high)
        return low / (2 * self.rate), high / (2 * self.rate)

    def theta(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """Return the parameters at (z, s)."""
        log_p, log_q, _ = self._logs(z, s)
        p, q = jnp.exp(log_p), jnp.exp(log_q)
        if not self.rotated:
            return self.sign_p * p, self.sign_q * q
        # One of p + q and p - q is |p| + |q| up to sign. The other is |p| - |q|, computed without cancellation.
        total, gap = p + q, self._difference(z, s, 1)
        alike = self.sign_p * self.sign_q >= 0.0
        # Where p or q is 0, its sign does not matter.
        sign = jnp.where(self.sign_p == 0.0, jnp.where(alike, self.sign_q, self.sign_p), self.sign_p)
        root = np.sqrt(0.5)
        return sign * jnp.where(alike, total, gap) * root, sign * jnp.where(alike, gap, total) * root

    def _logs(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return ln|p|, ln|q| and half of their difference."""
        change = self.rate * jnp.asarray(z)
        return self.log_p + change - s, self.log_q - change - s, self.half_log_ratio + change

    def _difference(self, z: Any, s: Any, power: int) -> jax.Array:
        """Return |p|^power - |q|^power, computed without cancellation and smooth where it changes sign."""
        log_p, log_q, half = self._logs(z, s)
        near = jnp.abs(half) < _NEAR
        small = jnp.where(near, half, 0.0)
        # The factor is split into two square roots, because the whole factor may overflow while sinh is 0.
        root = jnp.exp(power * (log_p + log_q) / 4)
        balanced = 2 * root * (root * jnp.sinh(power * small))
        # |p|^power - |q|^power = +-max^power (1 - (min/max)^power), where min/max = 0 if p or q is 0.
        large = jnp.where(near, _NEAR, jnp.abs(half))
        one_sided = jnp.exp(power * jnp.maximum(log_p, log_q)) * -jnp.expm1(-2 * power * large)
        return jnp.where(near, balanced, jnp.sign(half) * one_sided)


def flow_of_difference(p: ndarray, q: ndarray) -> ExponentialFlow:
    """Return the closed-form flow of theta = (p, q), with c = 2 and k = 1."""
    _refuse_large(p, q)
    log_p, log_q = _log_size(p), _log_size(q)
    half_log_ratio = _half_difference(log_p, log_q)
    # If |p| and |q| are close, the difference of their logarithms loses digits, but |p| - |q| is exact.
    below = np.abs(q)
    near = (below > 0.0) & (np.abs(p) < 2 * below) & (np.abs(p) > below / 2)
    ratio = (np.abs(p[near]) - below[near]) / below[near]
    half_log_ratio[near] = np.log1p(ratio) / 2
    return ExponentialFlow(log_p, log_q, half_log_ratio, np.sign(p), np.sign(q), rotated=False)


def flow_of_product(u: ndarray, v: ndarray) -> ExponentialFlow:
    """Return the closed-form flow of theta = ((p + q) / sqrt2, (p - q) / sqrt2), with c = 1 and k = 1/2."""
    _refuse_large(u, v)
    p, q = u + v, u - v
    log_p, log_q = _log_size(p) - np.log(2.0) / 2, _log_size(q) - np.log(2.0) / 2
    half_log_ratio = _half_difference(log_p, log_q)
    # If one of u and v is much smaller than the other, |p| and |q| are close. ln|p / q| / 2 is then computed as the
    # artanh of the smaller divided by the larger.
    smaller, larger = np.where(np.abs(u) < np.abs(v), (u, v), (v, u))
    near = np.abs(smaller) < np.abs(larger) / 2
    half_log_ratio[near] = np.arctanh(smaller[near] / larger[near])
    return ExponentialFlow(log_p, log_q, half_log_ratio, np.sign(p), np.sign(q), rotated=True)


def _refuse_large(*arrays: ndarray) -> None:
    largest = max(float(np.max(np.abs(array))) for array in arrays)
    if largest > _LARGEST:
        raise InputError(
            f"theta0 holds a magnitude of {largest:g}, at most {_LARGEST:g} is expected, because squares of larger "
            "numbers overflow; change the unit of the data"
        )


def _log_size(array: ndarray) -> ndarray:
    with np.errstate(divide="ignore"):  # The value ln 0 = -inf is intended.
        return np.log(np.abs(array))


def _half_difference(log_p: ndarray, log_q: ndarray) -> ndarray:
    with np.errstate(invalid="ignore"):  # Both logarithms may be -inf.
        return np.where(log_p == log_q, 0.0, (log_p - log_q) / 2)
