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
        self._bytes = 0

    def begin(self, output: StageOutput) -> None:
        """The state at t = 0."""
        self._take(np.zeros(1), output)
        self._first = output

    def add(self, output: StageOutput) -> None:
        """Accepted steps."""
        ends = output.begins + output.sizes
        if self.grid is not None:
            inside = (self.grid > output.begins[0]) & (self.grid <= ends[-1] * (1 + 1e-15))
            self._take(self.grid[inside], output)
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
        if self.grid is not None:
            times = times[np.isin(times, self.grid)]
        if len(times) == 0:
            return
        self._times.append(times)
        if self.grid is not None:
            self._samples.append(SampledOutput(times, output.state(times), output.dual(times)))
        if self.observe:
            for t, state in zip(times, output.state(times), strict=True):
                for name, function in self.observe.items():
                    self._values[name].append(function(float(t), state))

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
        parts = [[getattr(sample, name) for sample in self._samples] for name in ("times", "states", "duals")]
        return SampledOutput(*(np.concatenate(part) if part else np.empty((0, 0)) for part in parts))
