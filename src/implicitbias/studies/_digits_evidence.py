"""Forecasts of grokking on scikit-learn's digits, and the gradient descent that they are compared with."""

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.grokking import Forecast, forecast_grokking
from implicitbias.problems import Problem
from implicitbias.studies._data import classified
from implicitbias.studies._grid_runs import expect
from implicitbias.studies._measured_training import (
    Descent,
    Outcome,
    Training,
    outcome_of,
    points_apart,
    trained,
)
from implicitbias.studies._seeds import generator

_TEST_ROWS = 1000
# Runs go to this slow time lam t, and to 2, 4, ... times as much until they are at rest, if that takes at most so many
# steps.
_SLOW, _LONGEST = 10.0, 1_400_000
# With a start of six times the usual one, as for tanh, the sharpness of ReLU networks is five to eight times as large,
# and a run takes as many times the steps.
_SCALES = {"tanh": 6.0, "relu": 2.0}
# At 1e-4, the flow of a ReLU network takes some ten to a hundred times the steps, and its grokking times are no closer
# to those of the runs.
_TOLERANCES = {"tanh": 1e-4, "relu": 1e-3}
# The largest width and number of training rows of a sweep; the digits have 1797 rows, of which 1000 are for the test.
_MOST = 700
# The least weight decay of a sweep, with which a run takes a million steps or more.
_LEAST_DECAY = 5e-4
# The number of steps at which both curves are kept for figures.
_KEPT = 200


class Digits(NamedTuple):
    """A network with one hidden layer from a large start on images of digits, with squared loss on one-hot targets.

    Attributes:
        activation: "tanh" or "relu".
        width: the number of hidden units.
        weight_decay: the weight decay.
        seed: the seed of the rows and of the start.
        images: the number of training rows.
        learning_rate: the learning rate of gradient descent.
    """

    activation: str
    width: int
    weight_decay: float
    seed: int
    images: int = 100
    learning_rate: float = 0.02

    @property
    def name(self) -> str:
        """The network and its weight decay, in words."""
        return f"{self.activation} {self.width}, lam {self.weight_decay:g}, seed {self.seed}"

    def model(self, params: Any, X: Any) -> Any:
        """Return the outputs of the network."""
        act = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        return act(X @ params["W"] + params["b"]) @ params["V"]

    def drawn(self) -> tuple[Problem, tuple[ndarray, ndarray], dict[str, ndarray]]:
        """Return the training problem, the test rows and the start."""
        rng = generator(self.seed)
        images, labels = classified("digits")
        order = rng.permutation(len(images))[: self.images + _TEST_ROWS]
        X, y = images[order] / 16.0, np.eye(10)[labels[order].astype(int)]
        scale = _SCALES[self.activation]
        start = {
            "W": scale * rng.standard_normal((64, self.width)) / 8.0,
            "b": np.zeros(self.width),
            "V": scale * rng.standard_normal((self.width, 10)) / np.sqrt(self.width),
        }
        return (
            Problem(self.model, X[: self.images], y[: self.images]),
            (
                X[self.images :],
                y[self.images :],
            ),
            start,
        )


class Pair(NamedTuple):
    """A forecast, its fingerprint and processor seconds before the run began, and the run with its own seconds."""

    setting: Digits
    forecast: Forecast
    fingerprint: str
    seconds: tuple[float, float]
    run: Descent
    outcome: Outcome


def pair_of(setting: Digits) -> Pair:
    """Return the forecast of a setting, and then the run of plain gradient descent."""
    problem, test, start = setting.drawn()
    begin = time.process_time()
    forecast = forecast_grokking(
        problem,
        start,
        weight_decay=setting.weight_decay,
        test=test,
        learning_rate=setting.learning_rate,
        rtol=_TOLERANCES[setting.activation],
    )
    fingerprint, between = forecast.fingerprint(), time.process_time()
    run = descended(setting, setting.weight_decay)
    seconds = between - begin, time.process_time() - between
    return Pair(setting, forecast, fingerprint, seconds, run, outcome_of(run, counts=True))


def descended(setting: Digits, weight_decay: float) -> Descent:
    """Return full-batch gradient descent with a weight decay, for as long as with the one of the setting."""
    steps = round(_SLOW / (setting.weight_decay * setting.learning_rate))
    with jax.enable_x64(True):
        problem, test, start = setting.drawn()
        parts = [(jnp.asarray(X), jnp.asarray(y)) for X, y in ((problem.X, problem.y), test)]

        def loss(params: Any, part: int) -> Any:
            X, y = parts[part]
            return jnp.sum((setting.model(params, X) - y) ** 2) / (2 * len(y))

        def step(_: Any, params: Any) -> Any:
            slopes = jax.grad(loss)(params, 0)
            return jax.tree.map(
                lambda p, g: p - setting.learning_rate * (g + weight_decay * p), params, slopes
            )

        @jax.jit
        def measure(params: Any) -> Any:
            # The mean of booleans would be float32.
            wrong = [
                jnp.mean(jnp.where(jnp.argmax(setting.model(params, X), 1) != jnp.argmax(y, 1), 1.0, 0.0))
                for X, y in parts
            ]
            norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)))
            return jnp.stack([*wrong, loss(params, 1), norm])

        advance = jax.jit(lambda params, count: jax.lax.fori_loop(0, count, step, params))
        state = jax.tree.map(jnp.asarray, start)
        return trained(
            Training(state, advance, lambda params: np.asarray(measure(params)), True), steps, _LONGEST
        )


def digits_variables(settings: tuple[Digits, ...], progress: Progress) -> Any:
    """Return the forecasts and the runs of some settings, and a run without weight decay, as a dataset."""
    pairs = []
    for i, setting in enumerate(settings):
        progress(i / (len(settings) + 1), setting.name)
        pairs.append(pair_of(setting))
    progress(len(settings) / (len(settings) + 1), "without weight decay")
    first = settings[0]
    baseline = descended(first, 0.0)
    found = outcome_of(baseline, counts=True)
    variables = {
        **_settings(settings),
        **_numbers(pairs),
        **_curves(pairs),
        "baseline_memorized": ((), np.array(found.memorized)),
        "baseline_then": ((), np.array(found.error_then)),
        "baseline_grokked": ((), np.array(found.grokked)),
        "baseline_final": ((), np.array(found.final)),
        "baseline_train": ((), np.array(baseline.train[-1])),
        "fingerprint": (("run",), np.array([pair.fingerprint for pair in pairs])),
    }
    attributes = {"images": first.images, "learning_rate": first.learning_rate}
    return dataset({}, {}, attributes).assign(variables)


def _settings(settings: tuple[Digits, ...]) -> dict[str, Any]:
    names = ("activation", "width", "weight_decay", "seed")
    return {name: (("run",), np.array([getattr(one, name) for one in settings])) for name in names}


def _numbers(pairs: list[Pair]) -> dict[str, Any]:
    """Return what was forecast and what was measured for each network."""
    rows = [numbers_of(pair) for pair in pairs]
    return {name: (("run",), np.array([row[name] for row in rows])) for name in rows[0]}


def numbers_of(pair: Pair) -> dict[str, Any]:
    """Return what was forecast and what was measured, in steps, fractions, points and seconds."""
    forecast, run, rate = pair.forecast, pair.run, pair.setting.learning_rate
    known = forecast.curve.step.values, forecast.columns["test_error"]
    points = points_apart(known, run, forecast.unit)[1]
    return {
        "forecast_memorized": forecast.memorization_step,
        "forecast_grokked": forecast.grokking_step,
        "forecast_low": forecast.grokking_interval[0] / rate,
        "forecast_high": forecast.grokking_interval[1] / rate,
        "forecast_then": forecast.test_error_at_memorization,
        "forecast_final": forecast.final_test_error,
        "forecast_seconds": pair.seconds[0],
        "measured_memorized": pair.outcome.memorized,
        "measured_grokked": pair.outcome.grokked,
        "measured_then": pair.outcome.error_then,
        "measured_final": pair.outcome.final,
        "measured_steps": run.steps[-1],
        "measured_rest": run.settled,
        "measured_seconds": pair.seconds[1],
        "points_median": np.median(points),
        "points_worst": np.max(points),
        "points_end": points[-1],
    }


def digits_run(
    *, activation: str, width: float, weight_decay: float, seed: int, images: float
) -> dict[str, Any]:
    """Return the numbers of one network at settings that a sweep varies.

    Raises:
        InputError: a setting is out of its range.
    """
    for name, value in (("width", width), ("images", images)):
        expect(name, value, value % 1 == 0 and 1 <= value <= _MOST, f"a whole number from 1 to {_MOST}")
    expect("activation", activation, activation in _SCALES, f"one of {', '.join(_SCALES)}")
    expect("weight_decay", weight_decay, weight_decay >= _LEAST_DECAY, f"a number from {_LEAST_DECAY} on")
    pair = pair_of(Digits(activation, int(width), float(weight_decay), int(seed), int(images)))
    return {**numbers_of(pair), "fingerprint": pair.fingerprint}


def _curves(pairs: list[Pair]) -> dict[str, Any]:
    """Return the test and training errors of both at common steps."""
    steps = np.array([np.geomspace(1.0, pair.run.steps[-1], _KEPT) for pair in pairs])
    variables = {"step": (("run", "place"), steps)}
    for name in ("train", "test"):
        forecast = [
            np.interp(row, pair.forecast.curve.step.values, pair.forecast.columns[f"{name}_error"])
            for row, pair in zip(steps, pairs, strict=True)
        ]
        measured = [
            np.interp(row, pair.run.steps, getattr(pair.run, name))
            for row, pair in zip(steps, pairs, strict=True)
        ]
        variables[f"forecast_{name}"] = (("run", "place"), np.array(forecast))
        variables[f"measured_{name}"] = (("run", "place"), np.array(measured))
    return variables


SETTINGS = {
    "small": (Digits("tanh", 128, 1.5e-2, 0, images=50),),
    "grid": tuple(
        Digits(name, width, lam, seed)
        for name in _SCALES
        for seed in (0, 1, 2)
        for width in (96, 128)
        for lam in (3e-3, 2e-3)
    ),
}
