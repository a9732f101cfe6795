"""Many runs of one shape and unequal cost: `ib.studies.sweep` over processes against one vmap over all runs.

The peer integrates all runs at once: `jax.vmap` of diffrax with the same structured method. Each step is then taken by
all runs until the slowest one has ended. The reference is a tight tolerance, on the first runs. Both sides are warm:
the peer's program is compiled, and the clock of the sweep starts when each process has made `WARM` runs.
"""

import os
import statistics
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

import implicitbias as ib
from benchmarks._measure import Row, report

RUNS, JUDGED, JOBS, REPEATS, WARM = 200, 20, 2, 3, 10
# With these tolerances both errors are about 7e-5; at 1e-5 the peer is five times less accurate.
RTOL, PEER_RTOL, TIGHT = 1e-5, 2e-6, 1e-7
_RNG = np.random.default_rng(0)
START = {"W": _RNG.standard_normal((9, 32)) / 3, "a": _RNG.standard_normal(32) / 6}
# End times from 10 to 10^4 and weight decays from 10^-4 to 10^-2, in random order.
POINTS = [(10.0 ** _RNG.uniform(1.0, 4.0), 10.0 ** _RNG.uniform(-4.0, -2.0)) for _ in range(RUNS)]


def model(params: Any, inputs: Any) -> jax.Array:
    return jnp.tanh(inputs @ params["W"]) @ params["a"]


PROBLEM = ib.Problem(model, _RNG.standard_normal((40, 9)), _RNG.standard_normal(40))


def flat(params: Any) -> ndarray:
    return np.concatenate([np.ravel(params["W"]), params["a"]])


# The end of one run, the number of its steps, and the process and the time at which it ended. Processes return tuples,
# because they do not know the classes of the main module.
Run = tuple[ndarray, int, int, float]


def one(point: tuple[float, float], rtol: float = RTOL, solver: str | None = None) -> Run:
    """Return one run."""
    flow = ib.GradientFlow(PROBLEM, point[1])
    trajectory = ib.simulate(flow, START, t1=point[0], rtol=rtol, solver=solver)
    return flat(trajectory.final), trajectory.stats.steps, os.getpid(), time.perf_counter()


def together() -> tuple[ndarray, ndarray]:
    """Return the ends of all runs and the numbers of their steps, from one vmap."""
    with jax.enable_x64(True):
        ends, steps = _batch(ib.GradientFlow(PROBLEM).term(START), *map(jnp.array, zip(*POINTS, strict=True)))
        return np.stack([flat({"W": W, "a": a}) for W, a in zip(ends["W"], ends["a"], strict=True)]), steps


@eqx.filter_jit
def _batch(term: Any, ends: jax.Array, decays: jax.Array) -> Any:
    def lane(end: jax.Array, decay: jax.Array) -> Any:
        solution = diffrax.diffeqsolve(
            eqx.tree_at(lambda t: t.vector_field.weight_decay, term, decay),
            ib.GaussNewtonRosenbrock(),
            t0=0.0,
            t1=end,
            dt0=1e-2,
            y0=jax.tree.map(jnp.asarray, START),
            stepsize_controller=diffrax.PIDController(rtol=PEER_RTOL, atol=PEER_RTOL),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=100_000,
        )
        return jax.tree.map(lambda leaf: leaf[0], solution.ys), solution.stats["num_steps"]

    return jax.vmap(lane)(ends, decays)


def spread(points: Sequence[tuple[float, float]], **settings: Any) -> list[Run]:
    """Return the runs of a sweep over processes."""
    result = ib.studies.sweep(partial(one, **settings), points, jobs=JOBS)
    if result.failures:
        raise RuntimeError(f"a run failed: {result.failures[0]}")
    return list(result.values or [])


def warm_seconds(runs: list[Run]) -> float:
    """Return the seconds of as many runs in warm processes, from the runs after the first `WARM` of each process."""
    processes, times = (np.array(part) for part in list(zip(*runs, strict=True))[2:])
    ended = [np.sort(times[processes == one]) for one in np.unique(processes)]
    counted = sum(len(own) - WARM for own in ended)
    return float(max(own[-1] - own[WARM - 1] for own in ended) / counted * len(runs))


def row(
    name: str, ours: list[list[Run]], theirs: tuple[ndarray, ndarray], seconds: float, exact: ndarray
) -> Row:
    """Return the comparison of the rounds of a sweep with the peer's ends, steps and seconds."""
    ends, steps = theirs
    sizes = np.linalg.norm(exact, axis=1)
    sides = np.array([run[0] for run in ours[-1]]), ends
    error, peer_error = (
        float(np.max(np.linalg.norm(side[:JUDGED] - exact, axis=1) / sizes)) for side in sides
    )
    own = [run[1] for run in ours[-1]]
    note = f"steps {min(own)} to {max(own)}, of the peer {steps.min()} to {steps.max()}; load {os.getloadavg()[0]:.1f}"
    median = statistics.median(map(warm_seconds, ours))
    return Row(
        f"{RUNS} runs, {JOBS} processes, {name}",
        "one vmap",
        median,
        seconds,
        error,
        peer_error,
        note,
        target=2.0,
    )


def main() -> None:
    works = {"default steps": None, "stabilised steps": "stabilised"}
    rounds: dict[str, list[list[Run]]] = {name: [] for name in works}
    seconds = []
    for round_ in range(1 + REPEATS):
        for name, solver in works.items():
            rounds[name].append(spread(POINTS, solver=solver))
        begin = time.perf_counter()
        theirs = together()
        if round_:  # the first round compiles
            seconds.append(time.perf_counter() - begin)
    exact = np.array([run[0] for run in spread(POINTS[:JUDGED], rtol=TIGHT)])
    peer = statistics.median(seconds)
    report("many_runs", [row(name, runs[1:], theirs, peer, exact) for name, runs in rounds.items()])


if __name__ == "__main__":
    main()
