"""The executor that spreads batches over the workers of a Dask cluster."""

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from hashlib import sha256
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from implicitbias._core.errors import ImplicitBiasError, InputError, in_one_line
from implicitbias.studies.sweeps._executor import Ended, Executor
from implicitbias.studies.sweeps._outcome import Outcome, Told, WorkerLost
from implicitbias.studies.sweeps._settings import Run

LOCAL = "local"
_CONNECT_SECONDS = 20
_FETCH_SECONDS = 60


class DaskCluster(Executor):
    """The executor of a Dask cluster.

    Each worker loads the function once, also a worker that comes later. Dask runs a batch again if its worker ends.

    Args:
        function: the function of the sweep.
        address: the address of the scheduler, such as tcp://host:8786, or "local" for a cluster on this machine.
        jobs: the number of workers of a cluster on this machine.
        stored: whether the values must be such as a store can keep.
        memory: the bytes that each worker of a cluster on this machine may use; None for no limit.

    Raises:
        InputError: no scheduler answers at this address.
    """

    def __init__(self, function: Any, address: str, jobs: int, stored: bool, memory: float | None) -> None:
        import cloudpickle
        from distributed import Client, LocalCluster

        content = cloudpickle.dumps(function)
        self._key, self._stored = sha256(content).hexdigest(), stored
        self._cluster = None
        if address == LOCAL:
            limit = 0 if memory is None else int(memory)
            self._cluster = LocalCluster(
                n_workers=jobs, threads_per_worker=1, memory_limit=limit, dashboard_address=None
            )
        try:
            self._client = Client(self._cluster or address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, or type "
                "--scheduler local for a cluster on this machine"
            ) from None
        from implicitbias.studies.sweeps._dask_plugin import LoadFunction

        self._client.register_plugin(LoadFunction(self._key, content, ours=self._cluster is not None))
        self._tasks: dict[int, Any] = {}
        # The numbers of batches that have ended, and what runs tell.
        self._news: SimpleQueue[int | Told] = SimpleQueue()
        self._topic = f"implicitbias-{uuid4().hex}"
        # The event is (time, message).
        self._client.subscribe_topic(self._topic, lambda event: self._news.put(Told(*event[1])))

    def slots(self) -> int:
        """Return the number of threads of all workers, and 1 while there is no worker."""
        if self._client.status != "running":
            raise _lost()
        with _connected():
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return max(1, sum(worker["nthreads"] for worker in workers.values()))

    def submit(self, number: int, runs: list[Run]) -> None:
        """Start a batch on some worker."""
        from implicitbias.studies.sweeps._dask_plugin import run_on_worker

        with _connected():
            task = self._client.submit(run_on_worker, self._key, runs, self._stored, self._topic, pure=False)
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._news.put(number))

    def collect(self, seconds: float) -> Ended:
        """Return the batches that have ended, in the order in which they did."""
        ended: Ended = []
        while not ended or not self._news.empty():
            try:
                news = self._news.get(timeout=seconds)
            except Empty:
                break
            if isinstance(news, Told):
                self.listener(news)
                continue
            ended.append((news, _result(self._tasks.pop(news))))
        return ended

    def stop(self, number: int) -> bool:
        """Give a batch up, and start its worker anew."""
        task = self._tasks[number]
        with _connected():
            busy = [worker for worker, keys in self._client.processing().items() if task.key in keys]
            task.cancel()
            if busy:
                self._client.restart_workers(busy, raise_for_error=False)
        return bool(busy)

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _lost() -> ImplicitBiasError:
    """Return the error of a sweep whose scheduler no longer answers."""
    return ImplicitBiasError(
        "the connection to the Dask scheduler is lost; start the sweep again with the same folder, and the address of "
        "a scheduler that runs: what was stored is kept"
    )


@contextmanager
def _connected() -> Iterator[None]:
    """Turn the errors of a connection that breaks while it is used into the one error that says what to do."""
    from distributed.client import ClosedClientError

    try:
        yield
    except (OSError, CancelledError, ClosedClientError) as error:
        raise _lost() from error


def _result(task: Any) -> list[Outcome] | WorkerLost:
    """Return the outcomes of a task of Dask, or how it has ended.

    The state of a task is read once and its exception is asked for in the state "error" only: the connection may be
    lost at any moment, and a task that is lost has no exception and answers no question.
    """
    status = task.status
    if status == "error":
        # Dask gives a batch up when several workers have ended while they ran it.
        error = task.exception()
        return WorkerLost("Dask gave the batch up" if error is None else in_one_line(error))
    if status != "finished":
        return WorkerLost("the worker was ended, or the scheduler is lost")
    try:
        outcomes: list[Outcome] = task.result(timeout=_FETCH_SECONDS)
    except (OSError, CancelledError) as error:
        return WorkerLost(f"its outcomes could not be fetched ({in_one_line(error)})")
    return outcomes
