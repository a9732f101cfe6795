"""Smoothed errors of a noisy log, and the first time at which they reach a level."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator

from implicitbias.grokking._log_columns import Series

# The half-width of the running median as a share of the number of points, and its least and largest value.
_SHARE, _NARROWEST, _WIDEST = 1.0 / 40.0, 1, 25
# A step below this share of the range counts as rounding.
_ROUNDING = 1e-9
# The median of the absolute values of normal errors relative to their standard deviation.
_ABSOLUTE = 0.6745


class Smoothed(NamedTuple):
    """An error over time after a running median.

    A median moves no step and no monotone curve, so that the time of a sharp transition is kept.

    Attributes:
        times: (m,) the times.
        values: (m,) the medians.
        final: the last value: the median over the last window.
        half: the half-width of the window; 0 if the measured values have no noise.
    """

    times: Float64[ndarray, " m"]
    values: Float64[ndarray, " m"]
    final: float
    half: int

    def at(self, time: float) -> float:
        """Return the value at a time, by linear interpolation."""
        return float(np.interp(time, self.times, self.values))

    def first_below(self, level: float, start: float) -> tuple[float, tuple[float, float]]:
        """Return the first time from `start` on at which the value is at most a level, and its neighbours in the log.

        All are nan if there is no such time.
        """
        found = np.flatnonzero((self.times >= start) & (self.values <= level))
        if not len(found):
            return np.nan, (np.nan, np.nan)
        point = int(found[0])
        before = max(start, float(self.times[point - 1])) if point else 0.0
        return self._between(point, level, start), (before, float(self.times[point]))

    def _between(self, point: int, level: float, start: float) -> float:
        """Return the time between a point and the one before it, or `start`, at which the value reaches a level."""
        after, value = float(self.times[point]), float(self.values[point])
        if point == 0:
            return after
        before, above = float(self.times[point - 1]), float(self.values[point - 1])
        if before < start:
            before, above = start, self.at(start)
        if above <= level or above <= value:
            return after
        share = (above - level) / (above - value)
        # Between times that grow by a factor, the error is interpolated in the logarithm of time.
        if before > 0.0 and after > 1.2 * before:
            return before * (after / before) ** share
        return before + share * (after - before)

    def negative(self) -> "Smoothed":
        """Return the curve with the other sign, whose falls are the rises of this one."""
        return Smoothed(self.times, -self.values, -self.final, self.half)


def smoothed(series: Series, half: int | None = None) -> Smoothed:
    """Return a series after a running median; a series without noise is returned as it is.

    Args:
        series: the measured errors.
        half: the half-width of the window; None to choose it.
    """
    times, errors = series
    m = len(errors)
    if half is None:
        half = int(np.clip(round(_SHARE * m), _NARROWEST, _WIDEST)) if _noisy(errors) else 0
    values = errors.copy()
    if half:
        values[half : m - half] = np.median(sliding_window_view(errors, 2 * half + 1), axis=1)
        for i in range(1, half):  # Near the ends the window is narrower, so that its middle is the point.
            values[i] = np.median(errors[: 2 * i + 1])
            values[m - 1 - i] = np.median(errors[m - 1 - 2 * i :])
    return Smoothed(times, values, float(np.median(errors[m - 2 * half - 1 :])), half)


def redrawn(curve: Smoothed, scatter: Float64[ndarray, " m"], random: Generator) -> Series:
    """Return the smoothed errors with new normal noise, not below the least smoothed error."""
    drawn = curve.values + scatter * random.standard_normal(len(scatter))
    return Series(curve.times, np.maximum(drawn, np.min(curve.values)))


def scatter_of(series: Series, curve: Smoothed) -> Float64[ndarray, " m"]:
    """Return the local standard deviation of the noise, from second differences, which a slope does not change.

    It is the median of their absolute values around each point, and at least a half of their root mean square, because
    half of the errors may be equal, for instance at an error of 0.
    """
    m, half = len(series.errors), curve.half
    if half == 0:
        return np.zeros(m)
    second = np.abs(np.diff(series.errors, 2)) / np.sqrt(6.0)
    reach = 2 * half + 1
    windows = (second[max(0, i - 1 - reach) : max(i + reach, 1)] for i in range(m))
    return np.array([max(np.median(part) / _ABSOLUTE, np.sqrt(np.mean(part**2)) / 2.0) for part in windows])


def _noisy(errors: Float64[ndarray, " m"]) -> bool:
    """Return whether the direction of the curve changes often: in a tenth of the points or more."""
    steps = np.diff(errors)
    counted = np.abs(steps) > _ROUNDING * (float(np.ptp(errors)) or 1.0)
    signs = np.sign(steps[counted])
    return int(np.sum(signs[1:] != signs[:-1])) >= max(2, len(errors) // 10)
