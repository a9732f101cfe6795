"""What became of one run of a sweep."""

from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """The value of one run, or what went wrong.

    Attributes:
        place: the number of the run in the sweep.
        value: the value that the function returned; None if the run failed.
        reason: why the run failed, in a few words; empty if it did not.
        details: the traceback of the exception, if there was one.
        seconds: the time that the run took.
        worker: the name of the process that did it.
        attempts: how often the run was tried.
    """

    place: int
    value: Any
    reason: str = ""
    details: str = ""
    seconds: float = 0.0
    worker: str = ""
    attempts: int = 1


class Told(NamedTuple):
    """What a run tells while its process works on it.

    Attributes:
        place: the number of the run in the sweep.
        fraction: the finished fraction; None if the run has only begun.
        text: what is done at the moment.
    """

    place: int
    fraction: float | None
    text: str


class UnderWay(NamedTuple):
    """A run that has begun and has not ended.

    Attributes:
        settings: its settings.
        fraction: the finished fraction, if its function calls `ib.studies.tell_progress`; None otherwise.
        text: what it does at the moment, in its own words.
        seconds: how long its process has worked on it, or on the few runs that it does in turn.
    """

    settings: dict[str, Any]
    fraction: float | None
    text: str
    seconds: float


class Failure(NamedTuple):
    """A run that failed.

    Attributes:
        settings: its settings.
        reason: why it failed, in a few words: the exception, a limit, or the end of its process.
        details: the traceback of the exception; empty if there was none.
        attempts: how often the run was tried.
    """

    settings: dict[str, Any]
    reason: str
    details: str
    attempts: int


class WorkerLost(Exception):
    """The process of a batch of runs has ended before the batch; the message says how.

    Attributes:
        final: whether another attempt would end in the same way.
        begun: whether the process had begun with the batch; if not, no run is to blame.
    """

    def __init__(self, reason: str, final: bool = False, begun: bool = True) -> None:
        super().__init__(reason)
        self.final, self.begun = final, begun
