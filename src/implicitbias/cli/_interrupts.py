"""Ctrl-C at moments at which Python cannot raise an exception."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS = 0.02


def _interrupt_main() -> None:
    """Send Ctrl-C to the main thread. A signal also ends its sleep, but Windows has no signals for threads."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def kept_interrupts() -> Iterator[None]:
    """Deliver an interrupt again if it came in a callback, for instance of the compiler.

    Python would print a traceback there and go on as if the user had not typed Ctrl-C. After an interrupt, errors in
    the destructors of objects that it left incomplete are not printed.
    """
    before = sys.unraisablehook
    interrupted = threading.Event()

    def note(number: int, frame: Any) -> None:
        interrupted.set()
        signal.default_int_handler(number, frame)

    def hook(error: Any) -> None:
        if error.exc_type is KeyboardInterrupt:
            again = threading.Timer(_SECONDS, _interrupt_main)
            again.daemon = True
            again.start()
        elif not interrupted.is_set():
            before(error)

    # Only the main thread may set a handler, and one of another program is kept.
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    sys.unraisablehook = hook
    try:
        yield
    finally:
        # The objects that an interrupt left incomplete may be destroyed as late as the process ends.
        if not interrupted.is_set():
            sys.unraisablehook = before
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
