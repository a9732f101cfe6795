"""The exact flow of two-layer diagonal networks: exponentials of the integrated gradient."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError

# The squares of larger numbers, and sums of them, leave float64.
_LARGEST = 1e150

# Below this half log-ratio of p to q, p^n - q^n is a sinh; above it nothing cancels.
_NEAR = 1.0


class ExponentialChart(eqx.Module):
    r"""$p = p_0 e^{c z - s}$, $q = q_0 e^{-c z - s}$, $w = k (p^2 - q^2)$, coordinate by coordinate.

    Here $z = -\int_0^t \nabla L(w)$ and $s = \lambda t$: for $u \odot v$ and $u^2 - v^2$ this is the gradient flow with
    weight decay, for any loss. Everything is computed from $\ln|p_0|$ and $\ln|q_0|$ (minus infinity where they
    vanish), so that nothing underflows before the result does; the differences p - q and $p^2 - q^2$ do not cancel.

    Made by `HadamardProduct.exponential_chart` and `SquareDifference.exponential_chart`. All methods are traced by JAX
    in float64; z is shaped as w, s is a number or broadcasts against it.

    Attributes:
        log_p: $\ln|p_0|$.
        log_q: $\ln|q_0|$.
        lean: $\frac12 \ln|p_0 / q_0|$, accurate where it is small; 0 where both vanish.
        sign_p: the sign of p_0.
        sign_q: the sign of q_0.
        rotated: whether theta is $(p + q, p - q) / \sqrt2$ (k = 1/2, c = 1) rather than (p, q) (k = 1, c = 2).

    Reference:
        li2022implicit; section 'The hyperbolic entropy' of the theory page.
    """

    log_p: Any
    log_q: Any
    lean: Any
    sign_p: Any
    sign_q: Any
    rotated: bool = eqx.field(static=True)

    @property
    def rate(self) -> float:
        """The c of the formulas: how fast ln|p| grows with z."""
        return 1.0 if self.rotated else 2.0

    @property
    def weight(self) -> float:
        """The k of the formulas."""
        return 0.5 if self.rotated else 1.0

    def predictor(self, z: Any, s: Any) -> jax.Array:
        """The predictor w at (z, s)."""
        return self.weight * self._difference(z, s, 2)

    def slope(self, z: Any, s: Any) -> jax.Array:
        """dw/dz = 2 c k (p^2 + q^2) >= 0; it vanishes only where p_0 = q_0 = 0."""
        up, down = self.parts(z, s)
        return 2 * self.rate * (up + down)

    def parts(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """k p^2 and k q^2, whose difference is w up to rounding of the larger."""
        log_p, log_q, _ = self._logs(z, s)
        return self.weight * jnp.exp(2 * log_p), self.weight * jnp.exp(2 * log_q)

    def decay_slope(self, z: Any, s: Any) -> jax.Array:
        """dw/ds = -2 w."""
        return -2 * self.predictor(z, s)

    def reach(self, size: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """The z at which w = -size and w = size > 0; infinite where it never gets there."""
        # k (p0^2 e^x - q0^2 e^-x) e^-2s = size with x = 2 c z is a quadratic in e^x.
        log_p, log_q = (2 * log + np.log(self.weight) - 2 * s for log in (self.log_p, self.log_q))
        log_root = jnp.log((size + jnp.hypot(size, 2 * jnp.exp((log_p + log_q) / 2))) / 2)
        return (log_q - log_root) / (2 * self.rate), (log_root - log_p) / (2 * self.rate)

    def theta(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array]:
        """The parameters at (z, s)."""
        log_p, log_q, _ = self._logs(z, s)
        p, q = jnp.exp(log_p), jnp.exp(log_q)
        if not self.rotated:
            return self.sign_p * p, self.sign_q * q
        # p + q and p - q: one of them is a sum of sizes, the other a difference, which must not cancel.
        total, gap = p + q, self._difference(z, s, 1)
        alike = self.sign_p * self.sign_q >= 0.0
        # Where one vanishes either sign serves: its size is 0.
        sign = jnp.where(self.sign_p == 0.0, jnp.where(alike, self.sign_q, self.sign_p), self.sign_p)
        root = np.sqrt(0.5)
        return sign * jnp.where(alike, total, gap) * root, sign * jnp.where(alike, gap, total) * root

    def _logs(self, z: Any, s: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """ln|p|, ln|q| and half their difference."""
        moved = self.rate * jnp.asarray(z)
        return self.log_p + moved - s, self.log_q - moved - s, self.lean + moved

    def _difference(self, z: Any, s: Any, power: int) -> jax.Array:
        """|p|^power - |q|^power without cancellation, smooth where it changes sign."""
        log_p, log_q, half = self._logs(z, s)
        near = jnp.abs(half) < _NEAR
        small = jnp.where(near, half, 0.0)
        root = jnp.exp(power * (log_p + log_q) / 4)  # twice, lest a large size meet a small sinh as inf * 0
        balanced = 2 * root * (root * jnp.sinh(power * small))
        # |p|^power - |q|^power = +-max^power (1 - (min/max)^power); min/max = 0 where one of them vanishes.
        large = jnp.where(near, _NEAR, jnp.abs(half))
        one_sided = jnp.exp(power * jnp.maximum(log_p, log_q)) * -jnp.expm1(-2 * power * large)
        return jnp.where(near, balanced, jnp.sign(half) * one_sided)


def chart_of_sizes(p: ndarray, q: ndarray) -> ExponentialChart:
    """The chart of theta = (p, q): c = 2, k = 1."""
    _refuse_large(p, q)
    log_p, log_q = _log_size(p), _log_size(q)
    lean = _half_difference(log_p, log_q)
    # Where the sizes are alike the difference of their logarithms has lost digits; |p| - |q| is exact there.
    below = np.abs(q)
    near = (below > 0.0) & (np.abs(p) < 2 * below) & (np.abs(p) > below / 2)
    ratio = (np.abs(p[near]) - below[near]) / below[near]
    lean[near] = np.log1p(ratio) / 2
    return ExponentialChart(log_p, log_q, lean, np.sign(p), np.sign(q), rotated=False)


def chart_of_rotation(u: ndarray, v: ndarray) -> ExponentialChart:
    """The chart of theta = ((p + q) / sqrt2, (p - q) / sqrt2): c = 1, k = 1/2."""
    _refuse_large(u, v)
    p, q = u + v, u - v
    log_p, log_q = _log_size(p) - np.log(2.0) / 2, _log_size(q) - np.log(2.0) / 2
    lean = _half_difference(log_p, log_q)
    # |p| and |q| are alike where one of u, v is the smaller: ln|p / q| / 2 = artanh of their ratio.
    smaller, larger = np.where(np.abs(u) < np.abs(v), (u, v), (v, u))
    near = np.abs(smaller) < np.abs(larger) / 2
    lean[near] = np.arctanh(smaller[near] / larger[near])
    return ExponentialChart(log_p, log_q, lean, np.sign(p), np.sign(q), rotated=True)


def _refuse_large(*arrays: ndarray) -> None:
    largest = max(float(np.max(np.abs(array))) for array in arrays)
    if largest > _LARGEST:
        raise InputError(
            f"theta0 holds a magnitude of {largest:g}, at most {_LARGEST:g} is expected: its square leaves float64; "
            "change the unit of the data"
        )


def _log_size(array: ndarray) -> ndarray:
    with np.errstate(divide="ignore"):  # ln 0 = -inf is meant
        return np.log(np.abs(array))


def _half_difference(log_p: ndarray, log_q: ndarray) -> ndarray:
    with np.errstate(invalid="ignore"):  # both may be -inf
        return np.where(log_p == log_q, 0.0, (log_p - log_q) / 2)
