"""Guides: they say by which method and algebra an engine takes its next steps."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._method import Method
from implicitbias.flows._ros34pw2 import Rosenbrock
from implicitbias.flows._stepper import Cursor
from implicitbias.flows._system import System


class Way(NamedTuple):
    """How steps are taken: a system, the method, and the name under which the steps are counted.

    `memory` is what the method remembers before the first step of the integration, if that is known.
    """

    name: str
    system: System
    method: Method
    memory: Any = None

    @property
    def implicit(self) -> bool:
        """Whether steps solve linear systems, so that a better matrix may make them longer."""
        return self.method.cost[1] > 0

    def first_memory(self, u: ndarray) -> Any:
        """Return what the method remembers before its first step from u."""
        return self.method.first_memory(self.system, u) if self.memory is None else self.memory


class Report(NamedTuple):
    """What a part of an integration did: attempted steps, the time that it covered, and the seconds that it took."""

    cursor: Cursor
    attempts: int
    covered: float
    seconds: float


class Guide(ABC):
    """A choice of the way in which steps are taken, which may change from part to part.

    Attributes:
        uses_times: whether the choice depends on the times that steps take.
        modes: the growth modes at the start, if the choice needed them.
        step: the time of `first_step` at the start, if it was computed along with what the choice needed.
    """

    uses_times: bool = False
    modes: Modes | None = None
    step: float | None = None

    @property
    def few_products(self) -> bool:
        """Whether matrices are so small that one thread of BLAS is faster than several."""
        return True

    @abstractmethod
    def first(self, system: System) -> Way:
        """Return the way in which the integration of a system begins."""

    def pace(self) -> int:
        """Return how many steps may be attempted before the guide is asked again."""
        return int(np.iinfo(np.int64).max)

    def next(self, way: Way, report: Report) -> Way:
        """Return the way in which to go on after a part; by default it does not change."""
        return way

    def snapshot(self) -> dict[str, Any]:
        """Return what a new guide of the same system needs to go on as this one."""
        return {}

    def restore(self, snapshot: dict[str, Any], way: Way) -> Way:
        """Take over a snapshot, and return the way at that moment; `way` is the first one."""
        return way


class Changing(Guide):
    """A guide that names the way in which steps are taken, and changes it on the way.

    Attributes:
        name: the name of the way in use.
        saved: the names of the attributes on which the next choices depend.
    """

    name: str
    saved: tuple[str, ...] = ("name",)

    @abstractmethod
    def _way(self, name: str) -> Way:
        """Return the way with this name, and remember that it is in use."""

    def snapshot(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.saved}

    def restore(self, snapshot: dict[str, Any], way: Way) -> Way:
        for name in self.saved:
            setattr(self, name, snapshot[name])
        return self._way(self.name)


class Settled(Guide):
    """The guide that never changes the way, which is given by a method and a name."""

    def __init__(self, name: str = "", method: Method | None = None) -> None:
        self._name, self._method = name, method or Rosenbrock()

    def first(self, system: System) -> Way:
        return Way(self._name, system, self._method)
