"""The recorder of an integration: it keeps dense output within a byte budget, or states at chosen times.

Times in this module are values of the variable of the clock. Functions of the caller receive the time of the flow.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import ImplicitBiasError
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dense import Output, SampledOutput
from implicitbias.flows._limits import Limits
from implicitbias.trajectories import DenseOutput

DENSE_BYTES = 2 * 2**30
Observe = Mapping[str, Callable[[float, Any], Any]]
Until = Callable[[float, Any], Any]
_HALVINGS = 40


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

    def begin(self, output: Output) -> None:
        """Record the output at t = 0."""
        self._first = self._last = output
        self._take(np.zeros(1) if self.grid is None else self.grid[self.grid == 0.0], output)
        if self._ends_at(0.0, output):
            self.stopped = 0.0

    def add(self, output: Output) -> None:
        """Record the output of accepted steps."""
        self._last, ends = output, output.ends
        if self.until is not None:
            self.stopped = self._stop(output, ends)
        if self.grid is not None:
            # Because of rounding, the last step may end slightly before the last requested time.
            last = ends[-1] * (1 + 1e-15) if self.stopped is None else self.stopped
            reached = np.searchsorted(self.grid, last, side="right")
            self._take(self.grid[self._taken : reached], output)
            return
        self._bytes += output.nbytes
        if self._bytes > DENSE_BYTES:
            raise ImplicitBiasError(
                f"dense output needs more than {DENSE_BYTES / 2**30:.0f} GiB; "
                "keep only chosen times: type simulate(..., times=...)"
            )
        self._pieces.append(output)
        self._take(
            ends if self.stopped is None else np.append(ends[ends < self.stopped], self.stopped), output
        )

    def last_state(self, t: float) -> Float64[ndarray, " size"]:
        """Return the state at a time in the last output."""
        state: ndarray = self._last.state(np.array([t]))[0]
        return state

    def _stop(self, output: Output, ends: ndarray) -> float | None:
        """Return the first time in this output at which `until` is found to be true, or None.

        It is located by bisection inside the first step at whose end `until` is true.
        """
        for i, end in enumerate(ends):
            if not self._ends_at(float(end), output):
                continue
            step = output.step(i)
            if step is None:
                return float(end)
            low, high = step
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                if not low < middle < high:
                    break
                if self._ends_at(middle, output):
                    high = middle
                else:
                    low = middle
            return high
        return None

    def _ends_at(self, t: float, output: Output) -> bool:
        """Return whether `until` is given and true at this time."""
        if self.until is None:
            return False
        return bool(self.until(self._flow_time(t), self.shape.numpy_tree(output.state(np.array([t]))[0])))

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
                t = self._flow_time(times[kept])
                values = [np.asarray(f(t, tree)) for f in self.observe.values()]
                for column, value in zip(self._values.values(), values, strict=True):
                    column.append(value)
                kept += 1
        finally:  # If a callback is interrupted, the rows before it are kept.
            self._times.append(times[:kept])
            self._taken += kept
            if self.grid is not None:
                duals = output.dual(times)
                duals = None if duals is None else duals[:kept]
                self._samples.append(SampledOutput(times[:kept], states[:kept], duals))

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
            return _empty_output(self._first).joined(self._samples)
        return self._first.joined(self._pieces)


def _empty_output(first: Output) -> SampledOutput:
    state, dual = first.state(np.zeros(1)), first.dual(np.zeros(1))
    return SampledOutput(np.empty(0), state[:0], None if dual is None else dual[:0])
