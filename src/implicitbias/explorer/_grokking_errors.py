"""The exploration of late generalisation: errors of a diagonal network with weight decay, over the slow time lam t."""

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
)

# Slow times of the flow and of the prediction: the first, the last and their number.
_SLOW, _PREDICTED = (1e-5, 20.0, 260), (1e-2, 20.0, 40)
# Smaller errors are not shown.
_FLOOR = 1e-6


def errors(*, alpha: float, weight_decay: float, n: int, d: int, noise: float, seed: int) -> Picture:
    """Return the errors of the flow of u * v from u = sqrt(2) alpha, v = 0, and those of the slow phase."""
    from implicitbias.flows import GradientFlow, simulate
    from implicitbias.parametrizations import HadamardProduct

    data = sparse_data(n, d, noise, seed)
    slow = np.geomspace(*_SLOW)
    start = np.full(COLUMNS, math.sqrt(2.0) * alpha), np.zeros(COLUMNS)
    flow = GradientFlow(data.padded().reparametrize(HadamardProduct()), weight_decay)
    run = simulate(flow, start, t1=float(slow[-1]) / weight_decay)
    slow = slow[slow <= float(run.times[-1]) * weight_decay]
    u, v = run.state(np.minimum(slow / weight_decay, run.times[-1]))
    w = np.asarray(u * v)[:, :d]
    tau = np.geomspace(*_PREDICTED)
    predicted = slow_phase(data, alpha, tau)
    train, test = _train(data, w), _test(data, w)
    expected = _test(data, predicted)
    order = np.maximum(np.max(np.abs(w), axis=0), np.max(np.abs(predicted), axis=0))
    curves = coefficient_curves(slow, w, Role.FLOW, order)
    curves += coefficient_curves(tau, predicted, Role.PREDICTION, order)
    panels = (
        (
            Curve("training error of the flow", slow, np.maximum(train, _FLOOR), Role.FLOW, 1),
            Curve("test error of the flow", slow, np.maximum(test, _FLOOR), Role.FLOW, 0),
            Curve("predicted test error", tau, np.maximum(expected, _FLOOR), Role.PREDICTION, 0),
        ),
        tuple(curves),
    )
    facts = (
        ("fitted at λt", _time(slow, train, 0.01)),
        ("generalises at λt", _time(slow, test, 0.1)),
        ("predicted to generalise at λt", _time(tau, expected, 0.1)),
        ("test error at the end", f"{test[-1]:.2g}"),
        ("steps of the solver", str(run.stats.steps)),
    )
    note = "" if run.status.ok else f"The simulation stopped early: {run.status.value}."
    return Picture(panels, facts, note)


def slow_phase(data: SparseData, alpha: float, tau: Float64[ndarray, " m"]) -> Float64[ndarray, "m d"]:
    """Return the w of the slow phase at the slow times, for a vanishing weight decay and without simulation.

    It is the interpolant w = a sinh(X^T nu) with X w = y and a = alpha^2 e^(-2 tau) (docs/theory.md, The limit of a
    small weight decay). Each is the first guess of the next one.
    """
    from implicitbias.studies._sinh_interpolant import sinh_interpolant

    n, d = data.X.shape
    nu, rows = np.zeros(n), []
    for log_scale in 2.0 * math.log(alpha) - 2.0 * np.concatenate([np.linspace(-3.0, 0.0, 7), tau]):
        scale = np.full(d, math.exp(log_scale))
        with np.errstate(over="ignore"):  # of steps of Newton's method that are too long, and are halved
            nu = sinh_interpolant(data.X, data.y, scale, np.zeros(d), nu)
        rows.append(scale * np.sinh(data.X.T @ nu))
    return np.array(rows[7:])


def _train(data: SparseData, w: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
    """Return the training errors as shares of that of w = 0."""
    return np.asarray(np.mean((w @ data.X.T - data.y) ** 2, axis=1) / np.mean(data.y**2))


def _test(data: SparseData, w: Float64[ndarray, "m d"]) -> Float64[ndarray, " m"]:
    """Return the mean squared errors over Gaussian inputs as shares of that of w = 0."""
    return np.asarray(np.sum((w - data.teacher) ** 2, axis=1) / np.sum(data.teacher**2))


def _time(times: Float64[ndarray, " m"], values: Float64[ndarray, " m"], level: float) -> str:
    reached = values <= level
    return f"{times[int(np.argmax(reached))]:.2g}" if np.any(reached) else "never"


GROKKING_DIAGONAL = Exploration(
    "grokking-diagonal",
    "Late generalisation of a diagonal network",
    "A two-layer diagonal network with weight decay λ first fits its training data, and generalises at a fixed slow "
    "time λt. The slow phase is predicted without training, for λ → 0: at each slow time it solves a convex problem, "
    "whose scale α² falls like exp(−2 λt). The flow starts at u = √2 α, v = 0. Errors are shares of that of w = 0.",
    (
        Setting("alpha", "initialisation α", -2.0, 1.0, 0.1, 0.3, powers=True),
        Setting("weight_decay", "weight decay λ", -7.0, -1.0, 0.1, -4.0, powers=True),
        Setting("n", "samples n", 4, ROWS, 1, 20),
        Setting("d", "features d", ROWS + 2, COLUMNS, 1, 40),
        Setting("noise", "noise of the targets", 0.0, 1.0, 0.05, 0.0),
        Setting("seed", "seed of the data", 0, 99, 1, 0),
    ),
    (
        Axes("Errors", "slow time λt", "error", x_log=True, y_log=True),
        Axes("Coefficients", "slow time λt", "w", x_log=True),
    ),
    errors,
)
