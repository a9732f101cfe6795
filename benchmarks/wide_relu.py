"""Wide networks of ReLUs at loose tolerances: `ib.simulate` with default settings against gradient descent.

In these networks some unit switches in each step. The reference is gradient descent at a rate far below those that are
compared. Gradient descent is compared at the largest rate with which its error is at most ours.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from sklearn.datasets import load_digits

import implicitbias as ib
from benchmarks._measure import Row, report
from benchmarks.relu import flat

RTOLS = (1e-2, 1e-3)
RATES, REFERENCE_RATE = (0.2, 0.1, 0.05, 0.02, 0.01, 5e-3), 2e-3


class Work(NamedTuple):
    """A network, its start, the weight decay and the end time."""

    name: str
    problem: ib.Problem
    start: Any
    weight_decay: float
    end: float


def one_output(params: Any, X: Any) -> jax.Array:
    W, b, a = params
    return jax.nn.relu(X @ W + b) @ a


def with_biases(params: Any, X: Any) -> jax.Array:
    W, b, V, c = params
    return jax.nn.relu(X @ W + b) @ V + c


def teacher(decay: float, end: float) -> Work:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 5))
    y = np.maximum(X @ rng.standard_normal((5, 3)), 0.0).sum(axis=1)
    start = (
        rng.standard_normal((5, 200)) / np.sqrt(5),
        np.zeros(200),
        rng.standard_normal(200) / np.sqrt(200),
    )
    problem = ib.Problem(one_output, X, (y - y.mean()) / y.std())
    return Work(f"100 rows, ReLU 5-200-1, lam = {decay:g}, t = {end:g}", problem, start, decay, end)


def digits(decay: float, end: float) -> Work:
    rng = np.random.default_rng(0)
    images, labels = load_digits(return_X_y=True)
    rows = rng.permutation(len(images))[:100]
    problem = ib.Problem(with_biases, images[rows] / 16.0, np.eye(10)[labels[rows]])
    W, V = rng.standard_normal((64, 64)) * np.sqrt(2 / 64), rng.standard_normal((64, 10)) / 8
    name = f"100 digits, ReLU 64-64-10, lam = {decay:g}, t = {end:g}"
    return Work(name, problem, (W, np.zeros(64), V, np.zeros(10)), decay, end)


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    run()  # compiles
    tick = time.process_time()
    found = run()
    return found, time.process_time() - tick


def descent(work: Work, rate: float) -> tuple[Any, float]:
    flow = ib.GradientDescent(work.problem, rate, work.weight_decay)
    return timed(lambda: ib.simulate(flow, work.start, times=[work.end]))


def compare(work: Work) -> list[Row]:
    exact = flat(descent(work, REFERENCE_RATE)[0].final)

    def error(found: Any) -> float:
        return float(np.linalg.norm(flat(found.final) - exact) / np.linalg.norm(exact))

    peers = [(rate, *descent(work, rate)) for rate in RATES]
    rows = []
    flow = ib.GradientFlow(work.problem, work.weight_decay)
    for rtol in RTOLS:

        def run(rtol: float = rtol) -> Any:
            return ib.simulate(flow, work.start, t1=work.end, rtol=rtol)

        found, us = timed(run)
        ours = error(found)
        rate, peer, them = next((one for one in peers if error(one[1]) <= ours), peers[-1])
        stats = found.stats
        note = f"{stats.steps} steps, {stats.events} events, {stats.algebras} / rate {rate:g}"
        name = f"{work.name}, rtol {rtol:g}"
        rows.append(Row(name, "gradient descent", us, them, ours, error(peer), note))
    return rows


def main() -> None:
    works = (teacher(0.0, 100.0), teacher(1e-3, 300.0), digits(0.0, 100.0), digits(1e-3, 300.0))
    report("wide_relu", [row for work in works for row in compare(work)])


if __name__ == "__main__":
    main()
