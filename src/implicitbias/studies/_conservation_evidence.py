"""Measurements of conservation laws: their numbers, and their drift along flows and along gradient descent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientDescent, GradientFlow, simulate
from implicitbias.predictors import ConservedQuantities, conserved_quantities
from implicitbias.problems import Problem, TrainingProblem
from implicitbias.studies._conservation_settings import (
    Network,
    drawn_linear,
    drawn_relu,
    layers,
    linear,
    linear_network,
    matrices,
    relu,
    relu_network,
    smooth,
    smooth_network,
    with_biases,
)
from implicitbias.studies._seeds import generator
from implicitbias.trajectories import Trajectory

# The numbers of networks of each kind that are drawn.
_DRAWN = 20
# Each learning rate is half of the one before.
_RATES = tuple(0.04 * 0.5**k for k in range(5))
_END, _NODES = 4.0, 4


def small_dataset(progress: Progress) -> Any:
    """Return the counts of small networks, and the drift of the laws of a linear network."""
    rng = generator(0)
    networks = [
        linear_network(rng, (2, 2, 2)),
        relu_network(rng, layers(rng, (2, 2, 1))),
        relu_network(rng, with_biases(rng, layers(rng, (2, 2, 1)))),
        smooth_network(rng, (2, 2, 1)),
    ]
    found = _counted(networks, lambda share, text: progress(0.6 * share, text))
    return dataset({}, {}, {}).assign(_count_variables(networks, found) | _linear_drift())


def drawn_dataset(progress: Progress) -> Any:
    """Return the counts of networks that are drawn as in the test of arXiv 2307.00144."""
    rng = generator(0)
    networks = [draw(rng) for draw in (drawn_linear, drawn_relu) for _ in range(_DRAWN)]
    return dataset({}, {}, {}).assign(_count_variables(networks, _counted(networks, progress)))


def units_dataset(progress: Progress) -> Any:
    """Return the drift of the laws of a network of ReLUs with biases, and of the same laws for tanh."""
    rng = generator(1)
    theta0 = with_biases(rng, layers(rng, (2, 3, 1)))
    found = conserved_quantities(relu_network(rng, theta0).G, theta0)
    X = rng.standard_normal((12, 2))
    y = np.tanh(X[:, :1]) - 0.5 * X[:, 1:]
    progress(0.2, "laws found")
    variables = drift_variables(Problem(relu, X, y), theta0, found, 1e-9)
    progress(0.7, "drift of ReLUs")
    control = simulate(GradientFlow(Problem(smooth, X, y)), theta0, _END, rtol=1e-9)
    names = [*variables["simulation_status"][1], control.status.name]
    variables |= {
        "control_drift": ((), np.array(np.max(found.drift(control)))),
        "simulation_status": (("simulation",), np.array(names)),
    }
    return dataset({}, {}, {}).assign(variables)


def _counted(networks: Sequence[Network], progress: Progress) -> list[ConservedQuantities]:
    found = []
    for network in networks:
        found.append(conserved_quantities(network.G, network.theta))
        progress(len(found) / len(networks), network.name)
    return found


def _count_variables(networks: Sequence[Network], found: Sequence[ConservedQuantities]) -> dict[str, Any]:
    """Return the numbers of laws that were computed, those of theory, and how many of the laws are known."""
    return {
        "network": (("network",), np.array([network.name for network in networks])),
        "count": (("network",), np.array([one.count for one in found])),
        "rule": (("network",), np.array([network.rule for network in networks])),
        "independent": (("network",), np.array([one.independent for one in found])),
        "size": (("network",), np.array([one.size for one in found])),
    }


def _linear_drift() -> dict[str, Any]:
    """Return the drift of the laws of a product of two matrices."""
    rng = generator(2)
    theta0 = [0.7 * matrix for matrix in matrices(rng, (2, 2, 2))]
    X = rng.standard_normal((6, 2))
    Y = X @ rng.standard_normal((2, 2))
    return drift_variables(Problem(_linear_model, X, Y), theta0, conserved_quantities(linear, theta0), 1e-10)


def _linear_model(theta: Any, X: Any) -> Any:
    return X @ linear(theta)


def drift_variables(
    problem: TrainingProblem, theta0: Any, found: ConservedQuantities, rtol: float
) -> dict[str, Any]:
    """Return the changes of laws along the flow and along descents, and the drift to first order in the rate."""
    flow = simulate(GradientFlow(problem), theta0, _END, rtol=rtol)
    first = np.array([law(theta0) for law in found.laws])
    changes, statuses = [], [flow.status.name]
    for rate in _RATES:
        run = simulate(GradientDescent(problem, rate), theta0, _END)
        changes.append([law(run.final) for law in found.laws] - first)
        statuses.append(run.status.name)
    times = np.linspace(0.0, _END, 81)
    return {
        "law": (("law",), np.array([str(law) for law in found.laws])),
        "rate": (("rate",), np.array(_RATES)),
        "change": (("rate", "law"), np.array(changes)),
        "first_order": (("law",), first_order(problem, flow, found)),
        "flow_drift": (("law",), found.drift(flow)),
        "flow_moved": ((), np.array(_moved(flow))),
        "curve_time": (("sample",), times),
        "curve_law": (("sample", "law"), np.array([[law(flow.state(float(t))) for law in found.laws] for t in times])),
        "simulation_status": (("simulation",), np.array(statuses)),
    }  # fmt: skip


def first_order(
    problem: TrainingProblem, flow: Trajectory, found: ConservedQuantities
) -> Float64[ndarray, " laws"]:
    r"""Return $\int h(\nabla L(\theta_t)) dt$ for each law h along the flow.

    A step of gradient descent changes a quadratic law by exactly $\eta^2 h(\nabla L)$, because the linear term in
    $\eta$ is the change along the flow, which is 0. So the drift up to a time is $\eta$ times this integral, up to
    terms of second order.
    """
    nodes, shares = np.polynomial.legendre.leggauss(_NODES)
    total = np.zeros(len(found.laws))
    for begin, length in zip(flow.times[:-1], np.diff(flow.times), strict=True):
        for node, share in zip(nodes, shares, strict=True):
            slope = problem.gradient(flow.state(float(begin + length * (node + 1.0) / 2.0)))
            total += length * share / 2.0 * np.array([law(slope) for law in found.laws])
    return total


def _moved(flow: Trajectory) -> float:
    """Return how far the parameters move, relative to their size."""
    states = np.asarray(flow.flat_states)
    return float(np.linalg.norm(states[-1] - states[0]) / np.linalg.norm(states[0]))
