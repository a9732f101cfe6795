"""`implicitbias path --out`: the folder is whole or not there, and nothing of others is lost."""

import errno
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas
import pytest

import implicitbias as ib
from implicitbias.cli import _path_files
from implicitbias.estimators import _regressor
from tests.cli._command import answer, as_terminal
from tests.cli._tables import table

FILES = {"path.csv", "path.png", "report.html", "ledger.sqlite", "arrays"}


class Case:
    """One table, and runs with results in the folder `out` beside it."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.out = folder, folder / "out"
        self.monkeypatch, self.capsys = monkeypatch, capsys
        table(8, 3).to_csv(folder / "data.csv", index=False)

    def ask(self, *flags: str, out: Path | None = None) -> tuple[int, str, str]:
        """(exit status, standard output, standard error)."""
        data, place = str(self.folder / "data.csv"), str(out or self.out)
        return answer(self.monkeypatch, self.capsys, "path", data, "--target", "y", "--out", place, *flags)

    def run(self, *flags: str, out: Path | None = None) -> tuple[int, str]:
        """(exit status, standard error)."""
        status, _, err = self.ask(*flags, out=out)
        return status, err

    def contents(self) -> dict[str, bytes | None]:
        """The files, and None for the folder of arrays."""
        return {file.name: file.read_bytes() if file.is_file() else None for file in self.out.iterdir()}

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
    shutil.rmtree(case.out)
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


def test_a_repeated_command_is_found_and_another_one_is_computed(case: Case) -> None:
    case.run("--cv", "4")
    before = case.contents()
    as_terminal(case.monkeypatch)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a path is computed")

    with case.monkeypatch.context() as patched:
        patched.setattr(_regressor, "saddle_path", refuse)
        status, out, err = case.ask("--cv", "4")
    assert (status, err) == (0, "")
    assert "nothing was computed again" in out
    assert "4-fold cross-validation chooses slow time" in out
    assert "Converged: the end was reached and its certificate holds." in out
    assert case.contents() == before
    # Other options, other data, a missing file and a damaged store are computed.
    for damage in (
        (case.out / "path.csv").unlink,
        lambda: next((case.out / "arrays").iterdir()).write_bytes(b""),
        lambda: table(9, 3).to_csv(case.folder / "data.csv", index=False),
    ):
        damage()
        _, out, _ = case.ask("--cv", "4")
        assert "slow time" in out
        assert "computed again" not in out
        assert "computed again" in case.ask("--cv", "4")[1]
    assert "computed again" not in case.ask("--cv", "3")[1]


def test_the_store_is_read_like_that_of_a_sweep(case: Case) -> None:
    case.run()
    data = ib.studies.open(case.out)
    assert dict(data.sizes) == {"data": 1, "command": 1, "jump": 4, "feature": 3}
    assert data["command"].values.tolist() == ["implicitbias path data.csv --target y"]
    assert data["data"].values.tolist() == [sha256((case.folder / "data.csv").read_bytes()).hexdigest()]
    assert data.attrs["time_unit"] == "slow time: flow time / ln(1/alpha)"
    written = pandas.read_csv(case.out / "path.csv")
    np.testing.assert_array_equal(data["loss"].squeeze(["data", "command"]), written["loss"])
    assert answer(case.monkeypatch, case.capsys, "report", str(case.out)) == (
        0,
        f"Report: {case.out / 'report.html'}\n",
        "",
    )
    assert 'content="implicitbias path"' in (case.out / "report.html").read_text(encoding="utf-8")
