"""What a simulated flow leaves behind: times, states, observables, status, statistics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core import labelled
from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status


class Stats(NamedTuple):
    """What the integration cost; `steps` = accepted + rejected."""

    steps: int
    accepted: int
    rejected: int
    evaluations: int
    factorizations: int
    seconds: float


class DenseOutput(ABC):
    """States between steps."""

    @abstractmethod
    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        """States at ascending or unordered times inside the integrated range."""

    @abstractmethod
    def dual(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        """Dual variables there."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The result of `simulate`.

    Attributes:
        times: (m,) flow times: the ends of the accepted steps, from 0, or the `times` that were asked for.
        start: (d,) where it began.
        final: (d,) the state at the last integrated time.
        status: how it ended; `status.ok` is false where it stopped early.
        stats: `steps`, `accepted`, `rejected`, `evaluations`, `factorizations`, `seconds`.
        observables: {name: (m, ...)} values of `observe` at `times`.

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
    start: Float64[ndarray, " d"]
    final: Float64[ndarray, " d"]
    status: Status
    stats: Stats
    observables: Mapping[str, ndarray]
    dense: DenseOutput
    sampled: bool = False

    @property
    def log_times(self) -> Float64[ndarray, " m"]:
        """Natural logarithms of `times`; -inf at 0."""
        with np.errstate(divide="ignore"):
            return frozen(np.log(self.times))

    @cached_property
    def states(self) -> Float64[ndarray, "m d"]:
        """(m, d) states at `times`."""
        return frozen(self.dense.state(self.times))

    def state(self, t: Any = None, *, log_t: Any = None) -> Float64[ndarray, "..."]:
        """The state at t (or at exp(log_t)): (d,) for a number, (m, d) for m times.

        Raises:
            InputError: none or both given, or a time outside the integrated range (or, where `times` was passed
                to `simulate`, other than those).
        """
        return self._at(self.dense.state, t, log_t)

    def dual(self, t: Any = None, *, log_t: Any = None) -> Float64[ndarray, "..."]:
        """The dual variable grad phi(w) of a mirror flow at t, shaped as `state`."""
        return self._at(self.dense.dual, t, log_t)

    def _at(self, evaluate: Any, t: Any, log_t: Any) -> Float64[ndarray, "..."]:
        if (t is None) == (log_t is None):
            raise InputError("give exactly one of t and log_t, for instance trajectory.state(1.0)")
        if len(self.times) == 0:
            raise InputError("the integration stopped before the first of the times passed to simulate")
        times = np.asarray(t if log_t is None else np.exp(log_t), dtype=np.float64)
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
        """The kept times that these are, up to the rounding of a logarithm."""
        right = np.clip(np.searchsorted(self.times, times), 1, max(1, len(self.times) - 1))
        pair = self.times[np.stack([right - 1, np.minimum(right, len(self.times) - 1)])]
        near = np.where(np.abs(times - pair[0]) <= np.abs(times - pair[1]), pair[0], pair[1])
        if np.any(np.abs(near - times) > 1e-12 * times):
            raise InputError(
                "only the times passed to simulate(times=...) were kept; leave times out for dense output"
            )
        return near

    def to_dataset(self) -> Any:
        """An `xarray.Dataset` over (time, coordinate): state and observables."""
        variables: dict[str, Any] = {"state": (("time", "coordinate"), self.states)}
        for name, values in self.observables.items():
            variables[name] = (("time", *(f"{name}_{i}" for i in range(values.ndim - 1))), values)
        coordinates = {"time": self.times, "coordinate": np.arange(len(self.start))}
        return labelled.dataset(
            variables, coordinates, {"status": self.status.name, "steps": self.stats.steps}
        )

    def __repr__(self) -> str:
        reached = f"{len(self.times)} times" + (f" to t={self.times[-1]:g}" if len(self.times) else "")
        return f"Trajectory({reached}, {self.stats.steps} steps, {self.status.name})"
