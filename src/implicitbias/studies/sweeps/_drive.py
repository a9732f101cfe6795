"""The loop of a sweep: it sends batches, collects outcomes, tries again, and keeps limits."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from implicitbias._core.errors import ImplicitBiasError
from implicitbias.studies.sweeps._executor import Executor
from implicitbias.studies.sweeps._outcome import Outcome, Told, UnderWay, WorkerLost
from implicitbias.studies.sweeps._settings import Run

# A batch should take this long: sending one costs about a millisecond, and a killed process loses at most this.
_BATCH_SECONDS = 0.3
# There should be this many batches for each process, so that runs of unequal cost share the processes well.
_BATCHES = 4
_POLL_SECONDS = 0.2
# The runs under way are shown at most this often.
_SHOW_SECONDS = 0.1
# A process may be killed by chance while it works on a run that is not at fault.
_CHANCE_DEATHS = 3
# So many processes may end one after another before they have begun with a run.
_FALSE_STARTS = 30


Running = Callable[[list[UnderWay]], object]
"""A function that is called with the runs that are under way."""


class Limits(NamedTuple):
    """What a run may cost.

    Attributes:
        retries: how often a run that raised an exception or exceeded a limit is tried again.
        seconds: the time that one run may take; None for no limit.
        memory: the bytes that its process may use; None for no limit.
    """

    retries: int = 0
    seconds: float | None = None
    memory: float | None = None


class _Batch(NamedTuple):
    runs: list[Run]
    sent: float
    begun: float | None = None
    overdue: bool = False
    told: Told | None = None


class Drive:
    """The state of the loop.

    Args:
        executor: what runs the batches.
        runs: the runs.
        limits: what a run may cost.
        running: a function that is called with the runs that are under way.
    """

    def __init__(
        self,
        executor: Executor,
        runs: list[Run],
        limits: Limits,
        running: Running,
    ) -> None:
        self._show, self._shown = running, -_SHOW_SECONDS
        executor.listener = self._note
        self._executor, self._limits = executor, limits
        self._waiting = deque(runs)
        # Runs whose process has ended are tried one by one, so that it is seen which of them ends it.
        self._suspects: deque[Run] = deque()
        self._running: dict[int, _Batch] = {}
        self._attempts: dict[int, int] = {}
        self._deaths: dict[int, int] = {}
        self._seconds, self._ended, self._sent = 0.0, 0, 0
        self._starts = 0

    def in_flight(self) -> int:
        """Return the number of runs that were sent and have not come back."""
        return sum(len(batch.runs) for batch in list(self._running.values()))

    def outcomes(self, stopping: Callable[[], bool]) -> Iterator[list[tuple[Run, Outcome]]]:
        """Yield the final outcomes of some runs at a time, until all runs have one.

        Args:
            stopping: a function that says whether no new batch is to be sent, so that those in flight are the last.
        """
        while True:
            self._send(stopping)
            if not self._running:
                return
            for number, result in self._executor.collect(_POLL_SECONDS):
                final = self._collected(self._running.pop(number), result)
                if final:
                    yield final
            self._stop_overdue()
            self._show_running()

    def _note(self, told: Told) -> None:
        """Keep what a run tells."""
        for number, batch in self._running.items():
            if any(run.place == told.place for run in batch.runs):
                self._running[number] = batch._replace(told=told)
        self._show_running()

    def _show_running(self) -> None:
        """Show one run of each batch: that which has told something last, or the first one."""
        now = time.monotonic()
        if now - self._shown < _SHOW_SECONDS:
            return
        self._shown = now
        under_way = []
        for batch in self._running.values():
            told = batch.told or Told(batch.runs[0].place, None, "")
            run = next(run for run in batch.runs if run.place == told.place)
            begun = batch.sent if batch.begun is None else batch.begun
            under_way.append(UnderWay(run.settings, told.fraction, told.text, now - begun))
        self._show(under_way)

    def _send(self, stopping: Callable[[], bool]) -> None:
        """Send batches until each process has one."""
        while (self._waiting or self._suspects) and not stopping():
            slots = self._executor.slots()
            if len(self._running) >= slots:
                return
            if self._suspects:
                runs = [self._suspects.popleft()]
            else:
                runs = [self._waiting.popleft() for _ in range(self._batch_size(slots))]
            self._sent += 1
            self._running[self._sent] = _Batch(runs, time.monotonic())
            self._executor.submit(self._sent, runs)

    def _batch_size(self, slots: int) -> int:
        """Return how many of the waiting runs to send; only one until the time of a run is known."""
        if not self._ended:
            return 1
        allowed = min(_BATCH_SECONDS, (self._limits.seconds or np.inf) / 2)
        longest = allowed * self._ended / max(self._seconds, 1e-9)
        fair = len(self._waiting) / (_BATCHES * slots)
        return int(min(len(self._waiting), max(1.0, min(longest, fair))))

    def _collected(self, batch: _Batch, result: list[Outcome] | WorkerLost) -> list[tuple[Run, Outcome]]:
        """Return the runs of a batch that have ended for good, and queue the others again."""
        if isinstance(result, WorkerLost):
            return self._after_loss(result, batch)
        self._starts = 0
        final = []
        for run, outcome in zip(batch.runs, result, strict=True):
            self._seconds, self._ended = self._seconds + outcome.seconds, self._ended + 1
            tries = self._attempts[run.place] = self._attempts.get(run.place, 0) + 1
            if outcome.reason and tries <= self._limits.retries:
                self._waiting.append(run)
            else:
                final.append((run, outcome._replace(attempts=tries + self._deaths.get(run.place, 0))))
        return final

    def _after_loss(self, lost: WorkerLost, batch: _Batch) -> list[tuple[Run, Outcome]]:
        """Try the runs of a lost batch again, one by one, or give a single run up."""
        if not lost.begun:
            self._starts += 1
            if self._starts > _FALSE_STARTS:
                raise ImplicitBiasError(
                    f"{_FALSE_STARTS} processes in turn ended before they began ({lost}); look for their messages "
                    "above, and for the memory that is left on this machine"
                )
            self._waiting.extendleft(reversed(batch.runs))
            return []
        if len(batch.runs) > 1:
            self._suspects.extend(batch.runs)
            return []
        (run,) = batch.runs
        deaths = self._deaths[run.place] = self._deaths.get(run.place, 0) + 1
        limited = batch.overdue or lost.final
        if deaths <= (self._limits.retries if limited else max(self._limits.retries, _CHANCE_DEATHS)):
            self._suspects.append(run)
            return []
        reason = f"it took longer than {self._limits.seconds:g} s" if batch.overdue else str(lost)
        seconds = 0.0 if batch.begun is None else time.monotonic() - batch.begun
        tries = self._attempts.get(run.place, 0) + deaths
        return [(run, Outcome(run.place, None, reason, seconds=seconds, attempts=tries))]

    def _stop_overdue(self) -> None:
        """Note which batches have begun, and end the processes of those that take longer than one run may."""
        now = time.monotonic()
        for number, batch in self._running.items():
            if batch.begun is None:
                if self._executor.begun(number):
                    self._running[number] = batch._replace(begun=now)
            elif self._limits.seconds is None or now - batch.begun <= self._limits.seconds:
                continue
            elif not batch.overdue:
                self._running[number] = batch._replace(overdue=True)
                self._executor.stop(number)
