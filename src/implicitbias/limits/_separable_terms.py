"""The separable costs and bounds of the interior-point method, for l_p norms of weighted lengths."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

# Curvatures and slopes outside this range would make the system of a step singular in float64.
_LEAST, _MOST = 1e-25, 1e25


class Terms(NamedTuple):
    r"""The costs $F_k(u_k)$, the bounds of u, and the map $w = S u$.

    If `split`, u holds the positive and the negative parts of w: $w = u_+ - u_-$. Otherwise $w = u$.

    Attributes:
        exponent: p; the cost is linear if p is 1 or infinite.
        split: whether u holds positive and negative parts.
        costs: (k,) c: the cost is c u if p = 1, 0 if p is infinite, and (c |u|)^p / p otherwise.
        lower: (k,) lower bounds, possibly -inf.
        upper: (k,) upper bounds, possibly inf.
        used: (k,) the variables that are not fixed to 0.
    """

    exponent: float
    split: bool
    costs: Float64[ndarray, " k"]
    lower: Float64[ndarray, " k"]
    upper: Float64[ndarray, " k"]
    used: Bool[ndarray, " k"]

    @property
    def has_lower(self) -> Bool[ndarray, " k"]:
        """Which variables have a lower bound."""
        return np.isfinite(self.lower) & self.used

    @property
    def has_upper(self) -> Bool[ndarray, " k"]:
        """Which variables have an upper bound."""
        return np.isfinite(self.upper) & self.used

    @property
    def linear(self) -> bool:
        """Whether the costs are linear."""
        return self.exponent in (1.0, np.inf)

    @property
    def coupled(self) -> bool:
        """Whether primal and dual steps must have one length."""
        return not self.linear

    def fold(self, u: Float64[ndarray, " k"]) -> Float64[ndarray, " d"]:
        """Return w = S u."""
        half = len(u) // 2
        return u[:half] - u[half:] if self.split else u

    def fold_sizes(self, sizes: Float64[ndarray, " k"]) -> Float64[ndarray, " d"]:
        """Return the diagonal of S diag(sizes) S^T."""
        half = len(sizes) // 2
        return sizes[:half] + sizes[half:] if self.split else sizes

    def spread(self, z: Float64[ndarray, " d"]) -> Float64[ndarray, " k"]:
        """Return S^T z."""
        return np.concatenate([z, -z]) if self.split else z

    def linearised(
        self,
        u: Float64[ndarray, " k"],
        z: Float64[ndarray, " k"],
        barrier: Float64[ndarray, " k"],
        push: Float64[ndarray, " k"],
    ) -> tuple[Float64[ndarray, " k"], Float64[ndarray, " k"]]:
        r"""Return (D, g) such that the step is $du = D \, S^\top A^\top dq + g$ before the barriers are corrected.

        The equation is $F'(u) + push = z$. Below p = 2 the curvature of F is infinite at 0, so that the inverse
        $u = (F')^{-1}(z)$ is linearised where u has no bounds.
        """
        p = self.exponent
        if self.linear:
            curvature, slope = np.zeros(len(u)), self.costs if p == 1.0 else np.zeros(len(u))
        elif p >= 2.0 or self.has_lower.any():
            size = np.abs(u)
            slope = self.costs**p * np.sign(u) * size ** (p - 1.0)
            curvature = (p - 1.0) * self.costs**p * size ** (p - 2.0)
        else:
            inverse = np.clip(self._conjugate_slope(z), _LEAST, _MOST)
            return np.where(self.used, inverse, 0.0), np.where(self.used, self.conjugate(z) - u, 0.0)
        inverse = np.where(self.used, 1.0 / np.clip(curvature + barrier, _LEAST, _MOST), 0.0)
        return inverse, inverse * (z - slope - push)

    def conjugate(self, z: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
        """Return the minimiser u of F(u) - z u, for 1 < p < infinity, inside the bounds 0 or none."""
        q = self.exponent / (self.exponent - 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = np.where(z == 0.0, 0.0, z / self.costs)
            u = np.sign(scaled) * np.abs(scaled) ** (q - 1.0) / self.costs
        return np.where(self.used & (z != 0.0), np.maximum(u, self.lower), 0.0)

    def _conjugate_slope(self, z: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
        q = self.exponent / (self.exponent - 1.0)
        return (q - 1.0) * np.abs(z / self.costs) ** (q - 2.0) / self.costs**2

    def conjugate_slope(self, z: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
        """Return the derivative of `conjugate`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = self._conjugate_slope(z)
        return np.where(self.used & (self.conjugate(z) != 0.0), slope, 0.0)

    def start(self, z: Float64[ndarray, " k"]) -> Float64[ndarray, " k"]:
        """Return a point inside the bounds: the minimiser for the dual z, or the middle of a box."""
        finite = (
            np.where(np.isfinite(self.lower), self.lower, -1.0),
            np.where(np.isfinite(self.upper), self.upper, 1.0),
        )
        if np.isinf(self.exponent):
            return np.where(self.used, (finite[0] + finite[1]) / 2.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.where(self.costs > 0.0, self.conjugate(np.where(self.costs > 0.0, z, 0.0)), 0.0)
        size = float(np.mean(np.abs(u))) or 1.0
        return np.where(self.has_lower, np.maximum(u, 0.0) + size, np.where(self.used, u, 0.0))
