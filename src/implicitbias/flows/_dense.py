"""The output of parts of an integration: dense output from the curves of steps, or sampled states."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._stepper import Chunk
from implicitbias.flows._system import System, modes_at
from implicitbias.trajectories import DenseOutput


class Output(DenseOutput):
    """The output of a part of an integration."""

    @property
    @abstractmethod
    def ends(self) -> Float64[ndarray, " k"]:
        """The ends of the steps, ascending."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """The memory of the arrays in bytes."""

    @abstractmethod
    def step(self, index: int) -> tuple[float, float] | None:
        """Return where a step begins and ends, None where the states inside the step are not known."""

    @abstractmethod
    def joined(self, others: Sequence[Any]) -> "Output":
        """Return one output made of this one and of consecutive ones of the same kind; a start alone is left out."""


@dataclass(frozen=True, eq=False)
class CurveOutput(Output):
    """Dense output: states computed from a polynomial of the first entries of the inner variable in each step.

    The curves have these entries only. The starts have all of them, because growth modes are computed from them.
    """

    system: System
    begins: Float64[ndarray, " k"]
    sizes: Float64[ndarray, " k"]
    starts: Float64[ndarray, "k m"]
    curves: Float64[ndarray, "k 4 s"]
    followed: Bool[ndarray, " k"]
    _last: dict[int, Modes] = field(default_factory=dict, init=False, repr=False)

    @property
    def nbytes(self) -> int:
        """The memory of the arrays in bytes."""
        return self.begins.nbytes + self.sizes.nbytes + self.starts.nbytes + self.curves.nbytes

    @property
    def ends(self) -> Float64[ndarray, " k"]:
        ends: ndarray = self.begins + self.sizes
        return ends

    def step(self, index: int) -> tuple[float, float] | None:
        return float(self.begins[index]), float(self.ends[index])

    def joined(self, others: Sequence[Any]) -> Output:
        if not others:
            return self
        fields = ("begins", "sizes", "starts", "curves", "followed")
        return CurveOutput(self.system, *(np.concatenate([getattr(p, f) for p in others]) for f in fields))

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return self.system.states(self._inner(times))

    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        return self.system.duals(self._inner(times)) if self.system.has_duals else None

    def _inner(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m n"]:
        # The end of a step belongs to this step and not to the next one, so that one chunk and the joined output of
        # all chunks give the same number.
        rows = np.clip(np.searchsorted(self.begins, times) - 1, 0, None)
        x = np.clip((times - self.begins[rows]) / self.sizes[rows], 0.0, 1.0)
        powers = np.stack([x, x**2, x**3, x**4], axis=-1)
        # The times are treated one after another, because the curves of all their steps may need too much memory.
        inner = self.starts[rows, : self.curves.shape[-1]]
        for i, row in enumerate(rows):
            inner[i] += powers[i] @ self.curves[row]
            if self.followed[row]:
                modes = self._modes(int(row))
                inner[i, : modes.vectors.shape[1]] += modes.moved(x[i] * self.sizes[row], np)[0]
        return inner

    def _modes(self, row: int) -> Modes:
        """Return the growth modes at the start of a step; the last ones are kept, because `until` asks again."""
        if row not in self._last:
            self._last.clear()
            self._last[row] = modes_at(self.system, self.starts[row])
        return self._last[row]


def filled(system: System, chunk: Chunk) -> CurveOutput:
    """Return the output of the accepted steps in a chunk."""
    count, shown = int(chunk.filled), system.shown(chunk.starts.shape[1])
    times, sizes, starts, curves, followed = (np.asarray(field)[:count] for field in chunk[1:])
    return CurveOutput(system, times, sizes, starts, curves[..., :shown], followed)


def constant_output(system: System, u: Any, begin: float = 0.0, size: float = 1.0) -> CurveOutput:
    """Return an output of one step, by default at t = 0, that has the state of the inner variable u."""
    row = np.asarray(u)[None]
    curve = np.zeros((1, 4, system.shown(len(u))))
    return CurveOutput(system, np.full(1, begin), np.full(1, size), row, curve, np.zeros(1, dtype=bool))


@dataclass(frozen=True, eq=False)
class SampledOutput(Output):
    """Sampled output: states at some times only."""

    times: Float64[ndarray, " m"]
    states: Float64[ndarray, "m d"]
    duals: Float64[ndarray, "m k"] | None = None

    @property
    def ends(self) -> Float64[ndarray, " m"]:
        return self.times

    @property
    def nbytes(self) -> int:
        return self.times.nbytes + self.states.nbytes

    def step(self, index: int) -> tuple[float, float] | None:
        return None

    def joined(self, others: Sequence[Any]) -> Output:
        samples = [self, *others]
        duals = [sample.duals for sample in samples if sample.duals is not None]
        return SampledOutput(
            np.concatenate([sample.times for sample in samples]),
            np.concatenate([sample.states for sample in samples]),
            np.concatenate(duals) if duals else None,
        )

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return self.states[np.searchsorted(self.times, times)]

    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m k"] | None:
        return None if self.duals is None else self.duals[np.searchsorted(self.times, times)]
