"""One open page: it computes the newest settings, and an old answer never replaces a newer one."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from implicitbias._core.errors import InputError
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Picture
from implicitbias.explorer._worker import Answer, Worker


@runtime_checkable
class View(Protocol):
    """What a session shows its pictures and messages on."""

    def draw(self, version: int, picture: Picture) -> None:
        """Show a picture and its numbers."""

    def say(self, version: int, kind: str, text: str) -> None:
        """Show a message of the kind "error" or "wait", and leave the picture as it is."""


class Session:
    """The settings that a page asked for last, and the computation in progress.

    At most one computation is in progress. Settings that arrive meanwhile replace each other, and the last of them is
    computed next. So answers come in the order of the settings, and no computation is wasted on settings that the
    reader has left already.
    """

    def __init__(
        self,
        exploration: Exploration,
        worker: Worker,
        view: View,
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self._exploration, self._worker, self._view, self._later = exploration, worker, view, later
        self._wanted: tuple[int, Sequence[Any]] | None = None
        self._busy = False

    def ask(self, version: int, numbers: Sequence[Any]) -> None:
        """Ask for the picture of the numbers of the sliders. The version of later settings is larger."""
        self._wanted = (version, numbers)
        if not self._busy:
            self._start()

    def _start(self) -> None:
        if self._wanted is None:
            return
        version, numbers = self._wanted
        self._wanted = None
        try:
            ready = self._worker.is_ready(self._exploration, numbers)
        except InputError as error:
            self._view.say(version, "error", str(error))
            return
        if not ready:
            self._view.say(
                version, "wait", "Compiling the program for these settings. This takes some seconds, once."
            )
        self._busy = True
        self._worker.ask(
            self._exploration, numbers, lambda answer: self._later(lambda: self._done(version, answer))
        )

    def _done(self, version: int, answer: Answer) -> None:
        self._busy = False
        if isinstance(answer, str):
            self._view.say(version, "error", answer)
        else:
            self._view.draw(version, answer)
        self._start()
