"""Measurements of U U^T and U V^T, whose gradients do not commute, beside a map whose gradients do."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.parametrizations import MatrixProduct, Parametrization, SquareDifference, commutes
from implicitbias.problems import LeastSquares
from implicitbias.studies._commuting_settings import MIXING
from implicitbias.trajectories import Trajectory

# The entries (0, 0), (0, 1) and (1, 1) of symmetric matrices, and the matrices of unit entries there.
_ROWS, _COLS = np.array([0, 0, 1]), np.array([0, 1, 1])
_BASIS = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
_START = np.array([[1.2, 0.1], [0.1, 0.2]])
# The entries at which training ends, and the weights of the entries in two losses.
_END = np.array([0.5, -0.4, 0.8])
_WEIGHTS = ((1.0, 1.0, 1.0), (1.0, 10.0, 1.0))
_PAIR = (np.array([0.6, 0.5, 0.7]), np.array([0.4, 0.5, 0.3]))
_LATE, _RTOL, _SAMPLES = 300.0, 1e-10, 121
# The nodes of a Gauss-Legendre rule in each step; the dense output is a polynomial of order 4 there.
_NODES = 4


def symmetric(U: Any) -> Any:
    """Return the entries (0, 0), (0, 1) and (1, 1) of U U^T."""
    return (U @ U.T)[_ROWS, _COLS]


def products_dataset(progress: Progress) -> Any:
    """Return brackets, metrics, and integrals of gradients along two flows to one end."""
    square = Parametrization.from_function(symmetric)
    product, pair = MatrixProduct(), Parametrization.from_function(SquareDifference().formula)
    factors = (_START, np.array([[0.5, -0.3], [0.2, 0.7]]))
    verdicts = [commutes(square, _START), commutes(product, factors), commutes(pair, _PAIR)]
    progress(0.4, "brackets computed")
    variables: dict[str, Any] = {
        "map": (("map",), np.array(["U U^T", "U V^T", "u^2 - v^2"])),
        "bracket": (("map",), np.array([verdict.worst_bracket for verdict in verdicts])),
        "motion": (("map",), np.array([verdict.motion for verdict in verdicts])),
    } | _metric_variables(square, product, factors)
    runs = [_flows(G, start) for G, start in ((square, _START), (pair, _PAIR))]
    progress(0.9, "flows simulated")
    return dataset({}, {}, {"rtol": _RTOL}).assign(variables | _integral_variables((square, pair), runs))


def metric(W: Float64[ndarray, "2 2"]) -> Float64[ndarray, "3 3"]:
    r"""Return $J J^\top$ of `symmetric`, which is a linear function of W = U U^T.

    $\langle \nabla W_{ij}, \nabla W_{kl} \rangle = \delta_{ik} W_{jl} + \delta_{il} W_{jk} + \delta_{jk} W_{il} +
    \delta_{jl} W_{ik}$.
    """
    equal, (i, j) = np.eye(2), (_ROWS[:, None], _COLS[:, None])
    k, m = _ROWS[None], _COLS[None]
    return np.asarray(
        equal[i, k] * W[j, m] + equal[i, m] * W[j, k] + equal[j, k] * W[i, m] + equal[j, m] * W[i, k]
    )


def asymmetry(K: Float64[ndarray, "d d"], slopes: Float64[ndarray, "d d d"]) -> tuple[float, tuple[int, ...]]:
    r"""Return the largest $\partial_k g_{ij} - \partial_i g_{kj}$ of $g = K^{-1}$, and its (i, j, k).

    It is relative to the largest derivative of g. If g is the Hessian of a function, its third derivatives do not
    depend on the order.

    Args:
        K: the inverse of g.
        slopes: the derivative of K by each coordinate.
    """  # fmt: skip
    g = np.linalg.inv(K)
    third = np.array([-g @ slope @ g for slope in slopes])  # third[k, i, j] is the derivative of g_ij by w_k
    apart = np.abs(third - third.transpose(1, 0, 2))
    k, i, j = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return float(apart[k, i, j] / np.max(np.abs(third))), (int(i), int(j), int(k))


def _metric_variables(square: Parametrization, product: Parametrization, factors: Any) -> dict[str, Any]:
    """Return whether the metrics are functions of W, and whether their inverses are Hessians."""
    W = _START @ _START.T
    angle = 0.7
    turned = _START @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    of_square = [_inner(square, theta, 3) for theta in (_START, turned)]
    stretch = np.array([[2.0, 0.3], [0.0, 0.5]])
    stretched = (factors[0] @ stretch, factors[1] @ np.linalg.inv(stretch).T)
    of_product = [_inner(product, theta, 4) for theta in (factors, stretched)]
    slopes = np.array([metric(E) for E in _BASIS])
    apart, place = asymmetry(metric(W), slopes)
    return {
        "square_metric": (("entry", "other"), of_square[0]),
        "square_formula": (("entry", "other"), metric(W)),
        "square_turned": (("entry", "other"), of_square[1]),
        "product_metric": (("element", "partner"), of_product[0]),
        "product_stretched": (("element", "partner"), of_product[1]),
        "asymmetry": ((), np.array(apart)),
        "asymmetry_place": (("index",), np.array(place)),
        "control_asymmetry": ((), np.array(_control_asymmetry())),
    }


def _inner(G: Parametrization, theta: Any, size: int) -> Float64[ndarray, "d d"]:
    """Return $J J^\\top$ from products of $J^\\top$ with unit vectors."""
    shape = np.shape(G(theta))
    rows = []
    for unit in np.eye(size):
        pulled = G.pullback(theta, unit.reshape(shape))
        parts = pulled if isinstance(pulled, tuple) else (pulled,)
        rows.append(np.concatenate([np.ravel(part) for part in parts]))
    J = np.array(rows)
    return np.asarray(J @ J.T)


def _control_asymmetry() -> float:
    r"""Return the asymmetry of the metric of $w = A (u \odot v)$, which commutes and is the same kind of function of w.

    With $x = A^{-1} w$, the metric is $A \operatorname{diag}(2 \sqrt{x^2 + a^2}) A^\top$.
    """
    x, a = np.array([0.7, -0.4, 0.3]), 0.2
    inverse, roots = np.linalg.inv(MIXING), np.sqrt(x * x + a * a)
    K = MIXING @ np.diag(2.0 * roots) @ MIXING.T
    slopes = [MIXING @ np.diag(2.0 * x / roots * inverse[:, k]) @ MIXING.T for k in range(3)]
    return asymmetry(K, np.array(slopes))[0]


def _flows(G: Parametrization, start: Any) -> list[list[Trajectory]]:
    """Return, for both losses, the flows at two tolerances."""
    runs = []
    for weights in _WEIGHTS:
        problem = LeastSquares(np.diag(np.sqrt(weights)), np.sqrt(weights) * _END).reparametrize(G)
        runs.append(
            [simulate(GradientFlow(problem), start, _LATE, rtol=rtol) for rtol in (_RTOL, 100 * _RTOL)]
        )
    return runs


def integral(
    G: Parametrization, run: Trajectory, weights: tuple[float, ...]
) -> tuple[Float64[ndarray, " 3"], Float64[ndarray, " 3"]]:
    """Return the integral of grad L(w) along a flow, and the last w."""
    nodes, shares = np.polynomial.legendre.leggauss(_NODES)
    steps = np.diff(run.times)
    times = (run.times[:-1, None] + steps[:, None] * (nodes + 1.0) / 2.0).ravel()
    slopes = np.asarray(weights) * (_along(G, run, times) - _END) / 3.0
    total = np.einsum("s,n,snk->k", steps, shares / 2.0, slopes.reshape(len(steps), _NODES, 3))
    return np.asarray(total), _along(G, run, run.times[-1:])[0]


def _along(G: Parametrization, run: Trajectory, times: ndarray) -> Float64[ndarray, "t 3"]:
    """Return w at many times, from the flat states."""
    states = run.state(times)
    if isinstance(states, tuple):
        u, v = states
        return np.asarray(u * u - v * v)
    return np.asarray((states @ states.swapaxes(1, 2))[:, _ROWS, _COLS])


def _integral_variables(
    maps: tuple[Parametrization, ...], runs: list[list[list[Trajectory]]]
) -> dict[str, Any]:
    """Return the ends and the integrals of both losses of U U^T and of u^2 - v^2."""
    found = [
        [[integral(G, run, weights) for run in pair] for weights, pair in zip(_WEIGHTS, both, strict=True)]
        for G, both in zip(maps, runs, strict=True)
    ]
    integrals, ends = np.array(found)[:, :, :, 0], np.array(found)[:, :, :, 1]
    times = np.concatenate([[0.0], np.geomspace(0.02, _LATE, _SAMPLES)])
    curves = [_along(maps[0], pair[0], times) for pair in runs[0]]
    statuses = [run.status.name for both in runs for pair in both for run in pair]
    return {
        "integral": (("flow", "loss", "coordinate"), integrals[:, :, 0]),
        "integral_coarse": (("flow", "loss", "coordinate"), integrals[:, :, 1]),
        "end": (("flow", "loss", "coordinate"), ends[:, :, 0]),
        "target": (("coordinate",), _END),
        "curve_time": (("sample",), times),
        "curve_w": (("loss", "sample", "coordinate"), np.array(curves)),
        "simulation_status": (("simulation",), np.array(statuses)),
    }
