"""Gradient flows of models whose loss tends to 0: cost against the time, and against diffrax in plain time."""

import json
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy import ndarray

import implicitbias as ib
from benchmarks._measure import RESULTS, Row, alternate, machine, report

# The time of the comparisons with peers, and the logarithms of the times of our own runs: 1e10, 1e100, 10^(10^3),
# 10^(4 * 10^4).
_PLAIN, _LOGS = 1e10, (np.log(1e10), np.log(1e100), 1e3 * np.log(10.0), 1e5)
_ROWS, _COLUMNS, _WIDTH, _CLASSES = 40, 10, 8, 3
# The steps that the explicit peer may take, which is hundreds of times as many as ours.
_EXPLICIT_STEPS = 20_000
# Tsit5 and Kvaerno5 do not slide along the kinks of ReLUs.
_COMPARED = (
    "linear, logistic",
    "two layers of squares, exponential",
    "tanh net, cross-entropy of 3 classes",
)


def linear(w: Any, X: Any) -> Any:
    return X @ w


def squares(params: Any, X: Any) -> Any:
    W, a = params
    return (X @ W) ** 2 @ a


def relu_net(params: Any, X: Any) -> Any:
    W, a = params
    return jnp.maximum(X @ W, 0.0) @ a


def tanh_net(params: Any, X: Any) -> Any:
    W, a = params
    return jnp.tanh(X @ W) @ a


def three_layers(params: Any, X: Any) -> Any:
    A, B, c = params
    return X @ A @ B @ c


def works() -> dict[str, tuple[ib.Problem, Any]]:
    """Return the problems and their starts by name."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((_ROWS, _COLUMNS))
    y = np.sign(X @ rng.standard_normal(_COLUMNS))
    classes = np.argmax(X @ rng.standard_normal((_COLUMNS, _CLASSES)), axis=1)
    pair = 0.3 * rng.standard_normal((_COLUMNS, _WIDTH)), 0.3 * rng.standard_normal(_WIDTH)
    three = pair[0], 0.3 * rng.standard_normal((_WIDTH, _WIDTH)), pair[1]
    outer = pair[0], 0.3 * rng.standard_normal((_WIDTH, _CLASSES))
    return {
        "linear, logistic": (ib.Problem(linear, X, y, "logistic"), np.zeros(_COLUMNS)),
        "two layers of squares, exponential": (ib.Problem(squares, X, y, "exponential"), pair),
        "three linear layers, logistic": (ib.Problem(three_layers, X, y, "logistic"), three),
        "ReLU net, logistic": (ib.Problem(relu_net, X, y, "logistic"), pair),
        "tanh net, logistic": (ib.Problem(tanh_net, X, y, "logistic"), pair),
        "tanh net, cross-entropy of 3 classes": (ib.Problem(tanh_net, X, classes, "cross_entropy"), outer),
    }


def plain_time(
    problem: ib.Problem, start: Any, solver: Any, rtol: float, steps: int
) -> Callable[[], tuple[ndarray, int]]:
    """Return a function that integrates theta' = -grad F by diffrax to `_PLAIN`; it returns theta and the steps."""
    flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, start))
    objective = problem.objective()

    def field(t: Any, u: Any, args: Any) -> Any:
        f, back = jax.vjp(lambda point: objective.readout(unravel(point)), u)
        return -back(objective.mean_loss.pull(f))[0]

    @jax.jit
    def solve(u: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver,
            t0=0.0,
            t1=_PLAIN,
            dt0=1e-2,
            y0=u,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=1e-2 * rtol),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=steps,
            throw=False,
        )
        return solution.ys[-1], solution.stats["num_steps"]

    def run() -> tuple[ndarray, int]:
        theta, count = solve(flat)
        return np.asarray(theta), int(count)

    return run


def flat(params: Any) -> ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def compared(work: str, problem: ib.Problem, start: Any) -> list[Row]:
    """Return one row for each peer at `_PLAIN`; errors are relative to Kvaerno5 at 1e-8."""
    reference = plain_time(problem, start, diffrax.Kvaerno5(), 1e-8, 100_000)()[0]
    size, flow, rows = np.linalg.norm(reference), ib.GradientFlow(problem), []
    answers: dict[str, Any] = {}

    def ours() -> None:
        answers["ours"] = ib.simulate(flow, start, t1=_PLAIN)

    peers = (
        ("diffrax Kvaerno5, rtol 1e-4", diffrax.Kvaerno5(), 100_000),
        ("diffrax Tsit5, rtol 1e-4", diffrax.Tsit5(), _EXPLICIT_STEPS),
    )
    for name, solver, steps in peers:
        peer = plain_time(problem, start, solver, 1e-4, steps)

        def theirs(peer: Callable[[], Any] = peer) -> None:
            answers["theirs"] = peer()

        seconds = alternate([ours, theirs], 3)
        errors = [
            float(np.linalg.norm(end - reference) / size)
            for end in (flat(answers["ours"].final), answers["theirs"][0])
        ]
        note = f"steps {answers['ours'].stats.steps} and {answers['theirs'][1]}"
        rows.append(Row(work, name, *seconds, *errors, note))
    return rows


def costs(problem: ib.Problem, start: Any) -> list[dict[str, Any]]:
    """Return steps, seconds of a warm run and the status at each of `_LOGS`."""
    found = []
    for log_t in _LOGS:
        flow = ib.GradientFlow(problem)
        ib.simulate(flow, start, log_t1=log_t, max_steps=20_000)
        run = ib.simulate(flow, start, log_t1=log_t, max_steps=20_000)
        margin = float(-problem.log_of_loss(run.final))
        found.append(
            {
                "log_t": log_t,
                "steps": run.stats.steps,
                "seconds": run.stats.seconds,
                "status": run.status.name,
                "minus_log_loss": margin,
            }
        )
    return found


def main() -> None:
    rows, table = [], {}
    with jax.enable_x64(True):
        for name, (problem, start) in works().items():
            table[name] = costs(problem, start)
            line = "   ".join(
                f"ln t = {at['log_t']:.4g}: {at['steps']} steps, {at['seconds']:.2g} s, {at['status']}"
                for at in table[name]
            )
            print(f"{name}: {line}", flush=True)
        RESULTS.mkdir(exist_ok=True)
        kept = {"machine": machine(), "costs": table}
        (RESULTS / "log_time_costs.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        for name in _COMPARED:
            rows += compared(f"{name}, t = 1e10", *works()[name])
            report("log_time", rows)


if __name__ == "__main__":
    main()
