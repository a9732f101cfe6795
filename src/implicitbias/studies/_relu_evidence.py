"""Measurements of grokking in two-layer ReLU networks: the flows, their functions, and the least norm of any width."""

from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.limits import norm_minimizer
from implicitbias.studies._grokking_flows import (
    COARSER,
    Case,
    Drift,
    Sweep,
    curves_of,
    drift_of,
    flat,
    phase_times,
    states_of,
    statuses,
    sweep_of,
    unflattened,
    violation_of,
)
from implicitbias.studies._relu_least_norm import least_norm
from implicitbias.studies._relu_settings import GRID, ReluNetwork, functions
from implicitbias.trajectories import Trajectory

# The slow time at which the drift ends, and the largest number of its steps, which become very short where units are
# held at their kinks.
_DRIFT_END, _DRIFT_STEPS = 1.0, 3000
# The weight decay of the runs from starts of several scales, and the slow time at which they end beside ln(scale).
_SCALE_DECAY, _SCALE_END = 1e-4, 5.0
# The weight decay whose functions are drawn.
_FUNCTION_DECAY = 1e-3
# The weight decay that violates 3.7, in units of the threshold.
_VIOLATING = 3.0


def relu_dataset(setting: ReluNetwork, progress: Progress) -> Any:
    """Return the dataset of one setting."""
    case = setting.case()
    drift = drift_of(case, _DRIFT_END, _DRIFT_STEPS)
    progress(0.2, "drift computed")
    sweep = sweep_of(case, drift, lambda share, text: progress(0.2 + 0.4 * share, text))
    variables = (
        sweep.variables | curves_of(case, setting.shown, drift) | violation_of(case, drift, _VIOLATING)
    )
    (phi,) = functions(flat(drift.limit.point)[None], GRID)
    progress(0.7, "limit of least norm")
    variables |= _limit_variables(setting, case, sweep, drift)
    variables |= _function_variables(setting, case, phi)
    variables |= _scale_variables(setting, case, lambda share, text: progress(0.75 + 0.25 * share, text))
    return dataset({}, {}, {"rtol": case.rtol}).assign(variables)


def _limit_variables(setting: ReluNetwork, case: Case, sweep: Sweep, drift: Drift) -> dict[str, Any]:
    """Return the KKT point at the end of the run with the smallest weight decay, and distances from its function."""
    limit = norm_minimizer(case.problem, unflattened(case.start, sweep.ends[-1, 0]))
    known = limit.certificate
    found, phi = (functions(flat(one.point)[None], GRID)[0] for one in (limit, drift.limit))
    size = float(np.linalg.norm(found))
    ends, coarse = (functions(sweep.ends[:, k], GRID) for k in (0, 1))
    x = setting.data()[0]
    least = least_norm(x, setting.teacher(x))
    return {
        "kkt_violation": known.residuals["violation"],
        "kkt_stationarity": known.residuals["stationarity"],
        "kkt_tolerance": known.tolerance,
        "limit_square": limit.value,
        "least_square": least.upper,
        "least_bound": least.lower,
        "phi_apart": np.linalg.norm(phi - found) / size,
        "phi_error": _function_error(drift, GRID) / size,
        "limit_test": case.errors(flat(limit.point)[None])[0, 1],
    } | {
        "end_apart": (("decay",), np.linalg.norm(ends - found, axis=1) / size),
        "end_error": (("decay",), np.linalg.norm(ends - coarse, axis=1) / size),
        "end_square": (("decay",), np.sum(sweep.ends[:, 0] ** 2, axis=1)),
        "limit_function": (("input",), found),
    }


def _function_error(drift: Drift, x: ndarray) -> float:
    r"""Return a bound of the error of the function of Phi(theta_0) at the inputs x, in the Euclidean norm.

    The gradient of $f(x)$ in the parameters has at most the norm $\sqrt{1 + x^2}\, \lVert\theta\rVert$.
    """
    assert drift.limit.error is not None
    square = float(np.sum(flat(drift.limit.point) ** 2))
    return drift.limit.error * square * float(np.linalg.norm(np.sqrt(1.0 + x**2)))


def _function_variables(setting: ReluNetwork, case: Case, phi: ndarray) -> dict[str, Any]:
    """Return the functions at three times, and their training and test errors."""
    run = case.run(_FUNCTION_DECAY, case.late / _FUNCTION_DECAY)
    times = np.append(phase_times(case, run), run.times[-1])
    x = setting.data()[0]
    return {
        "input_value": (("input",), GRID),
        "teacher_function": (("input",), setting.teacher(GRID)),
        "phi_function": (("input",), phi),
        "function_time": (("moment",), times),
        "function": (("moment", "input"), functions(states_of(run, times), GRID)),
        "function_decay": ((), np.array(_FUNCTION_DECAY)),
        "train_input": (("row",), x),
        "train_target": (("row",), setting.teacher(x)),
    }


def _scale_variables(setting: ReluNetwork, case: Case, progress: Progress) -> dict[str, Any]:
    """Return the slow times of generalisation of runs from starts of several scales, and their test errors."""
    scales = (setting.small, *setting.scales)
    end = _SCALE_END + float(np.log(max(scales)))
    slow = np.linspace(0.0, end, 160)
    times, curves, fitted, every = [], [], [], []
    for i, scale in enumerate(scales):
        progress(i / len(scales), f"start of scale {scale:g}")
        moved = case.scaled(scale)
        runs = [
            moved.run(_SCALE_DECAY, end / _SCALE_DECAY, rtol) for rtol in (case.rtol, COARSER * case.rtol)
        ]
        every += runs
        found = [phase_times(moved, run) for run in runs]
        times.append([_SCALE_DECAY * pair[1] for pair in found])
        fitted.append(_test_when_fitted(moved, runs[0], found[0][0]))
        curves.append(case.errors(states_of(runs[0], slow / _SCALE_DECAY))[:, 1])
    fine, coarse = np.array(times[1:]).T
    return {
        "small_scale": ((), np.array(setting.small)),
        "small_fitted_test": ((), np.array(fitted[0])),
        "scale": (("scale",), np.array(setting.scales)),
        "scale_generalised": (("scale",), fine),
        "scale_error": (("scale",), np.abs(fine - coarse)),
        "scale_fitted_test": (("scale",), np.array(fitted[1:])),
        "scale_time": (("sample",), slow),
        "scale_test": (("scale", "sample"), np.array(curves[1:])),
        "scale_status": statuses("scaled", *every),
    }


def _test_when_fitted(case: Case, run: Trajectory, time: float) -> float:
    """Return the test error at the time at which the data are fitted."""
    return float(case.errors(states_of(run, np.array([time])))[0, 1])
