"""Forecasts of grokking on scikit-learn's digits, written before gradient descent runs, and what then happens.

Usage: python -m benchmarks.forecast_digits [--out FILE] [--limit COUNT] [--seconds SECONDS] [--activation NAME]

A network with one hidden layer and a large start learns 150 images with the squared loss on one-hot targets and full-
batch gradient descent. For each setting the forecast is saved, and its hash is recorded, before the first step of the
run that it is compared with. The run goes to lam t = 8. The grid has 3 seeds, 2 widths, 2 weight decays and 2
activations. The record grows row by row, so that an interrupted grid is kept and is continued by the same command.
"""

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import implicitbias as ib

ROWS, TEST_ROWS, SCALE, RATE, SLOW = 150, 1000, 4.0, 0.02, 8.0
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


class Setting(NamedTuple):
    """One training run."""

    seed: int
    width: int
    weight_decay: float
    activation: str


def settings() -> list[Setting]:
    """Return the grid, the larger weight decay first, whose runs are shorter."""
    grid = itertools.product((3e-3, 1e-3), (0, 1, 2), (32, 64), ACTIVATIONS)
    return [Setting(seed, width, lam, name) for lam, seed, width, name in grid]


def tanh_model(params: Any, X: Any) -> Any:
    """Return the outputs of a tanh network."""
    return jnp.tanh(X @ params["W"] + params["b"]) @ params["V"]


def relu_model(params: Any, X: Any) -> Any:
    """Return the outputs of a ReLU network."""
    return jax.nn.relu(X @ params["W"] + params["b"]) @ params["V"]


def drawn(setting: Setting) -> tuple[ib.Problem, tuple[np.ndarray, np.ndarray], dict[str, np.ndarray]]:
    """Return the training problem, the test rows and the start."""
    rng = np.random.default_rng(setting.seed)
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))[: ROWS + TEST_ROWS]
    X, y = images[order] / 16.0, np.eye(10)[labels[order]]
    start = {
        "W": SCALE * rng.standard_normal((64, setting.width)) / 8.0,
        "b": np.zeros(setting.width),
        "V": SCALE * rng.standard_normal((setting.width, 10)) / np.sqrt(setting.width),
    }
    model = tanh_model if setting.activation == "tanh" else relu_model
    return ib.Problem(model, X[:ROWS], y[:ROWS]), (X[ROWS:], y[ROWS:]), start


def compared(setting: Setting) -> dict[str, Any]:
    """Return one row of the record."""
    problem, test, start = drawn(setting)
    begin = time.perf_counter()
    forecast = ib.forecast_grokking(
        problem, start, weight_decay=setting.weight_decay, test=test, learning_rate=RATE
    )
    taken = time.perf_counter() - begin
    with TemporaryDirectory() as folder:
        file = Path(folder) / "forecast.npz"
        forecast.save(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    begin = time.perf_counter()
    curve = forecast.curve
    steps, train, held_out = descended(problem, test, start, setting.weight_decay)
    seconds = time.perf_counter() - begin
    memorized = int(np.argmax(train <= 0.01)) if np.any(train <= 0.01) else -1
    half = (held_out[memorized] + held_out[-1]) / 2
    grokked = float(steps[memorized + np.argmax(held_out[memorized:] <= half)]) if memorized >= 0 else np.nan
    later = np.interp(steps[1:] * RATE, curve.t.values[1:], curve.test_error.values[1:])
    apart = np.abs(later - held_out[1:])
    low, high = forecast.grokking_interval
    return {
        **setting._asdict(),
        "sha256": digest,
        "seconds_of_the_forecast": round(taken, 2),
        "seconds_of_descent": round(seconds, 2),
        "steps": int(steps[-1]),
        "trust": forecast.trust.level,
        "groks": forecast.groks,
        "forecast_grokking_step": forecast.grokking_step,
        "grokking_step": grokked,
        "grokking_time_error_percent": 100 * abs(forecast.grokking_step / grokked - 1),
        "inside_the_interval": bool(low <= grokked * RATE <= high),
        "interval_ratio": float(high / low),
        "forecast_final_error": forecast.final_test_error,
        "final_error": float(held_out[-1]),
        "final_error_points": 100 * abs(forecast.final_test_error - held_out[-1]),
        "curve_points_median": float(100 * np.median(apart)),
        "curve_points_max": float(100 * np.max(apart)),
    }


def descended(
    problem: ib.Problem, test: Any, start: Any, lam: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kept steps, and the training and test errors of gradient descent there, 40 steps a factor of 10."""
    total = round(SLOW / (lam * RATE))
    kept = np.unique(np.round(np.geomspace(1, total, 1 + round(40 * np.log10(total)))))
    times = RATE * np.concatenate([[0.0], kept])
    real = ib.simulate(ib.GradientDescent(problem, RATE, lam), start, times=times)
    parts = problem, ib.Problem(problem.model, *test)
    errors = [
        [np.mean(np.argmax(part.predict(params), axis=1) != np.argmax(part.y, axis=1)) for part in parts]
        for params in (real.state(t) for t in real.times)
    ]
    train, held_out = np.array(errors).T
    return np.round(real.times / RATE), train, held_out


def left(record: list[dict[str, Any]]) -> Iterator[Setting]:
    """Yield the settings that a record does not have yet."""
    known = {tuple(row[name] for name in Setting._fields) for row in record}
    yield from (setting for setting in settings() if tuple(setting) not in known)


def main() -> None:
    """Extend the record and print its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/records/forecast_digits.json"))
    parser.add_argument("--limit", type=int, default=24, help="the largest number of new rows")
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin no new row after this time")
    parser.add_argument(
        "--activation", choices=list(ACTIVATIONS), help="run the rows of this activation only"
    )
    given = parser.parse_args()
    record = json.loads(given.out.read_text()) if given.out.is_file() else []
    begin = time.perf_counter()
    wanted = (setting for setting in left(record) if given.activation in (None, setting.activation))
    for setting in itertools.islice(wanted, given.limit):
        if time.perf_counter() - begin > given.seconds:
            break
        row = compared(setting)
        record.append(row)
        given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
