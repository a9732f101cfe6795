"""Normalised steepest descents in several gauges, and the normalised gradient flow, with their margins."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias.flows import MirrorFlow, SteepestDescent, simulate
from implicitbias.gauges import Gauge
from implicitbias.limits import max_margin
from implicitbias.potentials import SquaredNorm
from implicitbias.problems import Classification
from implicitbias.studies._sweep_evidence import finished

# Constant steps approximate the normalised flow, and decaying steps are those of the rate in the number of steps.
_CONSTANT, _DECAYING = (0.01, 0.0, 10_000), (0.5, 0.5, 20_000)
_SAVED = 40
_LOG_TIME = 23_000.0


def descent_variables(problem: Classification, gauges: dict[str, Gauge]) -> dict[str, Any]:
    """Return variables over (gauge, saved step): the time, the sum of squared steps, and the margin, of both kinds.

    Step sizes are in units of 1 / R, where R is the largest value of the polar at a row. Then |<x_i, v>| <= R for every
    v of gauge 1, which the bounds of the claims use.

    Raises:
        KeyboardInterrupt: a simulation was interrupted from the keyboard.
    """
    radii = np.array([_radius(problem, gauge) for gauge in gauges.values()])
    best = [max_margin(problem, gauge) for gauge in gauges.values()]
    variables: dict[str, Any] = {
        "descent_radius": (("gauge",), radii),
        "descent_best": (("gauge",), np.array([limit.margin for limit in best])),
        "descent_gap": (("gauge",), np.array([limit.certificate.gap for limit in best])),
        "descent_tolerance": (("gauge",), np.array([limit.certificate.tolerance for limit in best])),
        "gauge": (("gauge",), np.array(list(gauges))),
    }
    for kind, choice in (("constant", _CONSTANT), ("decaying", _DECAYING)):
        runs = [_descent(problem, gauge, R, choice) for gauge, R in zip(gauges.values(), radii, strict=True)]
        for name, values in zip(("steps", "time", "squares", "margin"), zip(*runs, strict=True), strict=True):
            variables[f"{kind}_{name}"] = (("gauge", "save"), np.array(values))
    return variables


def _radius(problem: Classification, gauge: Gauge) -> float:
    polar = gauge.polar()
    rows = np.asarray(problem.X).reshape(len(problem.y), *problem.predictor_shape)
    return float(max(polar.value(row) for row in rows))


def _descent(
    problem: Classification, gauge: Gauge, radius: float, choice: tuple[float, float, int]
) -> tuple[ndarray, ...]:
    """Return the numbers of steps, the times, the sums of squared step sizes, and the margins."""
    size, decay, count = choice
    descent = SteepestDescent(problem, gauge, step_size=size / radius, decay=decay)
    steps = np.unique(np.round(np.geomspace(10, count, _SAVED)).astype(int))
    sizes = size / radius * np.arange(1.0, count + 1.0) ** -decay
    times, squares = np.cumsum(sizes)[steps - 1], np.cumsum(sizes**2)[steps - 1]
    trajectory = finished(simulate(descent, np.zeros(problem.predictor_shape), times=times))
    states = trajectory.states[-len(steps) :]
    margins = np.array([np.min(problem.margins(w)) / gauge.value(w) for w in states])
    return steps.astype(float), times, squares, margins


def arc_variables(problem: Classification) -> dict[str, Any]:
    """Return the length of the path of the gradient flow from 0 and its margin in l2.

    The path of the normalised gradient flow is that of the gradient flow, and its time is the length. The length is
    that of a polygon through states of the flow, so that it is a little too small.

    Raises:
        KeyboardInterrupt: the simulation was interrupted from the keyboard.
    """
    flow = MirrorFlow(problem, SquaredNorm())
    trajectory = finished(simulate(flow, np.zeros(problem.shape[1]), log_t1=_LOG_TIME, rtol=1e-6))
    logs = np.concatenate(
        [np.linspace(-8.0, 30.0, 1000), np.geomspace(30.0, _LOG_TIME * (1.0 - 1e-12), 1001)[1:]]
    )
    states = np.vstack([np.zeros(problem.shape[1]), trajectory.state(log_t=logs)])
    lengths = np.cumsum(np.linalg.norm(np.diff(states, axis=0), axis=1))
    kept = np.unique(np.searchsorted(lengths, np.geomspace(lengths[100], lengths[-1] * (1.0 - 1e-9), _SAVED)))
    margins = [float(np.min(problem.margins(w))) / float(np.linalg.norm(w)) for w in states[kept + 1]]
    return {"arc_length": (("arc",), lengths[kept]), "arc_margin": (("arc",), np.array(margins))}
