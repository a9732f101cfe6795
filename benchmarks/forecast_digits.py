"""Forecasts of grokking on scikit-learn's digits, written before gradient descent runs, and what then happens.

Usage: python -m benchmarks.forecast_digits [--out FILE] [--limit COUNT] [--seconds SECONDS] [--activation NAME]

A network with one hidden layer and six times the usual start learns 100 images with the squared loss on one-hot
targets and full-batch gradient descent. For each setting the forecast is computed, and its fingerprint is written down,
before the first step of the run that it is compared with. The run goes to lam t = 10. The grid has 3 seeds, 2 widths, 2
weight decays and 2 activations. The record grows row by row, so that an interrupted grid is continued by the same
command.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import implicitbias as ib
from benchmarks._forecast_cases import Case
from benchmarks._forecast_record import Record

ROWS, TEST_ROWS, SCALE = 100, 1000, 6.0
# Runs that are not at rest at lam t = 10 are not continued beyond this number of steps.
LONGEST = 350_000
# The ReLU network is sharper at the start, so that its rate is smaller.
RATES = {"tanh": 0.02, "relu": 0.005}


class Setting(NamedTuple):
    """One training run."""

    seed: int
    width: int
    weight_decay: float
    activation: str

    @property
    def name(self) -> str:
        """The name of the run in the record."""
        return f"{self.activation} {self.width}, lam {self.weight_decay:g}, seed {self.seed}"


def settings() -> list[Setting]:
    """Return the grid, seed by seed."""
    grid = itertools.product(RATES, (0, 1, 2), (96, 128), (3e-3, 2e-3))
    return [Setting(seed, width, lam, name) for name, seed, width, lam in grid]


def tanh_model(params: Any, X: Any) -> Any:
    """Return the outputs of a tanh network."""
    return jnp.tanh(X @ params["W"] + params["b"]) @ params["V"]


def relu_model(params: Any, X: Any) -> Any:
    """Return the outputs of a ReLU network."""
    return jax.nn.relu(X @ params["W"] + params["b"]) @ params["V"]


def drawn(setting: Setting) -> Case:
    """Return the run of a setting."""
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
    problem, rate = ib.Problem(model, X[:ROWS], y[:ROWS]), RATES[setting.activation]
    words = {**setting._asdict(), "learning_rate": rate, "loss": "squared"}
    test = X[ROWS:], y[ROWS:]
    return Case(problem, test, start, setting.weight_decay, rate, "gradient_descent", np.nan, words)


def left(record: Record, activation: str | None) -> Iterator[Setting]:
    """Yield the settings that a record does not have yet, of one activation if it is given."""
    yield from (
        one for one in settings() if activation in (None, one.activation) and not record.ran(one.name)
    )


def main() -> None:
    """Extend the record and print its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/records/forecast_digits.jsonl"))
    parser.add_argument("--limit", type=int, default=24, help="the largest number of new rows")
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin no new row after this time")
    parser.add_argument("--activation", choices=list(RATES), help="run the rows of this activation only")
    given = parser.parse_args()
    record, begin = Record(given.out, None), time.perf_counter()
    for setting in itertools.islice(left(record, given.activation), given.limit):
        if time.perf_counter() - begin > given.seconds:
            break
        record.run(setting.name, drawn(setting), LONGEST)


if __name__ == "__main__":
    main()
