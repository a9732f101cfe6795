"""A network whose drift ends at a saddle of the norm, so that long times and small weight decays do not commute."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, NormDrift, simulate
from implicitbias.problems import Problem
from implicitbias.studies._sweep_evidence import finished

_DECAYS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_RTOL, _COARSER, _END = 1e-10, 10.0, 20.0
# The drift is followed to this slow time, until which rounding errors stay small.
_STAY = 8.0
# A run has left the saddle at this distance from it.
_LEFT = 0.1
_SAMPLES = 200


def two_units(theta: Any, X: Any) -> Any:
    """Return theta_1^4 + theta_2^4 + theta_2^3 / 2 for every row."""
    return (theta[0] ** 4 + theta[1] ** 4 + theta[1] ** 3 / 2) * X[:, 0]


def slope(theta: ndarray) -> Float64[ndarray, " 2"]:
    """Return the gradient of the prediction."""
    return np.array([4 * theta[0] ** 3, 4 * theta[1] ** 3 + 1.5 * theta[1] ** 2])


def saddle() -> tuple[Float64[ndarray, " 2"], float]:
    """Return the interior point with prediction 1 at which theta is normal to the curve, and its rate of escape.

    Near it, the distance from it along the curve grows like e^(rate tau) under the drift.
    """

    def second(first: float) -> float:  # where theta_1 / f_1 = theta_2 / f_2
        return float(brentq(lambda x: 4 * x**2 + 1.5 * x - 4 * first**2, 0.0, 2.0, xtol=1e-15))

    def gap(first: float) -> float:
        other = second(first)
        return first**4 + other**4 + other**3 / 2 - 1.0

    first = float(brentq(gap, 0.1, 1.0, xtol=1e-15))
    point = np.array([first, second(first)])
    normal = slope(point)
    bend = np.diag([12 * point[0] ** 2, 12 * point[1] ** 2 + 3 * point[1]])
    along = np.array([-normal[1], normal[0]]) / np.linalg.norm(normal)
    return point, float((point @ normal) / (normal @ normal) * (along @ bend @ along) - 1.0)


def start_of(point: ndarray) -> Float64[ndarray, " 2"]:
    """Return a start from which training without weight decay ends at the point, by the flow backwards in time."""
    answer = solve_ivp(
        lambda _, theta: -slope(theta), (0.0, 0.15), point, method="DOP853", rtol=1e-13, atol=1e-15
    )
    return np.asarray(answer.y[:, -1])


def departure(apart: Any, first: float, last: float) -> float:
    """Return the time between two times at which a distance from the saddle grows to the level."""
    return float(brentq(lambda t: apart(np.array([t]))[0] - _LEFT, first, last, rtol=1e-12))


def saddle_variables(progress: Progress) -> dict[str, Any]:
    """Return the ends of drift and runs, and the slow times at which the runs leave the saddle."""
    point, rate = saddle()
    start, problem = start_of(point), Problem(two_units, np.ones((1, 1)), np.ones(1))
    drift = finished(simulate(NormDrift(problem), point, t1=_STAY, rtol=_RTOL))
    baseline = finished(simulate(GradientFlow(problem), start, t1=_END / _DECAYS[-1], rtol=_RTOL))
    tau = np.linspace(0.0, _END, _SAMPLES)[1:]
    times, ends, paths, names = [], [], [], [drift.status.name, baseline.status.name]
    for i, decay in enumerate(_DECAYS):
        progress(0.2 + 0.7 * i / len(_DECAYS), f"training with weight decay {decay:g}")
        found = []
        for rtol in (_RTOL, _COARSER * _RTOL):
            run = finished(simulate(GradientFlow(problem, decay), start, t1=_END / decay, rtol=rtol))
            names.append(run.status.name)

            def apart(slow: ndarray, run: Any = run, decay: float = decay) -> Float64[ndarray, " m"]:
                return np.asarray(np.linalg.norm(run.state(slow / decay) - point, axis=1))

            path = apart(tau)
            near = np.flatnonzero(path <= _LEFT)
            left = len(near) and near[-1] + 1 < len(tau)
            found.append(departure(apart, tau[near[-1]], tau[near[-1] + 1]) if left else np.nan)
            if rtol == _RTOL:
                ends.append(run.final)
                paths.append(path)
        times.append(found)
    fine, coarse = np.array(times).T
    return {
        "weight_decay": (("decay",), np.array(_DECAYS)),
        "escape_time": (("decay",), fine),
        "escape_error": (("decay",), np.abs(fine - coarse)),
        "escape_rate": rate,
        "saddle": (("feature",), point),
        "drift_end": (("feature",), np.asarray(drift.final)),
        "baseline_end": (("feature",), np.asarray(baseline.final)),
        "end": (("decay", "feature"), np.array(ends)),
        "sample_tau": (("sample",), tau),
        "sample_apart": (("decay", "sample"), np.array(paths)),
        "stay": _STAY,
        "rtol": _RTOL,
        "simulation_status": (("simulation",), np.array(names)),
    }
