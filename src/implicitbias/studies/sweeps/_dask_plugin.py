"""What a worker of a Dask cluster does for a sweep: it loads the function, and runs batches."""

import signal
import threading
from typing import Any

from distributed import WorkerPlugin, get_worker

from implicitbias.studies.sweeps._outcome import Outcome
from implicitbias.studies.sweeps._settings import Run
from implicitbias.studies.sweeps._worker import Teller, load_function, run_batch


def run_on_worker(key: str, runs: list[Run], stored: bool, topic: str) -> list[Outcome]:
    """Return the outcomes of some runs; what they tell goes to the clients that have subscribed to the topic."""
    worker = get_worker()
    return run_batch(key, runs, stored, Teller(lambda told: worker.log_event(topic, tuple(told))))


class LoadFunction(WorkerPlugin):
    """Load the function of a sweep when a worker starts.

    Args:
        key: the name under which batches find the function.
        content: the function by content (cloudpickle).
        ours: whether the sweep has started the worker, and decides what Ctrl-C means; the terminal sends it to both.
    """

    def __init__(self, key: str, content: bytes, ours: bool) -> None:
        self.name = f"implicitbias-{key}"
        self._key, self._content, self._ours = key, content, ours

    def setup(self, worker: Any) -> None:
        """Load the function."""
        if self._ours and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        load_function(self._key, self._content)
