r"""Rest points: where a flow has converged, certified by its field and by the eigenvalues of the exact Hessian.

Near a strict minimum of $F + \lambda/2 \, \lVert\theta\rVert^2$ with the Hessian H, the flow is at the distance
$H^{-1} \theta'$ from its rest point. If this distance is below the tolerance and H has no negative eigenvalue, then the
flow stays within the tolerance of the rest point for all times.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

# Eigenvalues and slopes below this multiple of eps, times the number of parameters, are rounding errors.
_ROUNDING = 16.0
_EPSILON = float(np.finfo(np.float64).eps)
# The largest number of Newton steps to the rest point, at which the speed is a rounding error.
_NEWTON_STEPS = 12
# The Hessians at 0 and beside it may differ by this share of the largest entry.
_SMOOTH = 1e-8
# Curvature below this multiple of |theta'| / |theta| may be that of an orbit of a symmetry.
_UNDECIDED = 10.0


@runtime_checkable
class Expansion(Protocol):
    """The speed theta' (p,) and the curvature at theta.

    Attributes:
        speed: theta'.
        terms: the norm of the terms of the speed, which cancel at rest.
        size: the norm of theta.
    """

    @property
    def speed(self) -> ndarray: ...

    @property
    def terms(self) -> float: ...

    @property
    def size(self) -> float: ...

    def newton_step(self) -> ndarray | None:
        """Return the Newton step without the directions whose curvature is undecided, or None at a saddle.

        Along an orbit of a symmetry of the model the curvature is 0 at rest, and up to |theta'| / |theta| beside it.
        Such directions are decided when the speed is smaller.
        """

    def least(self) -> float | None:
        """Return the least eigenvalue of the Hessian if it is not negative up to rounding errors, else None."""


class Curvature(NamedTuple):
    """The `Expansion` at theta with the whole `hessian` (p, p)."""

    speed: ndarray
    hessian: ndarray
    terms: float
    size: float

    def newton_step(self) -> ndarray | None:
        """Return the Newton step in the directions of eigenvectors whose curvature is decided."""
        if not (np.all(np.isfinite(self.hessian)) and np.all(np.isfinite(self.speed))):
            return None
        values, vectors = np.linalg.eigh(self.hessian)
        bound = max(undecided(self), rounding(self) * float(np.max(np.abs(values))))
        if values[0] < -bound:
            return None
        curved = values > bound
        step: ndarray = vectors[:, curved] @ ((vectors.T @ self.speed)[curved] / values[curved])
        return step

    def least(self) -> float | None:
        """Return the least eigenvalue, computed from the whole Hessian."""
        least = float(np.linalg.eigvalsh(self.hessian)[0])
        bound = max(rounding(self) * float(np.max(np.abs(self.hessian))), undecided(self))
        return least if least >= -bound else None


class Rest(NamedTuple):
    """A rest point (p,), the norm of the speed there, and the least eigenvalue of the Hessian."""

    point: ndarray
    speed: float
    least: float


def rest_near(
    curvature: Callable[[ndarray], Expansion], theta: ndarray, near: Callable[[ndarray], bool]
) -> Rest | None:
    """Return the rest point that the flow at theta has reached up to the tolerance, or None if there is none.

    Args:
        curvature: the speed and the curvature at a point.
        theta: the parameters.
        near: whether a point differs from theta by less than the tolerance.
    """
    point, found = theta, curvature(theta)
    for _ in range(_NEWTON_STEPS):
        step = found.newton_step()
        if step is None or not near(point + step):
            return None
        point = point + step
        found = curvature(point)
        # A speed that is merely smaller than before may be a slow drift along a valley, which goes far in a long time.
        speed = float(np.linalg.norm(found.speed))
        if speed <= rounding(found) * found.terms:
            least = found.least()
            return None if least is None else Rest(point, speed, least)
    return None


def rest_at_zero(curvature: Callable[[ndarray], Curvature], theta: ndarray) -> Rest | None:
    """Return 0 as the rest point of a flow that has shrunk to theta, or None if 0 is no strict minimum.

    The Hessians at 0 and at theta must agree. Where they differ, 0 lies on kinks, and its Hessian tells nothing about
    the flow beside it.
    """
    zero, here = curvature(np.zeros_like(theta)), curvature(theta)
    if not np.all(np.isfinite(zero.hessian)) or not np.all(zero.speed == 0.0):
        return None
    largest = float(np.max(np.abs(zero.hessian)))
    least = zero.least()
    if least is None or least <= rounding(zero) * largest:
        return None
    agree = bool(np.max(np.abs(here.hessian - zero.hessian)) <= _SMOOTH * largest)
    return Rest(np.zeros_like(theta), 0.0, least) if agree else None


def undecided(at: Expansion) -> float:
    """Return the curvature below which a direction may be that of an orbit of a symmetry."""
    return float(_UNDECIDED * np.linalg.norm(at.speed) / max(at.size, 1e-300))


def rounding(at: Expansion) -> float:
    """Return the relative size below which eigenvalues and slopes are rounding errors."""
    return _ROUNDING * len(at.speed) * _EPSILON
