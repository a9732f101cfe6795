"""Sweeps: many runs of one function over a grid, on one machine or a cluster, kept in one store."""

from implicitbias.studies.sweeps._drive import Limits as Limits
from implicitbias.studies.sweeps._export import to_parquet as to_parquet
from implicitbias.studies.sweeps._opened import is_store as is_store
from implicitbias.studies.sweeps._opened import open_store as open_store
from implicitbias.studies.sweeps._outcome import Failure as Failure
from implicitbias.studies.sweeps._result import SweepResult as SweepResult
from implicitbias.studies.sweeps._settings import parsed_axes as parsed_axes
from implicitbias.studies.sweeps._settings import runs_of as runs_of
from implicitbias.studies.sweeps._store import Label as Label
from implicitbias.studies.sweeps._sweep import Place as Place
from implicitbias.studies.sweeps._sweep import run_sweep as run_sweep
from implicitbias.studies.sweeps._sweep import sweep as sweep

__all__ = [
    "Failure",
    "Label",
    "Limits",
    "Place",
    "SweepResult",
    "is_store",
    "open_store",
    "parsed_axes",
    "run_sweep",
    "runs_of",
    "sweep",
    "to_parquet",
]
