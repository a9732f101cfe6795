"""Test that kills, full disks, damaged files and two writers lose nothing but the runs in flight."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import implicitbias as ib
from tests.disks import enlarge, small_disk
from tests.studies.sweeps._faulty import GRID, SEEDS, slow

KILLS = 20


def started(folder: Path, jobs: int, *limit: str) -> subprocess.Popen[str]:
    """Start the sweep in a process of its own."""
    paths = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "tests.studies.sweeps._faulty", str(folder), str(jobs), *limit]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **pipes)


def is_worker(child: psutil.Process) -> bool:
    """Return whether a process works on a sweep; others keep books for Python."""
    try:
        return any("popen_loky" in word for word in child.cmdline())
    except psutil.Error:
        return False


def check(folder: Path) -> None:
    """Check that every run is there once, and equal to an undisturbed one."""
    data = ib.studies.open(folder).load()
    a, seed = np.meshgrid(range(50), range(SEEDS), indexing="ij")
    np.testing.assert_array_equal(data.x, np.sin(a + 0.1 * seed))
    np.testing.assert_array_equal(data.v, a[..., None] * np.arange(4.0))
    assert set(data.state.values.ravel()) == {"done"}


@pytest.mark.slow
def test_twenty_random_kills_of_workers_lose_no_run(tmp_path: Path) -> None:
    moments, killed = random.Random(0), []
    ended = threading.Event()

    def kill() -> None:
        while len(killed) < KILLS and not ended.wait(moments.uniform(0.0, 0.8)):
            workers = [child for child in psutil.Process().children() if is_worker(child)]
            if workers:
                victim = moments.choice(workers)
                victim.kill()
                killed.append(victim.pid)

    def slower(a: int, seed: int) -> dict[str, object]:
        time.sleep(0.02)
        return slow(a, seed)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        result = ib.studies.sweep(slower, GRID, tmp_path / "s", seeds=SEEDS, jobs=2)
    finally:
        ended.set()
        thread.join()
    assert result.ok, result.failures
    assert len(killed) == KILLS, "the sweep is too short for so many kills"
    check(tmp_path / "s")


@pytest.mark.slow
def test_a_killed_parent_loses_only_the_runs_in_flight_and_its_workers_end(tmp_path: Path) -> None:
    for _ in range(2):
        with started(tmp_path / "s", 2) as child:
            assert child.stdout is not None
            reported = [child.stdout.readline() for _ in range(3)][-1]
            workers = psutil.Process(child.pid).children()
            child.kill()
        ended = int(reported.split()[0])
        # What was reported before the kill is in the store.
        states = ib.studies.open(tmp_path / "s").state.values
        assert (states == "done").sum() >= ended
        _, alive = psutil.wait_procs(workers, timeout=10.0)
        assert not alive
    before = int((states == "done").sum())
    child = started(tmp_path / "s", 1)
    output = child.communicate()[0].splitlines()
    assert output[-1] == f"reused {before}, ok True"
    check(tmp_path / "s")


def test_a_second_ctrl_c_ends_the_sweep_at_once() -> None:
    def run(x: int) -> int:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        return x

    with pytest.raises(KeyboardInterrupt):
        ib.studies.sweep(run, [1, 2])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_a_second_ctrl_c_cut_short_is_not_stored(tmp_path: Path) -> None:
    """A simulation does not raise at Ctrl-C, but ends with a status, at which a function may not look."""

    def cut_short(x: int) -> int:
        try:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            return -1
        return x

    with pytest.raises(KeyboardInterrupt):
        ib.studies.sweep(cut_short, {"x": [1, 2]}, tmp_path / "s")
    with pytest.raises(ib.InputError, match="no run of its sweep has ended yet"):
        ib.studies.open(tmp_path / "s")


@pytest.mark.slow
def test_two_sweeps_write_to_one_store_at_the_same_time(tmp_path: Path) -> None:
    children = [started(tmp_path / "s", 1) for _ in range(2)]
    outputs = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], outputs
    check(tmp_path / "s")


def test_a_file_that_may_not_grow_is_an_error_and_what_was_stored_stays(tmp_path: Path) -> None:
    child = started(tmp_path / "s", 1, "120000")
    output, errors = child.communicate()
    assert child.returncode != 0
    assert "free some space" in errors.splitlines()[-1]
    ended = int(output.splitlines()[-1].split()[0])
    states = ib.studies.open(tmp_path / "s").state.values
    assert (states == "done").sum() >= ended > 0
    # The next sweep without the limit finds what was stored.
    few = ib.studies.sweep(slow, {"a": range(2)}, tmp_path / "s", seeds=SEEDS)
    assert (few.ok, few.reused) == (True, min(ended, 2 * SEEDS))
    data = few.to_dataset().sel(a=[0, 1])
    np.testing.assert_array_equal(data.x, np.sin(np.arange(2)[:, None] + 0.1 * np.arange(SEEDS)))


def test_a_sweep_on_a_full_disk_goes_on_when_there_is_space(tmp_path: Path) -> None:
    def run(a: int) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(a).standard_normal(5000)}

    told: list[str] = []
    points, disk = {"a": range(40)}, tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk, 200):
        with pytest.raises(ib.ImplicitBiasError, match="free some space and start the sweep again"):
            ib.studies.sweep(run, points, disk / "s", progress=lambda _, text: told.append(text))
        ended = int(told[-1].split()[0])
        assert 0 < ended < 40
        enlarge(disk, 4000)
        assert (ib.studies.open(disk / "s").state == "done").sum() >= ended
        result = ib.studies.sweep(run, points, disk / "s")
        assert result.ok
        assert result.reused >= ended
        np.testing.assert_array_equal(result.to_dataset().x, [run(a)["x"] for a in range(40)])


def small(a: float) -> dict[str, Any]:
    return {"x": np.full(1000, a)}


def test_a_damaged_chunk_is_found_and_its_runs_are_computed_again(tmp_path: Path) -> None:
    ib.studies.sweep(small, {"a": [1.0, 2.0]}, tmp_path / "s")
    (first,) = (tmp_path / "s" / "arrays").iterdir()
    ib.studies.sweep(small, {"a": [3.0]}, tmp_path / "s")
    content = bytearray(first.read_bytes())
    content[200] ^= 0xFF
    first.write_bytes(content)
    result = ib.studies.sweep(small, {"a": [1.0, 2.0, 3.0]}, tmp_path / "s")
    assert (result.ok, result.reused) == (True, 1)
    np.testing.assert_array_equal(result.to_dataset().x, np.outer([1.0, 2.0, 3.0], np.ones(1000)))


def test_a_missing_part_is_told_and_computed_again(tmp_path: Path) -> None:
    ib.studies.sweep(small, {"a": [1.0, 2.0]}, tmp_path / "s")
    shutil.rmtree(tmp_path / "s" / "arrays")
    with pytest.raises(ib.InputError, match="start the sweep again"):
        ib.studies.open(tmp_path / "s")
    assert ib.studies.sweep(small, {"a": [1.0, 2.0]}, tmp_path / "s").reused == 0
    assert ib.studies.open(tmp_path / "s").x.shape == (2, 1000)


def test_a_clock_that_goes_back_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**6, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    result = ib.studies.sweep(small, {"a": [1.0, 2.0, 3.0]}, tmp_path / "s")
    assert result.ok
    assert (result.to_dataset().seconds >= 0.0).all()


def test_files_that_a_killed_merge_has_left_are_removed(tmp_path: Path) -> None:
    ib.studies.sweep(small, {"a": [1.0]}, tmp_path / "s")
    arrays = tmp_path / "s" / "arrays"
    (arrays / "0123.zarr.zip").write_bytes(b"nobody knows me")
    (arrays / ".4567.zarr.zip.part").write_bytes(b"half a file")
    ib.studies.sweep(small, {"a": [1.0, 2.0]}, tmp_path / "s")
    assert len(list(arrays.iterdir())) == 2
    assert ib.studies.open(tmp_path / "s").x.shape == (2, 1000)
