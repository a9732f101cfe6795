"""Flows of ReLU networks, which slide along kinks: `ib.simulate` against gradient descent at equal accuracy."""

import itertools
import time
from typing import Any, NamedTuple

import jax
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, report

ROWS, INPUTS = 20, 5
RTOL, REFERENCE_RTOL = 1e-4, 1e-7
RATES = (0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4)


class Work(NamedTuple):
    """One integration: the widths of the hidden layers, the weight decay, the end time and the allowed steps."""

    widths: tuple[int, ...]
    weight_decay: float
    end: float
    most_steps: int

    @property
    def name(self) -> str:
        sizes = "-".join(map(str, (INPUTS, *self.widths, 1)))
        return f"ReLU {sizes}, lam = {self.weight_decay:g}, t = {self.end:g}"


WORKS = (Work((20,), 1e-3, 1e4, 800), Work((10, 10), 0.0, 1e3, 500))


def model(params: Any, X: Any) -> jax.Array:
    *hidden, a = params
    for W, b in hidden:
        X = jax.nn.relu(X @ W + b)
    return X @ a


def problem_and_start(widths: tuple[int, ...]) -> tuple[ib.Problem, Any]:
    rng = np.random.default_rng(0)
    X, teacher = rng.standard_normal((ROWS, INPUTS)), rng.standard_normal((INPUTS, 3))
    y = np.maximum(X @ teacher, 0.0).sum(axis=1)
    sizes = (INPUTS, *widths)
    layers = [(rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)) for a, b in itertools.pairwise(sizes)]
    start = (*layers, rng.standard_normal(sizes[-1]) / np.sqrt(sizes[-1]))
    return ib.Problem(model, X, (y - y.mean()) / y.std()), start


def flat(params: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def compare(work: Work) -> Row:
    problem, start = problem_and_start(work.widths)
    flow = ib.GradientFlow(problem, work.weight_decay)
    exact = flat(ib.simulate(flow, start, t1=work.end, rtol=REFERENCE_RTOL).final)

    def error(params: Any) -> float:
        return float(np.linalg.norm(flat(params) - exact) / np.linalg.norm(exact))

    tick = time.perf_counter()
    found = ib.simulate(flow, start, t1=work.end, rtol=RTOL)
    first, seconds = time.perf_counter() - tick, []
    for _ in range(5):
        tick = time.perf_counter()
        found = ib.simulate(flow, start, t1=work.end, rtol=RTOL)
        seconds.append(time.perf_counter() - tick)
    ours, us = error(found.final), float(np.median(seconds))
    assert ours <= 5 * RTOL
    assert found.stats.steps <= work.most_steps
    # The errors of gradient descent shrink in proportion to its rate: it converges to the same end.
    errors = []
    for rate in RATES:
        descent = ib.GradientDescent(problem, rate, work.weight_decay)
        ib.simulate(descent, start, t1=10 * rate)  # compiles
        tick = time.perf_counter()
        end = ib.simulate(descent, start, t1=work.end)
        them = time.perf_counter() - tick
        errors.append(error(end.final))
        print(f"  gradient descent, rate {rate:g}: error {errors[-1]:.1e}, {them:.3g} s", flush=True)
        if errors[-1] <= ours:
            break
    stats = found.stats
    counts = (
        f"{stats.steps} steps, {stats.events} events, at most {stats.held} held, first call {first:.2g} s"
    )
    note = f"{counts} / rate {rate:g}, {end.stats.steps} steps"
    return Row(work.name, "gradient descent", us, them, ours, errors[-1], note)


def main() -> None:
    report("relu", [compare(work) for work in WORKS])


if __name__ == "__main__":
    main()
