"""The explorations of paths: the predicted saddle path against the simulated flow from a scale alpha."""

import math

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Axes, Curve, Picture, Role
from implicitbias.explorer._setting import Setting
from implicitbias.explorer._sparse_data import (
    COLUMNS,
    ROWS,
    SparseData,
    coefficient_curves,
    sparse_data,
    steps,
)
from implicitbias.limits import SaddlePath, saddle_path

# The end of the simulation in units of the last jump time, and the number of times of a curve.
_BEYOND, _TIMES = 1.2, 400
# Deep networks are integrated in their parameters, and this tolerance keeps a redraw fast.
_RTOL = 1e-3
# The smallest loss that the logarithmic axis shows, relative to the first one.
_FLOOR = 1e-6


def two_layers(*, alpha: float, n: int, d: int, noise: float, seed: int) -> Picture:
    """Return the path of u * v and the flow from u = sqrt(2) alpha, v = 0."""
    from implicitbias.flows import MirrorFlow, simulate
    from implicitbias.potentials import HyperbolicEntropy
    from implicitbias.problems import LeastSquares

    data = sparse_data(n, d, noise, seed)
    path, unit = saddle_path(LeastSquares(data.X, data.y)), -math.log(alpha)
    end = _BEYOND * float(path.times[-1])
    flow = MirrorFlow(data.padded(), HyperbolicEntropy(log_scale=-2.0 * unit))
    run = simulate(flow, np.zeros(COLUMNS), t1=end * unit)
    slow = np.linspace(0.0, min(end, float(run.times[-1]) / unit), _TIMES)
    note = "" if run.status.ok else f"The simulation stopped early: {run.status.value}."
    return _path_picture(data, path, (slow, run.state(slow * unit)[:, :d]), run.stats.steps, note)


def deep(*, depth: int, alpha: float, n: int, d: int, noise: float, seed: int) -> Picture:
    """Return the path of a diagonal network with several layers, and the flow from one layer of zeros."""
    from implicitbias.flows import GradientFlow, simulate
    from implicitbias.parametrizations import DeepDiagonal
    from implicitbias.problems import LeastSquares

    data, G = sparse_data(n, d, noise, seed), DeepDiagonal(depth)
    growth = G.growth_times(_direction(depth, d))
    path = saddle_path(LeastSquares(data.X, data.y), growth_times=growth)
    unit = float(growth.flow_time(1.0, log_scale=math.log(alpha)))
    end = _BEYOND * float(path.times[-1])
    start = tuple(alpha * layer for layer in _direction(depth, COLUMNS))
    run = simulate(
        GradientFlow(data.padded().reparametrize(G)), start, t1=end * unit, rtol=_RTOL, solver="kernel"
    )
    slow = np.linspace(0.0, min(end, float(run.times[-1]) / unit), _TIMES)
    w = np.prod(np.array(run.state(slow * unit)), axis=0)[:, :d]
    note = "" if run.status.ok else f"The simulation stopped early: {run.status.value}."
    return _path_picture(data, path, (slow, w), run.stats.steps, note)


def _direction(depth: int, d: int) -> tuple[Float64[ndarray, " d"], ...]:
    """Return layers of ones except for the first one, which is zero, so that w starts at 0."""
    return (np.zeros(d), *(np.ones(d) for _ in range(depth - 1)))


def _path_picture(
    data: SparseData, path: SaddlePath, flow: tuple[ndarray, ndarray], count: int, note: str
) -> Picture:
    """Return the picture of a path and of a flow (slow times, w)."""
    times, levels = np.asarray(path.times), np.asarray(path.coefficients)
    slow, w = flow
    end = float(times[-1]) * _BEYOND
    corners, which = steps(times, end)
    order = np.maximum(np.max(np.abs(levels), axis=0), np.max(np.abs(w), axis=0))
    losses, found = data.loss(levels), data.loss(w)
    floor = _FLOOR * max(float(losses[0]), 1e-300)
    loss_curves = (
        Curve("loss of the flow", slow, np.maximum(found, floor), Role.FLOW, 0),
        Curve("loss of the path", corners, np.maximum(losses[which], floor), Role.PREDICTION, 0),
    )
    curves = coefficient_curves(slow, w, Role.FLOW, order)
    curves += coefficient_curves(corners, levels[which], Role.PREDICTION, order)
    apart = float(np.max(np.abs(w[-1] - levels[-1])))
    facts = (
        ("jumps", str(len(times) - 1)),
        ("last jump at slow time", f"{times[-1]:.3g}"),
        ("distance at the end", f"{apart:.2g}"),
        ("steps of the solver", str(count)),
    )
    return Picture((tuple(curves), loss_curves), facts, note)


_SIZES = (
    Setting("n", "samples n", 2, ROWS, 1, 12),
    Setting("d", "features d", 4, COLUMNS, 1, 30),
    Setting("noise", "noise of the targets", 0.0, 1.0, 0.05, 0.0),
    Setting("seed", "seed of the data", 0, 99, 1, 0),
)
_AXES = (
    Axes("Coefficients", "slow time", "w"),
    Axes("Training loss", "slow time", "loss", y_log=True),
)

SADDLE_TO_SADDLE = Exploration(
    "saddle-to-saddle",
    "From saddle to saddle",
    "A two-layer diagonal network w = u v that is trained from a vanishing initialisation jumps from saddle to saddle. "
    "The predicted path is computed without training. The flow starts at u = √2 α, v = 0, and slow time is the time "
    "divided by ln(1/α). The smaller α is, the closer the flow is to the path.",
    (Setting("alpha", "initialisation α", -300.0, -0.5, 0.5, -30.0, powers=True), *_SIZES),
    _AXES,
    two_layers,
)

DEEP_DIAGONAL = Exploration(
    "deep-diagonal",
    "Deep diagonal networks",
    "A diagonal network with several layers follows a path that its growth times predict. The flow starts with one "
    "layer of zeros and all other layers at α. Slow time is time in units in which a layer grows from α to 1: "
    "ln(1/α) with two layers, and a power of 1/α with more layers.",
    (
        Setting("depth", "layers", 2, 4, 1, 3),
        Setting("alpha", "initialisation α", -3.0, -0.5, 0.1, -2.0, powers=True),
        *_SIZES,
    ),
    _AXES,
    deep,
    compiled=("depth",),
)
