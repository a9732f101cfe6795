"""Timing of several functions in turn, in one process: medians, ratios, and the machine on which they were measured."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One comparison: medians of seconds, the ratio peer / ours, and the error of each answer."""

    work: str
    peer: str
    ours_seconds: float
    peer_seconds: float
    ours_error: float
    peer_error: float
    note: str = ""

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


def report(name: str, rows: list[Row]) -> None:
    """Print the rows and keep them as JSON beside the other results."""
    print(f"\n{name}  ({machine()})")
    for row in rows:
        print(
            f"  {row.work:<44} ours {row.ours_seconds:9.4g} s   {row.peer:<34} {row.peer_seconds:9.4g} s   "
            f"{row.ratio:9.4g} x   errors {row.ours_error:.1e} / {row.peer_error:.1e}  {row.note}"
        )
    RESULTS.mkdir(exist_ok=True)
    data = {"machine": machine(), "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
