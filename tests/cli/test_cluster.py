"""`implicitbias run --grid --scheduler` on a real Dask cluster whose machine dies: the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps._ledger import Ledger

# A machine: a scheduler and two workers in processes of their own.
CLUSTER = """
import sys, time
from pathlib import Path
from distributed import LocalCluster

if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    Path(sys.argv[1]).write_text(cluster.scheduler_address)
    time.sleep(600)
"""
RUNS = 60
SWEEP = (
    "grokking-linear",
    "--grid",
    "n=4",
    "--grid",
    "d=6",
    "--seeds",
    str(RUNS),
    "--out",
    "store",
    "--quiet",
)


class Machine:
    """A process with a cluster, and all its processes."""

    def __init__(self, folder: Path, name: str) -> None:
        (folder / "cluster.py").write_text(CLUSTER)
        file = folder / name
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "cluster.py", str(file)]
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
        while not (file.exists() and file.read_text()):
            assert self.process.poll() is None
            time.sleep(0.05)
        self.address = file.read_text()

    def kill(self) -> None:
        """End the scheduler and the workers with signal 9, all at the same moment."""
        if self.process.poll() is not None:
            return
        processes = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        self.process.wait()


def start(folder: Path, address: str) -> subprocess.Popen[str]:
    words = (sys.executable, "-m", "implicitbias", "run", *SWEEP, "--scheduler", address)
    return subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(folder: Path) -> list[str]:
    """The seeds of the stored runs, each as often as it was stored."""
    with Ledger(folder / "store") as ledger:
        return [str(json.loads(row.settings)["seed"]) for row in ledger.rows()]


@pytest.mark.slow
def test_the_same_command_goes_on_after_the_machine_has_died(tmp_path: Path) -> None:
    first = Machine(tmp_path, "first")
    try:
        run = start(tmp_path, first.address)
        while not (tmp_path / "store" / "ledger.sqlite").exists() or len(stored(tmp_path)) < 3:
            assert run.poll() is None, run.communicate()
            time.sleep(0.05)
    finally:
        first.kill()
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (2, "")
    # The library of Dask writes a log of its own.
    (told,) = [line for line in err.splitlines() if line.startswith("implicitbias: ")]
    assert "the Dask scheduler is lost; start the sweep again with the same folder" in told
    assert "sweeps/" not in err  # no traceback of this library
    before = stored(tmp_path)
    assert 3 <= len(before) < RUNS
    second = Machine(tmp_path, "second")
    try:
        run = start(tmp_path, second.address)
        out, err = run.communicate(timeout=120)
    finally:
        second.kill()
    assert run.returncode == 0, err
    assert f"{RUNS} of {RUNS} runs are done, {len(before)} of them were in" in out
    assert Counter(stored(tmp_path)) == Counter(map(str, range(RUNS)))
    # Oracle: the same function in this process.
    study = ib.studies.load("grokking-linear")
    data = ib.studies.open(tmp_path / "store").squeeze()
    for seed in (int(before[0]), RUNS - 1):
        alone = study.measure(study.settings() | {"n": 4, "d": 6, "seed": seed})
        np.testing.assert_allclose(data.test.sel(seed=seed), alone.test, rtol=1e-9)
