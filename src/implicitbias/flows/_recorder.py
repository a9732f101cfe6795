"""What of an integration is kept: dense output within a byte budget, or samples at chosen times."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import ImplicitBiasError
from implicitbias.flows._dense import SampledOutput, StageOutput, joined
from implicitbias.trajectories import DenseOutput

DENSE_BYTES = 2 * 2**30
Observe = Mapping[str, Callable[[float, ndarray], Any]]


class Recorder:
    """Takes the output of each chunk of steps as it comes."""

    def __init__(self, grid: Float64[ndarray, " m"] | None, observe: Observe) -> None:
        self.grid, self.observe = grid, observe
        self._pieces: list[StageOutput] = []
        self._times: list[ndarray] = []
        self._samples: list[SampledOutput] = []
        self._values: dict[str, list[Any]] = {name: [] for name in observe}
        self._bytes = self._taken = 0

    def begin(self, output: StageOutput) -> None:
        """The state at t = 0."""
        self._first = output
        self._take(np.zeros(1) if self.grid is None else self.grid[self.grid == 0.0], output)

    def add(self, output: StageOutput) -> None:
        """Accepted steps."""
        ends = output.begins + output.sizes
        if self.grid is not None:
            # The clock may end a rounding error before the last time that was asked for.
            reached = np.searchsorted(self.grid, ends[-1] * (1 + 1e-15), side="right")
            self._take(self.grid[self._taken : reached], output)
            return
        self._bytes += output.nbytes
        if self._bytes > DENSE_BYTES:
            raise ImplicitBiasError(
                f"dense output would pass {DENSE_BYTES / 2**30:.0f} GiB; "
                "keep chosen times only: simulate(..., times=...)"
            )
        self._pieces.append(output)
        self._take(ends, output)

    def _take(self, times: Float64[ndarray, " m"], output: StageOutput) -> None:
        if len(times) == 0:
            return
        states = np.empty((len(times), 0))
        if self.observe or self.grid is not None:
            states = frozen(output.state(times))  # observers look, they do not touch
        kept = 0 if self.observe else len(times)
        try:
            while kept < len(times):
                values = [f(float(times[kept]), states[kept]) for f in self.observe.values()]
                for column, value in zip(self._values.values(), values, strict=True):
                    column.append(value)
                kept += 1
        finally:  # an interrupt in a callback keeps the rows before it
            self._times.append(times[:kept])
            self._taken += kept
            if self.grid is not None:
                self._samples.append(SampledOutput(times[:kept], states[:kept], output.dual(times)[:kept]))

    @property
    def times(self) -> Float64[ndarray, " m"]:
        """The times that were kept."""
        return frozen(np.concatenate([np.empty(0), *self._times]))

    @property
    def observables(self) -> dict[str, ndarray]:
        """Their observables."""
        return {name: frozen(np.array(values)) for name, values in self._values.items()}

    def output(self) -> DenseOutput:
        """States at the kept times, or anywhere."""
        if self.grid is None:
            return joined(self._pieces) if self._pieces else self._first
        if not self._samples:
            d = self._first.state(np.zeros(1)).shape[1]
            return SampledOutput(np.empty(0), np.empty((0, d)), np.empty((0, d)))
        parts = [[getattr(sample, name) for sample in self._samples] for name in ("times", "states", "duals")]
        return SampledOutput(*(np.concatenate(part) for part in parts))
