"""Savers: they keep the place of an integration, so that another process can go on with it."""

from abc import ABC, abstractmethod

from implicitbias.flows._engine import Engine
from implicitbias.flows._recorder import Recorder


class Saver(ABC):
    """What an integration tells about its start and its parts.

    Attributes:
        failure: a note for the reader if the last attempt to save has failed; empty if it has not.
        earlier: the seconds of the runs that this one continues.
    """

    failure: str = ""
    earlier: float = 0.0

    @abstractmethod
    def start(self, engine: Engine, recorder: Recorder) -> None:
        """Record the start, or go to a place that was saved."""

    @abstractmethod
    def save(self, engine: Engine, recorder: Recorder, *, last: bool = False) -> None:
        """Save the place after a part of the integration, or after the last one."""


class NoSaver(Saver):
    """The saver of runs without a checkpoint."""

    def start(self, engine: Engine, recorder: Recorder) -> None:
        recorder.begin(engine.first)

    def save(self, engine: Engine, recorder: Recorder, *, last: bool = False) -> None:
        del engine, recorder, last
