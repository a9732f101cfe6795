"""Dense output from the stages of accepted steps, within a byte budget."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias.flows._ros34pw2 import dense_weights
from implicitbias.flows._stepper import Chunk
from implicitbias.flows._system import System
from implicitbias.trajectories import DenseOutput

_BLOCK = 256


@dataclass(frozen=True, eq=False)
class StageOutput(DenseOutput):
    """States from the third-order interpolant of the inner variable."""

    system: System
    begins: Float64[ndarray, " k"]
    sizes: Float64[ndarray, " k"]
    starts: Float64[ndarray, "k m"]
    stages: Float64[ndarray, "k 4 m"]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return self.begins.nbytes + self.sizes.nbytes + self.starts.nbytes + self.stages.nbytes

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return map_rows(self.system, "state", self._inner(times))

    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return map_rows(self.system, "dual", self._inner(times))

    def _inner(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m n"]:
        rows = np.clip(np.searchsorted(self.begins, times, side="right") - 1, 0, None)
        theta = np.clip((times - self.begins[rows]) / self.sizes[rows], 0.0, 1.0)
        inner: ndarray = self.starts[rows] + np.einsum("ms,msn->mn", dense_weights(theta), self.stages[rows])
        return inner


def filled(system: System, chunk: Chunk) -> StageOutput:
    """The rows of a chunk that hold accepted steps."""
    count = int(chunk.filled)
    return StageOutput(system, *(np.asarray(field)[:count] for field in chunk[1:]))


def resting(system: System, u: Any) -> StageOutput:
    """The state at one inner variable, as an output at t = 0."""
    row = np.asarray(u)[None]
    return StageOutput(system, np.zeros(1), np.ones(1), row, np.zeros((1, 4, row.shape[1])))


def joined(pieces: list[StageOutput]) -> StageOutput:
    """One output from consecutive ones."""
    fields = ("begins", "sizes", "starts", "stages")
    return StageOutput(pieces[0].system, *(np.concatenate([getattr(p, f) for p in pieces]) for f in fields))


@dataclass(frozen=True, eq=False)
class SampledOutput(DenseOutput):
    """States at the requested times only."""

    times: Float64[ndarray, " m"]
    states: Float64[ndarray, "m d"]
    duals: Float64[ndarray, "m d"]

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return self.states[np.searchsorted(self.times, times)]

    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        return self.duals[np.searchsorted(self.times, times)]


@eqx.filter_jit
def _mapped(system: System, method: str, rows: jax.Array) -> jax.Array:
    return jax.vmap(getattr(system, method))(rows)


def map_rows(system: System, method: str, rows: Any) -> ndarray:
    """A method of the system over the rows of an array, in blocks of one compiled size."""
    count = len(rows)
    padding = rows[-1:] if count else np.zeros((1, rows.shape[1]))
    padded = np.concatenate([rows, np.repeat(padding, -count % _BLOCK if count else _BLOCK, axis=0)])
    with double_precision():
        blocks = [
            np.asarray(_mapped(system, method, jax.numpy.asarray(padded[i : i + _BLOCK])))
            for i in range(0, len(padded), _BLOCK)
        ]
    joined: ndarray = np.concatenate(blocks)[:count]
    return joined
