"""The ranges of the axes of a picture."""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

from implicitbias.explorer._picture import Axes, Curve

# The share of the range that is left free at each end.
_FREE = 0.04


def axis_ranges(axes: Axes, curves: Sequence[Curve]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the first and the last number of both axes, so that all curves are seen."""
    x = _range([curve.x for curve in curves], axes.x_log)
    y = _range([curve.y for curve in curves], axes.y_log)
    if not axes.equal:
        return x, y
    reach = max(abs(end) for end in (*x, *y))
    return (-reach, reach), (-reach, reach)


def _range(values: Sequence[ndarray], log: bool) -> tuple[float, float]:
    joined = np.concatenate([np.ravel(one) for one in values]) if values else np.zeros(0)
    joined = joined[np.isfinite(joined) & ((joined > 0.0) | (not log))]
    if len(joined) == 0:
        return (0.1, 1.0) if log else (0.0, 1.0)
    ends = np.array([joined.min(), joined.max()])
    ends = np.log10(ends) if log else ends
    free = _FREE * (ends[1] - ends[0]) or 0.5
    low, high = ends[0] - free, ends[1] + free
    return (10.0**low, 10.0**high) if log else (float(low), float(high))
