"""What a worker process of a sweep does: it loads the function once, and runs batches of settings."""

import os
import signal
import socket
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import psutil

from implicitbias._core.errors import as_unicode, in_one_line
from implicitbias.studies.sweeps._outcome import Outcome
from implicitbias.studies.sweeps._settings import Run
from implicitbias.studies.sweeps._variables import variables_of

# What a process sends when it has started; another text says why it could not.
READY = "ready"
# The signal by which a process ends itself when it has used more memory than it may.
OUT_OF_MEMORY: int = getattr(signal, "SIGUSR2", signal.SIGTERM)  # Windows has no SIGUSR2
_WATCH_SECONDS = 0.1
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
        outcomes = run_batch(key, runs, stored)
        try:
            message = ForkingPickler.dumps(outcomes)
        except Exception:
            message = ForkingPickler.dumps([_sendable(outcome) for outcome in outcomes])
        pipe.send_bytes(message)


def _start(memory: float | None) -> None:
    """Let this process use one thread, not answer to Ctrl-C, and end with its parent or at a limit of memory."""
    # The parent decides what Ctrl-C means; the terminal sends it to all processes.
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


def run_batch(key: str, runs: list[Run], stored: bool) -> list[Outcome]:
    """Return the outcomes of some runs; `stored` asks for values that a store can keep."""
    return [outcome_of(_FUNCTIONS[key], run, stored) for run in runs]


def outcome_of(function: Any, run: Run, stored: bool) -> Outcome:
    """Return the outcome of one run. An exception of the function is an outcome."""
    begin = time.perf_counter()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
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
