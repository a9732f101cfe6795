"""`implicitbias path` on a table of 50 000 columns: with `--out` against without, as whole commands.

The files hold the features that are ever active. The jump times in path.csv are compared with those that the command
without `--out` prints.
"""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas

from benchmarks._measure import Row, report

ROWS, COLUMNS, REPEATS = 100, 50_000, 5


def write_table(file: Path) -> None:
    """Write Gaussian columns and a target of twenty of them with noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, COLUMNS)).round(4)
    y = X[:, :20] @ rng.standard_normal(20) + rng.standard_normal(ROWS)
    frame = pandas.DataFrame(X, columns=[f"gene {j}" for j in range(COLUMNS)])
    frame.assign(y=y).to_csv(file, index=False)


def run(folder: Path, *flags: str) -> tuple[float, str]:
    """Return the seconds of a whole command and what it prints."""
    command = [sys.executable, "-m", "implicitbias", "path", "data.csv", "--target", "y", *flags]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return time.perf_counter() - begin, done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "data.csv")
        seconds: dict[str, list[float]] = {"with": [], "without": []}
        for repeat in range(REPEATS + 1):
            spent = run(folder, "--out", "out")[0]
            without, printed = run(folder)
            if repeat:  # the first one fills caches
                seconds["with"].append(spent)
                seconds["without"].append(without)
        table = pandas.read_csv(folder / "out" / "path.csv")
        shown = pandas.read_csv(io.StringIO(printed), sep="\t", comment="#")
        size = sum(file.stat().st_size for file in (folder / "out").iterdir())
    ours, peer = statistics.median(seconds["with"]), statistics.median(seconds["without"])
    error = float(np.max(np.abs(table["time"] - shown["time"])))
    counts = f"{len(table) - 1} jumps, {table.shape[1] - 5} features ever active"
    note = f"{ours / peer:.3f} x the time without; {size / 1e6:.2f} MB of files, {counts}"
    work = f"path of {ROWS} x {COLUMNS} with --out"
    report("wide_table", [Row(work, "the same without --out", ours, peer, error, 0.0, note)])


if __name__ == "__main__":
    main()
