r"""The least parameter norm of a two-layer ReLU network of any width with one input, by a convex program.

By the arithmetic-geometric inequality, half the least $\lVert \theta \rVert^2$ is the least total variation of a
measure $\mu$ on the unit circle of $(w, b)$ with $\int \max(w x_i + b, 0)\, d\mu = y_i$. Its dual is the largest
$\langle \nu, y \rangle$ with $|h(w, b)| \le 1$ on the circle, where $h(w, b) = \sum_i \nu_i \max(w x_i + b, 0)$.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.gauges import L1
from implicitbias.limits import least_gauge
from implicitbias.problems import LeastSquares

# The number of angles of the circle in the linear program.
_ANGLES = 4000


class LeastNorm(NamedTuple):
    """An upper and a lower bound of the least squared norm of the parameters."""

    upper: float
    lower: float


def least_norm(x: Float64[ndarray, " n"], y: Float64[ndarray, " n"]) -> LeastNorm:
    """Return bounds of the least squared norm of networks that fit the data.

    The linear program over measures on a grid of the circle, to which the angles of the kinks are added, gives the
    upper bound. Its dual, divided by the exact maximum of |h|, gives the lower one.
    """
    kinks = np.concatenate([np.arctan2(-x, np.ones_like(x)), np.arctan2(x, -np.ones_like(x))])
    angles = np.sort(np.append(2.0 * np.pi * np.arange(_ANGLES) / _ANGLES, kinks))
    features = np.maximum(np.outer(x, np.cos(angles)) + np.sin(angles), 0.0)
    program = LeastSquares(features, y)
    found = least_gauge(program.linear_map, y, L1())
    assert found is not None
    return LeastNorm(
        2.0 * float(np.sum(np.abs(found.point))), 2.0 * float(found.nu @ y) / largest(x, found.nu)
    )


def largest(x: Float64[ndarray, " n"], nu: Float64[ndarray, " n"]) -> float:
    r"""Return the maximum of |h| over the unit circle.

    Between two kinks, h is a linear function $\langle v, (w, b) \rangle$, whose extreme values on an arc are at its
    ends, or $\pm \lVert v \rVert$ at $\pm v / \lVert v \rVert$ if that is on the arc.
    """
    kinks = np.arctan2(-x, np.ones_like(x))
    ends = np.sort(np.mod(np.append(kinks, kinks + np.pi), 2.0 * np.pi))
    best = float(np.max(np.abs(_h(x, nu, ends))))
    for low, high in zip(ends, np.append(ends[1:], ends[0] + 2.0 * np.pi), strict=True):
        middle = (low + high) / 2.0
        active = x * np.cos(middle) + np.sin(middle) > 0.0
        v = np.array([np.sum(nu * active * x), np.sum(nu * active)])
        for angle in (np.arctan2(v[1], v[0]), np.arctan2(-v[1], -v[0])):
            if np.mod(angle - low, 2.0 * np.pi) <= high - low:
                best = max(best, float(np.linalg.norm(v)))
    return best


def _h(x: ndarray, nu: ndarray, angles: ndarray) -> Float64[ndarray, " k"]:
    return np.asarray(nu @ np.maximum(np.outer(x, np.cos(angles)) + np.sin(angles), 0.0))
