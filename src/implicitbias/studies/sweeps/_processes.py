"""The executor that spreads batches over processes of this machine."""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from implicitbias._core.errors import InputError
from implicitbias.studies.sweeps._executor import Ended, Executor
from implicitbias.studies.sweeps._interrupts import interrupts_ignored
from implicitbias.studies.sweeps._outcome import Told, WorkerLost
from implicitbias.studies.sweeps._settings import Run
from implicitbias.studies.sweeps._worker import OUT_OF_MEMORY, READY, serve

_END_SECONDS = 5.0


@dataclass
class _Worker:
    """A process, this end of its pipe, whether it has started, and the number of its batch."""

    process: Any
    pipe: Connection
    ready: bool = False
    number: int | None = None


class Processes(Executor):
    """The executor of processes that are started anew, and not forked, because JAX has threads.

    Each process has a pipe of its own and shares no lock with others, so that one that is killed at any moment harms no
    other; another one takes its place. The processes are started by loky, which does not run the user's script again in
    each of them.

    Args:
        function: the function of the sweep.
        jobs: the number of processes.
        stored: whether the values must be such as a store can keep.
        memory: the bytes that a process may use; None for no limit.
    """

    def __init__(self, function: Any, jobs: int, stored: bool, memory: float | None) -> None:
        import cloudpickle
        from joblib.externals.loky.backend import get_context

        content = cloudpickle.dumps(function)
        self._context = get_context("loky")
        self._memory = memory
        self._arguments = sha256(content).hexdigest(), content, stored, memory
        self._jobs = jobs
        self._workers: list[_Worker] = []

    def slots(self) -> int:
        """Return the number of processes."""
        return self._jobs

    def submit(self, number: int, runs: list[Run]) -> None:
        """Send a batch to a process that has nothing to do, or to a new one."""
        worker = next((one for one in self._workers if one.number is None), None) or self._started()
        worker.number = number
        with suppress(OSError):  # If it has ended, `collect` finds this.
            worker.pipe.send(runs)

    def _started(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, *self._arguments), daemon=True)
        # The parent decides what Ctrl-C means; the terminal sends it to all processes, also to one that loads Python.
        with interrupts_ignored():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def collect(self, seconds: float) -> Ended:
        """Return the batches whose outcomes have come, and those whose process has ended."""
        ended: Ended = []
        pipes = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes), timeout=seconds):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):  # The process has ended, perhaps in the middle of a message.
                self._workers.remove(worker)
                lost = self._lost(worker)
                if worker.number is not None:
                    ended.append((worker.number, lost))
                continue
            if isinstance(message, str):
                if message != READY:
                    raise InputError(f"the function cannot be loaded in another process ({message})")
                worker.ready = True
            elif isinstance(message, Told):
                self.listener(message)
            elif worker.number is not None:
                ended.append((worker.number, message))
                worker.number = None
        return ended

    def _lost(self, worker: _Worker) -> WorkerLost:
        """Return how a process has ended."""
        worker.process.join()
        worker.pipe.close()
        code = worker.process.exitcode
        if code == -OUT_OF_MEMORY and self._memory is not None:
            return WorkerLost(
                f"the process used more than {self._memory / 2**20:.0f} MiB of memory", final=True
            )
        how = f"by signal {-code}" if code < 0 else f"with exit status {code}"
        return WorkerLost(f"the process ended {how}", begun=worker.ready)

    def begun(self, number: int) -> bool:
        """Return whether the process of a batch has started, which takes seconds."""
        return any(worker.number == number and worker.ready for worker in self._workers)

    def stop(self, number: int) -> bool:
        """End the process that works on a batch."""
        busy = [worker for worker in self._workers if worker.number == number]
        for worker in busy:
            _kill(worker)
        return bool(busy)

    def close(self) -> None:
        """End the processes: those that wait end by themselves when their pipe closes."""
        for worker in self._workers:
            worker.pipe.close()
            if worker.number is not None:
                _kill(worker)
        for worker in self._workers:
            worker.process.join(_END_SECONDS)
            if worker.process.is_alive():
                _kill(worker)
                worker.process.join()


def _kill(worker: _Worker) -> None:
    """End a process at once; processes of loky have no method for this."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(worker.process.pid).kill()
