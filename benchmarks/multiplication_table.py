"""Completion of the multiplication table (d = 97) to lam t = 20: the flow compared with gradient descent.

Seconds are of the processor, with one thread. The first peer is gradient descent as a user writes it in JAX, and the
second one is `ib.GradientDescent`, whose gradient needs fewer products of matrices.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import implicitbias as ib
from benchmarks._measure import Row, alternate, report
from implicitbias.studies._table_settings import SETTINGS

# The rate 0.1 and the weight decay 1e-4 of the paper, whose loss is twice ours.
RATE, DECAY, TAU = 0.2, 5e-5, 20.0
DESCENT_STEPS = 500


def plain(case: Any) -> Callable[[], tuple[np.ndarray, ...]]:
    """Return gradient descent in float64, compiled by JAX, for a part of the steps."""
    data = case.problem.problem
    rows, cols, values = np.asarray(data.rows), np.asarray(data.cols), np.asarray(data.values)

    def loss(theta: Any) -> jax.Array:
        U, V = theta
        return jnp.mean(((U @ U.T - V @ V.T)[rows, cols] - values) ** 2) / 2

    def step(_: int, theta: Any) -> Any:
        return jax.tree.map(lambda p, g: p - RATE * (g + DECAY * p), theta, jax.grad(loss)(theta))

    run = jax.jit(lambda theta: jax.lax.fori_loop(0, DESCENT_STEPS, step, theta))

    def descend() -> tuple[np.ndarray, ...]:
        with jax.enable_x64(True):
            return tuple(np.asarray(leaf) for leaf in run(tuple(jnp.asarray(leaf) for leaf in case.start)))

    return descend


def main() -> None:
    case = SETTINGS["97x97"].case(10.0)
    flow = ib.GradientFlow(case.problem, DECAY)
    descent = ib.GradientDescent(case.problem, RATE, DECAY)
    end, part = TAU / DECAY, DESCENT_STEPS * RATE
    trajectory = ib.simulate(flow, case.start, t1=end)
    reference = ib.simulate(flow, case.start, t1=end, rtol=1e-6, times=[part, end])
    peer = plain(case)
    ours, users, theirs = alternate(
        [
            lambda: ib.simulate(flow, case.start, t1=end),
            peer,
            lambda: ib.simulate(descent, case.start, t1=part),
        ],
        3,
        time.process_time,
    )

    def apart(found: tuple[np.ndarray, ...], known: tuple[np.ndarray, ...]) -> float:
        return max(
            float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, known, strict=True)
        )

    steps = end / RATE
    note = (
        f"{trajectory.stats.steps} steps; {steps:.0e} steps of descent extrapolated from {DESCENT_STEPS}; errors of "
        f"theta at t = {part:g}; at the end ours has {apart(trajectory.final, reference.final):.1e}"
    )
    common = reference.state(part)
    peers = [
        ("gradient descent in JAX, rate 0.1", users, peer()),
        ("ib.GradientDescent, rate 0.1", theirs, ib.simulate(descent, case.start, t1=part).final),
    ]
    rows = [
        Row(
            "multiplication table, d = 97, to lam t = 20",
            name,
            ours,
            seconds / DESCENT_STEPS * steps,
            apart(trajectory.state(part), common),
            apart(there, common),
            note,
        )
        for name, seconds, there in peers
    ]
    report("multiplication_table", rows)


if __name__ == "__main__":
    main()
