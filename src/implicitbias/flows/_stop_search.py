"""The search for the moment at which `until` becomes true, inside the steps of an output.

`until` gives a level: a number that becomes positive, or True and False, which count as 1 and -1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from implicitbias.flows._dense import Output

Level = Callable[[float], float]
_HALVINGS = 40
# The fractions of a step at which the level is examined, besides its ends.
_INSIDE = np.array([0.25, 0.5, 0.75])
# The largest number of evaluations for a maximum between two of these points, and its resolution relative to the time.
_EVALUATIONS, _RESOLUTION = 30, 1e-12


class _FoundError(Exception):
    """A positive level was found at a time; it ends the search for a maximum."""

    def __init__(self, time: float) -> None:
        self.time = time


class Sample(NamedTuple):
    """A time and the level there."""

    time: float
    level: float


def first_stop(
    level: Level, before: tuple[Sample, ...], output: Output
) -> tuple[float | None, tuple[Sample, ...]]:
    """Return the first time in an output at which the level is found to be positive, or None, and the last samples.

    A level that is positive only inside a step is found if it is so at a quarter, half or three quarters of the step,
    or if it is a smooth number with one maximum between two of these points.

    Args:
        level: the level as a function of the time.
        before: the last one or two samples before the output.
        output: the output.
    """
    for i, end in enumerate(output.ends):
        span = output.step(i)
        times = [end] if span is None else [*(span[0] + _INSIDE * (span[1] - span[0])), end]
        samples = list(before)
        for time in times:
            samples.append(Sample(float(time), level(float(time))))
            # A maximum before this sample may be positive too.
            peak = None if span is None else _peak(level, samples)
            if peak is not None:
                return _bisected(level, samples[-3].time, peak), ()
            if samples[-1].level > 0.0:
                start = samples[-1].time if span is None else samples[-2].time
                return _bisected(level, start, samples[-1].time), ()
        before = tuple(samples[-2:])
    return None, before


def _peak(level: Level, samples: list[Sample]) -> float | None:
    """Return a time near a maximum at the last sample but one at which the level is positive, or None."""
    if len(samples) < 3:
        return None
    (begin, low), (_, middle), (end, high) = samples[-3:]
    # The maximum of a smooth level is above the middle sample by less than the fall to the lower neighbour.
    if middle < max(low, high) or middle + (middle - min(low, high)) <= 0.0:
        return None

    def sunk(t: float) -> float:
        value = level(float(t))
        if value > 0.0:
            raise _FoundError(float(t))
        return -value

    # Imported here, because the module takes a tenth of a second, which most runs need not pay.
    from scipy.optimize import minimize_scalar

    try:
        options = {"maxiter": _EVALUATIONS, "xatol": _RESOLUTION * end}
        minimize_scalar(sunk, bounds=(begin, end), method="bounded", options=options)
    except _FoundError as found:
        return found.time
    return None


def _bisected(level: Level, low: float, high: float) -> float:
    """Return the time at which the level becomes positive, which it is at `high`."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if level(middle) > 0.0:
            high = middle
        else:
            low = middle
    return high
