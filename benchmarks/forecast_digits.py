"""Forecasts of grokking on scikit-learn's digits, written before gradient descent runs, and what then happens.

Usage: python -m benchmarks.forecast_digits [--out FILE] [--limit COUNT] [--seconds SECONDS] [--activation NAME]

A network with one hidden layer and a large start learns 100 images with the squared loss on one-hot targets and
full-batch gradient descent. For each setting the forecast is computed, and its fingerprint is written down, before the
first step of the run that it is compared with. The run goes to lam t = 10, and to lam t = 20 if it is not at rest and
that takes at most 350 000 steps. The grid has 3 seeds, 2 widths, 2 weight decays and 2 activations. The record grows
row by row, so that an interrupted grid is continued by the same command, which prints the table of all rows at its end.
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

ROWS, TEST_ROWS = 100, 1000
# Runs that are not at rest at lam t = 10 are not continued beyond this number of steps.
LONGEST = 350_000
# The rate is near 2 / sharpness at the start. With a start of six times the usual one, as for tanh, the sharpness of
# the ReLU networks is five to eight times that of the tanh networks, and a run takes as many times the steps.
RATE = 0.02
SCALES = {"tanh": 6.0, "relu": 2.0}
# At 1e-4, the flow of a ReLU network takes about ten times the steps.
TOLERANCES = {"tanh": 1e-4, "relu": 1e-3}
# What was asked for: the median and the worst of the differences of the curves in points, of the grokking times in
# per cent, and of the final errors in points. Most runs are not at rest at their last step, whereas a forecast goes on
# to rest, so that both errors at the last step of the run are compared too.
TARGETS = {"curve": (0.3, 2.0), "time": (2.0, 10.0), "final": (0.3, 1.0)}


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
    grid = itertools.product(SCALES, (0, 1, 2), (96, 128), (3e-3, 2e-3))
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
    scale = SCALES[setting.activation]
    start = {
        "W": scale * rng.standard_normal((64, setting.width)) / 8.0,
        "b": np.zeros(setting.width),
        "V": scale * rng.standard_normal((setting.width, 10)) / np.sqrt(setting.width),
    }
    model = tanh_model if setting.activation == "tanh" else relu_model
    problem, test = ib.Problem(model, X[:ROWS], y[:ROWS]), (X[ROWS:], y[ROWS:])
    words = {
        **setting._asdict(), "scale": scale, "learning_rate": RATE, "loss": "squared",
        "rtol": TOLERANCES[setting.activation],
    }  # fmt: skip
    return Case(problem, test, start, setting.weight_decay, RATE, "gradient_descent", np.nan, words)


def left(record: Record, activation: str | None) -> Iterator[Setting]:
    """Yield the settings that a record does not have yet, of one activation if it is given."""
    yield from (
        one for one in settings() if activation in (None, one.activation) and not record.ran(one.name)
    )


class Misses(NamedTuple):
    """The differences of one forecast from its run: curve and final error in points, grokking time in per cent.

    `worst` is the largest difference of the curves, `curve` the median one, and `end` the one at the last step of the
    run. `final` compares the forecast at rest with the run at its last step.
    """

    curve: float
    worst: float
    end: float
    time: float
    final: float


def misses(line: dict[str, Any]) -> Misses:
    """Return the differences of a finished row; the one of the times is nan if one of them is missing."""
    forecast, outcome = line["forecast"], line["outcome"]
    steps = [np.nan if one["grokking_step"] is None else one["grokking_step"] for one in (forecast, outcome)]
    return Misses(
        line["points_apart"]["median"],
        line["points_apart"]["worst"],
        line["points_apart"]["end"],
        100 * abs(steps[0] / steps[1] - 1.0),
        100 * abs(forecast["final_error"] - outcome["final_error"]),
    )


def summary(record: Record) -> str:
    """Return a table of the finished rows, and their medians and worst values beside the targets."""
    lines = [
        "| setting | curve, median | worst | step of grokking | measured | apart | final error | measured |"
    ]
    lines.append("|---" * 8 + "|")
    rows = [line for line in (record.ran(one.name) for one in settings()) if line and "forecast" in line]
    for line in rows:
        found, forecast, outcome = misses(line), line["forecast"], line["outcome"]
        lines.append(
            f"| {line['name']} | {found.curve:.2f} | {found.worst:.2f} | {found.end:.2f} | "
            f"{forecast['grokking_step']:.0f} | {outcome['grokking_step']:.0f} | {found.time:.2f} % | "
            f"{forecast['final_error']:.3f} | {outcome['final_error']:.3f} |"
        )
    for name in SCALES:
        every = np.array([misses(line) for line in rows if line["activation"] == name])
        if len(every):
            middle, most = Misses(*np.median(every, 0)), Misses(*np.max(every, 0))
            lines.append(
                f"{name}, {len(every)} rows, median and worst: curve {middle.curve:.2f} and {most.worst:.2f} points, "
                f"at the last step {middle.end:.2f} and {most.end:.2f} points, grokking time {middle.time:.2f} and "
                f"{most.time:.2f} %, final error {middle.final:.2f} and {most.final:.2f} points"
            )
    asked = ", ".join(f"{name} {low:g} and {high:g}" for name, (low, high) in TARGETS.items())
    return "\n".join([*lines, f"asked for: {asked}"])


def main() -> None:
    """Extend the record and print its rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/records/forecast_digits.jsonl"))
    parser.add_argument("--limit", type=int, default=24, help="the largest number of new rows")
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin no new row after this time")
    parser.add_argument("--activation", choices=list(SCALES), help="run the rows of this activation only")
    given = parser.parse_args()
    record, begin = Record(given.out, None), time.perf_counter()
    for setting in itertools.islice(left(record, given.activation), given.limit):
        if time.perf_counter() - begin > given.seconds:
            break
        record.run(setting.name, drawn(setting), LONGEST)
    print(summary(record))


if __name__ == "__main__":
    main()
