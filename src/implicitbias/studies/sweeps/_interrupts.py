"""Ctrl-C during a sweep: once, the runs in flight are finished; twice, the sweep ends at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """How often Ctrl-C was typed during a sweep."""

    def __init__(self) -> None:
        self.typed = threading.Event()
        self._twice = False

    def note(self, number: int, frame: Any) -> None:
        """Handle the signal of Ctrl-C.

        Raises:
            KeyboardInterrupt: it is not the first one.
        """
        if self.typed.is_set():
            self._twice = True
            raise KeyboardInterrupt
        self.typed.set()

    def stopping(self) -> bool:
        """Return whether no new run is to begin."""
        return self.typed.is_set()

    def check(self) -> None:
        """Raise the second Ctrl-C again: `ib.simulate` ends at it with a status, and a run may not look at this.

        Raises:
            KeyboardInterrupt: Ctrl-C was typed twice.
        """
        if self._twice:
            raise KeyboardInterrupt


@contextmanager
def patient_interrupts(announce: Callable[[], object]) -> Iterator[Interrupts]:
    """Yield how often Ctrl-C was typed; the second one raises KeyboardInterrupt.

    Only the main thread receives signals. In another thread nothing is noted.

    Args:
        announce: a function that is called at the first Ctrl-C, in a thread of its own: the main thread may be within a
            run, and a handler of signals may not print.
    """
    interrupts, ended = Interrupts(), threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def tell() -> None:
        interrupts.typed.wait()
        if not ended.is_set():
            announce()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    before = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
        ended.set()
        interrupts.typed.set()
        teller.join()


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment, so that a process that is started within ignores it from its first moment.

    Only the main thread may change this. In another thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
