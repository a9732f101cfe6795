"""Sweeps: saddle paths over two processes against a plain loop, and opening a store against one file a point.

Other programs on the machine change wall-clock times, so the processor time of each part is reported too: that of a
path in the loop and in the processes, and the overhead of a point. This is the time of the process that sends the
batches and stores their values, and the time that the other processes spend outside the function, without their start.
Batches are of a fixed time, so that a busy machine has more of them; the overhead of points without work has fewer.
"""

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray
from threadpoolctl import threadpool_limits

import implicitbias as ib
from benchmarks._measure import Row, report

N, D, POINTS, JOBS, REPEATS = 50, 200, 10_000, 2, 3
# The first points of each process read compiled programs; so many of them are left out.
_WARM = 100


def path(seed: int) -> dict[str, Any]:
    """Return the end of a saddle path of random data, and how this process has spent its time."""
    begin = time.process_time()
    rng = np.random.default_rng(seed)
    found = ib.saddle_path(ib.LeastSquares(rng.standard_normal((N, D)), rng.standard_normal(N)))
    l1 = float(np.abs(found.coefficients_sparse[-1].toarray()).sum())
    return {
        "l1": l1,
        "jumps": found.n_jumps,
        "process": os.getpid(),
        "begin": begin,
        "end": time.process_time(),
    }


def nothing(seed: int) -> dict[str, Any]:
    """Return what `path` returns, without its work."""
    return {"l1": 1.0 * seed, "jumps": seed, "process": 1, "begin": 0.0, "end": 1.0}


def overhead(stored: bool) -> float:
    """Return the processor seconds of all processes for one point more of a function without work."""
    spent = []
    for points in (JOBS, POINTS // 10, POINTS + POINTS // 10):  # the first one imports
        with tempfile.TemporaryDirectory() as folder:
            before = _processor_seconds()
            ib.studies.sweep(nothing, {"seed": range(points)}, out=folder if stored else None, jobs=JOBS)
            spent.append(_processor_seconds() - before)
    return (spent[-1] - spent[-2]) / POINTS


def _processor_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class Spent(NamedTuple):
    """Seconds of a sweep or a loop, a point: on the clock, of the processor in the function, and outside it."""

    clock: float
    inside: float
    outside: float


def loop() -> tuple[np.ndarray, Spent]:
    """Return the values of a plain loop and what it spent; more threads would only wait for each other."""
    with threadpool_limits(1):
        clock = time.perf_counter()
        found = [path(seed) for seed in range(POINTS)]
        clock = time.perf_counter() - clock
    inside = sum(one["end"] - one["begin"] for one in found)
    return np.array([one["l1"] for one in found]), Spent(clock / POINTS, inside / POINTS, 0.0)


def spread(out: Path | None) -> tuple[np.ndarray, Spent]:
    """Return the values of a sweep over processes and what it spent; its clock starts when the processes are warm."""
    ended: list[tuple[float, float]] = []

    def told(fraction: float, text: str) -> None:
        ended.append((fraction * POINTS, time.perf_counter()))

    sending = time.process_time()
    result = ib.studies.sweep(path, {"seed": range(POINTS)}, out=out, jobs=JOBS, progress=told)
    finished = time.perf_counter()
    sending = time.process_time() - sending
    if out is None:
        table = {name: np.array([one[name] for one in result.values]) for name in result.values[0]}
    else:
        data = result.to_dataset()
        table = {name: data[name].values for name in ("l1", "process", "begin", "end")}
    inside = outside = 0.0
    for process in np.unique(table["process"]):
        mine = table["process"] == process
        begin, end = np.sort(table["begin"][mine])[_WARM:], np.sort(table["end"][mine])[_WARM:]
        inside += float(np.sum(end - begin))
        outside += float(end[-1] - begin[0] - np.sum(end - begin))
    warm = POINTS - JOBS * _WARM
    first = next(one for one in ended if one[0] >= JOBS * _WARM)
    clock = (finished - first[1]) / (POINTS - first[0])
    return table["l1"], Spent(clock, inside / warm, outside / warm + sending / POINTS)


def paths() -> list[Row]:
    """Compare the sweep, with and without a store, with the loop."""
    with tempfile.TemporaryDirectory() as folder:  # Import what stores need.
        ib.studies.sweep(numbers, {"alpha": [1.0], "seed": [0]}, out=folder).to_dataset()
    path(0)
    spent: dict[str, list[Spent]] = {"loop": [], "memory": [], "store": []}
    answers: dict[str, np.ndarray] = {}
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            works: Any = {"loop": loop, "memory": lambda: spread(None), "store": lambda: spread(Path(folder))}
            for name, work in works.items():
                answers[name], cost = work()
                spent[name].append(cost)
    middle = {name: Spent(*map(statistics.median, zip(*costs, strict=True))) for name, costs in spent.items()}
    rows = []
    for name in ("memory", "store"):
        ours, peer = middle[name], middle["loop"]
        busy = JOBS * peer.inside / (ours.inside + ours.outside)
        bare = 1e3 * overhead(stored=name == "store")
        note = (
            f"overhead {bare:.3f} ms a point without work, {1e3 * ours.outside:.3f} ms here; a path takes "
            f"{1e3 * ours.inside:.2f} ms of a processor, {1e3 * peer.inside:.2f} ms in the loop; "
            f"ratio by processor time {busy:.2f}; load {os.getloadavg()[0]:.1f}"
        )
        error = float(np.max(np.abs(answers[name] - answers["loop"])))
        work = f"{POINTS} paths ({N}, {D}), {JOBS} processes, {name}"
        rows.append(Row(work, "a plain loop", ours.clock * POINTS, peer.clock * POINTS, error, 0.0, note))
    return rows


def numbers(alpha: float, seed: int) -> dict[str, Any]:
    """Return what a point stores where only the store is measured."""
    rng = np.random.default_rng(seed)
    return {"w": alpha * rng.standard_normal(20), "loss": alpha}


def one_by_one(files: list[Path]) -> np.ndarray:
    """Return the values of one variable in all files; `open_mfdataset` takes several times as long as this loop."""
    found = []
    for file in files:
        with xarray.open_dataset(file, engine="h5netcdf") as data:
            found.append(data["w"].values)
    return np.array(found)


def opening() -> list[Row]:
    """Compare opening a store of all points, and reading a variable, with doing so for one NetCDF file a point."""
    alphas, seeds = np.geomspace(1e-4, 1e2, 100).tolist(), range(100)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if not ib.studies.sweep(numbers, {"alpha": alphas, "seed": seeds}, out=place / "store").ok:
            raise RuntimeError("a run of the benchmark failed")
        files = []
        for alpha in alphas:
            for seed in seeds:
                data = {name: np.asarray(value) for name, value in numbers(alpha, seed).items()}
                files.append(place / f"{len(files)}.nc")
                xarray.Dataset({"w": ("i", data["w"]), "loss": ((), data["loss"])}).to_netcdf(
                    files[-1], engine="h5netcdf"
                )
        found: dict[str, np.ndarray] = {}

        def ours() -> None:
            found["ours"] = ib.studies.open(place / "store").w.values.reshape(len(files), -1)

        def peer() -> None:
            found["peer"] = one_by_one(files)

        seconds = [
            statistics.median(timed(ours) for _ in range(REPEATS)),
            timed(peer),
        ]
    error = float(np.max(np.abs(found["ours"] - found["peer"])))
    note = f"processor time; load {os.getloadavg()[0]:.1f}"
    return [Row(f"open a store of {POINTS} points", "one NetCDF file a point", *seconds, error, error, note)]


def timed(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def main() -> None:
    report("sweeps", paths() + opening())


if __name__ == "__main__":
    main()
