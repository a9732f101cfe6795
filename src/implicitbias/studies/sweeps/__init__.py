"""Sweeps: many runs of one function over a grid, on one machine or a cluster, kept in one store."""

from implicitbias.studies.sweeps._drive import Limits as Limits
from implicitbias.studies.sweeps._export import to_parquet as to_parquet
from implicitbias.studies.sweeps._one_run import STORE_FILES as STORE_FILES
from implicitbias.studies.sweeps._one_run import keep_run as keep_run
from implicitbias.studies.sweeps._one_run import stored_run as stored_run
from implicitbias.studies.sweeps._opened import is_store as is_store
from implicitbias.studies.sweeps._opened import open_store as open_store
from implicitbias.studies.sweeps._outcome import Failure as Failure
from implicitbias.studies.sweeps._outcome import UnderWay as UnderWay
from implicitbias.studies.sweeps._result import SweepResult as SweepResult
from implicitbias.studies.sweeps._settings import parsed_axes as parsed_axes
from implicitbias.studies.sweeps._settings import runs_of as runs_of
from implicitbias.studies.sweeps._store import Label as Label
from implicitbias.studies.sweeps._sweep import Place as Place
from implicitbias.studies.sweeps._sweep import Watch as Watch
from implicitbias.studies.sweeps._sweep import run_sweep as run_sweep
from implicitbias.studies.sweeps._sweep import sweep as sweep

__all__ = [
    "STORE_FILES",
    "Failure",
    "Label",
    "Limits",
    "Place",
    "SweepResult",
    "UnderWay",
    "Watch",
    "is_store",
    "keep_run",
    "open_store",
    "parsed_axes",
    "run_sweep",
    "runs_of",
    "stored_run",
    "sweep",
    "to_parquet",
]
