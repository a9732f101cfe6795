"""The direction of mirror flows on separable data, against diffrax in plain time with at least our time."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

import implicitbias as ib
from benchmarks._measure import Row, alternate, report

# The distance in direction to reach, and the largest time of the peers: the next power of 10 leaves float64.
_CLOSE, _LONGEST = 1e-3, 1e308
# The limits of steps give the peers about our time; Kvaerno5 reaches its end time before.
_PEERS = (
    ("diffrax Tsit5", diffrax.Tsit5(), 8192),
    ("diffrax Kvaerno5", diffrax.Kvaerno5(), 65_536),
)


def separable() -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 10))
    return X, np.sign(X @ rng.standard_normal(10))


def plain_time(
    X: ndarray, y: ndarray, potential: ib.Potential, solver: Any, steps: int
) -> Callable[[], ndarray]:
    """Return a function that integrates z' = -grad L(w(z)) by diffrax for a number of steps, and returns w."""
    rows = jnp.asarray(y[:, None] * X)

    def field(t: Any, z: Any, args: Any) -> Any:
        return jnp.exp(-rows @ potential.inverse_mirror_formula(z)) @ rows / len(rows)

    @jax.jit
    def solve(z: Any) -> Any:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            solver,
            t0=0.0,
            t1=_LONGEST,
            dt0=1e-2,
            y0=z,
            stepsize_controller=diffrax.PIDController(rtol=1e-4, atol=1e-6),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=steps,
            throw=False,
        )
        return potential.inverse_mirror_formula(solution.ys[-1])

    return lambda: np.asarray(solve(jnp.zeros(X.shape[1])))


def compared(work: str, potential: ib.Potential, horizon: Any) -> list[Row]:
    """Return one row for each peer, with about our time."""
    X, y = separable()
    problem = ib.Classification(X, y, loss="exponential")
    limit = ib.max_margin(problem, horizon)
    distance = ib.diagnostics.distance_to(limit)
    flow = ib.MirrorFlow(problem, potential)
    answers: dict[str, ndarray] = {}

    def ours() -> None:
        run = ib.simulate(flow, np.zeros(10), log_t1=1e6, until=distance < _CLOSE)
        answers["ours"] = run.final
        answers["log_t"] = run.log_times[-1:]

    ours()
    rows = []
    for name, solver, steps in _PEERS:
        peer = plain_time(X, y, potential, solver, steps)

        def theirs(peer: Callable[[], ndarray] = peer) -> None:
            answers["theirs"] = peer()

        seconds = alternate([ours, theirs], 3)
        errors = distance(0.0, answers["ours"]), distance(0.0, answers["theirs"])
        note = f"ours stops at ln t = {float(answers['log_t'][0]):.0f}; the peer takes at most {steps} steps"
        rows.append(Row(work, name, *seconds, *errors, note))
    return rows


def main() -> None:
    with jax.enable_x64(True):
        rows = [
            *compared("direction, l2", ib.SquaredNorm(), "l2"),
            *compared("direction, l_1.5", ib.PNorm(1.5), 1.5),
        ]
    report("separable_flow", rows)


if __name__ == "__main__":
    main()
