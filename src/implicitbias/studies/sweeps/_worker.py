"""What a worker process of a sweep does: it loads the function once, and runs batches of settings."""

import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import psutil

from implicitbias._core.errors import as_unicode, in_one_line
from implicitbias._core.progress import progress_told_to
from implicitbias.studies.sweeps._outcome import Outcome, Told
from implicitbias.studies.sweeps._settings import Run
from implicitbias.studies.sweeps._variables import variables_of

# What a process sends when it has started; another text says why it could not.
READY = "ready"
# The signal by which a process ends itself when it has used more memory than it may.
OUT_OF_MEMORY: int = getattr(signal, "SIGUSR2", signal.SIGTERM)  # Windows has no SIGUSR2
_WATCH_SECONDS = 0.1
# A process tells what it does at most this often, because short runs would tell thousands of times a second.
_TELL_SECONDS = 0.2
# Each process would otherwise start as many threads as there are cores.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",  # for XLA on the CPU; a flag of XLA would change the names of compiled programs in the cache
}
_FUNCTIONS: dict[str, Any] = {}


def serve(pipe: Connection, key: str, content: bytes, stored: bool, memory: float | None) -> None:
    """Run the batches that come through a pipe, until it closes; this is the main function of a process."""
    _start(memory)
    try:
        load_function(key, content)
    except Exception as error:
        pipe.send(in_one_line(error))
        return
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
    pipe.send(READY)
    while True:
        try:
            runs = pipe.recv()
        except EOFError:
            return
        outcomes = run_batch(key, runs, stored, Teller(pipe.send))
        try:
            message = ForkingPickler.dumps(outcomes)
        except Exception:
            message = ForkingPickler.dumps([_sendable(outcome) for outcome in outcomes])
        pipe.send_bytes(message)


def _start(memory: float | None) -> None:
    """Let this process use one thread, not answer to Ctrl-C, and end with its parent or at a limit of memory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent, memory), daemon=True).start()


def _sendable(outcome: Outcome) -> Outcome:
    """Return an outcome as it is, or as a failure if its value cannot be pickled."""
    try:
        ForkingPickler.dumps(outcome)
    except Exception as error:
        return outcome._replace(
            value=None,
            reason=f"the value cannot be sent between processes ({in_one_line(error)}); return numbers and arrays",
            details=traceback.format_exc(),
        )
    return outcome


def load_function(key: str, content: bytes) -> None:
    """Load the function of a sweep. Its models would be traced again for each batch if each had its own copy."""
    if key not in _FUNCTIONS:
        import cloudpickle

        _FUNCTIONS[key] = cloudpickle.loads(content)


class Teller:
    """What passes on the progress of runs, not too often.

    Args:
        send: a function that is called with a `Told`.
    """

    def __init__(self, send: Callable[[Told], object]) -> None:
        self._send = send
        # When the last begin of a run and the last progress were passed on.
        self._last = {True: -_TELL_SECONDS, False: -_TELL_SECONDS}

    def tell(self, place: int, fraction: float | None, text: str) -> None:
        """Pass on what a run tells, or that it begins, unless another message was sent just before."""
        now, begins = time.monotonic(), fraction is None
        if now - self._last[begins] >= _TELL_SECONDS:
            self._last[begins] = now
            self._send(Told(place, None if fraction is None else float(fraction), str(text)))


def run_batch(key: str, runs: list[Run], stored: bool, teller: Teller) -> list[Outcome]:
    """Return the outcomes of some runs; `stored` asks for values that a store can keep."""
    return [outcome_of(_FUNCTIONS[key], run, stored, teller) for run in runs]


def outcome_of(function: Any, run: Run, stored: bool, teller: Teller) -> Outcome:
    """Return the outcome of one run. An exception of the function is an outcome."""
    begin = time.perf_counter()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    teller.tell(run.place, None, "")
    try:
        with progress_told_to(lambda fraction, text: teller.tell(run.place, fraction, text)):
            value = run.of(function)
        value = variables_of(value) if stored else value
    except (Exception, SystemExit) as error:  # A library may call sys.exit() where it fails.
        seconds = time.perf_counter() - begin
        details = as_unicode(traceback.format_exc())
        return Outcome(run.place, None, in_one_line(error), details, seconds, worker)
    return Outcome(run.place, value, seconds=time.perf_counter() - begin, worker=worker)


def _watch(parent: int, memory: float | None) -> None:
    """End this process when its parent has ended, or when it uses more memory than it may."""
    while True:
        if os.getppid() != parent:
            psutil.Process().kill()
        if memory is not None and _resident_bytes() > memory:
            os.kill(os.getpid(), OUT_OF_MEMORY)
        time.sleep(_WATCH_SECONDS)


def _resident_bytes() -> float:
    return float(psutil.Process().memory_info().rss)
