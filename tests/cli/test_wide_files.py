"""The files of `implicitbias path --out` hold the features that are ever active, however many columns there are."""

from pathlib import Path

import numpy as np
import pandas
import pytest

import implicitbias as ib
from implicitbias.plotting import PathPicture
from tests.cli._command import answer
from tests.cli._tables import by_hand, table


def write(
    folder: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> pandas.DataFrame:
    """Write a table of 12 rows and its path; return the table."""
    folder.mkdir()
    frame = table(12, columns)
    frame.to_csv(folder / "data.csv", index=False)
    words = ("path", str(folder / "data.csv"), "--target", "y", "--out", str(folder / "out"))
    status, _, err = answer(monkeypatch, capsys, *words)
    assert status == 0, err
    return frame


# Oracle: the path of the standardised columns, and which of its dense coefficients are ever not 0.
def test_the_files_hold_what_is_active(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    frame = write(tmp_path / "case", 300, monkeypatch, capsys)
    features = frame.drop(columns="y")
    expected = by_hand(features.to_numpy(), frame["y"].to_numpy())
    used = np.flatnonzero(np.any(expected.path.coefficients != 0.0, axis=0))
    assert 5 < len(used) < 60
    found = pandas.read_csv(tmp_path / "case" / "out" / "path.csv")
    assert list(found.columns[5:]) == [f"feature {j}" for j in used]
    np.testing.assert_allclose(found.iloc[:, 5:], expected.coefficients[:, used], rtol=1e-8, atol=1e-9)
    data = ib.studies.stored_run(tmp_path / "case" / "out")
    assert data["column"].values.tolist() == used.tolist()
    assert data.attrs["columns"] == 300
    np.testing.assert_allclose(data["dual"], expected.path.dual[:, used], atol=1e-9)
    assert PathPicture.of_dataset(data).title == "Saddle path: n = 12, d = 300, " + (
        f"{len(expected.path.times) - 1} jumps, certified"
    )
    page = (tmp_path / "case" / "out" / "report.html").read_text(encoding="utf-8")
    assert f"<dt>ever active</dt><dd>{len(used)}</dd>" in page
    assert f"the {len(used)} features that are active at some saddle, as have path.csv and the store" in page


def test_the_files_do_not_grow_with_the_number_of_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sizes = {}
    for columns in (300, 3000):
        write(tmp_path / str(columns), columns, monkeypatch, capsys)
        files = (tmp_path / str(columns) / "out").rglob("*")
        # The parts of a store have random names.
        sizes[columns] = {file.suffix: file.stat().st_size for file in files if file.is_file()}
    for name, size in sizes[3000].items():
        assert size < 2.0 * sizes[300][name], name


def test_names_that_the_figure_cannot_show(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table(10, 2).rename(columns={"feature 0": "\u8eab\u9577"}).to_csv(tmp_path / "data.csv", index=False)
    words = ("path", str(tmp_path / "data.csv"), "--target", "y", "--out", str(tmp_path / "out"))
    status, _, err = answer(monkeypatch, capsys, *words)
    assert status == 0
    assert err.startswith("implicitbias: path.png lacks some characters of names")
    assert len(err.splitlines()) == 1
    assert "\u8eab\u9577" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
