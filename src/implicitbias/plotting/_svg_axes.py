"""Axes of SVG drawings: scales, ticks, and positions of labels that do not overlap.

A drawing is WIDTH units wide, which the browser stretches to the width of the page. Its height in units is its height
in pixels.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

WIDTH = 1000.0
# The time axis is logarithmic if jump times differ by more than this ratio, as they often do for real data.
_WIDE = 50.0


@dataclass(frozen=True)
class TimeAxis:
    """Slow time from left to right, linear or logarithmic."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, times: ndarray, valid_until: float) -> "TimeAxis":
        """Return the axis that shows these jump times but no time at which the path is unknown."""
        later = times[times > 0.0]
        if len(later) == 0:
            return cls(0.0, min(1.0, valid_until), False)
        first, last = float(later[0]), float(later[-1])
        if last > _WIDE * first:
            return cls(first / 2, min(last * 1.5, max(valid_until, last)), True)
        return cls(0.0, min(last * 1.12, max(valid_until, last)), False)

    def place(self, t: ndarray | float) -> Any:
        """Return horizontal positions within the drawing: a number for a number, an array for an array."""
        t = np.clip(np.asarray(t, dtype=np.float64), self.low, self.high)
        if self.log:
            share = np.log(t / self.low) / math.log(self.high / self.low)
        else:
            share = (t - self.low) / ((self.high - self.low) or 1.0)
        return WIDTH * share

    def ticks(self) -> list[float]:
        """Return at most eight round times."""
        return _log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high, 6)


@dataclass(frozen=True)
class ValueAxis:
    """Values from the bottom (low) to the top (high) of a drawing of some pixels."""

    low: float
    high: float
    pixels: int

    @classmethod
    def of(cls, values: ndarray, pixels: int, zero: bool = True) -> "ValueAxis":
        """Return the axis that shows these values with a margin, and the value 0 if `zero` is True."""
        low, high = (float(bound(values, initial=0.0 if zero else values[0])) for bound in (np.min, np.max))
        room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low - room if low < 0.0 or not zero else low, high + room, pixels)

    def place(self, value: ndarray | float) -> Any:
        """Return distances from the top in pixels: a number for a number, an array for an array."""
        return self.pixels * (self.high - np.asarray(value, dtype=np.float64)) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return about five round values."""
        return linear_ticks(self.low, self.high, 5)


def linear_ticks(low: float, high: float, count: int) -> list[float]:
    """Return the multiples in [low, high] of a step, which is 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1.0, 2.0, 5.0) if high < 2000 * low else (1.0,)
    every = max(1, math.ceil((last - first) / 8))
    ticks = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def spread(places: Float64[ndarray, " m"], gap: float, low: float, high: float) -> Float64[ndarray, " m"]:
    """Return positions of labels in the same order that are at least `gap` apart, within [low, high] if they fit."""
    order = np.argsort(places, kind="stable")
    moved = np.clip(places[order], low, high)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    if len(moved) and moved[-1] > high:
        moved[-1] = high
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - gap)
    result = np.empty_like(moved)
    result[order] = moved
    return result
