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
# The largest number of Newton steps to the rest point, at which the speed is a rounding error.
_NEWTON_STEPS = 12
# Curvature below this multiple of |theta'| / |theta| may be that of an orbit of a symmetry.
_UNDECIDED = 10.0


class Curvature(NamedTuple):
    """The speed theta' (p,) and the Hessian (p, p) at theta, and two sizes.

    Attributes:
        speed: theta'.
        hessian: the Hessian.
        terms: the norm of the terms of the speed, which cancel at rest.
        size: the norm of theta.
    """

    speed: ndarray
    hessian: ndarray
    terms: float
    size: float


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
    point, found = theta, curvature(theta)
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(found)
        if step is None or not near(point + step):
            return None
        point = point + step
        found = curvature(point)
        # A speed that is merely smaller than before may be a slow drift along a valley, which goes far in a long time.
        if np.linalg.norm(found.speed) <= _rounding(found) * found.terms:
            return _certified(found, point)
    return None


def _newton_step(at: Curvature) -> ndarray | None:
    """Return the Newton step without the directions whose curvature is undecided, or None at a saddle.

    Along an orbit of a symmetry of the model the curvature is 0 at rest, and up to |theta'| / |theta| beside it. Such
    directions are decided when the speed is smaller.
    """
    if not (np.all(np.isfinite(at.hessian)) and np.all(np.isfinite(at.speed))):
        return None
    values, vectors = np.linalg.eigh(at.hessian)
    undecided = _UNDECIDED * np.linalg.norm(at.speed) / max(at.size, 1e-300)
    bound = max(float(undecided), _rounding(at) * float(np.max(np.abs(values))))
    if values[0] < -bound:
        return None
    curved = values > bound
    step: ndarray = vectors[:, curved] @ ((vectors.T @ at.speed)[curved] / values[curved])
    return step


def _certified(at: Curvature, point: ndarray) -> Rest | None:
    """Return the rest point if the Hessian has no negative eigenvalue there, up to rounding errors."""
    least = float(np.linalg.eigvalsh(at.hessian)[0])
    speed = float(np.linalg.norm(at.speed))
    tiny = _rounding(at) * float(np.max(np.abs(at.hessian)))
    bound = max(tiny, _UNDECIDED * speed / max(at.size, 1e-300))
    return Rest(point, speed, least) if least >= -bound else None


def _rounding(at: Curvature) -> float:
    return _ROUNDING * len(at.speed) * _EPSILON
