"""The plugin that loads the function of a sweep in every worker of a Dask cluster, also in those that come later."""

from typing import Any

from distributed import WorkerPlugin

from implicitbias.studies.sweeps._worker import load_function


class LoadFunction(WorkerPlugin):
    """Load the function of a sweep when a worker starts.

    Args:
        key: the name under which batches find the function.
        content: the function by content (cloudpickle).
    """

    def __init__(self, key: str, content: bytes) -> None:
        self.name = f"implicitbias-{key}"
        self._key, self._content = key, content

    def setup(self, worker: Any) -> None:
        """Load the function."""
        load_function(self._key, self._content)
