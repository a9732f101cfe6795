"""The result of a sweep."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from implicitbias.studies.sweeps._opened import open_store
from implicitbias.studies.sweeps._outcome import Failure


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What became of the runs of a sweep.

    Attributes:
        settings: the settings of all runs, in order.
        values: the values of the runs in the order of `settings`, None where a run failed or was not begun. With a
            store this is None: `to_dataset()` reads the values when they are used.
        failures: the runs that failed, with the reason and the traceback.
        unfinished: the number of runs that were not begun, because the sweep was interrupted.
        reused: the number of runs that the store had from earlier.
        outdated: the number of those that other code had computed.
        not_finite: the number of runs whose values hold NaN or infinity; 0 without a store.
        folder: the folder of the store; None without one.
        study: the name under which the store keeps the runs.
    """

    settings: tuple[dict[str, Any], ...]
    values: list[Any] | None
    failures: tuple[Failure, ...]
    unfinished: int
    reused: int = 0
    outdated: int = 0
    not_finite: int = 0
    folder: Path | None = None
    study: str = ""

    @property
    def ok(self) -> bool:
        """Whether every run has ended without a failure."""
        return not self.failures and not self.unfinished

    def to_dataset(self) -> Any:
        """Return the stored results as a labelled `xarray.Dataset`, as `ib.studies.open` does.

        Raises:
            InputError: the sweep had no store.
        """
        from implicitbias._core.errors import InputError

        if self.folder is None:
            raise InputError("the sweep had no store; give it a folder: sweep(run, grid, out='results')")
        return open_store(self.folder, self.study)

    def __str__(self) -> str:
        total = len(self.settings)
        lines = [f"{total - self.unfinished - len(self.failures)} of {total} runs are done"]
        lines += [f"{self.reused} of them were in {self.folder}"] if self.reused else []
        lines += [f"{self.outdated} were computed by other code"] if self.outdated else []
        lines += [f"{self.not_finite} hold NaN or infinity"] if self.not_finite else []
        lines += [f"{self.unfinished} were not begun"] if self.unfinished else []
        lines += [f"{len(self.failures)} failed"] if self.failures else []
        return ", ".join(lines)
