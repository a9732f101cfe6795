"""`implicitbias path --out`: the folder is whole or not there, and nothing of others is lost."""

import errno
from pathlib import Path

import pytest

from implicitbias.cli import _path_files
from implicitbias.estimators import _regressor
from tests.cli._command import answer
from tests.cli._tables import table

FILES = {"path.csv", "path.nc", "path.png", "report.html"}


class Case:
    """One table, and runs with results in the folder `out` beside it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.out = folder, folder / "out"
        self.monkeypatch, self.capsys = monkeypatch, capsys
        table(8, 3).to_csv(folder / "data.csv", index=False)

    def run(self, *flags: str, out: Path | None = None) -> tuple[int, str]:
        """(exit status, standard error)."""
        data, place = str(self.folder / "data.csv"), str(out or self.out)
        status, _, err = answer(
            self.monkeypatch, self.capsys, "path", data, "--target", "y", "--out", place, *flags
        )
        return status, err

    def contents(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.out.iterdir()}

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, monkeypatch, capsys)


def test_an_earlier_result_is_replaced(case: Case) -> None:
    assert case.run() == (0, "")
    before = case.contents()
    assert case.run("--no-standardize") == (0, "")
    after = case.contents()
    assert set(before) == set(after) == FILES
    assert before["path.csv"] != after["path.csv"]
    assert case.left() == ["data.csv", "out"]


def test_the_same_run_writes_the_same_table_and_page(case: Case) -> None:
    case.run()
    before = case.contents()
    case.run()
    after = case.contents()
    assert {name: before[name] == after[name] for name in ("path.csv", "report.html", "path.png")} == {
        "path.csv": True,
        "report.html": True,
        "path.png": True,
    }


def test_folders_above_are_made_and_an_empty_one_is_taken(case: Case) -> None:
    deep = case.folder / "a" / "b"
    assert case.run(out=deep) == (0, "")
    assert {file.name for file in deep.iterdir()} == FILES
    case.out.mkdir()
    assert case.run() == (0, "")
    assert set(case.contents()) == FILES


@pytest.mark.parametrize("name", ["thesis.tex", "path.csv", "report.html"])
def test_files_of_others_are_kept(case: Case, name: str) -> None:
    case.out.mkdir()
    (case.out / name).write_text("mine")
    status, err = case.run()
    assert status == 2
    assert f"{case.out} holds files that are not an earlier result ({name})" in err
    assert f"type --out {case.out}-path" in err
    assert case.contents() == {name: b"mine"}


def test_a_file_beside_an_earlier_result_is_kept(case: Case) -> None:
    case.run()
    (case.out / "notes.txt").write_text("mine")
    status, err = case.run()
    assert status == 2
    assert "(notes.txt)" in err
    assert (case.out / "notes.txt").read_text() == "mine"


def test_a_file_in_place_of_the_folder(case: Case) -> None:
    case.out.write_text("mine")
    status, err = case.run()
    assert status == 2
    assert "is a file, a folder is expected; type --out" in err
    assert case.out.read_text() == "mine"
    status, err = case.run(out=case.out / "below")
    assert status == 2
    assert "cannot write results to" in err


def test_data_within_the_folder_are_kept(case: Case) -> None:
    case.run()
    inside = case.out / "path.csv"
    status, _, err = answer(
        case.monkeypatch, case.capsys, "path", str(inside), "--target", "loss", "--out", str(case.out)
    )
    assert status == 2
    assert "lies in" in err
    assert set(case.contents()) == FILES


def test_what_a_link_points_to_is_replaced(case: Case) -> None:
    case.run()
    link = case.folder / "link"
    link.symlink_to(case.out, target_is_directory=True)
    before = case.contents()
    assert case.run("--no-intercept", out=link) == (0, "")
    assert link.is_symlink()
    assert case.contents()["path.csv"] != before["path.csv"]


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "over an earlier result"])
@pytest.mark.parametrize("place", ["fitting", "writing", "a full disk"])
def test_nothing_half_written(case: Case, place: str, earlier: bool) -> None:
    if earlier:
        case.run()
    before = case.contents() if earlier else {}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    module, name, act = {
        "fitting": (_regressor, "saddle_path", interrupt),
        "writing": (_path_files, "path_document", interrupt),
        "a full disk": (_path_files, "path_document", full),
    }[place]
    case.monkeypatch.setattr(module, name, act)
    status, err = case.run("--no-standardize")
    if place == "a full disk":
        assert status == 2
        assert "cannot write results to" in err
        assert "No space left on device" in err
    else:
        assert status == 130
        assert err == "implicitbias: interrupted; nothing was written\n"
    assert case.left() == (["data.csv", "out"] if earlier else ["data.csv"])
    assert (case.contents() if earlier else {}) == before
