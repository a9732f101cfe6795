"""Tables of theta = int sqrt(h''(w)) dw for separable potentials, refined until their interpolation is accurate."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError

Curvature = Callable[[Float64[ndarray, " m"]], Float64[ndarray, " m"]]

# The largest error of the interpolation relative to |w|, or to the smallest scale of the potential.
_WANTED = 1e-10
# The smallest size that is looked at, the number of first nodes, and the most rounds of refinement and nodes.
_SMALLEST, _FIRST_NODES, _ROUNDS, _MOST_NODES = 1e-280, 257, 14, 200_000
# A curvature counts as constant up to the size at which it has changed by this share.
_CHANGED = 0.1
# The table ends where the logarithm of the root of the curvature has changed by more, as that of cosh at w = 400.
_MOST_CHANGE = 200.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


class ChartTable(NamedTuple):
    r"""Nodes of the increasing function w(theta) with $dw / d\theta = h''(w)^{-1/2}$ and w(0) = 0.

    Attributes:
        theta: (K,) the nodes.
        w: (K,) the values.
        slopes: (K,) the derivatives.
        error: the largest error between the nodes, relative to |w| or to the smallest scale of the potential. It was
            measured in the middle of each interval.
    """

    theta: Float64[ndarray, " k"]
    w: Float64[ndarray, " k"]
    slopes: Float64[ndarray, " k"]
    error: float


def chart_table(curvature: Curvature, largest: float) -> ChartTable:
    """Return the table for |w| <= largest.

    Args:
        curvature: h'' at an array of points.
        largest: the largest |w|.

    Raises:
        InputError: h'' is not positive and finite there.
    """
    smallest, largest = _range(curvature, largest)
    ends = np.sinh(np.linspace(-1.0, 1.0, _FIRST_NODES) * np.arcsinh(largest / smallest)) * smallest
    ends[_FIRST_NODES // 2] = 0.0
    for _ in range(_ROUNDS):
        roots = _roots(curvature, ends)
        middle = (ends[1:] + ends[:-1]) / 2.0
        first, whole = _integrals(curvature, ends[:-1], middle), _integrals(curvature, ends[:-1], ends[1:])
        got = _cubic(first / whole, whole, ends, 1.0 / roots)
        errors = np.abs(got - middle) / np.maximum(np.abs(middle), smallest)
        wide = errors > _WANTED
        if not wide.any() or len(ends) > _MOST_NODES:
            break
        ends = np.sort(np.concatenate([ends, middle[wide]]))
    theta = np.concatenate([[0.0], np.cumsum(whole)])
    zero = int(np.searchsorted(ends, 0.0))
    # Sums from 0 to both sides keep the relative accuracy of small theta.
    right = np.concatenate([[0.0], np.cumsum(whole[zero:])])
    left = np.concatenate([[0.0], np.cumsum(whole[:zero][::-1])])
    theta = np.concatenate([-left[:0:-1], right])
    return ChartTable(theta, ends, 1.0 / roots, float(np.max(errors)))


def theta_of(curvature: Curvature, table: ChartTable, w: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
    """Return theta at points w inside the table."""
    at = np.clip(np.searchsorted(table.w, w, side="right") - 1, 0, len(table.w) - 1)
    return table.theta[at] + _integrals(curvature, table.w[at], w)


def _cubic(
    share: Float64[ndarray, " m"],
    length: Float64[ndarray, " m"],
    w: Float64[ndarray, " k"],
    slopes: Float64[ndarray, " k"],
) -> Float64[ndarray, " m"]:
    """Return the cubic Hermite interpolant in each interval, at these shares of its length in theta."""
    back = 1.0 - share
    return back * back * ((1.0 + 2.0 * share) * w[:-1] + share * length * slopes[:-1]) + share * share * (
        (1.0 + 2.0 * back) * w[1:] - back * length * slopes[1:]
    )


def _integrals(
    curvature: Curvature, low: Float64[ndarray, " m"], high: Float64[ndarray, " m"]
) -> Float64[ndarray, " m"]:
    """Return the integrals of sqrt(h'') by 16 nodes of Gauss and Legendre."""
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    points = middle[:, None] + half[:, None] * _NODES
    return half * (_roots(curvature, points.ravel()).reshape(points.shape) @ _WEIGHTS)


def _roots(curvature: Curvature, w: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
    with np.errstate(all="ignore"):
        values = curvature(w)
    wrong = np.flatnonzero(~((values > 0.0) & (values < np.inf)))
    if len(wrong):
        raise InputError(
            f"the second derivative of the potential is {values[wrong[0]]:g} at w = {w[wrong[0]]:g}, a positive, "
            "finite number is expected, because theta = int sqrt(h'') dw would stop or jump there; smooth it, for "
            "instance type ib.SmoothedPNorm(p, width) in place of ib.PNorm(p), or type a smaller largest="
        )
    return np.sqrt(values)


def _range(curvature: Curvature, largest: float) -> tuple[float, float]:
    """Return the size up to which the curvature is constant, and the largest size at which it is moderate."""
    sizes = np.geomspace(_SMALLEST, largest, 600)
    middle = float(_roots(curvature, np.zeros(1))[0])
    with np.errstate(all="ignore"):
        both = np.sqrt(np.stack([curvature(sizes), curvature(-sizes)]))
        changes = np.max(np.abs(np.log(both / middle)), axis=0)
    within = np.isfinite(changes) & (changes < _MOST_CHANGE)
    count = len(sizes) if within.all() else int(np.argmin(within))
    if count == 0:
        _roots(curvature, sizes[:1])
    sizes, changed = sizes[:count], changes[:count] > _CHANGED
    return float(sizes[np.argmax(changed)] if changed.any() else sizes[-1]), float(sizes[-1])
