"""Measurements of the early and the late phase in the completion of a multiplication table."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, simulate
from implicitbias.gauges import Nuclear
from implicitbias.limits import MinNorm, certify, least_gauge, norm_minimizer
from implicitbias.parametrizations import Parametrization
from implicitbias.problems import LeastSquares
from implicitbias.studies._grokking_flows import (
    COARSER,
    Case,
    first_below,
    flat,
    phase_times,
    states_of,
    unflattened,
)
from implicitbias.studies._sweep_evidence import finished
from implicitbias.studies._table_settings import Table
from implicitbias.trajectories import Trajectory

# The shares of the early test error that mark the begin, the middle and the end of its fall.
_SHARES = (0.9, 0.5, 0.1)
# The end of the early phase as a share of ln(alpha) / lam, which is 1 - c in the paper.
_EARLY = 0.5
# The tolerance of the runs of the early phase, as a share of that of the others: they measure small distances.
_TIGHTER = 1e-2
# The tolerance of the run that is held at its start, of which only the end is compared with a share.
_HELD_RTOL = 1e-3
# The first slow time at which the fall is sought, and the number of times in a curve.
_BEGIN, _SAMPLES = 1e-4, 160


def table_dataset(setting: Table, progress: Progress) -> Any:
    """Return the dataset of one setting."""
    variables = _early_variables(setting)
    progress(0.2, "early phase")
    variables |= _decay_variables(setting)
    progress(0.5, "sweep of the weight decay")
    variables |= _alpha_variables(setting)
    progress(0.8, "sweep of the scale")
    variables |= _control_variables(setting)
    return dataset({}, {}, {"rtol": setting.rtol, "size": setting.size}).assign(variables)


def fall_times(case: Case, run: Trajectory, decay: float) -> Float64[ndarray, " 3"]:
    """Return the slow times at which the test error has fallen to shares of its early value."""

    def test(states: ndarray) -> ndarray:
        return np.asarray(case.errors(states)[:, 1])

    levels = 2.0 * case.levels[1] * np.array(_SHARES)
    return np.array([decay * first_below(run, test, float(level), _BEGIN / decay) for level in levels])


def predicted_time(setting: Table, alpha: float) -> float:
    r"""Return lam T = ln(||theta_0|| / ||h_0||) / 2, where h_0 is the kernel interpolant at theta_0.

    In the early phase $W = 4 \alpha^2 H$ for the moves H of U and -H of V, so that
    $\lVert h_0 \rVert = \lVert W \rVert_F \\sqrt2 / (4 \alpha)$.
    """
    early = np.linalg.norm(setting.early(setting.table()))
    return float(np.log(alpha * np.sqrt(2.0 * setting.size) * 4.0 * alpha / (np.sqrt(2.0) * early)) / 2.0)


def _early_variables(setting: Table) -> dict[str, Any]:
    """Return distances from the closed form at the end of the early phase, for the table and an asymmetric matrix."""
    found = []
    for target in (setting.table(), setting.skewed()):
        early = setting.early(target)
        for alpha in setting.alphas:
            case, end = setting.case(alpha, target), _EARLY * np.log(alpha) / setting.early_decay
            tight = _TIGHTER * case.rtol
            runs = [case.run(setting.early_decay, end, rtol) for rtol in (tight, COARSER * tight)]
            fine, coarse = (setting.products(flat(run.final)[None])[0] for run in runs)
            size = np.linalg.norm(early)
            found.append((np.linalg.norm(fine - early) / size, np.linalg.norm(fine - coarse) / size))
    apart, errors = np.array(found).reshape(2, len(setting.alphas), 2).transpose(2, 0, 1)
    return {
        "alpha": (("scale",), np.array(setting.alphas)),
        "early_apart": (("target", "scale"), apart),
        "early_error": (("target", "scale"), errors),
    }


def _decay_variables(setting: Table) -> dict[str, Any]:
    """Return the runs of the sweep of the weight decay: their times, curves, ends and optimality."""
    case, rows = setting.case(setting.alpha), []
    statuses, curves, final = [], [], None
    slow = np.geomspace(1e-3, setting.late, _SAMPLES)
    for decay in setting.decays:
        runs = [case.run(decay, setting.late / decay, rtol) for rtol in (case.rtol, COARSER * case.rtol)]
        fine, coarse = (fall_times(case, run, decay) for run in runs)
        (W,) = setting.products(flat(runs[0].final)[None])
        bounds = _nuclear_bounds(setting, W)
        error = np.max(np.abs(fine - coarse))
        gap, steps = _duality_gap(setting, W, decay), runs[0].stats.steps
        rows.append([phase_times(case, runs[0])[0], *fine, error, gap, *bounds, steps])
        curves.append(case.errors(states_of(runs[0], slow / decay)))
        statuses += [run.status.name for run in runs]
        final = runs[0].final
    names = ("fitted", "begin", "middle", "end", "middle_error", "gap", "lower", "upper", "steps")
    return {f"decay_{name}": (("decay",), column) for name, column in zip(names, np.array(rows).T, strict=True)} | {
        "weight_decay": (("decay",), np.array(setting.decays)),
        "predicted": ((), np.array(predicted_time(setting, setting.alpha))),
        "curve_slow": (("sample",), slow),
        "curve_errors": (("decay", "sample", "part"), np.array(curves)),
        "simulation_status": (("simulation",), np.array(statuses)),
    } | (_solved_variables(setting, case, final) if setting.solves else {})  # fmt: skip


def _alpha_variables(setting: Table) -> dict[str, Any]:
    """Return the slow times of the fall from starts of several scales."""
    decay, found, errors = setting.decays[-1], [], []
    for alpha in setting.alphas:
        case = setting.case(alpha)
        end = (setting.late + np.log(alpha / setting.alpha)) / decay
        fine, coarse = (
            fall_times(case, case.run(decay, end, rtol), decay) for rtol in (case.rtol, COARSER * case.rtol)
        )
        found.append(fine)
        errors.append(np.max(np.abs(fine - coarse)))
    begin, middle, end = np.array(found).T
    return {
        "alpha_begin": (("scale",), begin),
        "alpha_middle": (("scale",), middle),
        "alpha_end": (("scale",), end),
        "alpha_error": (("scale",), np.array(errors)),
        "alpha_predicted": (("scale",), np.array([predicted_time(setting, a) for a in setting.alphas])),
    }


def _control_variables(setting: Table) -> dict[str, Any]:
    """Return the run without weight decay, and the one from a small start; test errors in units of the early one."""
    end = setting.late / setting.decays[-1]
    case, small = setting.case(setting.alpha), setting.case(setting.small)
    runs = case.run(0.0, end), small.run(setting.decays[-1], end)
    times = np.geomspace(case.first_time(), end, _SAMPLES)
    without = case.errors(states_of(runs[0], times))
    fitted = phase_times(small, runs[1])[0]
    early = 2.0 * case.levels[1]
    # This run is too long for the table of the paper.
    held = {"held_test": ((), np.array(_held_error(setting, case, end) / early))} if setting.solves else {}
    return held | {
        "baseline_train": ((), np.array(without[-1, 0] / case.levels[0])),
        "baseline_test": ((), np.array(np.min(without[:, 1]) / early)),
        "small_test": ((), np.array(small.errors(states_of(runs[1], np.array([fitted])))[0, 1] / early)),
    }


def _held_error(setting: Table, case: Case, end: float) -> float:
    """Return the test error at the end of a run whose weight decay pulls the parameters towards the start.

    It trains their change, in which the network is not homogeneous, so that the start does not decay.
    """
    U, V = case.start

    def moved(change: Any) -> Any:
        left, right = U + change[0], V + change[1]
        return left @ left.T - right @ right.T

    problem = setting.problem().reparametrize(Parametrization.from_function(moved))
    flow, start = GradientFlow(problem, setting.decays[-1]), (np.zeros_like(U), np.zeros_like(V))
    run = finished(simulate(flow, start, t1=end, times=np.array([end]), rtol=_HELD_RTOL))
    state = flat((U + run.final[0], V + run.final[1]))[None]
    return float(case.errors(state)[0, 1])


def _solved_variables(setting: Table, case: Case, final: Any) -> dict[str, Any]:
    """Return what the conic program and the solver for KKT points say about the limit of least norm."""
    rows, cols = np.nonzero(setting.seen() | setting.seen().T)
    table = setting.table()
    problem = LeastSquares.entries(rows, cols, table[rows, cols], table.shape)
    program = least_gauge(problem.linear_map, problem.targets, Nuclear())
    assert program is not None
    limit = norm_minimizer(case.problem, unflattened(case.start, flat(final)))
    (W,) = setting.products(flat(limit.point)[None])
    known = certify(problem, W, MinNorm(Nuclear()))
    return {
        "conic_value": ((), np.array(np.linalg.norm(program.point, "nuc"))),
        "kkt_value": ((), np.array(np.linalg.norm(W, "nuc"))),
        "kkt_gap": ((), np.array(known.gap)),
        "kkt_tolerance": ((), np.array(known.tolerance)),
        "kkt_stationarity": ((), np.array(limit.certificate.residuals["stationarity"])),
    }


def _symmetric_residual(setting: Table, W: Float64[ndarray, "d d"]) -> tuple[ndarray, ndarray, ndarray]:
    """Return the observed values, their residuals, and the symmetric part of the matrix of residuals."""
    rows, cols = setting.entries()
    values = setting.table()[rows, cols]
    residual = values - W[rows, cols]
    Y = np.zeros_like(W)
    Y[rows, cols] = residual
    return values, residual, (Y + Y.T) / 2.0


def _duality_gap(setting: Table, W: Float64[ndarray, "d d"], decay: float) -> float:
    r"""Return the relative duality gap of W for $\min L(W) + \frac\lambda2 \lVert W \rVert_*$ over symmetric W."""
    values, residual, Y = _symmetric_residual(setting, W)
    n = len(values)
    primal = float(residual @ residual) / (2 * n) + decay / 2 * float(np.linalg.norm(W, "nuc"))
    y = residual / n * min(1.0, n * decay / 2 / float(np.linalg.norm(Y, 2)))
    return (primal - float(y @ values) + n / 2 * float(y @ y)) / primal


def _nuclear_bounds(setting: Table, W: Float64[ndarray, "d d"]) -> tuple[float, float]:
    """Return a lower and an upper bound of the least nuclear norm of symmetric completions, from the end of a run.

    The residual, scaled to the spectral norm 1, is feasible for the dual, and W with the observed entries of the table
    in place of its own is a completion.
    """
    values, residual, Y = _symmetric_residual(setting, W)
    lower = float(residual @ values) / float(np.linalg.norm(Y, 2))
    known = setting.seen() | setting.seen().T
    return lower, float(np.linalg.norm(np.where(known, setting.table(), W), "nuc"))
