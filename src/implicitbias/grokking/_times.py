"""The times of a forecast: memorization, grokking, and the interval of the grokking time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.grokking._course import Course, Curve, curve_of, located
from implicitbias.grokking._held_out import COLUMNS

# The training error at which the data count as memorised.
_MEMORIZED = 0.01
# The rule of the interval was chosen on the tuning runs of benchmarks/calibrate_forecast.py. The test error at the
# grokking time is uncertain by _ROWS test rows, and the logarithm of the time by _LEAST, by _WIDER times the difference
# of two forecasts, and by one step of gradient descent.
_ROWS, _LEAST, _WIDER = 0.5, 0.01, 2.0
# A run is at rest if the test error changed of late by at most this share of a unit, or by so many test rows.
_REST_ERROR, _REST_ROWS = 3e-3, 1.5
# If the test error changes by fewer test rows, or by a smaller share of its unit, half the way is not resolved.
_FEWEST, _SMALLEST = 4.0, 0.005


class Times(NamedTuple):
    """Both times of a course, the test errors at memorization and at rest, the unit, and the refined curve."""

    memorized: float
    grokked: float
    error_then: float
    final: float
    unit: float
    curve: Curve

    @property
    def half_way(self) -> float:
        """The test error that counts as half the way."""
        return (self.error_then + self.final) / 2.0


def times_of(course: Course) -> Times:
    """Return the times of a course."""
    curve = curve_of(course)
    train, test = COLUMNS.index("train_error"), COLUMNS.index("test_error")
    counts = course.gauge.kind.counts
    level = _MEMORIZED * (1.0 if counts else float(curve.columns[0, train]))
    unit = 1.0 if counts else max(float(curve.columns[0, test]), 1e-300)
    memorized, curve = located(course, curve, lambda rows: rows[:, train] <= level, 0.0)
    final = float(curve.columns[-1, test])
    if np.isnan(memorized):
        return Times(memorized, np.nan, np.nan, final, unit, curve)
    then = float(curve.columns[np.searchsorted(curve.times, memorized), test])
    if then == final:
        return Times(memorized, np.nan, then, final, unit, curve)
    sign, half_way = np.sign(then - final), (then + final) / 2.0

    def covered(rows: Float64[ndarray, "m columns"]) -> ndarray:
        return sign * (rows[:, test] - half_way) <= 0.0

    grokked, curve = located(course, curve, covered, memorized)
    return Times(memorized, grokked, then, final, unit, curve)


def rest_tolerance(unit: float, resolution: float) -> float:
    """Return by how much the test error may still change where a course counts as at rest."""
    return max(_REST_ERROR * unit, _REST_ROWS * resolution)


def interval_of(found: Times, other: Times, resolution: float, step: float) -> tuple[float, float]:
    """Return the interval of the grokking time.

    Half the way is the mean of two errors, and both are uncertain: training memorises at a whole step, beside which the
    test error may change fast, and its final error is that of a run at rest to tolerance.

    Args:
        found: the times of the forecast.
        other: the times of the second forecast, which is less accurate.
        resolution: the share of one test row in the error; 0 for squared errors.
        step: the time of one step of gradient descent; 0 for the flow.

    Returns:
        The ends; both are nan without a time. If the test error changes too little, the interval is that of all times
        from memorization on, to inf.
    """
    if np.isnan(found.grokked):
        return np.nan, np.nan
    if np.isnan(other.grokked) or min(found.grokked, other.grokked) <= 0.0:
        return 0.0, np.inf
    ends = _change_at_memorization(found, other, step) + rest_tolerance(found.unit, resolution)
    doubt = _ROWS * resolution + ends / 2.0
    least = max(_FEWEST * resolution, _SMALLEST * found.unit, 2.0 * doubt)
    if abs(found.error_then - found.final) < least:
        return found.memorized, np.inf
    sign = np.sign(found.error_then - found.final)
    reached = [_first(found, sign, found.half_way + side * sign * doubt) for side in (1.0, -1.0)]
    apart = abs(float(np.log(other.grokked / found.grokked)))
    width = max(_LEAST, _WIDER * apart, step / found.grokked)
    return float(min(reached[0], found.grokked) * np.exp(-width)), float(
        max(reached[1], found.grokked) * np.exp(width)
    )


def _change_at_memorization(found: Times, other: Times, step: float) -> float:
    """Return the change of the test error within one step of memorization, or between two forecasts if it is larger."""
    near = np.abs(found.curve.times - found.memorized) <= step
    changes = np.abs(found.curve.of("test_error")[near] - found.error_then)
    between = abs(other.error_then - found.error_then)
    return float(np.max(changes, initial=0.0 if np.isnan(between) else between))


def _first(found: Times, sign: float, level: float) -> float:
    """Return the first time from memorization on at which the test error has come to a level between both errors."""
    curve = found.curve
    excess = sign * (curve.of("test_error") - level)
    i = int(np.argmax((excess <= 0.0) & (curve.times >= found.memorized)))
    if i == 0 or curve.times[i - 1] < found.memorized or excess[i - 1] <= 0.0:
        return float(curve.times[i])
    share = excess[i - 1] / (excess[i - 1] - excess[i])
    return float(curve.times[i - 1] + share * (curve.times[i] - curve.times[i - 1]))
