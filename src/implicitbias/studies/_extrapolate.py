"""Extrapolation of a sequence to its limit at a known rate, and slopes on logarithmic axes, with error bars."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


class Extrapolated(NamedTuple):
    """A number or an array with its error bar, which is in the Euclidean norm for an array."""

    value: Float64[ndarray, "..."]
    bar: float


def limit_at_zero(x: Float64[ndarray, " k"], values: Float64[ndarray, "k ..."]) -> Extrapolated:
    """Return the limit of values that are linear in x as x tends to 0, from its last terms, the last one first.

    The error bar is the whole correction of the last term, or the distance of the limit from that of the two terms
    before the last one, if there are any and it is larger. So it does not assume that the sequence is exactly linear.
    """
    late = _line(x[:2], values[:2])
    bar = _size(late - values[0])
    return Extrapolated(late, bar if len(x) < 3 else max(bar, _size(late - _line(x[1:3], values[1:3]))))


def late_slope(x: Float64[ndarray, " k"], y: Float64[ndarray, " k"]) -> Extrapolated:
    """Return the slope of ln y in ln x over the later half of the points.

    The error bar is the change from the slope over the earlier half.
    """
    logs, values, middle = np.log(x), np.log(y), len(x) // 2
    parts = slice(middle, None), slice(middle + 1)
    late, early = (np.polyfit(logs[part], values[part], 1)[0] for part in parts)
    return Extrapolated(np.asarray(late), abs(float(late - early)))


def _line(x: Float64[ndarray, " 2"], values: Float64[ndarray, "2 ..."]) -> Float64[ndarray, "..."]:
    return np.asarray(values[0] + (values[0] - values[1]) * x[0] / (x[1] - x[0]))


def _size(values: Any) -> float:
    return float(np.sqrt(np.sum(np.square(values))))
