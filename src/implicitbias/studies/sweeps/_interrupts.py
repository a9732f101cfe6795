"""Ctrl-C during a sweep: once, the runs in flight are finished; twice, the sweep ends at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def patient_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was typed; a second Ctrl-C raises KeyboardInterrupt.

    Only the main thread receives signals. In another thread the function always returns False.
    """
    typed = threading.Event()

    def note(number: int, frame: Any) -> None:
        if typed.is_set():
            raise KeyboardInterrupt
        typed.set()

    if threading.current_thread() is not threading.main_thread():
        yield typed.is_set
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield typed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
