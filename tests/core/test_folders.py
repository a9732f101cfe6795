"""Folders of results: whole or not there, one of two runs wins, and files of others are never lost."""

import errno
import multiprocessing
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import implicitbias as ib
from implicitbias._core.folders import ResultFolder

OURS = ("a.txt", "b.txt")


def foreign(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in OURS)


def place(folder: Path) -> ResultFolder:
    return ResultFolder(folder, foreign, "type --out elsewhere")


def writing(text: str) -> Callable[[Path], None]:
    """Write both files with the same text."""

    def write(folder: Path) -> None:
        for name in OURS:
            (folder / name).write_text(text)

    return write


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "an earlier result"])
def test_results_appear(there: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    if there != "nothing":
        folder.mkdir()
    if there == "an earlier result":
        writing("old")(folder)
    assert place(folder).check() == folder
    place(folder).fill(writing("new"))
    assert contents(folder) == dict.fromkeys(OURS, "new")
    assert names(tmp_path) == ["out"]


def test_the_check_makes_nothing(tmp_path: Path) -> None:
    place(tmp_path / "a" / "b").check()
    assert names(tmp_path) == []


def test_an_interrupt_while_a_folder_is_tried_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.mkdir

    def interrupted(self: Path, *args: Any, **named: Any) -> None:
        made(self, *args, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place(tmp_path / "out").check()
    assert names(tmp_path) == []


def test_a_new_folder_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    place(tmp_path / "out").fill(writing("new"))
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failure_leaves_what_was_there(error: BaseException, earlier: bool, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    if earlier:
        place(folder).fill(writing("old"))

    def fail(part: Path) -> None:
        (part / "a.txt").write_text("half")
        raise error

    if isinstance(error, OSError):
        with pytest.raises(ib.InputError, match=r"cannot write results to .*out: No space left.*--out DIR"):
            place(folder).fill(fail)
    else:
        with pytest.raises(KeyboardInterrupt):
            place(folder).fill(fail)
    if earlier:
        assert contents(folder) == dict.fromkeys(OURS, "old")
        assert names(folder.parent) == ["out"]
    else:
        assert names(tmp_path) == []


def test_files_of_others_are_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ib.InputError, match=r"\(thesis.tex\).* lose them; type --out elsewhere"):
        place(tmp_path).check()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ib.InputError, match="is a file, a folder is expected; type --out elsewhere"):
        place(tmp_path / "file").check()
    with pytest.raises(ib.InputError, match="cannot write results to"):
        place(tmp_path / "file" / "below").check()


# Files that are added during the work are not lost either.
@pytest.mark.parametrize("earlier", [False, True])
def test_a_file_that_came_meanwhile_is_kept(earlier: bool, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    if earlier:
        place(folder).fill(writing("old"))
    place(folder).check()

    def write(part: Path) -> None:
        writing("new")(part)
        folder.mkdir(exist_ok=True)
        (folder / "thesis.tex").write_text("mine")

    with pytest.raises(ib.InputError, match="thesis"):
        place(folder).fill(write)
    assert contents(folder) == {"thesis.tex": "mine"} | (dict.fromkeys(OURS, "old") if earlier else {})
    assert names(tmp_path) == ["out"]


def test_a_file_that_took_the_place_meanwhile_is_kept(tmp_path: Path) -> None:
    def write(part: Path) -> None:
        writing("new")(part)
        (tmp_path / "out").write_text("mine")

    with pytest.raises(ib.InputError, match="is a file"):
        place(tmp_path / "out").fill(write)
    assert (tmp_path / "out").read_text() == "mine"
    assert names(tmp_path) == ["out"]


# Oracle: the two runs overlap on purpose. The complete result of the run that ends last must be kept.
def test_two_runs_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"

    def slow(part: Path) -> None:
        place(folder).fill(writing("fast"))
        assert contents(folder) == dict.fromkeys(OURS, "fast")
        writing("slow")(part)

    place(folder).fill(slow)
    assert contents(folder) == dict.fromkeys(OURS, "slow")
    assert names(tmp_path) == ["out"]


def _many(folder: Path, text: str, times: int) -> None:
    for _ in range(times):
        place(folder).fill(writing(text))


def test_many_threads_at_once(tmp_path: Path) -> None:
    texts = [str(i) for i in range(4)]
    threads = [threading.Thread(target=_many, args=(tmp_path / "out", text, 25)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = set(contents(tmp_path / "out").values())
    assert len(found) == 1
    assert found <= set(texts)
    assert names(tmp_path / "out") == list(OURS)
    assert names(tmp_path) == ["out"]


def test_two_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_many, args=(tmp_path / "out", text, 50)) for text in ("one", "two")]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    assert set(contents(tmp_path / "out").values()) in ({"one"}, {"two"})
    assert names(tmp_path) == ["out"]


def test_what_a_link_points_to_is_replaced(tmp_path: Path) -> None:
    place(tmp_path / "out").fill(writing("old"))
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "out", target_is_directory=True)
    assert place(link).check() == tmp_path / "out"
    place(link).fill(writing("new"))
    assert link.is_symlink()
    assert contents(tmp_path / "out") == dict.fromkeys(OURS, "new")


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ib.InputError, match="cannot write results to"):
        place(tmp_path / "loop").check()


# Another run replaces the folder while its names are read: they are read again and not taken for those of others.
@pytest.mark.parametrize("gone", [False, True])
def test_a_folder_that_is_replaced_while_it_is_read(gone: bool, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    place(folder).fill(writing("old"))
    seen = []

    def replaced(read: Path) -> list[str]:
        seen.append(read)
        if len(seen) > 1:
            return foreign(read)
        read.rename(tmp_path / "moved")
        if not gone:
            read.mkdir()
            writing("new")(read)
            return ["a.txt"]  # what was read is no longer there
        return sorted(path.name for path in read.iterdir())  # FileNotFoundError

    assert ResultFolder(folder, replaced, "type --out elsewhere").check() == folder
    assert len(seen) == (1 if gone else 2)


# The interrupt comes while the call that moves the folder returns.
@pytest.mark.parametrize("earlier", [False, True])
def test_an_interrupt_in_the_move(earlier: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if earlier:
        place(tmp_path / "out").fill(writing("old"))
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> None:
        rename(self, target)
        if self.name.endswith(".part"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", interrupted)
    place(tmp_path / "out").fill(writing("new"))
    assert contents(tmp_path / "out") == dict.fromkeys(OURS, "new")
    assert names(tmp_path) == ["out"]


def test_an_interrupt_before_anything_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(self: Path, parents: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place(tmp_path / "out").fill(writing("new"))
    assert names(tmp_path) == []


def test_an_interrupt_after_the_results_are_in_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place(tmp_path / "out").fill(writing("old"))
    delete, calls = shutil.rmtree, []

    def interrupted(folder: Path, ignore_errors: bool) -> None:
        calls.append(folder)
        if len(calls) == 1:
            (folder / OURS[0]).unlink()
            raise KeyboardInterrupt
        delete(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    place(tmp_path / "out").fill(writing("new"))  # a message that nothing was written would be false
    assert contents(tmp_path / "out") == dict.fromkeys(OURS, "new")
    assert names(tmp_path) == ["out"]
