"""Sweeps in processes of their own, which tests kill.

Run as: python -m tests.studies.sweeps._faulty FOLDER JOBS [BYTES].
"""

import resource
import signal
import sys
import time
from importlib import import_module

import numpy as np

import implicitbias as ib


def slow(a: int, seed: int) -> dict[str, object]:
    """Take some milliseconds, so that kills find it at work."""
    time.sleep(PAUSE)
    return {"x": np.sin(a + 0.1 * seed), "v": np.arange(4.0) * a}


PAUSE = 0.005
GRID = {"a": range(50)}
SEEDS = 20


def main(folder: str, jobs: int, largest_file: int | None = None) -> None:
    """Run the sweep, and print a line for each report of progress."""
    if largest_file is not None:
        # A file cannot grow beyond this size, as on a full disk.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    result = ib.studies.sweep(
        slow, GRID, folder, seeds=SEEDS, jobs=jobs, progress=lambda f, text: print(text, flush=True)
    )
    print(f"reused {result.reused}, ok {result.ok}", flush=True)


if __name__ == "__main__":
    # The function must have the name under which other processes find it.
    import_module("tests.studies.sweeps._faulty").main(sys.argv[1], *map(int, sys.argv[2:]))
