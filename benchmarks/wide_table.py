"""`implicitbias path` on a table of 50 000 columns: with `--out` against without, as whole commands.

The files hold the features that are ever active. The jump times in path.csv are compared with those that the command
without `--out` prints.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

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


class Command(NamedTuple):
    """The wall and processor seconds of a whole command, and what it prints."""

    wall: float
    processor: float
    printed: str


def run(folder: Path, *flags: str) -> Command:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "implicitbias", "path", "data.csv", "--target", "y", *flags]
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - begin, os.times()
    processor = sum(after[2:4]) - sum(before[2:4])  # of children: in user and in system mode
    return Command(wall, processor, done.stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "data.csv")
        with_files, without = [], []
        for _ in range(REPEATS + 1):
            with_files.append(run(folder, "--out", "out"))
            without.append(run(folder))
        table = pandas.read_csv(folder / "out" / "path.csv")
        shown = pandas.read_csv(io.StringIO(without[0].printed), sep="\t", comment="#")
        size = sum(file.stat().st_size for file in (folder / "out").iterdir())
    # The first runs fill caches.
    ours, peer = (statistics.median(done.wall for done in runs[1:]) for runs in (with_files, without))
    spent = [statistics.median(done.processor for done in runs[1:]) for runs in (with_files, without)]
    error = float(np.max(np.abs(table["time"] - shown["time"])))
    counts = f"{len(table) - 1} jumps, {table.shape[1] - 5} features ever active"
    note = (
        f"{ours / peer:.3f} x the time without, {spent[0] / spent[1]:.3f} x its processor time; "
        f"{size / 1e6:.2f} MB of files, {counts}"
    )
    work = f"path of {ROWS} x {COLUMNS} with --out"
    report("wide_table", [Row(work, "the same without --out", ours, peer, error, 0.0, note, target=1 / 1.2)])


if __name__ == "__main__":
    main()
