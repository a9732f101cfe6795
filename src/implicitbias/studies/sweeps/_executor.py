"""What runs the batches of a sweep: this process, processes of this machine, or a Dask cluster."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from implicitbias.studies.sweeps._outcome import Outcome, Told, WorkerLost
from implicitbias.studies.sweeps._settings import Run
from implicitbias.studies.sweeps._worker import Teller, outcome_of

Ended = list[tuple[int, list[Outcome] | WorkerLost]]
"""The numbers of batches that have ended, with their outcomes or how their process has ended."""


def _ignore(told: Told) -> None:
    """Ignore what a run tells."""


class Executor(ABC):
    """What runs batches, which are known by their numbers.

    Attributes:
        listener: a function that is called with what runs tell, in the thread of `submit` and `collect`.
    """

    listener: Callable[[Told], object] = staticmethod(_ignore)

    @abstractmethod
    def slots(self) -> int:
        """Return how many batches run at the same time."""

    @abstractmethod
    def submit(self, number: int, runs: list[Run]) -> None:
        """Start a batch under a new number. It is called only while fewer batches run than there are slots."""

    @abstractmethod
    def collect(self, seconds: float) -> Ended:
        """Wait up to this long until some batches have ended, and return them."""

    @abstractmethod
    def close(self) -> None:
        """End the processes, also those that still work."""

    def begun(self, number: int) -> bool:
        """Return whether a process works on a batch, so that its time counts."""
        return True

    def stop(self, number: int) -> bool:
        """End the process that works on a batch, which then ends as lost; return whether there is such a process."""
        return False


class Serial(Executor):
    """The executor that runs each batch in this process, before `submit` returns."""

    def __init__(self, function: Any, stored: bool) -> None:
        self._function, self._stored = function, stored
        self._ended: Ended = []

    def slots(self) -> int:
        """Return 1."""
        return 1

    def submit(self, number: int, runs: list[Run]) -> None:
        """Run a batch."""
        teller = Teller(self.listener)
        self._ended.append((number, [outcome_of(self._function, run, self._stored, teller) for run in runs]))

    def collect(self, seconds: float) -> Ended:
        """Return the batches that have run."""
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Do nothing: there are no processes."""
