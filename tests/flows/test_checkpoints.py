"""Test that runs with a checkpoint go on to the last bit after breaks, and that no wrong or damaged file is used."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock, Timeout

import implicitbias as ib
from tests.architecture._source import SOURCE, tree
from tests.flows._runs import RUNS, content, run

QUICK = "mirror"


@cache
def plain(name: str) -> ib.Trajectory:
    return run(name)


def broken_off(parts: int) -> Callable[[float, str], None]:
    """Return a progress function that presses Ctrl-C after this number of parts."""
    left = [parts]

    def progress(fraction: float, text: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    return progress


def in_pieces(path: Path, name: str, **more: Any) -> tuple[ib.Trajectory, int]:
    """Run with an interrupt in the second part of each call, until the end; return the number of interrupts too."""
    breaks = 0
    while True:
        trajectory = run(name, checkpoint=path, progress=broken_off(2), **more)
        if trajectory.status is not ib.Status.INTERRUPTED:
            return trajectory, breaks
        breaks += 1


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_pieces_equals_a_run_without_a_break(name: str, tmp_path: Path) -> None:
    trajectory, breaks = in_pieces(tmp_path / "run.npz", name)
    assert breaks >= 1
    assert content(trajectory) == content(plain(name))
    # A finished run is returned from the file, without another step.
    again = run(name, checkpoint=tmp_path / "run.npz", progress=broken_off(1))
    assert content(again) == content(trajectory)


@pytest.mark.parametrize("name", ["mirror", "gradient descent", "steepest descent"])
def test_chosen_times_are_kept_over_breaks(name: str, tmp_path: Path) -> None:
    times = {"times": np.linspace(0.0, RUNS[name][2]["t1"], 7)}
    trajectory, breaks = in_pieces(tmp_path / "run.npz", name, **times)
    assert breaks >= 1
    assert content(trajectory) == content(run(name, **times))


@pytest.mark.parametrize("level", [lambda t, w: t > 300.0, lambda t, w: t - 300.0], ids=["truth", "number"])
@pytest.mark.parametrize("times", [None, np.array([1.0, 299.0, 900.0])], ids=["dense", "times"])
def test_until_stops_at_the_same_moment(level: Any, times: Any, tmp_path: Path) -> None:
    trajectory, breaks = in_pieces(tmp_path / "run.npz", QUICK, until=level, times=times)
    assert breaks >= 1
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    assert content(trajectory) == content(run(QUICK, until=level, times=times))
    again = run(QUICK, until=level, times=times, checkpoint=tmp_path / "run.npz")
    assert content(again) == content(trajectory)


def test_an_interrupt_returns_what_there_is(tmp_path: Path) -> None:
    part = run(QUICK, checkpoint=tmp_path / "run.npz", progress=broken_off(2))
    assert part.status is ib.Status.INTERRUPTED
    assert 0.0 < part.times[-1] < 1e3
    np.testing.assert_array_equal(part.flat_states, plain(QUICK).flat_states[: len(part.times)])


def test_an_observable_that_failed_can_be_mended(tmp_path: Path) -> None:
    def fragile(t: float, w: Any) -> float:
        if t > 300.0:
            raise ZeroDivisionError
        return float(w @ w)

    first = run(QUICK, checkpoint=tmp_path / "run.npz", observe={"size": fragile})
    assert first.status is ib.Status.CALLBACK_FAILED
    mended = run(QUICK, checkpoint=tmp_path / "run.npz", observe={"size": lambda t, w: float(w @ w)})
    assert content(mended) == content(run(QUICK, observe={"size": lambda t, w: float(w @ w)}))


OTHER = {
    "rtol was 1e-10 and is 1e-05": {"rtol": 1e-5},
    "end time was 1000.0 and is 2000.0": {"t1": 2e3},
    "max_steps was 100000 and is 99": {"max_steps": 99},
    "times differs": {"times": [1.0, 2.0]},
    "until was None and is 'a function'": {"until": lambda t, w: t > 5.0},
    "observe was 'size' and is 'norm'": {"observe": {"norm": lambda t, w: 0.0}},
    "observable 'size' gives another value": {"observe": {"size": lambda t, w: 0.0}},
}


@pytest.mark.parametrize("words", OTHER)
def test_another_run_is_refused_in_words(words: str, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run(QUICK, checkpoint=path, progress=broken_off(2))
    before = path.read_bytes()
    with pytest.raises(ib.InputError, match=r"begin a new run: type checkpoint='.*run-new\.npz'") as caught:
        run(QUICK, checkpoint=path, **OTHER[words])
    assert words in str(caught.value)
    assert path.read_bytes() == before


def test_another_problem_start_or_version_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.npz"
    flow, start, _ = RUNS[QUICK]
    run(QUICK, checkpoint=path, progress=broken_off(2))
    other = ib.MirrorFlow(ib.LeastSquares(flow.problem.X, 2.0 * flow.problem.y), flow.potential)
    same = {"t1": 1e3, "rtol": 1e-10, "observe": {"size": lambda t, w: float(w @ w)}, "checkpoint": path}
    with pytest.raises(ib.InputError, match="belongs to another run: problem differs"):
        ib.simulate(other, start, **same)
    with pytest.raises(ib.InputError, match="belongs to another run: start differs"):
        ib.simulate(flow, start + 1.0, **same)
    with pytest.raises(ib.InputError, match="flow was 'MirrorFlow' and is 'GradientFlow'"):
        ib.simulate(ib.GradientFlow(flow.problem), start, **same)
    monkeypatch.setattr("implicitbias.flows._checkpoint.version", lambda name: "9.9")
    with pytest.raises(ib.InputError, match=r"other versions.* jax [\d.]+, and 9\.9 is installed"):
        ib.simulate(flow, start, **same)


def test_a_clock_among_the_observables_is_not_taken_for_another_function(tmp_path: Path) -> None:
    calls = iter(range(10**6))
    observe = {"call": lambda t, w: float(next(calls))}
    run(QUICK, checkpoint=tmp_path / "run.npz", progress=broken_off(2), observe=observe)
    assert run(QUICK, checkpoint=tmp_path / "run.npz", observe=observe).status is ib.Status.REACHED_TIME


def test_files_that_are_no_checkpoint_are_refused_and_kept(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a checkpoint")
    saved = tmp_path / "trajectory.npz"
    plain(QUICK).save(saved)
    for file in (text, saved):
        before = file.read_bytes()
        with pytest.raises(ib.InputError, match="begin a new run: type checkpoint="):
            run(QUICK, checkpoint=file)
        assert file.read_bytes() == before
    for wrong in (tmp_path, tmp_path / "missing" / "run.npz", 3):
        with pytest.raises(ib.InputError, match="the path of a file is expected"):
            run(QUICK, checkpoint=wrong)


def test_damaged_files_are_refused_or_give_the_same_numbers(tmp_path: Path) -> None:
    path, good = tmp_path / "run.npz", tmp_path / "good.npz"
    run(QUICK, checkpoint=path, progress=broken_off(3))
    shutil.copy(path, good)
    whole, rng, refused = good.read_bytes(), np.random.default_rng(0), 0
    meaningless = 0
    damaged = [whole[:size] for size in (0, 1, 1000, len(whole) // 2, len(whole) - 1)]
    for place in rng.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    for content_of_file in damaged:
        path.write_bytes(content_of_file)
        try:
            trajectory = run(QUICK, checkpoint=path)
        except ib.InputError as error:
            refused += "is damaged" in str(error) or "is expected" in str(error)
        else:  # Some bits of an archive, such as those of the dates of its files, have no meaning.
            meaningless += content(trajectory) == content(plain(QUICK))
    assert refused + meaningless == len(damaged)
    assert refused > 50


@contextmanager
def small_files(largest: int) -> Iterator[None]:
    """Let writes beyond this size fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_the_earlier_place_and_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run(QUICK, checkpoint=path, progress=broken_off(2))
    before = path.read_bytes()
    with small_files(len(before)):
        trajectory = run(QUICK, checkpoint=path)
    assert content(trajectory)[:-1] == content(plain(QUICK))[:-1]
    assert "The checkpoint holds an earlier place of the run: cannot write" in trajectory.notes[0]
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".part"] == []
    assert content(run(QUICK, checkpoint=path)) == content(plain(QUICK))
    with small_files(100), pytest.raises(ib.InputError, match="cannot write"):
        run(QUICK, checkpoint=tmp_path / "new.npz")


def test_two_runs_into_one_file_are_refused(tmp_path: Path) -> None:
    refusals = []

    def second(fraction: float, text: str) -> None:
        with pytest.raises(ib.InputError, match="another run uses the checkpoint") as caught:
            run(QUICK, checkpoint=tmp_path / "run.npz")
        refusals.append(str(caught.value))

    trajectory = run(QUICK, checkpoint=tmp_path / "run.npz", progress=second)
    assert refusals
    assert content(trajectory) == content(plain(QUICK))


# The lock of a file in /proc times out, as if another run had it, because no file can be made there.
def test_a_folder_that_takes_no_files_is_not_taken_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(lock: FileLock) -> None:
        raise Timeout(lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", refused)
    with pytest.raises(ib.InputError, match="its folder takes no files; choose another folder"):
        run(QUICK, checkpoint=tmp_path / "run.npz")


def test_left_over_parts_of_killed_runs_are_removed(tmp_path: Path) -> None:
    left = tmp_path / ".run.npz.0123.part"
    left.write_bytes(b"half")
    run(QUICK, checkpoint=tmp_path / "run.npz")
    assert not left.exists()


def test_every_engine_says_what_a_checkpoint_saves() -> None:
    engines = [
        node
        for file in sorted((SOURCE / "flows").glob("*.py"))
        for node in tree(file).body
        if hasattr(node, "bases") and any(getattr(base, "id", "") == "Engine" for base in node.bases)
    ]
    assert len(engines) >= 4
    for engine in engines:
        names = [t.id for item in engine.body if hasattr(item, "targets") for t in item.targets]
        assert "saved" in names, engine.name


def test_the_choice_of_algebras_is_counted_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("implicitbias.flows._algebra_choice.SMALL", 0.0)
    whole = run("Gauss-Newton", checkpoint=tmp_path / "whole.npz")
    trajectory, breaks = in_pieces(tmp_path / "run.npz", "Gauss-Newton")
    assert breaks >= 1
    assert content(trajectory) == content(whole)
