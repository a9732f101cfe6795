"""`implicitbias forecast`: what is printed and written, and bad input in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import implicitbias as ib
from implicitbias.cli import _forecast_run
from tests.cli._command import answer, as_terminal, strict_json

FILES = {"forecast.npz", "curve.csv", "forecast.json", "forecast.png", "report.html"}
MODEL = """
import numpy as np
import implicitbias as ib

def good():
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((10, 20)), rng.standard_normal((50, 20))
    problem = ib.LeastSquares(X, np.zeros(10))
    return {
        "problem": problem, "params": 3 * rng.standard_normal(20), "weight_decay": 1e-3,
        "test": (X_test, np.zeros(50)), "learning_rate": 0.05,
    }

def number(): return 3
def fails(): return 1 / 0
def lacks(): return {"problem": None}
def strange(): return {**good(), "lr": 1.0}
def refused(): return {**good(), "weight_decay": -1.0}
"""
Run = Any


@pytest.fixture(name="run")
def _run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "forecast_me.py").write_text(MODEL, encoding="utf-8")
    return lambda *words: answer(monkeypatch, capsys, "forecast", *words)


def expected() -> ib.Forecast:
    scope: dict[str, Any] = {}
    exec(MODEL, scope)
    return ib.forecast_grokking(**scope["good"]())


def test_printed_and_written(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = expected()
    status, out, _ = run("forecast_me.py:good", "--json", "--out", "out")
    assert status == 0
    record = strict_json(out)
    assert record["groks"] is True
    assert record["grokking_step"] == pytest.approx(found.grokking_step)
    assert record["trust"]["level"] == found.trust.level
    assert [(one["text"], one["state"]) for one in record["assumptions"]] == [
        (one.text, one.state) for one in found.assumptions
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    loaded = ib.Forecast.load(tmp_path / "out" / "forecast.npz")
    assert str(loaded) == str(found)
    curve = pandas.read_csv(tmp_path / "out" / "curve.csv")
    np.testing.assert_allclose(curve["test_error"], found.columns["test_error"])
    status, out, _ = run("forecast_me.py:good", "--out", "out")  # it replaces its own results
    assert status == 0
    assert f"grokking_time\t{found.grokking_time!r}" in out
    for one in found.assumptions:
        assert f"# {one.text}\t{one.evidence}\t{one.state}" in out
    monkeypatch.setattr(_forecast_run, "on_terminal", lambda: True)
    as_terminal(monkeypatch)
    status, out, _ = run("forecast_me:good")
    assert status == 0
    assert "The model groks. Trust: high." in out
    assert "Assumptions of the theory" in out
    assert "not checkable" in out
    assert "--out forecast_me-forecast" in out


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("forecast_me.py", "MODULE:FUNCTION is expected"),
        ("other.py:good", "there is no file other.py"),
        ("no_such_module:good", "there is no module 'no_such_module'"),
        ("forecast_me.py:missing", "it has good, number"),
        ("forecast_me.py:number", "returns a int, a dict is expected"),
        ("forecast_me.py:fails", "ZeroDivisionError: division by zero"),
        ("forecast_me.py:lacks", "lacks params, weight_decay, test"),
        ("forecast_me.py:strange", "unknown entry 'lr'"),
        ("forecast_me.py:refused", "weight_decay is -1.0"),
    ],
)
def test_bad_input_is_told_in_words(run: Run, named: str, message: str) -> None:
    status, out, err = run(named)
    assert (status, out) == (2, "")
    assert message in err
    assert err.startswith("implicitbias: ") or "\nimplicitbias: " in err


def test_a_broken_file_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def good(:\n", encoding="utf-8")
    status, _, err = run("broken.py:good")
    assert status == 2
    assert "cannot be imported: SyntaxError" in err
