"""Simulations of the flow of a diagonal network in theta, mapped to w, at a sequence of decreasing scales."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias._core.progress import Progress
from implicitbias.diagnostics import ScaleSweep
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import SaddlePath, saddle_path
from implicitbias.parametrizations import Diagonal
from implicitbias.studies._deep_settings import Network, Setting
from implicitbias.studies._path_evidence import least_norm, modified_norm, path_dataset
from implicitbias.studies._sweep_evidence import finished, sweep_variables
from implicitbias.trajectories import DenseOutput, Trajectory

_BEYOND = 1.2
# A simulation with rtol times this factor measures the integration error.
_COARSER = 10.0


class InW(DenseOutput):
    """The dense output of a trajectory in theta, mapped to w."""

    def __init__(self, trajectory: Trajectory, G: Diagonal) -> None:
        self._trajectory, self._formula = trajectory, jax.jit(jax.vmap(G.formula))

    def state(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
        # JAX compiles once for each number of times, so the times are padded to a power of two.
        m = len(times)
        padded = np.concatenate([times, np.full(2 ** int(np.ceil(np.log2(max(m, 1)))) - m, times[-1])])
        theta = self._trajectory.state(padded)
        with double_precision():
            return np.asarray(self._formula(jax.tree.map(jnp.asarray, theta)))[:m]

    def dual(self, times: Float64[ndarray, " m"]) -> None:
        return None


def in_w(trajectory: Trajectory, G: Diagonal) -> Trajectory:
    """Return the same trajectory with w as its state."""
    start, final = np.asarray(G(trajectory.start)), np.asarray(G(trajectory.final))
    return dataclasses.replace(trajectory, start=start, final=final, dense=InW(trajectory, G), shape=None)


class Growths(NamedTuple):
    """The flows from all scales until shortly after the last jump, and the last of them at a larger rtol."""

    sweep: ScaleSweep
    coarse: ScaleSweep

    @property
    def integration_error(self) -> float:
        """The difference between the two rtol at the smallest scale, relative to the distances measured there."""
        apart = np.abs(self.coarse.jump_times[0] - self.sweep.jump_times[-1])
        return float(np.max(apart / self.sweep.jump_errors[-1]))


def simulated(path: SaddlePath, network: Network, progress: Progress) -> Growths:
    """Return the simulations of a network.

    Raises:
        KeyboardInterrupt: a simulation was interrupted from the keyboard.
    """
    units, count = network.units(), len(network.exponents) + 2
    trajectories = []
    for i, exponent in enumerate(network.exponents):
        progress((i + 1) / count, f"flow from scale 1e-{exponent:g}")
        trajectories.append(_trajectory(path, network, i, network.rtol))
    progress((count - 1) / count, "flow from the smallest scale at a larger rtol")
    coarse = _trajectory(path, network, len(units) - 1, _COARSER * network.rtol)
    loss = _loss(path)
    sweep = ScaleSweep(path, tuple(trajectories), units, loss, _BEYOND)
    return Growths(sweep, ScaleSweep(path, (coarse,), units[-1:], loss, _BEYOND))


def predicted(setting: Setting) -> SaddlePath:
    """Return the path of a setting, from the growth times of its direction."""
    network = setting.network
    return saddle_path(setting.problem(), growth_times=network.growth)


def deep_dataset(path: SaddlePath, network: Network, growths: Growths) -> Any:
    """Return the dataset of measurements of the path and of the simulations."""
    assert path.growth_times is not None
    plus, minus = path.growth_times
    plain = saddle_path(path.problem)
    same = plain.n_jumps == path.n_jumps
    apart = float(np.max(np.abs(path.coefficients - plain.coefficients))) if same else np.inf
    final = growths.sweep.trajectories[-1].final
    exponents = network.exponents
    shown = {f"scale = 1e-{exponents[i]:g}": i for i in (0, len(exponents) - 1)}
    numbers = {
        "order": network.order,
        "rtol": network.rtol,
        "coarse_rtol": _COARSER * network.rtol,
        "integration_error": growths.integration_error,
        "flow_end_norm": modified_norm(path, final),
        "plain_distance": apart,
        "end_l1_norm": float(np.sum(np.abs(path.coefficients[-1]))),
        "least_l1_norm": least_norm(path, plain=True),
    }
    data = path_dataset(path).assign(
        t_plus=("feature", plus),
        t_minus=("feature", minus),
        force=(("jump", "feature"), np.array([path.problem.residual(w) @ path.problem.X for w in path.coefficients])),
    )  # fmt: skip
    data = data.assign(sweep_variables(growths.sweep, exponents, shown)).assign(numbers)
    statuses = {"coarse_status": growths.coarse.statuses[0]}
    return data.assign_attrs(statuses | {"time_unit": path.growth.time_unit})


def _loss(path: SaddlePath) -> Any:
    X, y = path.problem.X, path.problem.y

    def loss(w: ndarray) -> float:  # faster than `problem.loss`, because it checks nothing
        residual = X @ w - y
        return float(residual @ residual) / (2 * len(y))

    return loss


def _trajectory(path: SaddlePath, network: Network, i: int, rtol: float) -> Trajectory:
    scale, unit = float(network.scales()[i]), float(network.units()[i])
    start = jax.tree.map(lambda leaf: scale * leaf, network.direction)
    flow = GradientFlow(path.problem.reparametrize(network.G))
    end = _BEYOND * float(path.times[-1]) * unit
    return in_w(finished(simulate(flow, start, t1=end, rtol=rtol)), network.G)
