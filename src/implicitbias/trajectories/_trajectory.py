"""The result of a simulated flow: times, states, observables, status and statistics."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core import labelled
from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.trajectories._clock import Clock
from implicitbias.trajectories._dense_output import DenseOutput, StateShape, Stats


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The result of `simulate`.

    A *state* has the shape of the start: it is w (d,) for a `MirrorFlow`, and for other flows the pytree of parameters
    with read-only NumPy leaves.

    Attributes:
        times: (m,) flow times: 0 and the ends of the accepted steps, or the requested `times`. A flow whose loss tends
            to 0 may be integrated to times beyond float64; they are inf here, and `log_times` has their logarithms.
        start: the state at time 0.
        final: the state at the last integrated time.
        status: how the integration ended; `status.ok` is false if it stopped early.
        stats: `steps`, `accepted`, `rejected`, `evaluations`, `factorizations`, `seconds`; and for ReLU networks the
            number of `events` and the largest number of `held` pre-activations.
        observables: {name: (m, ...)} the values of `observe` at `times`.
        notes: sentences for the reader, for instance why the integration stopped or that the model is not smooth.

    Reference:
        none, because this class only stores results.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [1.0, 2.0])
        >>> flow = ib.MirrorFlow(problem, ib.SquaredNorm())
        >>> trajectory = ib.simulate(flow, [0.0, 0.0], t1=2.0, rtol=1e-6)
        >>> bool(np.allclose(trajectory.state(1.0), (1 - np.exp(-0.5)) * np.array([1.0, 2.0]), rtol=1e-4))
        True
    """

    times: Float64[ndarray, " m"]
    start: Any
    final: Any
    status: Status
    stats: Stats
    observables: Mapping[str, ndarray]
    dense: DenseOutput
    sampled: bool = False
    shape: StateShape | None = None
    notes: tuple[str, ...] = ()
    clock: Clock = Clock()  # noqa: RUF009  a clock is a frozen value
    readings: Float64[ndarray, " m"] | None = None

    @property
    def log_times(self) -> Float64[ndarray, " m"]:
        """The natural logarithms of the times, also where a time leaves float64; -inf at time 0."""
        return frozen(self.clock.log_times(self.kept_readings))

    @property
    def kept_readings(self) -> Float64[ndarray, " m"]:
        """The values of the variable of `clock` at `times`, which `dense` is a function of."""
        return self.times if self.readings is None else self.readings

    @cached_property
    def flat_states(self) -> Float64[ndarray, "m size"]:
        """The states at `times` as rows (m, size), with the leaves one after another."""
        return frozen(self.dense.state(self.kept_readings))

    @cached_property
    def states(self) -> Any:
        """The states at `times` as a pytree whose leaves have a leading axis of length m."""
        return self._tree(self.flat_states)

    def state(self, t: Any = None, *, log_t: Any = None) -> Any:
        """Return the state at time t, or at exp(log_t).

        For an array of times, the shape of the array is put before the shape of each leaf.

        Raises:
            InputError: both or none of the arguments are given, a time is not a number or lies outside the integrated
                range, or the state at this time was not kept.
        """
        return self._tree(self._at(self.dense.state, t, log_t))

    def dual(self, t: Any = None, *, log_t: Any = None) -> Float64[ndarray, "..."]:
        """Return the dual variable at time t, or at exp(log_t).

        It is grad phi(w) for a `MirrorFlow`, and minus the integrated gradient in w for a two-layer diagonal network.

        Raises:
            InputError: the flow has no dual variable, or the time is invalid as in `state`.
        """
        if self.dense.dual(self.kept_readings[:1]) is None:
            raise InputError(
                "this flow has no dual variable; mirror flows and two-layer diagonal networks have one: "
                "type ib.MirrorFlow(problem, potential)"
            )
        rows = self._at(self.dense.dual, t, log_t)
        shapes = () if self.shape is None else self.shape.shapes
        # The dual variable of a flow in w has the shape of w, which may be a matrix.
        of_w = len(shapes) == 1 and int(np.prod(shapes[0])) == rows.shape[-1]
        return rows.reshape(*rows.shape[:-1], *shapes[0]) if of_w else rows

    def _tree(self, rows: ndarray) -> Any:
        return rows if self.shape is None else self.shape.numpy_tree(rows)

    def _at(self, evaluate: Any, t: Any, log_t: Any) -> Float64[ndarray, "..."]:
        if (t is None) == (log_t is None):
            raise InputError("give exactly one of t and log_t, for instance trajectory.state(1.0)")
        if len(self.times) == 0:
            raise InputError("the integration stopped before the first of the times passed to simulate")
        given = _numbers(t if log_t is None else log_t)
        asked = self._readings_at(given, logs=log_t is not None)
        kept = self.kept_readings
        inside = np.clip(np.atleast_1d(asked).ravel(), kept[0], kept[-1])
        rows: ndarray = evaluate(self._kept(inside) if self.sampled else inside)
        return rows.reshape(*given.shape, rows.shape[-1])

    def _readings_at(self, times: Float64[ndarray, "..."], *, logs: bool) -> Float64[ndarray, "..."]:
        """Return the variable of the clock at some times or logarithms of times, which must be in the range."""
        kept = self.kept_readings
        with np.errstate(
            invalid="ignore"
        ):  # The logarithm of a negative time is NaN, which is refused below.
            asked = self.clock.readings_of_logs(times) if logs else self.clock.readings(times)
        low, high = kept[0] * (1 - 1e-12), kept[-1] * (1 + 1e-12)
        if asked.size and not (np.all(asked >= low) and np.all(asked <= high)):
            name, ends = ("log_t", self.log_times) if logs else ("t", self.times)
            raise InputError(
                f"{name} lies in [{np.min(times):g}, {np.max(times):g}], the trajectory covers "
                f"[{ends[0]:g}, {ends[-1]:g}]; simulate to a larger {'log_t1' if logs else 't1'}"
            )
        return asked

    def _kept(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        """Return the kept readings of the clock that equal these up to rounding, or raise an `InputError`.

        A time that was given as a logarithm has a rounding error.
        """
        kept = self.kept_readings
        right = np.clip(np.searchsorted(kept, times), 1, max(1, len(kept) - 1))
        pair = kept[np.stack([right - 1, np.minimum(right, len(kept) - 1)])]
        near = np.where(np.abs(times - pair[0]) <= np.abs(times - pair[1]), pair[0], pair[1])
        if np.any(np.abs(near - times) > 1e-12 * times):
            raise InputError(
                "states are known only at the kept times, which trajectory.times lists (the times passed to "
                "simulate(times=...), the saved steps of gradient descent, or the times in a loaded file); "
                "call simulate without times for dense output"
            )
        return near

    def to_dataset(self) -> Any:
        """Return an `xarray.Dataset` over time with the leaves of the state and the observables.

        A state that is one array is called "state"; a vector has the dimensions (time, coordinate). A leaf of a pytree
        is called "state" followed by its path, for instance "state[0]" or "state.layers[0].weight".
        """
        variables: dict[str, Any] = {}
        shapes = ((self.flat_states.shape[1],),) if self.shape is None else self.shape.shapes
        names = ("",) if self.shape is None or len(shapes) == 1 else self.shape.names
        edges = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
        for name, shape, a, b in zip(names, shapes, edges[:-1], edges[1:], strict=True):
            label = f"state{name}"
            axes = ("coordinate",) if names == ("",) and len(shape) == 1 else _axes(label, len(shape))
            variables[label] = (("time", *axes), self.flat_states[:, a:b].reshape(-1, *shape))
        for name, values in self.observables.items():
            variables[name] = (("time", *_axes(name, values.ndim - 1)), values)
        coordinates: dict[str, Any] = {"time": self.times}
        if self.readings is not None:
            coordinates["log_time"] = ("time", self.log_times)
        if "state" in variables and "coordinate" in variables["state"][0]:
            coordinates["coordinate"] = np.arange(shapes[0][0])
        attributes = {"status": self.status.name, "steps": self.stats.steps, "notes": " ".join(self.notes)}
        return labelled.dataset(variables, coordinates, attributes)

    def save(self, path: str | Path) -> None:
        """Write times, states, observables, status and statistics to one NPZ file.

        If writing fails, no incomplete file is left. Nothing is pickled, so functions in the state are left out. Dense
        output is not saved; the file holds the states at `times`.
        """
        from implicitbias.trajectories._files import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path, like: Any = None) -> "Trajectory":
        """Return a saved trajectory with the states at its kept times.

        Args:
            path: a file written by `save`.
            like: a state of the same structure, for instance the start or a newly built model. It is needed for states
                with containers other than tuples, lists and dicts; without it they are returned as {path: array}.

        Raises:
            InputError: the file does not exist or is not a saved trajectory, or `like` has another structure.
        """
        from implicitbias.trajectories._files import read

        return Trajectory(**read(Path(path), like))

    def __repr__(self) -> str:
        reached = f"{len(self.times)} times" + (f" to t={self.times[-1]:g}" if len(self.times) else "")
        return f"Trajectory({reached}, {self.stats.steps} steps, {self.status.name})"


def _axes(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{i}" for i in range(count))


def _numbers(t: Any) -> Float64[ndarray, "..."]:
    try:
        return np.asarray(t, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"t is {t!r}, a number or an array of numbers is expected") from error
