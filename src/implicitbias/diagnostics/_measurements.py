"""Measurements of a state along a flow, which `simulate` can observe and stop at."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges import Gauge
from implicitbias.problems import Classification


@dataclass(frozen=True, eq=False)
class Measurement:
    """A number that is computed from the state, as a function of (t, state).

    It is an observable of `simulate`. Compared with a number, it is a stopping rule: `until=measurement < 1e-3`.

    Attributes:
        name: what is measured.
        of: the function from the state to the number.
    """

    name: str
    of: Callable[[Any], float]

    def __call__(self, t: float, state: Any) -> float:
        """Return the number for this state; it does not depend on t otherwise."""
        return self.of(state)

    def __lt__(self, level: float) -> Callable[[float, Any], bool]:
        """Return the stopping rule that the number is below the level."""
        return lambda t, state: self.of(state) < level

    def __gt__(self, level: float) -> Callable[[float, Any], bool]:
        """Return the stopping rule that the number is above the level."""
        return lambda t, state: self.of(state) > level


def distance_to(limit: Any) -> Measurement:
    r"""Return the distance of the state w from a limit as a `Measurement`.

    It is $\lVert w - p \rVert / \lVert p \rVert$ for a point p that minimises the loss, and for a classifier of largest
    margin it is the distance of the directions, $\lVert w / \lVert w \rVert - p / \lVert p \rVert \rVert$, because w
    diverges. For p = 0 it is the norm of w, and the direction of w = 0 counts as 0.

    Args:
        limit: a `Limit`.

    Raises:
        InputError: the argument is of another type.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [2.0, 1.0])
        >>> far = ib.diagnostics.distance_to(ib.saddle_path(problem).limit)
        >>> flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=1e-9))
        >>> trajectory = ib.simulate(flow, np.zeros(2), t1=1e3, until=far < 1e-3)
        >>> round(far(0.0, trajectory.final), 6), trajectory.status.name
        (0.001, 'STOPPED_BY_CALLER')
    """
    from implicitbias.limits import (
        Limit,  # it loads compiled code, which the judging of stored studies does not need
    )

    if not isinstance(limit, Limit):
        raise InputError(
            f"limit is a {type(limit).__name__}, a Limit is expected, for instance ib.saddle_path(problem).limit"
        )
    point = np.asarray(limit.point, dtype=np.float64)
    if limit.margin is not None:
        target = direction(point)
        return Measurement("distance in direction", lambda w: float(np.linalg.norm(direction(w) - target)))
    size = float(np.linalg.norm(point)) or 1.0
    return Measurement("relative distance", lambda w: float(np.linalg.norm(w - point)) / size)


def angle_to(point: Any) -> Measurement:
    r"""Return the angle between the state w and a point, in degrees, as a `Measurement`.

    Args:
        point: an array of the shape of w, for instance `limit.point`; not 0.

    Raises:
        InputError: the point is 0 or not an array of finite numbers.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> ib.diagnostics.angle_to([1.0, 1.0])(0.0, [2.0, 0.0])
        45.0
    """
    target = direction(point)
    if not np.any(target) or not np.all(np.isfinite(target)):
        raise InputError("point is 0 or holds values that are not finite, a direction is expected")

    def degrees(w: Any) -> float:
        here = direction(w)
        # This formula keeps its accuracy at small angles, where the inverse cosine loses half of the digits.
        half = np.arctan2(np.linalg.norm(here - target), np.linalg.norm(here + target))
        return round(float(np.degrees(2.0 * half)), 12)

    return Measurement("angle in degrees", degrees)


def margin_in(problem: Any, gauge: Any) -> Measurement:
    r"""Return the margin $\min_i y_i \langle x_i, w \rangle / \gamma(w)$ in a gauge $\gamma$ as a `Measurement`.

    Args:
        problem: a `Classification`.
        gauge: a `Gauge`, for instance `potential.horizon()` or `ib.gauges.L1()`. At w = 0 the margin is 0.

    Raises:
        InputError: an argument is of another type.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1])
        >>> ib.diagnostics.margin_in(problem, ib.gauges.L2())(0.0, [3.0, 0.0])
        2.0
    """
    if not isinstance(problem, Classification) or not isinstance(gauge, Gauge):
        raise InputError(
            f"margin_in expects a Classification and a Gauge, got a {type(problem).__name__} and a "
            f"{type(gauge).__name__}; type margin_in(ib.Classification(X, y), potential.horizon())"
        )

    def margin(w: Any) -> float:
        size = gauge.value(w)
        return float(np.min(problem.margins(w))) / size if size > 0.0 else 0.0

    return Measurement("margin", margin)


def direction(w: Any) -> Float64[ndarray, "..."]:
    """Return w / ||w||, and 0 for w = 0; the entries may be as large or as small as float64 allows."""
    array = np.asarray(w, dtype=np.float64)
    unit = float(np.max(np.abs(array), initial=0.0))
    scaled = array / unit if unit > 0.0 else array
    size = float(np.linalg.norm(scaled)) or 1.0
    return frozen(scaled / size)
