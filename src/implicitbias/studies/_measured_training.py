"""Real training, followed until its test error has stopped changing, and the times and errors that are read off it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# The number of recorded points for each factor of 10 in steps.
_PER_DECADE = 300
# A run is at rest if the test error (in its unit), the loss and the norm changed by no more in its second half.
_REST = (3e-3, 0.01, 0.01)


class Descent(NamedTuple):
    """A run of real training: steps, both errors, the test loss and the norm, and whether it ended at rest."""

    steps: ndarray
    train: ndarray
    test: ndarray
    loss: ndarray
    norm: ndarray
    settled: bool


class Training(NamedTuple):
    """How a run goes on and how it is measured.

    Attributes:
        state: what the optimiser moves, at the start.
        advance: (state, number of steps) -> state.
        measure: state -> training error, test error, test loss, norm of the parameters.
        counts: whether the errors are misclassified fractions, and not squared errors.
    """

    state: Any
    advance: Callable[[Any, int], Any]
    measure: Callable[[Any], ndarray]
    counts: bool


def trained(training: Training, steps: int, longest: int) -> Descent:
    """Return a run of some steps that is continued to twice as many until it is at rest, and not beyond the longest."""
    state, recorded, rows, total = training.state, [0], [training.measure(training.state)], steps
    while True:
        decades = np.log10(total / max(recorded[-1], 1))
        ahead = np.geomspace(max(recorded[-1], 1), total, 2 + round(_PER_DECADE * decades))
        for step in np.unique(np.round(ahead)).astype(int):
            if step > recorded[-1]:
                state = training.advance(state, int(step - recorded[-1]))
                recorded.append(int(step))
                rows.append(training.measure(state))
        train, test, loss, norm = np.array(rows).T
        run = Descent(np.array(recorded), train, test, loss, norm, settled=False)
        settled = at_rest(run, counts=training.counts)
        if settled or not np.isfinite(run.norm[-1]) or 2 * total > longest:
            return run._replace(settled=settled)
        total *= 2


def at_rest(run: Descent, *, counts: bool) -> bool:
    """Return whether the test error changed by at most 0.3 % of its unit, and the loss and the norm by 1 %, of late.

    The changes are those over the second half of the steps.
    """
    before, last = (
        np.array([np.interp(step, run.steps, column) for column in (run.test, run.loss, run.norm)])
        for step in (run.steps[-1] / 2, run.steps[-1])
    )
    # A loss that has nearly vanished is compared with the first one.
    scale = np.array([1.0 if counts else run.test[0], max(last[1], 0.01 * run.loss[0]), last[2]])
    return bool(np.all(np.abs(last - before) <= np.array(_REST) * scale))


class Outcome(NamedTuple):
    """The phase times of a run in steps and its test errors, as `ib.Forecast` defines them; nan if not reached."""

    memorized: float
    error_then: float
    grokked: float
    final: float
    groks: bool


def outcome_of(run: Descent, *, counts: bool) -> Outcome:
    """Return the phase times and the test errors of a run."""
    unit = 1.0 if counts else float(run.test[0])
    memorized, index = crossing(run.steps, run.train, 0.01 * (1.0 if counts else float(run.train[0])))
    final = float(run.test[-1])
    if index < 0 or not np.isfinite(final):
        return Outcome(memorized, np.nan, np.nan, final, groks=False)
    then = float(np.interp(memorized, run.steps, run.test))
    sign = np.sign(then - final)
    grokked = crossing(run.steps, sign * run.test, sign * (then + final) / 2, index)[0] if sign else np.nan
    groks = (then - final) / unit >= 0.1 and grokked >= 10 * memorized
    return Outcome(memorized, then, grokked, final, bool(groks))


def crossing(steps: ndarray, values: ndarray, level: float, first: int = 0) -> tuple[float, int]:
    """Return the step at which values first are at most a level, from an index on, and the index of the next record.

    Between two records the step is on the straight line. Both are nan and -1 if the level is never reached.
    """
    below = np.flatnonzero(values[first:] <= level)
    if len(below) == 0:
        return np.nan, -1
    i = first + int(below[0])
    if i == first:
        return float(steps[i]), i
    share = (values[i - 1] - level) / (values[i - 1] - values[i])
    return float(steps[i - 1] + share * (steps[i] - steps[i - 1])), i


def points_apart(
    forecast: tuple[ndarray, ndarray], run: Descent, unit: float
) -> tuple[ndarray, Float64[ndarray, " m"]]:
    """Return the steps of a run that a forecast (steps, test errors) covers, and how far apart both are, in points."""
    steps = run.steps[1:][run.steps[1:] <= forecast[0][-1]]
    known = np.interp(steps, *forecast)
    return steps, 100.0 * np.abs(known - run.test[1 : 1 + len(steps)]) / unit
