r"""Rest points: where a flow has converged, certified by its field and by the eigenvalues of the exact Hessian.

Near a strict minimum of $F + \lambda/2 \, \lVert\theta\rVert^2$ with the Hessian H, the flow is at the distance
$H^{-1} \theta'$ from its rest point. If this distance is below the tolerance and H has no negative eigenvalue, then the
flow stays within the tolerance of the rest point for all times.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray

# Eigenvalues and slopes below this multiple of eps, times the number of parameters, are rounding errors.
_ROUNDING = 16.0
_EPSILON = float(np.finfo(np.float64).eps)
# The largest number of Newton steps to the rest point, and the fall of the speed that certifies convergence.
_NEWTON_STEPS, _CONVERGED = 8, 1e-6


class Curvature(NamedTuple):
    """The speed theta' (p,), the Hessian (p, p), and the size of the terms of the speed, which cancel at rest."""

    speed: ndarray
    hessian: ndarray
    terms: float


class Rest(NamedTuple):
    """A rest point (p,), the norm of the speed there, and the least eigenvalue of the Hessian."""

    point: ndarray
    speed: float
    least: float


def rest_near(
    curvature: Callable[[ndarray], Curvature], theta: ndarray, near: Callable[[ndarray], bool]
) -> Rest | None:
    """Return the rest point that the flow at theta has reached up to the tolerance, or None if there is none.

    Args:
        curvature: the speed and the Hessian at a point.
        theta: the parameters.
        near: whether a point differs from theta by less than the tolerance.
    """
    first = curvature(theta)
    step = _newton_step(first)
    if step is None or not near(theta + step):
        return None
    point, found = theta + step, first
    for _ in range(_NEWTON_STEPS):
        found = curvature(point)
        step = _newton_step(found)
        if step is None or not near(point):
            return None
        speed = float(np.linalg.norm(found.speed))
        small = _rounding(found) * found.terms
        if speed <= max(_CONVERGED * float(np.linalg.norm(first.speed)), small):
            return Rest(point, speed, float(np.linalg.eigvalsh(found.hessian)[0]))
        point = point + step
    return None


def _newton_step(at: Curvature) -> ndarray | None:
    """Return H^+ theta', or None if H has a negative eigenvalue, or the speed a part in its null space."""
    if not (np.all(np.isfinite(at.hessian)) and np.all(np.isfinite(at.speed))):
        return None
    values, vectors = np.linalg.eigh(at.hessian)
    tiny = _rounding(at) * float(np.max(np.abs(values)))
    if values[0] < -tiny:
        return None
    parts, flat = vectors.T @ at.speed, values <= tiny
    if np.linalg.norm(parts[flat]) > _rounding(at) * at.terms:
        return None
    step: ndarray = vectors[:, ~flat] @ (parts[~flat] / values[~flat])
    return step


def _rounding(at: Curvature) -> float:
    return _ROUNDING * len(at.speed) * _EPSILON
