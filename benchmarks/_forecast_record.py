"""Runs of real training beside their forecasts: the record, in which each forecast is written before its run begins."""

import json
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy import ndarray

import implicitbias as ib
from benchmarks._forecast_cases import SLOW, Case
from implicitbias.studies._measured_training import (
    Descent,
    Training,
    crossing,
    outcome_of,
    points_apart,
    trained,
)

# Training is followed until its test error has stopped changing, but not beyond this number of steps.
LONGEST = 1_000_000


def optimizer_of(case: Case) -> optax.GradientTransformation:
    """Return the optimiser; the weight decay of Adam is decoupled, as it is by default in torch's AdamW."""
    if case.optimizer == "adam":
        return optax.adamw(case.learning_rate, weight_decay=case.weight_decay)
    return optax.chain(optax.add_decayed_weights(case.weight_decay), optax.sgd(case.learning_rate))


def descended(case: Case, longest: int = LONGEST) -> Descent:
    """Return full-batch training to lam t = 10, and then twice as far until it is at rest."""
    with jax.enable_x64(True):
        advance, measure = _compiled(case)
        state = jax.tree.map(jnp.asarray, case.start)
        carried = state, optimizer_of(case).init(state)
        training = Training(carried, advance, lambda both: measure(both[0]), _counts(case))
        return trained(training, round(SLOW / (case.weight_decay * case.learning_rate)), longest)


def _counts(case: Case) -> bool:
    """Return whether the error is a misclassified fraction."""
    targets = np.asarray(case.problem.y)
    return targets.ndim == 2 or set(np.unique(targets)) == {-1.0, 1.0}


def _compiled(case: Case) -> tuple[Callable[[Any, int], Any], Callable[[Any], ndarray]]:
    """Return a function that trains for some steps, and one that measures both errors and the norm."""
    model, optimizer = case.problem.model, optimizer_of(case)
    parts = [(jnp.asarray(X), jnp.asarray(y)) for X, y in ((case.problem.X, case.problem.y), case.test)]
    logistic, counts = case.words["loss"] == "logistic", _counts(case)

    def value(outputs: jax.Array, y: jax.Array) -> jax.Array:
        if logistic:
            return jnp.mean(jax.nn.softplus(-y * outputs))
        return jnp.sum((outputs - y) ** 2) / (2 * len(y))

    def loss(params: Any) -> jax.Array:
        return value(model(params, parts[0][0]), parts[0][1])

    def error(outputs: jax.Array, y: jax.Array) -> jax.Array:
        if y.ndim == 2:
            return jnp.mean(jnp.where(jnp.argmax(outputs, 1) != jnp.argmax(y, 1), 1.0, 0.0))
        return jnp.mean(jnp.where(outputs * y <= 0.0, 1.0, 0.0) if counts else (outputs - y) ** 2)

    def step(_: Any, carried: Any) -> Any:
        params, state = carried
        change, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, change), state

    @jax.jit
    def measure(params: Any) -> jax.Array:
        outputs = [model(params, X) for X, _ in parts]
        errors = [error(found, y) for found, (_, y) in zip(outputs, parts, strict=True)]
        return jnp.stack([*errors, value(outputs[1], parts[1][1]), optax.tree.norm(params)])

    advance = jax.jit(lambda carried, count: jax.lax.fori_loop(0, count, step, carried))
    return advance, lambda params: np.asarray(measure(params))


def outcome(case: Case, run: Descent) -> dict[str, Any]:
    """Return what the record keeps of a run."""
    found = outcome_of(run, counts=_counts(case))
    kept = {
        "steps": int(run.steps[-1]), "at_rest": run.settled, "final_error": _number(found.final),
        "memorization_step": _number(found.memorized), "grokking_step": _number(found.grokked),
        "groks": found.groks, "norms": [_number(run.norm[0]), _number(run.norm[-1])],
    }  # fmt: skip
    if np.isfinite(found.error_then):
        kept["error_at_memorization"] = _number(found.error_then)
    return kept


def apart(forecast: ib.Forecast, run: Descent, memorized: float | None) -> dict[str, float | None]:
    """Return the differences of the two curves of the test error over the logarithm of time, in points of the unit.

    "worst" is at the step "worst_step", and "end" is the difference at the last step of the run. "half_way" is the
    relative difference of the steps at which both are half way from their errors at the memorization step of the run to
    those at its last step.
    """
    known = forecast.curve.step.values, forecast.columns["test_error"]
    steps, points = points_apart(known, run, forecast.unit)
    found = {"median": np.median(points), "worst": np.max(points), "end": points[-1]}
    if memorized is not None:
        curves = known, (run.steps, run.test)
        ours, real = (_half_way(*curve, memorized, float(steps[-1])) for curve in curves)
        found["half_way"] = ours / real - 1.0
    return {name: _number(value) for name, value in found.items()} | {
        "worst_step": int(steps[np.argmax(points)])
    }


def _half_way(steps: ndarray, errors: ndarray, first: float, last: float) -> float:
    """Return the step at which errors are first half way from those at one step to those at another one."""
    then, final = np.interp([first, last], steps, errors)
    sign = np.sign(then - final)
    return crossing(steps, sign * errors, sign * (then + final) / 2, int(np.searchsorted(steps, first)))[0]


def forecast_of(case: Case) -> ib.Forecast:
    """Return the forecast, at the tolerance of the case if it has one."""
    return ib.forecast_grokking(
        case.problem,
        case.start,
        weight_decay=case.weight_decay,
        test=case.test,
        learning_rate=case.learning_rate,
        optimizer=case.optimizer,
        rtol=case.words.get("rtol", 1e-4),
    )


def told(forecast: ib.Forecast) -> dict[str, Any]:
    """Return what the record keeps of a forecast."""
    low, high = forecast.grokking_interval
    rate = forecast.learning_rate
    return {
        "fingerprint": forecast.fingerprint(),
        "groks": forecast.groks,
        "memorization_step": _number(forecast.memorization_step),
        "grokking_step": _number(forecast.grokking_step),
        "interval": [_number(low / rate), _number(high / rate)],
        "error_at_memorization": _number(forecast.test_error_at_memorization),
        "final_error": _number(forecast.final_test_error),
        "unit": _number(forecast.unit),
        "real_steps": int(re.search(r"(\d+) steps of gradient descent", forecast.method)[1]),  # type: ignore[index]
        "trust": forecast.trust.level,
        "doubts": [reason.name for reason in forecast.trust.reasons if not reason.holds],
    }


def _number(value: float) -> float | None:
    """Return a number of six digits that JSON has; None for nan and infinity."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


class Record:
    """A file with one line of JSON for each run, and the folder of the saved forecasts and runs."""

    def __init__(self, file: Path, keep: Path | None) -> None:
        self.file, self.keep = file, keep
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def ran(self, name: str) -> dict[str, Any]:
        """Return the finished line of a run; {} if there is none."""
        return next((line for line in self.lines if line["name"] == name and "outcome" in line), {})

    def put(self, line: dict[str, Any]) -> None:
        """Write a line, in place of an earlier one of the same run."""
        self.lines = [other for other in self.lines if other["name"] != line["name"]] + [line]
        self.file.write_text("".join(json.dumps(one) + "\n" for one in self.lines), encoding="utf-8")

    def run(self, name: str, case: Case, longest: int = LONGEST) -> dict[str, Any]:
        """Forecast, write the forecast down, train, and write the outcome down; known runs are returned."""
        known = self.ran(name)
        if known:
            return known
        begin = time.process_time()
        versions = {
            "implicitbias": ib.__version__,
            "jax": jax.__version__,
            "python": platform.python_version(),
        }
        line: dict[str, Any] = {"name": name, **case.words, "optimizer": case.optimizer, **versions}
        forecast = None
        try:
            forecast = forecast_of(case)
            line["forecast"] = told(forecast)
            if self.keep:
                forecast.save(self.keep / f"{name.replace(' ', '_')}.forecast.npz")
        except ib.InputError as refused:
            line["refused"] = str(refused)
        line["seconds_of_the_forecast"] = round(time.process_time() - begin, 2)
        line["written"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.put(line)
        begin = time.process_time()
        run = descended(case, longest)
        line |= {"outcome": outcome(case, run), "seconds_of_descent": round(time.process_time() - begin, 2)}
        if forecast is not None:
            line["points_apart"] = apart(forecast, run, line["outcome"]["memorization_step"])
        if self.keep:
            np.savez(self.keep / f"{name.replace(' ', '_')}.descent.npz", **run._asdict())
        self.put(line)
        print(json.dumps(line), flush=True)
        return line
