"""The recorder of an integration: it keeps dense output within a byte budget, or states at chosen times.

Times in this module are values of the variable of the clock. Functions of the caller receive the time of the flow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import ImplicitBiasError
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dense import Output, SampledOutput
from implicitbias.flows._limits import Limits
from implicitbias.flows._stop_search import Sample, first_stop
from implicitbias.trajectories import DenseOutput

DENSE_BYTES = 2 * 2**30
Observe = Mapping[str, Callable[[float, Any], Any]]
Until = Callable[[float, Any], Any]


class CallbackError(Exception):
    """A function of the caller failed after the start; the message is for the reader of the trajectory.

    Attributes:
        time: the value of the clock's variable at which it failed.
    """

    def __init__(self, message: str, time: float) -> None:
        super().__init__(message)
        self.time = time


class Recorder:
    """A recorder of consecutive outputs; `stopped` is the time at which `until` became true, or None."""

    def __init__(self, shape: TreeShape, limits: Limits, observe: Observe, until: Until | None) -> None:
        self.shape, self.grid, self.clock = shape, limits.grid, limits.clock
        self.observe, self.until = observe, until
        self.stopped: float | None = None
        self._pieces: list[Output] = []
        self._times: list[ndarray] = []
        self._samples: list[SampledOutput] = []
        self._values: dict[str, list[Any]] = {name: [] for name in observe}
        self._bytes = self._taken = 0
        self._begun = False
        self._samples_of_until: tuple[Sample, ...] = ()

    def begin(self, output: Output) -> None:
        """Record the output at t = 0."""
        self._first = self._last = output
        self._take(np.zeros(1) if self.grid is None else self.grid[self.grid == 0.0], output)
        self._samples_of_until = (Sample(0.0, self._level(0.0, output)),)
        if self._samples_of_until[0].level > 0.0:
            self.stopped = 0.0
            if self.grid is not None and not self._taken:
                self._take(np.zeros(1), output)
        self._begun = True

    def snapshot(self) -> dict[str, Any]:
        """Return what `resume` needs; the outputs so far are put together, so that they are copied once only."""
        self._pieces, self._samples = _together(self._pieces), _together(self._samples)
        values = {name: np.array(column) for name, column in self._values.items()}
        return {
            "stopped": self.stopped,
            "times": self.times,
            "values": values,
            "pieces": [_columns(piece) for piece in self._pieces],
            "samples": [_columns(sample) for sample in self._samples],
            "taken": self._taken,
            "last": _columns(self._last),
            "until": self._samples_of_until,
        }

    def resume(self, first: Any, snapshot: dict[str, Any]) -> None:
        """Go on from a snapshot; `first` is the `Output` at t = 0."""
        self._first, self._begun = first, True
        self.stopped, self._taken = snapshot["stopped"], snapshot["taken"]
        self._times = [snapshot["times"]]
        self._values = {name: list(column) for name, column in snapshot["values"].items()}
        self._pieces = [replace(first, **columns) for columns in snapshot["pieces"]]
        empty: Any = _empty_output(first)
        self._samples = [replace(empty, **columns) for columns in snapshot["samples"]]
        self._bytes = sum(piece.nbytes for piece in self._pieces)
        self._samples_of_until = snapshot["until"]
        self._last = replace(first, **snapshot["last"])

    def changed(self) -> str:
        """Return which function of the caller gives other values than before the snapshot; "" if none does.

        A function that gives two values for one state, as a clock does, is not compared.
        """
        samples = self._samples_of_until
        if self.until is not None:
            t = samples[-1].time if self.stopped is None else self.stopped
            levels = [self._level(t, self._last) for _ in range(2)]
            kept = levels[0] == samples[-1].level if self.stopped is None else levels[0] > 0.0
            if levels[0] == levels[1] and not kept:
                return "until"
        if len(self.times):
            tree = self.shape.numpy_tree(self.output().state(self.times[-1:])[0])
            for name, known in self._values.items():
                now = [self._value(name, self.times[-1], tree) for _ in range(2)]
                if _same(*now) and not _same(now[0], np.asarray(known[-1])):
                    return f"observable {name!r}"
        return ""

    def add(self, output: Output) -> None:
        """Record the output of accepted steps."""
        self._last = output
        if self.grid is None:
            self._bytes += output.nbytes
            if self._bytes > DENSE_BYTES:
                raise ImplicitBiasError(
                    f"dense output needs more than {DENSE_BYTES / 2**30:.0f} GiB; "
                    "keep only chosen times: type simulate(..., times=...)"
                )
            self._pieces.append(output)
        failure = None
        if self.until is not None:
            try:
                self.stopped, self._samples_of_until = first_stop(
                    lambda t: self._level(t, output), self._samples_of_until, output
                )
            except CallbackError as error:
                failure = error
        self._take(self._due(output, failure), output)
        if failure is not None:
            raise failure

    def _due(self, output: Output, failure: "CallbackError | None") -> Float64[ndarray, " k"]:
        """Return the times that are kept from this output: up to the stop, or before a failure of `until`."""
        # Because of rounding, the last step may end slightly before the last requested time.
        last = output.ends[-1] * (1 + 1e-15) if self.stopped is None else self.stopped
        last = last if failure is None else np.nextafter(failure.time, 0.0)
        candidates = output.ends if self.grid is None else self.grid[self._taken :]
        due: ndarray = candidates[candidates <= last]
        return due if self.stopped is None else np.union1d(due, self.stopped)

    def last_state(self, t: float) -> Float64[ndarray, " size"]:
        """Return the state at a time in the last output."""
        state: ndarray = self._last.state(np.array([t]))[0]
        return state

    def _level(self, t: float, output: Output) -> float:
        """Return what `until` gives at this time: its number, or 1 and -1 for true and false; -1 without `until`."""
        if self.until is None:
            return -1.0
        tree = self.shape.numpy_tree(output.state(np.array([t]))[0])
        try:
            value = np.asarray(self.until(self._flow_time(t), tree))
        except Exception as error:
            self._fail(f"until raised {_told(error)}", t, error)
        if value.dtype.kind == "f" and value.ndim == 0:
            return float(value)
        return 1.0 if bool(value) else -1.0

    def _fail(self, what: str, t: float, cause: Exception | None) -> NoReturn:
        """End the run because of a function of the caller; at the start, its own exception says it best."""
        if not self._begun and cause is not None:
            raise cause
        raise CallbackError(f"The integration stopped at {self.clock.text(t, 6)}: {what}.", t) from cause

    def _flow_time(self, t: float) -> float:
        return float(self.clock.times(t))

    def _take(self, times: Float64[ndarray, " m"], output: Output) -> None:
        if len(times) == 0:
            return
        states = np.empty((len(times), 0))
        if self.observe or self.grid is not None:
            states = output.state(times)
        kept = 0 if self.observe else len(times)
        try:
            while kept < len(times):
                tree = self.shape.numpy_tree(
                    states[kept]
                )  # The leaves are read-only for the functions of `observe`.
                values = [self._value(name, times[kept], tree) for name in self.observe]
                for column, value in zip(self._values.values(), values, strict=True):
                    column.append(value)
                kept += 1
        finally:  # If a callback is interrupted or fails, the rows before it are kept.
            self._times.append(times[:kept])
            self._taken += kept
            if self.grid is not None:
                duals = output.dual(times)
                duals = None if duals is None else duals[:kept]
                self._samples.append(SampledOutput(times[:kept], states[:kept], duals))

    def _value(self, name: str, t: float, tree: Any) -> ndarray:
        """Return the value of an observable, which must have the same shape at all times."""
        try:
            value = np.asarray(self.observe[name](self._flow_time(t), tree))
        except Exception as error:
            self._fail(f"observable {name!r} raised {_told(error)}", t, error)
        known = self._values[name]
        if known and value.shape != known[0].shape:
            self._fail(
                f"observable {name!r} has the shape {value.shape}, {known[0].shape} is expected as at the first time; "
                "return values of one shape from its function",
                t,
                None,
            )
        return value

    @property
    def times(self) -> Float64[ndarray, " m"]:
        """The kept times."""
        return frozen(np.concatenate([np.empty(0), *self._times]))

    @property
    def observables(self) -> dict[str, ndarray]:
        """The values of the observables at the kept times."""
        return {name: frozen(np.array(values)) for name, values in self._values.items()}

    @property
    def sampled(self) -> bool:
        """Whether states are known only at the kept times."""
        return self.grid is not None or self._first.step(0) is None

    def output(self) -> DenseOutput:
        """Return the sampled output at the kept times, or else dense output."""
        if self.grid is not None:
            begin, *others = self._samples or [_empty_output(self._first)]
            return begin.joined(others)
        return self._first.joined(self._pieces)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _same(one: ndarray, other: ndarray) -> bool:
    """Return whether two values are equal, where NaN equals NaN."""
    floats = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return bool(np.array_equal(one, other, equal_nan=floats))


def _columns(output: Output) -> dict[str, ndarray]:
    """Return the arrays of an output by field."""
    return {name: value for name, value in vars(output).items() if isinstance(value, ndarray)}


def _together(outputs: Sequence[Any]) -> list[Any]:
    """Return consecutive outputs of one kind as a list of at most one output."""
    if len(outputs) < 2:
        return list(outputs)
    first = outputs[0]
    parts = [_columns(output) for output in outputs]
    return [replace(first, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})]


def _empty_output(first: Output) -> SampledOutput:
    state, dual = first.state(np.zeros(1)), first.dual(np.zeros(1))
    return SampledOutput(np.empty(0), state[:0], None if dual is None else dual[:0])
