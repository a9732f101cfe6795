"""Timing of several functions in turn, in one process: medians, ratios, and the machine on which they were measured.

`report` keeps the rows as JSON in `benchmarks/results`, which git ignores. To keep a result in the repository, from
which the documentation builds its page of measurements, type

    BENCHMARK_RECORDS=docs/records/benchmarks python -m benchmarks.NAME
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = ("numpy", "scipy", "jax", "diffrax", "numba", "scikit-learn")


class Row(NamedTuple):
    """One comparison: medians of seconds, the ratio peer / ours, the error of each answer, and the ratio to reach."""

    work: str
    peer: str
    ours_seconds: float
    peer_seconds: float
    ours_error: float
    peer_error: float
    note: str = ""
    target: float | None = None

    @property
    def ratio(self) -> float:
        """The time of the peer divided by our time."""
        return self.peer_seconds / self.ours_seconds


def alternate(
    functions: list[Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return median seconds after one warm-up; the functions run in turn, so that noise affects all of them alike."""
    seconds: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, record in zip(functions, seconds, strict=True):
            begin = clock()
            function()
            record.append(clock() - begin)
    return [statistics.median(record) for record in seconds]


def machine() -> str:
    """Return the processor, the number of cores and the interpreter, without the name of the host."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux: the short name is enough
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def commit() -> str:
    """Return the commit that is measured, with "+" if files differ from it, and "unknown" outside of a clone."""
    commands = (
        ["git", "rev-parse", "--short=12", "HEAD"],
        ["git", "status", "--porcelain", "--", "src", "benchmarks"],
    )
    try:
        found, changed = (
            subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+" if changed else "")


def record(name: str, rows: list[Row]) -> dict[str, Any]:
    """Return what is kept of a benchmark: where, when and with which versions it ran, and its rows."""
    return {
        "name": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "versions": {library: version(library) for library in LIBRARIES},
        "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows],
    }


def report(name: str, rows: list[Row]) -> None:
    """Print the rows, and keep them as JSON in `benchmarks/results` or in the folder BENCHMARK_RECORDS."""
    print(f"\n{name}  ({machine()})")
    for row in rows:
        print(
            f"  {row.work:<44} ours {row.ours_seconds:9.4g} s   {row.peer:<34} {row.peer_seconds:9.4g} s   "
            f"{row.ratio:9.4g} x   errors {row.ours_error:.1e} / {row.peer_error:.1e}  {row.note}"
        )
    folder = Path(os.environ.get("BENCHMARK_RECORDS", RESULTS))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record(name, rows), indent=2) + "\n", encoding="utf-8")
