"""The test loss of the slow phase from the flow with a weight decay, and from the norm drift with its start.

Usage: python -m benchmarks.drift_or_flow

This decides how `ib.forecast_grokking` computes the slow phase. Both are compared, from tau = 0.03 on, with the flow at
rtol 1e-7. Seconds are those of the processor, the least of 3 calls after a first one.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

import implicitbias as ib
from benchmarks.softplus_net import INPUTS, problem_and_start

TAUS = np.geomspace(0.03, 10.0, 60)


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the seconds of the processor."""
    work()
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        found = work()
        seconds.append(time.process_time() - begin)
    return found, min(seconds)


def main() -> None:
    """Print one line for each weight decay and tolerance."""
    problem, start = problem_and_start()
    X = np.random.default_rng(1).standard_normal((500, INPUTS))
    held_out = ib.Problem(problem.model, X, np.logaddexp(0.0, X[:, :3]).sum(axis=1))

    def losses(trajectory: ib.Trajectory, times: ndarray) -> ndarray:
        return np.array([held_out.loss(trajectory.state(t)) for t in times])

    limit, before = clocked(lambda: ib.interpolation_limit(problem, start, rtol=1e-3))

    def drifted(rtol: float) -> ib.Trajectory:
        return ib.simulate(ib.NormDrift(problem), limit.point, t1=TAUS[-1], rtol=rtol)

    drifts = {rtol: clocked(partial(drifted, rtol)) for rtol in (1e-2, 1e-3, 1e-5)}

    def followed(lam: float, rtol: float) -> ib.Trajectory:
        return ib.simulate(ib.GradientFlow(problem, lam), start, t1=TAUS[-1] / lam, rtol=rtol)

    for lam in (1e-3, 1e-4, 1e-5):
        exact = losses(followed(lam, 1e-7), TAUS / lam)
        for rtol in (1e-2, 1e-3, 1e-4):
            found, seconds = clocked(partial(followed, lam, rtol))
            apart = np.max(np.abs(losses(found, TAUS / lam) / exact - 1.0))
            print(f"lam {lam:g}, flow at rtol {rtol:g}: {seconds:.3f} s, loss apart {apart:.1e}", flush=True)
        for rtol, (found, seconds) in drifts.items():
            apart = np.max(np.abs(losses(found, TAUS) / exact - 1.0))
            print(
                f"lam {lam:g}, drift at rtol {rtol:g}: {before:.3f} + {seconds:.3f} s, loss apart {apart:.1e}"
            )


if __name__ == "__main__":
    main()
