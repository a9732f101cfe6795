"""Test sweeps on a real Dask cluster, whose workers and scheduler are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies.sweeps._dask import _result as outcome_of
from implicitbias.studies.sweeps._outcome import WorkerLost

pytestmark = pytest.mark.slow


def half(x: int) -> dict[str, float]:
    time.sleep(0.02)
    return {"half": x / 2}


def launch(*command: str) -> subprocess.Popen[str]:
    """Start a part of a cluster; its worker processes die with it."""
    paths = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str], list[subprocess.Popen[str]]]]:
    file = tmp_path / "scheduler.json"
    options = ("--scheduler-file", str(file), "--no-dashboard")
    scheduler = launch("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options)
    worker = ("distributed.cli.dask_worker", *options, "--nthreads", "1", "--no-nanny")
    workers = [launch(*worker, "--local-directory", str(tmp_path)) for _ in range(2)]
    try:
        while not file.exists() or not file.read_text().strip():
            assert scheduler.poll() is None
            time.sleep(0.05)
        import json

        yield json.loads(file.read_text())["address"], scheduler, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_a_killed_worker_and_then_a_killed_scheduler_lose_no_stored_run(
    cluster: tuple[str, subprocess.Popen[str], list[subprocess.Popen[str]]], tmp_path: Path
) -> None:
    address, scheduler, workers = cluster
    reports: list[str] = []

    def progress(fraction: float, text: str) -> None:
        reports.append(text)
        if len(reports) == 3:
            workers[0].send_signal(signal.SIGKILL)
        if fraction > 0.5:
            scheduler.send_signal(signal.SIGKILL)

    points = {"x": range(300)}
    with pytest.raises(ib.ImplicitBiasError, match="start the sweep again"):
        ib.studies.sweep(half, points, tmp_path / "s", scheduler=address, progress=progress)
    ended = int(reports[-1].split()[0])
    assert 150 < ended < 300
    states = ib.studies.open(tmp_path / "s").state.values
    assert (states == "done").sum() >= ended
    resumed = ib.studies.sweep(half, points, tmp_path / "s", scheduler="local", jobs=1)
    assert resumed.ok
    assert resumed.reused >= ended
    np.testing.assert_array_equal(resumed.to_dataset().half, np.arange(300) / 2)


def hangs(x: int) -> int:
    ib.studies.tell_progress(0.25, "on the way")
    if x == 1:
        time.sleep(600.0)
    return x


def test_a_run_that_hangs_on_a_local_cluster_fails_alone() -> None:
    seen: list[ib.studies.UnderWay] = []
    result = ib.studies.sweep(hangs, [0, 1, 2], scheduler="local", jobs=1, seconds=2.0, running=seen.extend)
    assert result.values == [0, None, 2]
    assert [failure.reason for failure in result.failures] == ["it took longer than 2 s"]
    # What the worker told while it hung has come through the cluster.
    (told,) = {(run.fraction, run.text) for run in seen if run.settings == {"point": 1} and run.text}
    assert told == (0.25, "on the way")


class _Task:
    """A task of Dask in one state, whose answers are those of `distributed.Future`."""

    def __init__(self, status: str, answer: object = None) -> None:
        self.status, self.answer = status, answer

    def result(self, timeout: float) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def exception(self) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (_Task("lost"), "scheduler is lost"),
        (_Task("cancelled"), "scheduler is lost"),
        (_Task("pending"), "scheduler is lost"),
        (_Task("error", MemoryError("KilledWorker")), "KilledWorker"),
        (_Task("error"), "gave the batch up"),
        (_Task("finished", OSError("closed")), "could not be fetched"),
        (_Task("finished", CancelledError()), "could not be fetched"),
    ],
)
def test_a_task_in_any_state_of_a_broken_connection_is_a_lost_worker(task: _Task, reason: str) -> None:
    result = outcome_of(task)
    assert isinstance(result, WorkerLost)
    assert reason in str(result)
