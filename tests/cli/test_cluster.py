"""`implicitbias run --grid --scheduler` on a real Dask cluster whose machine dies: the same command goes on."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps._ledger import Ledger
from tests.cli._command import WITH_FAKE_STUDY, with_all_paths
from tests.studies.fakes import NAME

# A machine: a scheduler and two workers in processes of their own.
CLUSTER = """
import sys, time
from pathlib import Path
from typing import Any
from distributed import LocalCluster

if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    Path(sys.argv[1]).write_text(cluster.scheduler_address)
    time.sleep(600)
"""
RUNS = 60
SWEEP = (NAME, "--grid", "wait=0.05", "--seeds", str(RUNS), "--out", "store", "--quiet")


class Machine:
    """A process with a cluster, and all its processes."""

    def __init__(self, folder: Path, name: str) -> None:
        (folder / "cluster.py").write_text(CLUSTER)
        file = folder / name
        command = [sys.executable, "cluster.py", str(file)]
        self.process = subprocess.Popen(command, cwd=folder, env=with_all_paths(), stderr=subprocess.DEVNULL)
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
    words = (sys.executable, "-c", WITH_FAKE_STUDY, "run", *SWEEP, "--scheduler", address)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, cwd=folder, env=with_all_paths(), **pipes)


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
    seen = ib.studies.open(tmp_path / "store").seen.sel(seed=range(RUNS))
    assert seen.values.ravel().tolist() == list(range(RUNS))
