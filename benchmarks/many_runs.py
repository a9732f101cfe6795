"""Many runs of one shape and unequal cost: `ib.studies.sweep` over processes against one vmap over all runs.

The peer integrates all runs at once: `jax.vmap` of diffrax with the same structured method. Each step is then taken by
all runs until the slowest one has ended. The reference is a tight tolerance, on the first runs.
"""

import os
import statistics
import time
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

RUNS, JUDGED, JOBS, REPEATS = 200, 20, 2, 3
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


def one(point: tuple[float, float], rtol: float = RTOL) -> tuple[ndarray, int]:
    """Return the end of one run and the number of its steps."""
    trajectory = ib.simulate(ib.GradientFlow(PROBLEM, point[1]), START, t1=point[0], rtol=rtol)
    return flat(trajectory.final), trajectory.stats.steps


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


def spread(function: Any, points: Any) -> Any:
    """The values of a sweep over processes."""
    return ib.studies.sweep(function, points, jobs=JOBS).values


def main() -> None:
    works = {"ours": partial(spread, one, POINTS), "vmap": together}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(1 + REPEATS):  # the first round compiles
        answers = {}
        for name, work in works.items():
            begin = time.perf_counter()
            answers[name] = work()
            if round_:
                seconds[name].append(time.perf_counter() - begin)
    ours, steps = (np.array(part) for part in zip(*answers["ours"], strict=True))
    theirs, their_steps = answers["vmap"]
    tight = partial(one, rtol=TIGHT)
    exact = np.array([end for end, _ in spread(tight, POINTS[:JUDGED])])
    sizes = np.linalg.norm(exact, axis=1)
    errors = [float(np.max(np.linalg.norm(a[:JUDGED] - exact, axis=1) / sizes)) for a in (ours, theirs)]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    note = (
        f"steps {steps.min()} to {steps.max()}, of the peer {their_steps.min()} to {their_steps.max()}; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    row = Row(
        f"{RUNS} runs, {JOBS} processes",
        "one vmap",
        median["ours"],
        median["vmap"],
        *errors,
        note,
        target=2.0,
    )
    report("many_runs", [row])


if __name__ == "__main__":
    main()
