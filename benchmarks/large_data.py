"""Flows of networks with thousands of predictions and up to a million parameters: time, memory and chosen algebra.

`python -m benchmarks.large_data` runs everything, each work in its own process. With arguments it runs one work on the
device that JAX uses: `decade ROWS WIDTH`, `memory ROWS WIDTH` or `tall ROWS`.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import implicitbias as ib
from benchmarks._measure import Row, report
from benchmarks.real_networks import apart, mlp, start_of

WORKS = (("decade", 500, 270), ("memory", 500, 960), ("tall", 20_000))
OUTPUTS, BLOCK = 10, 50


def digits(rows: int, width: int) -> tuple[ib.Problem, Any]:
    """Return a digits problem with `rows` images, and the start of a network with two hidden layers."""
    rng = np.random.default_rng(0)
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(X))[:rows]
    problem = ib.Problem(mlp, X[order] / 16, np.eye(OUTPUTS)[y[order]])
    return problem, start_of(rng, (64, width, width, OUTPUTS))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of a second call, its seconds, and its seconds of processor time."""
    work()
    begin, spent = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - begin, time.process_time() - spent


def dense_kernel_step(problem: ib.Problem, start: Any) -> tuple[float, float]:
    """Return the seconds, and the processor time, of forming the kernel from the Jacobian and factorising it.

    They are extrapolated from one block of rows of the Jacobian and one block of the kernel.
    """
    X, size = problem.X, OUTPUTS * len(problem.X)
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, start)

        @jax.jit
        def block(inputs: Any) -> Any:
            J = jax.vmap(lambda x: jax.jacrev(lambda q: mlp(q, x[None])[0])(params))(inputs)
            leaves = [leaf.reshape(len(inputs) * OUTPUTS, -1) for leaf in jax.tree.leaves(J)]
            return jnp.concatenate(leaves, axis=1)

        product = jax.jit(lambda J: J @ J.T)
        factor = jax.jit(lambda: jnp.linalg.cholesky(jnp.eye(size) + 1e-3 * jnp.ones((size, size))))
        J, *first = timed(lambda: jax.block_until_ready(block(X[:BLOCK])))
        _, *second = timed(lambda: jax.block_until_ready(product(J)))
        _, *third = timed(lambda: jax.block_until_ready(factor()))
    blocks = len(X) / BLOCK
    seconds, spent = blocks * np.array(first) + blocks * (blocks + 1) / 2 * np.array(second) + np.array(third)
    return float(seconds), float(spent)


def decade(rows: int, width: int) -> list[Row]:
    """Compare a decade of slow time, lam t from 0.1 to 1, with a dense kernel and with a kernel by layers each step."""
    (problem, start), lam, rtol = digits(rows, width), 1e-3, 1e-3
    flow = ib.GradientFlow(problem, lam)
    start = ib.simulate(flow, start, times=[0.1 / lam], rtol=rtol).final

    def run(solver: str | None) -> Any:
        return ib.simulate(flow, start, times=[0.9 / lam], rtol=rtol, solver=solver)

    layers, layers_seconds, layers_cpu = timed(lambda: run("layers"))
    dense_seconds, dense_cpu = dense_kernel_step(problem, start)
    found = []
    for solver in (None, "nystrom"):
        ours, seconds, cpu = timed(lambda name=solver: run(name))
        difference = apart(ours.final, layers.final)
        work = f"lam t from 0.1 to 1, {solver or 'default'}, n k = {OUTPUTS * rows}, width {width}"
        steps = ours.stats.steps
        note = f"{dict(ours.stats.algebras)}, {ours.stats.iterations} iterations; "
        note += f"processor {cpu:.1f} / {steps * dense_cpu:.1f} s"
        found.append(
            Row(work, "a dense kernel each step, extrapolated", seconds, steps * dense_seconds, difference, 0.0,
                note)
        )  # fmt: skip
        note = f"{layers.stats.steps} steps; processor {cpu:.1f} / {layers_cpu:.1f} s"
        found.append(
            Row(work, "the kernel by layers each step", seconds, layers_seconds, difference, 0.0, note)
        )
    return found


def memory(rows: int, width: int) -> list[Row]:
    """Take a few steps with many parameters; the note has the peak of the memory of the process."""
    problem, start = digits(rows, width)
    p, lam = problem.checked_params(start)[0].size, 1e-3
    flow = ib.GradientFlow(problem, lam)
    trajectory, seconds, cpu = timed(
        lambda: ib.simulate(flow, start, times=[1 / lam], rtol=1e-3, max_steps=12)
    )
    stats = trajectory.stats
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    note = f"{peak:.2f} GiB, {dict(stats.algebras)}, {stats.iterations} iterations; processor {cpu:.1f} s"
    each = seconds / stats.steps
    return [Row(f"a step at n k = {OUTPUTS * rows}, p = {p}", "none", each, np.nan, np.nan, np.nan, note)]


def tall(rows: int) -> list[Row]:
    """Follow a network whose predictions outnumber its parameters by far; compare with iterations."""
    rng = np.random.default_rng(0)
    X, teacher = rng.standard_normal((rows, 8)), rng.standard_normal((8, 3))
    problem = ib.Problem(mlp, X, np.tanh(X @ teacher).sum(axis=1, keepdims=True))
    start, lam = start_of(rng, (8, 20, 10, 1)), 1e-3
    p, flow = problem.checked_params(start)[0].size, ib.GradientFlow(problem, lam)

    def run(solver: str | None) -> Any:
        return ib.simulate(flow, start, times=[1 / lam], rtol=1e-3, solver=solver)

    ours, seconds, cpu = timed(lambda: run(None))
    peer, peer_seconds, peer_cpu = timed(lambda: run("products"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    note = f"{dict(ours.stats.algebras)}, {peak:.2f} GiB; processor {cpu:.1f} / {peer_cpu:.1f} s"
    return [
        Row(f"n k = {rows}, p = {p}, lam t to 1", "conjugate gradients", seconds, peer_seconds,
            apart(ours.final, peer.final), 0.0, note)
    ]  # fmt: skip


def main(arguments: Sequence[str] = ()) -> None:
    if arguments:
        work = {"decade": decade, "memory": memory, "tall": tall}[arguments[0]]
        print(json.dumps(work(*map(int, arguments[1:]))))
        return
    rows: list[Row] = []
    for name, *sizes in WORKS:
        command = [sys.executable, "-m", "benchmarks.large_data", name, *map(str, sizes)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.extend(Row(*row) for row in json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    report("large_data", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
