"""Smooth convex functions of the singular values of a matrix, with the kernels of their Hessians."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# Singular values are raised to this share of the largest one in the curvature of powers, which may be infinite at 0.
_LEAST = 1e-9
# Values that differ by at most this share have the derivative at their mean as divided difference.
_CLOSE = 1e-6


class SingularFunction(ABC):
    r"""A function $F_\mu(Z) = \sum_i \psi_\mu(\sigma_i)$ with the derivative $f = \psi_\mu'$, for $\mu > 0$.

    Attributes:
        normalised: whether the weights of the margins have the sum 1 in the program of this function.
        gauge_parameter: the number by which mu is multiplied in the gap of one singular value.
    """

    normalised = False
    gauge_parameter = 2.0

    @abstractmethod
    def value(self, sizes: Float64[ndarray, " r"], mu: float) -> float:
        """Return F; infinite outside of its domain."""

    @abstractmethod
    def slope(self, sizes: Float64[ndarray, " r"], mu: float) -> Float64[ndarray, " r"]:
        """Return f of the singular values."""

    @abstractmethod
    def differences(
        self, sizes: Float64[ndarray, " r"], mu: float
    ) -> tuple[Float64[ndarray, "r r"], Float64[ndarray, "r r"], Float64[ndarray, " r"]]:
        r"""Return the factors of the Hessian.

        They are $(f(\sigma_i) - f(\sigma_j)) / (\sigma_i - \sigma_j)$, $(f(\sigma_i) + f(\sigma_j)) / (\sigma_i +
        \sigma_j)$ and $f(\sigma_i) / \sigma_i$.
        """

    @abstractmethod
    def scale(self, sizes: Float64[ndarray, " r"], total: float) -> float:
        """Return the number by which weights with this sum and these singular values are multiplied at the start."""


class BallBarrier(SingularFunction):
    r"""The barrier $-\mu \log\det(I - Z^\top Z)$ of the unit ball of the spectral norm."""

    def value(self, sizes: Float64[ndarray, " r"], mu: float) -> float:
        if not np.max(sizes) < 1.0:
            return np.inf
        return -mu * float(np.sum(np.log1p(-(sizes**2))))

    def slope(self, sizes: Float64[ndarray, " r"], mu: float) -> Float64[ndarray, " r"]:
        return 2.0 * mu * sizes / _rest(sizes)

    def differences(
        self, sizes: Float64[ndarray, " r"], mu: float
    ) -> tuple[Float64[ndarray, "r r"], Float64[ndarray, "r r"], Float64[ndarray, " r"]]:
        rest = _rest(sizes)
        outer, products = 2.0 * mu / np.outer(rest, rest), np.outer(sizes, sizes)
        return outer * (1.0 + products), outer * (1.0 - products), 2.0 * mu / rest

    def scale(self, sizes: Float64[ndarray, " r"], total: float) -> float:
        return 0.5 / float(np.max(sizes))


class SmoothTrace(SingularFunction):
    r"""The smooth nuclear norm $\max_W \langle Z, W \rangle + \mu \log\det(I - W^\top W)$."""

    normalised = True

    def value(self, sizes: Float64[ndarray, " r"], mu: float) -> float:
        s = self.slope(sizes, mu)
        return float(np.sum(sizes * s + mu * np.log(_remaining(sizes, mu))))

    def slope(self, sizes: Float64[ndarray, " r"], mu: float) -> Float64[ndarray, " r"]:
        return sizes / (mu + np.hypot(mu, sizes))

    def differences(
        self, sizes: Float64[ndarray, " r"], mu: float
    ) -> tuple[Float64[ndarray, "r r"], Float64[ndarray, "r r"], Float64[ndarray, " r"]]:
        s, rest = self.slope(sizes, mu), _remaining(sizes, mu)
        outer = np.outer(rest, rest) / (2.0 * mu)
        below = rest / (1.0 + s)  # 1 - s without cancellation
        apart = below[:, None] + s[:, None] * below
        return outer / (1.0 + np.outer(s, s)), outer / apart, 1.0 / (mu + np.hypot(mu, sizes))

    def scale(self, sizes: Float64[ndarray, " r"], total: float) -> float:
        return 1.0 / total


class Power(SingularFunction):
    r"""The power $\frac1q \sum_i \sigma_i^q$ for q > 1, which does not depend on $\mu$."""

    gauge_parameter = 0.0

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def value(self, sizes: Float64[ndarray, " r"], mu: float) -> float:
        return float(np.sum(sizes**self.exponent)) / self.exponent

    def slope(self, sizes: Float64[ndarray, " r"], mu: float) -> Float64[ndarray, " r"]:
        return sizes ** (self.exponent - 1.0)

    def differences(
        self, sizes: Float64[ndarray, " r"], mu: float
    ) -> tuple[Float64[ndarray, "r r"], Float64[ndarray, "r r"], Float64[ndarray, " r"]]:
        sizes = np.maximum(sizes, _LEAST * np.max(sizes))
        f, power = self.slope(sizes, mu), self.exponent - 1.0
        sums, gaps = sizes[:, None] + sizes, sizes[:, None] - sizes
        close = np.abs(gaps) <= _CLOSE * sums
        divided = np.where(
            close, power * (sums / 2.0) ** (power - 1.0), (f[:, None] - f) / np.where(close, 1.0, gaps)
        )
        return divided, (f[:, None] + f) / sums, f / sizes

    def scale(self, sizes: Float64[ndarray, " r"], total: float) -> float:
        unit = float(np.max(sizes))
        return float(
            (total / unit / np.sum((sizes / unit) ** self.exponent)) ** (1.0 / (self.exponent - 1.0)) / unit
        )


def smooth_polar(p: float) -> SingularFunction:
    """Return the function whose program has the largest margin in the Schatten norm of this exponent as its limit."""
    if p == 1.0:
        return BallBarrier()
    return SmoothTrace() if np.isinf(p) else Power(p / (p - 1.0))


class Decomposed(NamedTuple):
    """A matrix by its singular values and vectors: U (p, r), sizes, V (q, r)."""

    left: Float64[ndarray, "p r"]
    sizes: Float64[ndarray, " r"]
    right: Float64[ndarray, "q r"]

    @classmethod
    def of(cls, matrix: Float64[ndarray, "p q"]) -> "Decomposed":
        """Return the decomposition of a matrix."""
        left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
        return cls(left, sizes, right.T)

    def gradient(self, function: SingularFunction, mu: float) -> Float64[ndarray, "p q"]:
        """Return the gradient of a function at this matrix."""
        return (self.left * function.slope(self.sizes, mu)) @ self.right.T

    def features(
        self, function: SingularFunction, mu: float, matrices: Float64[ndarray, "m p q"]
    ) -> Float64[ndarray, "m k"]:
        """Return vectors for all matrices whose products are those of the Hessian at this matrix."""
        m, p, q = matrices.shape
        divided, summed, ratios = function.differences(self.sizes, mu)
        turned = np.matmul(self.left.T, matrices)
        core = np.matmul(turned, self.right)
        flipped = np.swapaxes(core, 1, 2)
        parts = [np.sqrt(divided) / 2.0 * (core + flipped), np.sqrt(summed) / 2.0 * (core - flipped)]
        if p < q:
            parts.append(np.sqrt(ratios)[:, None] * (turned - np.matmul(core, self.right.T)))
        if p > q:
            parts.append((np.matmul(matrices, self.right) - np.matmul(self.left, core)) * np.sqrt(ratios))
        return np.concatenate([part.reshape(m, -1) for part in parts], axis=1)


def _rest(sizes: Float64[ndarray, " r"]) -> Float64[ndarray, " r"]:
    return (1.0 - sizes) * (1.0 + sizes)


def _remaining(sizes: Float64[ndarray, " r"], mu: float) -> Float64[ndarray, " r"]:
    """Return 1 - s^2 for the slopes s of the smooth nuclear norm."""
    return 2.0 * mu / (mu + np.hypot(mu, sizes))
