"""Reading a CSV of 300 000 rows and 20 columns: the reader of `implicitbias path` against `pandas.read_csv`.

Both read the same file in turn, in one process, and the values are compared. Our reader also checks the table. It
returns while the SHA-256 of the file is computed in a thread; the note has the time with it, and the processor time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from benchmarks._measure import Row, report
from implicitbias._core.tables import read_table

ROWS, COLUMNS, REPEATS = 300_000, 20, 15


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return the seconds, the seconds of processor time and the result of a call."""
    begin, busy = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - begin, time.process_time() - busy, result


def main() -> None:
    values = np.random.default_rng(0).standard_normal((ROWS, COLUMNS))
    names = [f"x{j}" for j in range(COLUMNS)]
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    hashed: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "data.csv")
        pandas.DataFrame(values, columns=names).to_csv(file, index=False)
        for repeat in range(REPEATS + 1):
            spent, busy, table = timed(lambda: read_table(file, names[-1]))
            waited = timed(lambda table=table: table.digest)[0]
            peer, peer_busy, frame = timed(lambda: pandas.read_csv(file))
            if repeat:  # the first one loads the libraries
                ours.append((spent, busy))
                hashed.append(spent + waited)
                theirs.append((peer, peer_busy))
    error = float(np.max(np.abs(np.column_stack([table.X, table.y]) - values)))
    peer_error = float(np.max(np.abs(frame.to_numpy() - values)))
    (least, busy), (peer_least, peer_busy) = np.min(ours, axis=0), np.min(theirs, axis=0)
    note = (
        f"least {least:.3f} s and {peer_least:.3f} s ({least / peer_least:.2f} x); processor time {busy:.3f} s and "
        f"{peer_busy:.3f} s; with the SHA-256 {statistics.median(hashed):.3f} s"
    )
    seconds = statistics.median(spent for spent, _ in ours), statistics.median(spent for spent, _ in theirs)
    work = f"reading {ROWS} x {COLUMNS} from CSV"
    report("reading", [Row(work, "pandas.read_csv", *seconds, error, peer_error, note, target=1.0)])


if __name__ == "__main__":
    main()
