"""The script that calibrates forecasts, on one small run with a closed form and on lines that are written by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import brentq

import implicitbias as ib
from benchmarks import _forecast_record
from benchmarks._forecast_cases import Case, drawn, linear, linear_model, negative
from benchmarks._forecast_record import Record, descended
from benchmarks.calibrate_forecast import accuracy, false_alarms
from implicitbias.studies._measured_training import Descent, at_rest, crossing

LAM, RATE = 5e-3, 0.1


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(0)
    data = linear(rng)
    start = {"w": 3.0 * rng.standard_normal(40)}
    problem = ib.Problem(linear_model, *data.train)
    return Case(problem, data.test, start, LAM, RATE, "gradient_descent", np.nan, {"loss": "squared"})


class Closed:
    """Gradient descent on linear regression: each eigenvector of X^T X / n + lam has its own geometric sequence."""

    def __init__(self, case: Case) -> None:
        X, y = np.asarray(case.problem.X), np.asarray(case.problem.y)
        self.case = case
        values, self.Q = np.linalg.eigh(X.T @ X / len(X) + LAM * np.eye(40))
        self.limit = (self.Q.T @ (X.T @ y / len(X))) / values
        self.factors, self.begin = 1.0 - RATE * values, self.Q.T @ case.start["w"]

    def error(self, rows: tuple[Any, Any], step: float) -> float:
        w = self.Q @ (self.limit + self.factors**step * (self.begin - self.limit))
        return float(np.mean((np.asarray(rows[0]) @ w - np.asarray(rows[1])) ** 2))

    def first(self, rows: tuple[Any, Any], level: float, begin: float) -> float:
        return float(brentq(lambda step: self.error(rows, step) - level, begin, 1e4))


def test_a_run_agrees_with_the_closed_form_of_gradient_descent(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "record.jsonl"
    seen: list[dict[str, Any]] = []

    def watched(*arguments: Any) -> Descent:
        seen.extend(json.loads(line) for line in file.read_text().splitlines())
        return descended(*arguments)

    monkeypatch.setattr(_forecast_record, "descended", watched)
    line = Record(file, None).run("one", case)
    # When training began, the record had the forecast and no outcome.
    assert [("fingerprint" in early["forecast"], "outcome" in early) for early in seen] == [(True, False)]
    exact, train = Closed(case), (case.problem.X, case.problem.y)
    memorized = exact.first(train, 0.01 * exact.error(train, 0), 0)
    end = line["outcome"]["steps"]
    half = (exact.error(case.test, memorized) + exact.error(case.test, end)) / 2
    grokked = exact.first(case.test, half, memorized)
    assert line["outcome"]["memorization_step"] == pytest.approx(memorized, abs=1.0)
    assert line["outcome"]["grokking_step"] == pytest.approx(grokked, rel=2e-3)
    assert line["outcome"]["final_error"] == pytest.approx(exact.error(case.test, end), rel=1e-4)
    assert line["outcome"]["groks"]
    assert line["outcome"]["at_rest"]
    # This run is easy: the forecast is right, and its interval covers the measured time.
    low, high = line["forecast"]["interval"]
    assert low < grokked < high
    assert high / low < 1.2
    assert line["points_apart"]["worst"] < 1.0
    # A run that is in the record is not run again.
    seen.clear()
    assert Record(file, None).run("one", case) == line
    assert not seen


def test_draws_depend_on_the_seed_only() -> None:
    one, same, other = drawn(3), drawn(3), drawn(4)
    assert one.words == same.words
    assert one.problem.fingerprint() == same.problem.fingerprint()
    assert one.words != other.words
    assert negative(3, "small start").words["scale"] <= 0.3


def test_crossings_lie_between_records() -> None:
    steps, values = np.array([0, 1, 10, 20]), np.array([5.0, 4.0, 1.0, 3.0])
    assert crossing(steps, values, 2.5) == (5.5, 2)
    assert crossing(steps, values, 2.5, first=2) == (10.0, 2)
    assert np.isnan(crossing(steps, values, 0.5)[0])


def test_a_run_whose_norm_still_falls_is_not_at_rest() -> None:
    steps, flat = np.arange(101), np.ones(101)

    def run(norm: ndarray) -> Descent:
        return Descent(steps, flat, flat, flat, norm, settled=False)

    assert at_rest(run(flat), counts=True)
    assert not at_rest(run(np.exp(-steps / 1000.0)), counts=True)


def _line(name: str, step: float, *, groks: bool, trust: str = "high") -> dict[str, Any]:
    return {
        "name": name,
        "weight_decay": 1e-3,
        "learning_rate": 0.1,
        "forecast": {
            "groks": True, "grokking_step": 1000.0, "interval": [900.0, 1100.0], "final_error": 0.1, "unit": 0.5,
            "real_steps": 128, "trust": trust,
        },
        "outcome": {"groks": groks, "grokking_step": step, "final_error": 0.11, "norms": [np.e, 1.0]},
        "points_apart": {"median": 0.2},
    }  # fmt: skip


def test_the_summary_counts_misses_and_false_alarms() -> None:
    lines = [
        _line("a", 1000.0, groks=True),
        _line("b", 2000.0, groks=True),
        _line("c", 1050.0, groks=True),
        _line("d", 1000.0, groks=False, trust="low"),
    ]
    found = accuracy(lines)
    assert (found.runs, found.foreseen, found.covered, found.missed) == (3, 3, 2, ("b",))
    assert found.width == pytest.approx(11 / 9)
    assert found.log_time == pytest.approx(np.log(1.05))
    # The norm falls by a factor of e, so that both simple laws say 1 / (lam rate) = 10 000 steps.
    assert found.norm_law == found.inverse == pytest.approx(np.log(10.0 / 1.05))
    assert found.final_points == pytest.approx(2.0)
    assert false_alarms(lines) == {"high": [], "medium": [], "low": ["d"]}
