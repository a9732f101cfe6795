"""`implicitbias run STUDY --grid`: a sweep of a study, its store, and slips that are told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

import implicitbias as ib
from tests.cli._command import answer

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    return lambda *words: answer(monkeypatch, capsys, "run", *map(str, words))


def test_a_sweep_of_a_study_is_stored_and_goes_on(ask: Ask, tmp_path: Path) -> None:
    sweep = ("grokking-diagonal", "--grid", "weight_decay=1e-3", "--out", tmp_path / "s", "--quiet")
    table = tmp_path / "runs.parquet"
    code, out, err = ask(*sweep, "--grid", "alpha=1,-1", "--parquet", table)
    assert (code, err) == (1, "")
    assert "1 of 2 runs are done, 1 failed" in out
    assert "alpha=-1.0, weight_decay=0.001" in out
    assert "a positive number is expected" in out
    assert f"Table: {table}" in out
    rows = parquet.read_table(table, columns=["alpha", "state", "final_test"]).to_pylist()
    assert [(row["alpha"], row["state"]) for row in rows] == [(-1, "failed"), (1, "done")]
    assert rows[0]["final_test"] is None
    code, out, _ = ask(*sweep, "--grid", "alpha=1,2")
    assert code == 0
    assert "2 of 2 runs are done, 1 of them were in" in out
    data = ib.studies.open(tmp_path / "s").squeeze().sel(alpha=[1.0, 2.0]).load()
    # The data are fitted first, and the teacher is found at a slow time of order 1.
    assert (data.memorization_time < 0.05).all()
    assert (data.test.sel(slow_time=0.1, method="nearest") > 0.1).all()
    assert ((data.generalisation_time > 0.5) & (data.generalisation_time < 5.0)).all()
    np.testing.assert_allclose(data.final_test, 0.0, atol=1e-3)


def test_a_report_of_a_sweep_has_a_slider_for_each_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    ib.studies.sweep(
        lambda a, b, c: {"total": a + b * c}, {"a": [1.0, 2.0], "b": [10.0, 20.0], "c": [3]}, out=folder
    )
    code, out, err = answer(monkeypatch, capsys, "report", str(folder))
    assert (code, err) == (0, "")
    assert out == f"Report: {folder / 'report.html'}\n"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('<input type="range"') == 2
    assert "4 of 4 runs done" in page
    assert '"total": ["31", "61", "32", "62"]' in page
    assert float(ib.studies.open(folder).total.sel(a=2.0, b=20.0, c=3)) == 62.0  # it is a store as before
    assert answer(monkeypatch, capsys, "report", str(folder), "--json")[0] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("commuting", "--grid", "alpha=1"),
            "commuting has no settings to sweep; type one of saddle-to-saddle",
        ),
        (
            ("grokking-diagonal", "--grid", "beta=1"),
            "has no setting beta; its settings and defaults are alpha=1.0",
        ),
        (("--grid", "alpha=1"), "a sweep needs the name of one study"),
        (("grokking-diagonal", "--jobs", "2"), "--jobs is for sweeps; name a grid too"),
        (("grokking-diagonal", "--grid", "alpha"), "--grid alpha names no values"),
        (("grokking-diagonal", "--grid", "alpha=1", "--jobs", "0"), "--jobs is 0"),
        (("grokking-diagonal", "--grid", "alpha=1", "--json"), "--json is not for sweeps"),
        (("grokking-diagonal", "--grid", "alpha=1", "--outdated", "x"), "outdated is 'x'"),
        (("grokking-diagonal", "--grid", "alpha=1", "--time-limit", "-1"), "seconds is -1.0"),
        (("grokking-diagonal", "--grid", "seed=1", "--seeds", "2"), "both seeds= and an axis 'seed'"),
        (("nothing", "--grid", "alpha=1"), "there is no study 'nothing'"),
    ],
)
def test_slips_are_told_and_nothing_is_written(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = ask(*words)
    assert (code, out) == (2, "")
    assert told in err
    assert list(tmp_path.iterdir()) == []
