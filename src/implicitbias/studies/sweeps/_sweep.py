"""Many runs of one function: in this process, in several processes, or on a Dask cluster, with or without a store."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.fingerprints import fingerprint
from implicitbias._core.progress import Progress, silent
from implicitbias.studies.sweeps._drive import Drive, Limits, Running
from implicitbias.studies.sweeps._executor import Executor, Serial
from implicitbias.studies.sweeps._interrupts import patient_interrupts
from implicitbias.studies.sweeps._outcome import Failure, Outcome
from implicitbias.studies.sweeps._result import SweepResult
from implicitbias.studies.sweeps._settings import Run, check_storable, runs_of
from implicitbias.studies.sweeps._store import DONE, Label, Store

KEEP, REPLACE = "keep", "replace"


class Place(NamedTuple):
    """Where a sweep runs.

    Attributes:
        jobs: the number of processes; -1 for one on each core.
        scheduler: the address of a Dask scheduler, "local" for a Dask cluster on this machine, or None.
    """

    jobs: int = 1
    scheduler: str | None = None


def _ignored(runs: object) -> None:
    """Ignore which runs are under way, or how many are."""


class Watch(NamedTuple):
    """Who is told about a sweep while it runs.

    Attributes:
        progress: a function that is called with (fraction done, text) when runs end.
        running: a function that is called with the runs that are under way.
        interrupted: a function that is called with the number of runs that will be finished, in a thread of its own,
            when Ctrl-C is typed for the first time.
    """

    progress: Progress = silent
    running: Running = _ignored
    interrupted: Callable[[int], object] = _ignored


def sweep(
    function: Any,
    points: Any,
    out: Any = None,
    *,
    seeds: Any = None,
    jobs: Any = 1,
    scheduler: str | None = None,
    retries: Any = 0,
    seconds: Any = None,
    memory: Any = None,
    outdated: str | None = None,
    progress: Progress | None = None,
    running: Running | None = None,
) -> SweepResult:
    """Run a function at all points of a grid.

    A process takes the next few points when it has finished some, so that runs of unequal cost share the processes
    well; one `jax.vmap` over all runs would take as many steps for each run as for the slowest one. Runs of one shape
    share one compiled program, which other processes read from the compile cache. Each process uses one thread.

    A run that fails is recorded with its traceback, and the others go on. With `out`, each run is stored when it ends:
    a kill at any moment loses only the runs in flight, and the same call goes on with those that are missing or failed.
    Ctrl-C once finishes the runs in flight, twice stops.

    Args:
        function: the function of a run. It is sent to the processes by content (cloudpickle), so it may be a lambda or
            be defined in a notebook. For a store it returns a dict of numbers and arrays, or an `xarray.Dataset`;
            without a store it should return small values, and not trajectories with dense output.
        points: {name: values} for a grid, whose points are passed as keyword arguments; or a list of {name: value}; or
            a list of any values, which are passed as the one argument.
        out: the folder of the store, which is made if it is missing; None keeps the values in memory. Several sweeps
            may write to one folder, also at the same time on one machine.
        seeds: the number of seeds; each point is run with seed = 0, ..., seeds - 1.
        jobs: the number of processes; 1 computes in this process, -1 uses one process for each core.
        scheduler: the address of a Dask scheduler, or "local" for a Dask cluster of `jobs` workers on this machine.
        retries: how often a run that raised an exception or exceeded a limit is tried again.
        seconds: the time that one run may take; None for no limit. It needs processes or Dask.
        memory: the bytes that the process of a run may use; None for no limit. It needs processes or a local cluster.
        outdated: what happens to stored runs that other code has computed: "keep" or "replace" them; None refuses.
        progress: a function that is called with (fraction done, text) when runs end.
        running: a function that is called with the runs that are under way, some times a second. Each has `settings`,
            `seconds`, and the `fraction` and the `text` that the function gives to `ib.studies.tell_progress`.

    Returns:
        A `SweepResult`: `values`, `failures`, `ok`, and `to_dataset()` for a store.

    Raises:
        InputError: an argument is of another kind than described, `out` holds other files, or it holds runs of other
            code and `outdated` is None.
        ImplicitBiasError: the disk is full, or the connection to the Dask scheduler is lost. What was stored is kept.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> def end(scale):
        ...     flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 0.5]), ib.HyperbolicEntropy(scale))
        ...     return ib.simulate(flow, np.zeros(2), t1=500.0).final.round(6).tolist()
        >>> ib.studies.sweep(end, {"scale": [1e-1, 1e-20]}).values
        [[1.0, 0.5], [1.0, 0.5]]
    """
    if not callable(function):
        raise InputError(
            f"function is {function!r}, a function of the settings is expected: sweep(run, {{'alpha': [1e-2, 1e-4]}})"
        )
    label = _label_of(function) if out is not None else Label("", "")
    return run_sweep(
        function,
        runs_of(points, seeds),
        _folder(out),
        label,
        place=Place(_jobs(jobs), scheduler),
        limits=Limits(retries, seconds, memory),
        outdated=outdated,
        watch=Watch(progress or silent, running or _ignored),
    )


def run_sweep(
    function: Any,
    runs: list[Run],
    out: Path | None,
    label: Label,
    *,
    place: Place,
    limits: Limits,
    outdated: str | None,
    watch: Watch,
) -> SweepResult:
    """Run a function whose name and version of the code are given by a label; see `sweep`."""
    limits = Limits(
        _whole("retries", limits.retries),
        _positive("seconds", limits.seconds),
        _positive("memory", limits.memory),
    )
    if outdated not in (None, KEEP, REPLACE):
        raise InputError(f"outdated is {outdated!r}, 'keep' or 'replace' is expected, or None")
    if out is not None:
        check_storable(runs)
        with Store(out, label) as store:
            return _with_store(function, runs, store, place, limits, outdated, watch)
    done: dict[int, Outcome] = {}
    for pairs in computed(function, runs, place, limits, watch, stored=False):
        done.update((run.place, outcome) for run, outcome in pairs)
    failed = [(run, done[run.place]) for run in runs if run.place in done and done[run.place].reason]
    return SweepResult(
        settings=tuple(run.settings for run in runs),
        values=[done[run.place].value if run.place in done else None for run in runs],
        failures=tuple(Failure(run.settings, o.reason, o.details, o.attempts) for run, o in failed),
        unfinished=len(runs) - len(done),
    )


def _with_store(
    function: Any,
    runs: list[Run],
    store: Store,
    place: Place,
    limits: Limits,
    outdated: str | None,
    watch: Watch,
) -> SweepResult:
    """Compute the runs that the store lacks, and store each when it ends."""
    keys = [store.key_of(run) for run in runs]
    store.drop_damaged()
    before = store.rows()
    kept = {
        key
        for key in keys
        if key in before
        and before[key].state == DONE
        and (before[key].code == store.label.code or outdated == KEEP)
    }
    stale = sum(
        key in before and before[key].code != store.label.code and before[key].state == DONE for key in keys
    )
    if stale and outdated is None:
        raise InputError(
            f"{stale} of the {len(runs)} runs are in {store.folder}, computed by other code than the present one; "
            "type outdated='keep' (--outdated keep) to keep and mark them, 'replace' to compute them again, or another "
            "folder"
        )
    missing = [run for run, key in zip(runs, keys, strict=True) if key not in kept]
    key_at = {run.place: key for run, key in zip(runs, keys, strict=True)}
    for pairs in computed(function, missing, place, limits, watch, stored=True):
        ended, outcomes = zip(*pairs, strict=True)
        store.add([key_at[run.place] for run in ended], ended, outcomes)
    store.settle()
    rows = store.rows()
    found = [(run, rows[key]) for run, key in zip(runs, keys, strict=True) if key in rows]
    return SweepResult(
        settings=tuple(run.settings for run in runs),
        values=None,
        failures=tuple(
            Failure(run.settings, row.reason, row.details, row.attempts) for run, row in found if row.reason
        ),
        unfinished=len(runs) - len(found),
        reused=len(kept),
        outdated=sum(row.code != store.label.code for _, row in found),
        not_finite=sum(row.finite == 0 for _, row in found),
        folder=store.folder,
        study=store.label.study,
    )


def computed(
    function: Any, runs: list[Run], place: Place, limits: Limits, watch: Watch, stored: bool
) -> Iterator[list[tuple[Run, Outcome]]]:
    """Yield the outcomes of some runs at a time, and report the progress."""
    if not runs:
        return
    executor, begin, ended, failed = _executor(function, place, limits, stored), time.monotonic(), 0, 0
    try:
        drive = Drive(executor, runs, limits, watch.running)
        with patient_interrupts(lambda: watch.interrupted(drive.in_flight())) as interrupts:
            for pairs in drive.outcomes(interrupts.stopping):
                interrupts.check()
                yield pairs
                ended, failed = ended + len(pairs), failed + sum(bool(o.reason) for _, o in pairs)
                left = _time_left(ended, len(runs), begin)
                if interrupts.stopping():
                    left = f"finishing {drive.in_flight()}" if drive.in_flight() else "interrupted"
                watch.progress(ended / len(runs), _told(ended, len(runs), failed, left))
    finally:
        executor.close()


def _told(ended: int, total: int, failed: int, left: str) -> str:
    """Return the progress in words: the runs, the failures so far, and what is left."""
    return ", ".join(filter(None, [f"{ended} of {total} runs", f"{failed} failed" if failed else "", left]))


def _time_left(ended: int, total: int, begin: float) -> str:
    left = (time.monotonic() - begin) / ended * (total - ended)
    return f"about {timedelta(seconds=round(left))} left" if left >= 1 else ""


def _executor(function: Any, place: Place, limits: Limits, stored: bool) -> Executor:
    from joblib import cpu_count

    jobs = cpu_count() if place.jobs == -1 else place.jobs
    if place.scheduler is not None:
        from implicitbias.studies.sweeps._dask import DaskCluster

        return DaskCluster(function, place.scheduler, jobs, stored, limits.memory)
    if jobs == 1 and limits.seconds is None and limits.memory is None:
        return Serial(function, stored)
    from implicitbias.studies.sweeps._processes import Processes

    return Processes(function, jobs, stored, limits.memory)


def _label_of(function: Any) -> Label:
    """Return the name of a function and the fingerprint of its content."""
    name = (
        f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
    )
    try:
        return Label(name, fingerprint(function)[:16])
    except InputError as error:
        raise InputError(
            f"the function cannot be identified by its content, and its stored runs could not be found again: {error}"
        ) from error


def _folder(out: Any) -> Path | None:
    if out is None:
        return None
    if not isinstance(out, (str, PathLike)) or not str(out):
        raise InputError(f"out is {out!r}, the name of a folder is expected, or None for no store")
    return Path(out)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise InputError(f"{name} is {value!r}, a whole number such as 2 is expected, or 0")
    return int(value)


def _positive(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < float("inf"):
        raise InputError(f"{name} is {value!r}, a positive number is expected, or None for no limit")
    return float(value)


def _jobs(jobs: Any) -> int:
    if isinstance(jobs, bool) or not isinstance(jobs, Integral) or jobs < -1 or jobs == 0:
        raise InputError(
            f"jobs is {jobs!r}, a number of processes such as 2 is expected, or -1 for all cores"
        )
    return int(jobs)
