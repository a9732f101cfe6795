"""The times of memorization and of generalisation in a measured log."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.values import Fingerprinted
from implicitbias.grokking._log_columns import Log, read_log
from implicitbias.grokking._smoothing import Smoothed, redrawn, scatter_of, smoothed

# The training error at which the data count as memorised.
_MEMORIZED = 0.01
# The least fall of the test error, in units of `Phases.unit`, and the least ratio of the two times.
_FALL, _DELAY = 0.1, 10.0
# The number of redrawn logs, and the quantiles of their times that give an 80 % interval.
_DRAWS, _QUANTILES = 100, (0.1, 0.9)
# The last share of the logarithm of time over which a change of the test error shows that the run has not settled, and
# the change.
_END, _SETTLED = 0.1, 0.02


@dataclass(frozen=True, eq=False)
class Phases(Fingerprinted):
    """The phases of a measured run.

    Attributes:
        memorization_time: the first time at which the training error is at most 1 % (of its first value, for squared
            errors); nan if it never is.
        memorization_interval: an 80 % interval of that time, from the noise and from the times between which it lies.
        grokking_time: the first time after it at which the test error has covered half the way from its value at
            memorization to its final value; nan if there is none.
        grokking_interval: an 80 % interval of that time; its end is inf if the noise leaves it open.
        test_error_at_memorization: the test error at the memorization time; nan if there is none.
        final_test_error: the last test error, as a median over the last values of a noisy log.
        unit: the unit of a fall of the test error: 1 for fractions, and the first test error for squared errors.
        settled: whether the test error has stopped changing at the end of the log.
        remarks: what a reader must know, as sentences.
        groks: whether the test error falls by at least 10 points (0.1 units) and the grokking time is at least 10
            memorization times. It is derived.
        reasons: why the run does not grok, as sentences; () if it does. They are derived.
    """

    memorization_time: float
    memorization_interval: tuple[float, float]
    grokking_time: float
    grokking_interval: tuple[float, float]
    test_error_at_memorization: float
    final_test_error: float
    unit: float
    settled: bool
    remarks: tuple[str, ...]

    @property
    def fall(self) -> float:
        """The fall of the test error after memorization, in units of `unit`; negative if it rises."""
        return (self.test_error_at_memorization - self.final_test_error) / self.unit

    @property
    def groks(self) -> bool:
        """Whether the run groks."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the run does not grok, as sentences."""
        if np.isnan(self.memorization_time):
            return ("The training data are not memorised: the training error stays above 1 %.",)
        if np.isnan(self.test_error_at_memorization):
            return ("The test error was not measured after memorization.",)
        found = []
        points = 100.0 * abs(self.fall)
        if not self.fall >= _FALL:
            way = "falls" if self.fall >= 0.0 else "rises"
            found.append(
                f"After memorization the test error {way} by {points:.2g} points, from "
                f"{self.test_error_at_memorization:.3g} to {self.final_test_error:.3g}; a fall of at least 10 points "
                "is needed."
            )
        if not np.isnan(self.grokking_time) and not self.grokking_time >= _DELAY * self.memorization_time:
            ratio = self.grokking_time / self.memorization_time
            found.append(
                f"The grokking time {self.grokking_time:.3g} is {ratio:.2g} times the memorization time "
                f"{self.memorization_time:.3g}; at least 10 times is needed."
            )
        return tuple(found)

    def __str__(self) -> str:
        times = [
            f"{name} time {time:.4g} (80 % interval {low:.4g} to {high:.4g})"
            for name, time, (low, high) in (
                ("memorization", self.memorization_time, self.memorization_interval),
                ("grokking", self.grokking_time, self.grokking_interval),
            )
        ]
        verdict = "The run groks." if self.groks else " ".join(("The run does not grok.", *self.reasons))
        return "\n".join([verdict, *times, *self.remarks])


def phases(
    curve: Any,
    *,
    time: str | None = None,
    train: str | None = None,
    test: str | None = None,
    kind: str | None = None,
) -> Phases:
    """Return the memorization time and the grokking time of a measured run, with their uncertainty.

    The errors may be noisy, as in training with mini-batches. A running median takes the noise out without moving a
    sharp transition. The intervals come from logs that are redrawn with the measured scatter around the median, and
    always cover the two measured times between which the crossing lies. Rows may be in any order, values may be missing
    (NaN), and a time that occurs twice, as after a restart, counts with the later row.

    Args:
        curve: the log: the path of a CSV file, a dictionary of arrays, a data frame, an `xarray.Dataset`, three arrays
            (times, training errors, test errors), or an array (m, 3) of these columns.
        time: the name of the column of times or steps; None to recognise names such as "t", "step" or "epoch".
        train: the name of the training error or accuracy; None to recognise names such as "train_error" or
            "train/acc".
        test: the name of the test error or accuracy; None to recognise names such as "test_error" or "val_acc".
        kind: "error" for misclassified fractions, "accuracy", or "squared_error"; None to recognise it from the names.

    Returns:
        `Phases`: `groks`, `reasons`, both times in the unit of the log with 80 % intervals, and the errors.

    Raises:
        InputError: the columns are not found or are ambiguous, hold infinite values, percentages or negative errors,
            or have fewer than four measured values.

    Reference:
        boursier2025grokking; lyu2024dichotomy.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> t = np.geomspace(1.0, 1e6, 200)
        >>> log = {"step": t, "train_acc": 1 - 0.5 / (1 + t**2), "val_acc": 1 - 0.5 / (1 + (t / 1e4) ** 2)}
        >>> found = ib.grokking.phases(log)
        >>> found.groks, round(found.memorization_time, 1), round(found.grokking_time, -2)
        (True, 7.0, 10000.0)
        >>> print(ib.grokking.phases(log | {"val_acc": log["train_acc"]}).reasons[0])
        After memorization the test error falls by 1 points, from 0.01 to 5e-13; a fall of at least 10 points is needed.
    """
    log = read_log(curve, {"time": time, "train": train, "test": test}, kind)
    fit, held_out = smoothed(log.train), smoothed(log.test)
    found = _times(log, fit, held_out)
    intervals = _intervals(log, fit, held_out, found)
    unit = 1.0 if log.kind == "error" else float(log.test.errors[0]) or 1.0
    settled, change = _end(held_out, unit)
    remarks = _remarks(log, found)
    if not settled:
        remarks.append(
            f"The run has not settled: over the last tenth of its logarithmic time the test error changes by "
            f"{change:.2g}, so that its final value and the grokking time may still change."
        )
    return Phases(
        found.memorized,
        intervals[0],
        found.grokked,
        intervals[1],
        found.error_then,
        held_out.final,
        unit,
        settled,
        tuple(remarks + _open_delay(*intervals)),
    )


class _Times(NamedTuple):
    """Both times with their neighbours in the log, and the test error at the first of them."""

    memorized: float
    memorized_between: tuple[float, float]
    grokked: float
    grokked_between: tuple[float, float]
    error_then: float


def _times(log: Log, fit: Smoothed, held_out: Smoothed) -> _Times:
    """Return the times of smoothed errors; nan where there is none."""
    level = _MEMORIZED * (1.0 if log.kind == "error" else float(log.train.errors[0]))
    memorized, neighbours = fit.first_below(level, 0.0)
    if not memorized <= held_out.times[-1]:
        return _Times(memorized, neighbours, np.nan, (np.nan, np.nan), np.nan)
    then = held_out.at(memorized)
    half_way = (then + held_out.final) / 2.0
    if then == held_out.final:
        grokked = np.nan, (np.nan, np.nan)
    elif then > held_out.final:
        grokked = held_out.first_below(half_way, memorized)
    else:
        grokked = held_out.negative().first_below(-half_way, memorized)
    return _Times(memorized, neighbours, *grokked, then)


def _intervals(
    log: Log, fit: Smoothed, held_out: Smoothed, found: _Times
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the intervals of both times, from the times of redrawn logs (a parametric bootstrap)."""
    if fit.half == held_out.half == 0:
        return found.memorized_between, found.grokked_between
    spreads = scatter_of(log.train, fit), scatter_of(log.test, held_out)
    random, drawn = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        drawn_fit = smoothed(redrawn(fit, spreads[0], random), fit.half)
        times = _times(log, drawn_fit, smoothed(redrawn(held_out, spreads[1], random), held_out.half))
        drawn.append((times.memorized, times.grokked))
    memorized, grokked = np.array(drawn).T
    return (
        _interval(found.memorized, found.memorized_between, memorized),
        _interval(found.grokked, found.grokked_between, grokked),
    )


def _interval(
    time: float, between: tuple[float, float], drawn: Float64[ndarray, " k"]
) -> tuple[float, float]:
    """Return the quantiles of redrawn times, extended to the time itself and to its neighbours in the log."""
    if np.isnan(time):
        return between
    # A redrawn log without the time counts as a late one.
    low, high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), _QUANTILES, method="nearest")
    return float(min(low, between[0])), float(max(high, between[1]))


def _end(curve: Smoothed, unit: float) -> tuple[bool, float]:
    """Return whether the test error has stopped changing, and its change at the end of the log."""
    positive = curve.times[curve.times > 0.0]
    first, last = float(positive[0]), float(positive[-1])
    late = curve.times >= last * (first / last) ** _END
    before = curve.at(last * (first / last) ** _END)
    change = curve.final - before
    noise = 2.0 * float(np.std(curve.values[late])) if curve.half else 0.0
    return abs(change) <= max(_SETTLED * unit, noise), change


def _remarks(log: Log, found: _Times) -> list[str]:
    """Return what the log leaves open about memorization."""
    if np.isnan(found.memorized):
        return [f"The smallest training error is {float(np.min(log.train.errors)):.3g}."]
    if found.memorized <= log.train.times[0]:
        return [
            "The training data are memorised at the first measured time, so that the memorization time is an upper "
            "bound; log more often early."
        ]
    return []


def _open_delay(memorized: tuple[float, float], grokked: tuple[float, float]) -> list[str]:
    """Return a sentence if the intervals do not decide whether the delay is at least a factor of 10."""
    least, most = grokked[0] < _DELAY * memorized[1], grokked[1] >= _DELAY * memorized[0]
    if not (least and most):
        return []
    return ["The intervals of the two times leave open whether the delay is at least a factor of 10."]
