"""A thread that computes pictures, and the programs that were used in this process."""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from implicitbias._core.errors import ImplicitBiasError
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Picture

# When the server ends, it waits so many seconds for a computation, because a thread that is killed inside of a compiler
# may take the process with it.
_PATIENCE = 20.0

Answer = Picture | str
"""A picture, or why there is none."""


class Worker:
    """Threads that compute pictures: one for the pages, and one that compiles programs ahead."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._used: set[tuple[str, ...]] = set()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def compile_ahead(self, explorations: Sequence[Exploration]) -> None:
        """Begin to compile the programs of the explorations, in their order."""
        self._threads.append(threading.Thread(target=self._compile, args=(tuple(explorations),), daemon=True))
        self._threads[-1].start()

    def is_ready(self, exploration: Exploration, numbers: Sequence[Any]) -> bool:
        """Return whether the program for these settings was used before.

        Raises:
            InputError: a number is out of its range.
        """
        return exploration.program(numbers) in self._used

    def ask(self, exploration: Exploration, numbers: Sequence[Any], done: Callable[[Answer], object]) -> None:
        """Compute a picture in the thread, and call `done` there with the picture or with why there is none."""
        self._jobs.put(lambda: done(self.answer(exploration, numbers)))

    def answer(self, exploration: Exploration, numbers: Sequence[Any]) -> Answer:
        """Return the picture of the settings, or why there is none."""
        try:
            picture = exploration.picture(numbers)
            self._used.add(exploration.program(numbers))
            return picture
        except ImplicitBiasError as error:
            return str(error)
        except Exception as error:  # The page goes on after a fault of the program.
            return f"The computation failed with {type(error).__name__}: {error}. This is a fault of implicitbias."

    def stop(self) -> None:
        """End the threads after the computations in progress."""
        self._ended.set()
        self._jobs.put(None)
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None and not self._ended.is_set():
            job()

    def _compile(self, explorations: tuple[Exploration, ...]) -> None:
        # The defaults of all pages come before the other programs of any page.
        for others in (False, True):
            for exploration in explorations:
                for numbers in exploration.programs()[1:] if others else exploration.programs()[:1]:
                    if self._ended.is_set():
                        return
                    if not self.is_ready(exploration, numbers):
                        self.answer(exploration, numbers)
