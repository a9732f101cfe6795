"""Simulated flows for agreement tests."""

from typing import NamedTuple

import numpy as np
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import ScaleSweep


class Simulation(NamedTuple):
    """The flow of u * v from alpha = e^-size, in slow time."""

    size: float
    trajectory: ib.Trajectory

    def at(self, slow_times: ndarray) -> ndarray:
        return self.trajectory.state(np.asarray(slow_times) * self.size)


def flow_from(
    problem: ib.LeastSquares, exponent: float, end: float, start: ndarray | None = None, rtol: float = 1e-4
) -> Simulation:
    """The flow from alpha = 10^-exponent and w = start (0), to the slow time `end`."""
    size = exponent * np.log(10.0)
    w0 = np.zeros(problem.shape[1]) if start is None else start
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-2 * size))
    trajectory = ib.simulate(flow, w0, t1=end * size, rtol=rtol)
    assert trajectory.status.ok
    return Simulation(size, trajectory)


def swept(problem: ib.LeastSquares, path: ib.SaddlePath, runs: list[Simulation]) -> ScaleSweep:
    """The simulations held against a path."""
    units = np.array([run.size for run in runs])
    return ScaleSweep(path, tuple(run.trajectory for run in runs), units, problem.loss)


def deactivation() -> ib.LeastSquares:
    """Theory 1.10: coordinate 5 is learned first and forgotten at the last jump."""
    X = np.random.default_rng(0).standard_normal((5, 7))
    return ib.LeastSquares(X, X @ np.array([1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0]))


def gaussian() -> ib.LeastSquares:
    rng = np.random.default_rng(2)
    return ib.LeastSquares(rng.standard_normal((12, 30)), rng.standard_normal(12))
