"""`ib.grokking.phases` on logs that are made with known times."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray
from numpy import ndarray

import implicitbias as ib

# The training error 0.5 / (1 + (t / T)^3) is 0.01 at t = 49^(1/3) T; the test error 0.45 / (1 + (t / T)^2) is half of
# its first value at t = T.
FIT, GENERALISED = 3.0, 2e4
MEMORIZED = FIT * 49 ** (1 / 3)


def errors(t: ndarray, noise: float = 0.0, seed: int = 0) -> tuple[ndarray, ndarray]:
    random = np.random.default_rng(seed)
    train, test = 0.5 / (1 + (t / FIT) ** 3), 0.45 / (1 + (t / GENERALISED) ** 2)
    train = train + noise * np.sqrt(train) * random.standard_normal(len(t))
    return np.clip(train, 0.0, 1.0), np.clip(test + noise * random.standard_normal(len(t)), 0.0, 1.0)


def log(points: int = 200, noise: float = 0.0, seed: int = 0) -> dict[str, ndarray]:
    t = np.geomspace(1.0, 1e7, points)
    train, test = errors(t, noise, seed)
    return {"t": t, "train_error": train, "test_error": test}


def test_times_without_noise() -> None:
    found = ib.grokking.phases(log())
    assert found.groks
    assert found.reasons == ()
    assert found.settled
    np.testing.assert_allclose(found.memorization_time, MEMORIZED, rtol=5e-3)
    np.testing.assert_allclose(found.grokking_time, GENERALISED, rtol=5e-3)
    for (low, high), true in (
        (found.memorization_interval, MEMORIZED),
        (found.grokking_interval, GENERALISED),
    ):
        assert low <= true <= high <= 1.1 * low
    np.testing.assert_allclose(found.test_error_at_memorization, 0.45, rtol=1e-3)
    assert str(found).startswith("The run groks.\nmemorization time 11.0")


# All forms of one log, also with its rows out of order, give the same phases.
def test_forms_of_a_log(tmp_path: Path) -> None:
    data = log(points=100)
    expected = ib.grokking.phases(data)
    frame = pd.DataFrame(data)
    frame.assign(run="a").to_csv(tmp_path / "log.csv", index=False)
    shuffled = frame.sample(frac=1.0, random_state=0)
    accuracies = {"step": data["t"], "train/acc": 1 - data["train_error"], "val/acc": 1 - data["test_error"]}
    forms: dict[str, Any] = {
        "file": tmp_path / "log.csv",
        "text": str(tmp_path / "log.csv"),
        "frame": frame,
        "polars": pl.DataFrame(data),
        "shuffled": shuffled,
        "dataset": xarray.Dataset(
            {name: ("t", data[name]) for name in ("train_error", "test_error")}, {"t": data["t"]}
        ),
        "arrays": (data["t"], data["train_error"], data["test_error"]),
        "matrix": np.column_stack(list(data.values())),
        "accuracies": accuracies,
        "restarted": {name: np.concatenate([values[:50] * 0.9, values]) for name, values in data.items()}
        | {"t": np.concatenate([data["t"][:50], data["t"]])},
    }
    for name, form in forms.items():
        found = ib.grokking.phases(form)
        np.testing.assert_allclose(
            [found.memorization_time, found.grokking_time],
            [expected.memorization_time, expected.grokking_time],
            rtol=1e-10,
            err_msg=name,
        )
    named = {"when": data["t"], "a": 1 - data["train_error"], "b": 1 - data["test_error"]}
    found = ib.grokking.phases(named, time="when", train="a", test="b", kind="accuracy")
    np.testing.assert_allclose(found.grokking_time, expected.grokking_time, rtol=1e-10)


# A test error that is measured less often has missing values in between.
def test_missing_values() -> None:
    data = log()
    data["test_error"] = np.where(np.arange(200) % 3 == 0, data["test_error"], np.nan)
    data["train_error"][20] = np.nan
    found = ib.grokking.phases(data)
    np.testing.assert_allclose(
        [found.memorization_time, found.grokking_time], [MEMORIZED, GENERALISED], rtol=0.02
    )
    low, high = found.grokking_interval
    np.testing.assert_allclose(high / low, (data["t"][1] / data["t"][0]) ** 3, rtol=1e-9)


def test_equal_steps() -> None:
    t = np.arange(0.0, 1e5, 5.0)
    train, test = errors(t)
    found = ib.grokking.phases({"step": t, "train_err": train, "test_err": test})
    np.testing.assert_allclose(found.memorization_time, MEMORIZED, rtol=0.1)
    np.testing.assert_allclose(found.grokking_time, GENERALISED, rtol=0.05)
    assert not found.settled  # the test error still falls from 0.023 to 0.017


# Intervals that cover 80 % of the true times cover fewer than 27 of 40 with a probability of 2 %.
@pytest.mark.parametrize(("points", "noise"), [(80, 0.04), (250, 0.02)])
def test_intervals_of_noisy_logs_cover_the_times(points: int, noise: float) -> None:
    inside = np.zeros(2)
    for seed in range(20):
        found = ib.grokking.phases(log(points, noise, seed))
        assert found.groks
        for i, (interval, true) in enumerate(
            ((found.memorization_interval, MEMORIZED), (found.grokking_interval, GENERALISED))
        ):
            inside[i] += interval[0] <= true <= interval[1]
            assert interval[1] < 4.0 * interval[0]  # an interval of any size would cover the times
    assert inside.sum() >= 27
    twice = [ib.grokking.phases(log(points, noise)).grokking_interval for _ in range(2)]
    assert twice[0] == twice[1]


def test_squared_errors_count_relative_to_their_first_value() -> None:
    data = log()
    squared = {"t": data["t"], "train_mse": 50 * data["train_error"], "test_mse": 70 * data["test_error"]}
    found = ib.grokking.phases(squared)
    # By hand: 1 % of the first value 0.5 / (1 + 1/27).
    np.testing.assert_allclose(found.memorization_time, FIT * (100 * 28 / 27 - 1) ** (1 / 3), rtol=5e-3)
    np.testing.assert_allclose(found.grokking_time, GENERALISED, rtol=5e-3)
    np.testing.assert_allclose(found.fall, 1.0, rtol=1e-3)
    assert found.groks


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"train_error": lambda t: 0.3 + 0 * t}, "not memorised: the training error stays above 1 %"),
        ({"test_error": lambda t: 0.45 + 0 * t}, r"falls by 0 points, from 0\.45 to 0\.45"),
        ({"test_error": lambda t: 0.5 - 0.3 / (1 + t / 1e4)}, "rises by 30 points"),
        ({"test_error": lambda t: 0.45 / (1 + (t / 20.0) ** 2)}, "times the memorization time"),
        ({"test_error": lambda t: np.where(t < 5.0, 0.4, np.nan)}, "not measured after memorization"),
    ],
)
def test_runs_that_do_not_grok(change: dict[str, Any], reason: str) -> None:
    data = log()
    data |= {name: formula(data["t"]) for name, formula in change.items()}
    found = ib.grokking.phases(data)
    assert not found.groks
    assert any(re.search(reason, text) for text in found.reasons), found.reasons
    assert "does not grok" in str(found)


# A run that ends in the middle of the fall.
def test_a_run_that_is_too_short() -> None:
    data = {name: values[:130] for name, values in log().items()}
    found = ib.grokking.phases(data)
    assert not found.settled
    assert any("has not settled" in text for text in found.remarks)


def test_memorised_before_the_first_time() -> None:
    data = {name: values[60:] for name, values in log().items()}
    found = ib.grokking.phases(data)
    assert found.memorization_time == data["t"][0]
    assert found.memorization_interval == (0.0, data["t"][0])
    assert any("upper bound" in text for text in found.remarks)


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        (lambda: {"t": [1.0], "train_error": [0.5], "test_error": [0.5]}, "1 measured values"),
        (lambda: log() | {"test_error": np.full(200, np.inf)}, "infinite in 200 rows.*diverged"),
        (lambda: log() | {"test_error": np.full(200, 45.0)}, r"test_error / 100 if they are percentages"),
        (lambda: log() | {"t": log()["t"] - 5.0}, "the first time is -4"),
        (lambda: log() | {"val_error": log()["test_error"]}, "several columns may be meant: test_error"),
        (lambda: {"t": np.ones(5), "train_loss": np.ones(5), "test_loss": np.ones(5)}, "Losses are not"),
        (lambda: {"train_error": np.ones(5), "test_error": np.ones(5)}, "no column is a time"),
        (lambda: log() | {"t": np.ones(3)}, "3 times, 200 training"),
        (lambda: np.ones((5, 4)), r"ndarray of shape \(5, 4\)"),
        (lambda: "nowhere.csv", "there is no file nowhere.csv"),
        (lambda: 3, "curve is a int"),
        (lambda: log() | {"test_error": ["a"] * 200}, "does not hold numbers"),
    ],
)
def test_bad_logs(curve: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.grokking.phases(curve())


def test_bad_names(tmp_path: Path) -> None:
    with pytest.raises(ib.InputError, match="train is 'loss', which is not a column"):
        ib.grokking.phases(log(), train="loss")
    with pytest.raises(ib.InputError, match="kind is 'f1'"):
        ib.grokking.phases(log(), kind="f1")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ib.InputError, match="cannot be read as CSV"):
        ib.grokking.phases(tmp_path / "bad.csv")
