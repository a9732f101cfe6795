"""The result of a simulated flow: times, states, observables, status, statistics."""

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
from implicitbias.trajectories._dense_output import DenseOutput, StateShape, Stats


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The result of `simulate`.

    A *state* is what the flow moves, shaped as the start: w (d,) for a `MirrorFlow`, else the pytree of parameters,
    with read-only NumPy leaves.

    Attributes:
        times: (m,) flow times: the ends of the accepted steps, from 0, or the `times` that were asked for.
        start: the state where it began.
        final: the state at the last integrated time.
        status: how it ended; `status.ok` is false where it stopped early.
        stats: `steps`, `accepted`, `rejected`, `evaluations`, `factorizations`, `seconds`.
        observables: {name: (m, ...)} values of `observe` at `times`.
        notes: sentences: where and why it stopped, what is special about the model (not smooth, low precision).

    Reference:
        none: a container.

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

    @property
    def log_times(self) -> Float64[ndarray, " m"]:
        """Natural logarithms of `times`; -inf at 0."""
        with np.errstate(divide="ignore"):
            return frozen(np.log(self.times))

    @cached_property
    def flat_states(self) -> Float64[ndarray, "m size"]:
        """(m, size) states at `times`, their leaves one after another."""
        return frozen(self.dense.state(self.times))

    @cached_property
    def states(self) -> Any:
        """The states at `times`: a pytree whose leaves have a leading axis of length m."""
        return self._tree(self.flat_states)

    def state(self, t: Any = None, *, log_t: Any = None) -> Any:
        """Return the state at t (or at exp(log_t)); for an array of times its shape leads the shape of every leaf.

        Raises:
            InputError: none or both given, a time that is no number or outside the integrated range (or, where only
                chosen times were kept, other than those).
        """
        return self._tree(self._at(self.dense.state, t, log_t))

    def dual(self, t: Any = None, *, log_t: Any = None) -> Float64[ndarray, "..."]:
        """Return the dual variable at t (or at exp(log_t)), shaped as `state`.

        It is grad phi(w) for a `MirrorFlow`, and minus the integrated gradient in w for a two-layer diagonal network.

        Raises:
            InputError: as `state`; a flow without dual variables.
        """
        if self.dense.dual(self.times[:1]) is None:
            raise InputError(
                "this flow has no dual variable; mirror flows and two-layer diagonal networks have: "
                "type ib.MirrorFlow(problem, potential)"
            )
        return self._at(self.dense.dual, t, log_t)

    def _tree(self, rows: ndarray) -> Any:
        return rows if self.shape is None else self.shape.numpy_tree(rows)

    def _at(self, evaluate: Any, t: Any, log_t: Any) -> Float64[ndarray, "..."]:
        if (t is None) == (log_t is None):
            raise InputError("give exactly one of t and log_t, for instance trajectory.state(1.0)")
        if len(self.times) == 0:
            raise InputError("the integration stopped before the first of the times passed to simulate")
        times = _numbers(t if log_t is None else log_t)
        times = times if log_t is None else np.exp(times)
        first, last = self.times[0], self.times[-1]
        if times.size and not (np.all(times >= first) and np.all(times <= last * (1 + 1e-12))):
            raise InputError(
                f"t lies in [{np.min(times):g}, {np.max(times):g}], the trajectory covers [{first:g}, {last:g}]; "
                "simulate to a larger t1"
            )
        inside = np.minimum(np.atleast_1d(times).ravel(), last)
        rows: ndarray = evaluate(self._kept(inside) if self.sampled else inside)
        return rows.reshape(*times.shape, rows.shape[-1])

    def _kept(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        """Return the kept times that equal these up to the rounding of a logarithm."""
        right = np.clip(np.searchsorted(self.times, times), 1, max(1, len(self.times) - 1))
        pair = self.times[np.stack([right - 1, np.minimum(right, len(self.times) - 1)])]
        near = np.where(np.abs(times - pair[0]) <= np.abs(times - pair[1]), pair[0], pair[1])
        if np.any(np.abs(near - times) > 1e-12 * times):
            raise InputError(
                "states are known at the kept times only (those passed to simulate(times=...), the saved steps of "
                "gradient descent, or those in a loaded file): see trajectory.times; leave times out for dense output"
            )
        return near

    def to_dataset(self) -> Any:
        """Return an `xarray.Dataset` over time: the state's leaves and the observables.

        A state that is one array is called "state" and lies over (time, coordinate) if it is a vector; the leaves of a
        pytree are called "state" and their place in it, for instance "state[0]" or "state.layers[0].weight".
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
        if "state" in variables and "coordinate" in variables["state"][0]:
            coordinates["coordinate"] = np.arange(shapes[0][0])
        attributes = {"status": self.status.name, "steps": self.stats.steps, "notes": " ".join(self.notes)}
        return labelled.dataset(variables, coordinates, attributes)

    def save(self, path: str | Path) -> None:
        """Write times, states there, observables, status and statistics to one NPZ file, whole or not at all.

        There is no pickled code: functions in the state are left out. States are kept at `times` only.
        """
        from implicitbias.trajectories._files import write

        write(self, Path(path))

    @staticmethod
    def load(path: str | Path, like: Any = None) -> "Trajectory":
        """Return a saved trajectory, with states at its kept times.

        Args:
            path: a file written by `save`.
            like: a state of the same structure (the start, or a freshly built model), for states that are more than
                tuples, lists and dicts of arrays; without it these come back as {"place": array}.

        Raises:
            InputError: no such file, not a saved trajectory, or a `like` of another structure.
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
