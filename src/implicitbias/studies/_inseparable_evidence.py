"""Data that no plane separates: the proof of it, and a mirror flow that stays bounded."""

from typing import Any

import numpy as np
from scipy.optimize import minimize

from implicitbias._core.errors import InfeasibleError
from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import MirrorFlow, simulate
from implicitbias.limits import max_margin
from implicitbias.potentials import SquaredNorm
from implicitbias.problems import Classification
from implicitbias.studies._separable_settings import NAMED_GAUGES, iris
from implicitbias.studies._sweep_evidence import finished

_LOG_TIME, _SAMPLES, _RTOL = 23_000.0, 60, 1e-6


def inseparable_dataset(progress: Progress) -> Any:
    """Return the dataset of the inseparable data: the combination that proves it, and the norm and loss of the flow.

    Raises:
        KeyboardInterrupt: the simulation was interrupted from the keyboard.
    """
    problem = Classification(*iris())
    combinations = [_combination(problem, name) for name in NAMED_GAUGES]
    progress(0.2, "flow")
    flow = MirrorFlow(problem, SquaredNorm())
    trajectory = finished(simulate(flow, np.zeros(problem.shape[1]), log_t1=_LOG_TIME, rtol=_RTOL))
    logs = np.geomspace(0.01, _LOG_TIME * (1.0 - 1e-12), _SAMPLES)
    states = trajectory.state(log_t=logs)
    least = _least_loss(problem)
    variables = {
        "X": (("row", "feature"), problem.X),
        "y": (("row",), problem.y),
        "combination": (("horizon", "row"), np.array(combinations)),
        "sample_log_time": (("sample",), logs),
        "sample_w": (("sample", "feature"), states),
        "sample_log_loss": (("sample",), np.array([problem.log_of_loss(w) for w in states])),
        "least_w": (("feature",), least),
        "least_log_loss": ((), np.array(problem.log_of_loss(least))),
        "simulation_status": (("scale",), np.array([trajectory.status.name])),
    }
    return dataset(variables, {"horizon": list(NAMED_GAUGES)}, {"rtol": _RTOL})


def _combination(problem: Classification, horizon: str) -> Any:
    """Return the combination with which `max_margin` refuses, or NaN if it does not refuse."""
    try:
        max_margin(problem, horizon)
    except InfeasibleError as error:
        return np.asarray(error.combination)
    return np.full(len(problem.y), np.nan)


def _least_loss(problem: Classification) -> Any:
    """Return the minimiser of the logistic loss by Newton's method of SciPy, which shares no code with the flow."""
    Z, n = problem.y[:, None] * problem.X, len(problem.y)

    def loss(w: Any) -> float:
        return float(np.mean(np.logaddexp(0.0, -(Z @ w))))

    def weights(w: Any) -> Any:
        return np.exp(-np.logaddexp(0.0, Z @ w))

    def gradient(w: Any) -> Any:
        return -weights(w) @ Z / n

    def hessian(w: Any) -> Any:
        q = weights(w)
        return (Z.T * (q * (1.0 - q))) @ Z / n

    start = np.zeros(problem.shape[1])
    return minimize(loss, start, jac=gradient, hess=hessian, method="trust-exact", options={"gtol": 1e-13}).x
