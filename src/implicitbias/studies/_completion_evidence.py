"""Measurements of grokking in matrix completion: the flows, their ends, and the matrix of least nuclear norm."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.gauges import Nuclear
from implicitbias.grokking import interpolation_limit
from implicitbias.limits import Limit, MinNorm, certify, least_gauge, norm_minimizer
from implicitbias.studies._completion_settings import Completion
from implicitbias.studies._grokking_flows import (
    Drift,
    Sweep,
    curves_of,
    drift_of,
    flat,
    scales_of,
    states_of,
    statuses,
    sweep_of,
    violation_of,
)

# The slow times at which the drift ends, and at which drifts from other scales end beside ln(scale).
_DRIFT_END, _SCALE_END = 30.0, 8.0
# The weight decay whose singular values are drawn, the number of these values (that of colours), and of times.
_SINGULAR_DECAY, _SINGULAR, _SAMPLES = 1e-3, 8, 160
# The weight decay that violates 3.7, in units of the threshold.
_VIOLATING = 3.0


def completion_dataset(setting: Completion, progress: Progress) -> Any:
    """Return the dataset of one setting."""
    case = setting.case()
    drift = drift_of(case, _DRIFT_END)
    progress(0.1, "drift computed")
    sweep = sweep_of(case, drift, lambda share, text: progress(0.1 + 0.4 * share, text))
    variables = (
        sweep.variables | curves_of(case, setting.shown, drift) | violation_of(case, drift, _VIOLATING)
    )
    progress(0.6, "limit of least norm")
    limit = norm_minimizer(case.problem, drift.fine.final)
    variables |= _limit_variables(setting, limit) | _end_variables(setting, drift, sweep, limit)
    variables |= _singular_variables(setting) | _small_variables(setting)
    end = _SCALE_END + float(np.log(max(setting.scales)))
    variables |= scales_of(case, setting.scales, end, lambda share, text: progress(0.7 + 0.3 * share, text))
    return dataset({}, {}, {"rtol": case.rtol}).assign(variables)


def _limit_variables(setting: Completion, limit: Limit) -> dict[str, Any]:
    """Return the KKT point at the end of the drift, and what convex programs say about its matrix."""
    problem, case = setting.problem(), setting.case()
    (W,) = setting.products(flat(limit.point)[None])
    nuclear = certify(problem, W, MinNorm(Nuclear()))
    known = certify(problem, setting.teacher(), MinNorm(Nuclear()))
    program = least_gauge(problem.linear_map, problem.targets, Nuclear())
    assert program is not None
    least = float(np.linalg.norm(program.point, "nuc"))
    # The dual bounds the least nuclear norm from below, up to the residuals of both points.
    fitted = problem.linear_map.matvec(program.point) - problem.targets
    polar = float(np.linalg.norm(problem.linear_map.rmatvec(program.nu), 2))
    error = abs(least - float(program.nu @ problem.targets)) + max(polar - 1.0, 0.0) * least
    error += float(np.linalg.norm(program.nu) * np.linalg.norm(fitted))
    return {
        "kkt_violation": limit.certificate.residuals["violation"],
        "kkt_stationarity": limit.certificate.residuals["stationarity"],
        "kkt_tolerance": limit.certificate.tolerance,
        "limit_square": limit.value,
        "nuclear_gap": nuclear.gap,
        "nuclear_tolerance": nuclear.tolerance,
        "teacher_gap": known.gap,
        "least_nuclear": least,
        "least_error": error,
        "limit_test": case.errors(flat(limit.point)[None])[0, 1],
    } | {
        "limit_matrix": (("row", "column"), W),
        "teacher_rank": ((), np.array(setting.rank)),
    }


def _end_variables(setting: Completion, drift: Drift, sweep: Sweep, limit: Limit) -> dict[str, Any]:
    """Return the matrices at the ends of the runs, and how far they are from the limits and from optimal."""
    (W,) = setting.products(flat(limit.point)[None])
    size = float(np.linalg.norm(W))
    ends, coarse = (setting.products(sweep.ends[:, k]) for k in (0, 1))
    late, half = setting.products(states_of(drift.fine, _DRIFT_END * np.array([1.0, 0.5])))
    (phi,) = setting.products(flat(drift.limit.point)[None])
    assert drift.limit.error is not None

    def apart(first: ndarray, second: ndarray) -> Any:
        return np.linalg.norm(first - second, axis=(-2, -1)) / size

    gaps = [_duality_gap(setting, end, decay) for end, decay in zip(ends, setting.decays, strict=True)]
    errors = apart(ends, coarse)
    bounds = [_gap_bound(setting, *one) for one in zip(ends, setting.decays, size * errors, strict=True)]
    return {
        "drift_end_apart": apart(late, W),
        # The drift converges exponentially, so that less is left than what it covered in the second half of the time.
        "drift_end_error": apart(late, half),
        "phi_apart": apart(phi, W),
        # U V^T has at most twice the relative error of the factors, which are those of phi.
        "phi_error": 2.0 * drift.limit.error * float(np.linalg.norm(flat(drift.limit.point)) ** 2 / 2) / size,
    } | {
        "end_apart": (("decay",), apart(ends, W)),
        "end_error": (("decay",), errors),
        "end_gap": (("decay",), np.array(gaps)),
        "end_gap_bound": (("decay",), np.array(bounds)),
        "end_matrix": (("decay", "row", "column"), ends),
    }


def _duality_gap(setting: Completion, W: Float64[ndarray, "m m"], decay: float) -> float:
    r"""Return the relative duality gap of W for the problem $\min L(W) + \lambda \lVert W \rVert_*$ (theory 0.8).

    The dual is $\max \langle y, v \rangle - \frac n2 \lVert y \rVert^2$ over y with $\lVert A^* y \rVert \le \lambda$
    in the spectral norm, for the observed values v = A(W*). The residual of W, scaled into that ball, is the dual
    point.
    """
    rows, cols = setting.entries()
    seen = setting.teacher()[rows, cols]
    residual = seen - W[rows, cols]
    n = len(seen)
    primal = float(residual @ residual) / (2 * n) + decay * float(np.linalg.norm(W, "nuc"))
    Y = np.zeros_like(W)
    Y[rows, cols] = residual / n
    y = residual / n * decay / max(decay, float(np.linalg.norm(Y, 2)))
    dual = float(y @ seen) - n / 2 * float(y @ y)
    return (primal - dual) / primal


def _gap_bound(setting: Completion, W: Float64[ndarray, "m m"], decay: float, error: float) -> float:
    r"""Return the largest relative duality gap of W at a distance of at most `error` from the minimum.

    With E = W - W*, the residual changes by A E and the matrix of the dual by at most ||E|| / n. The gap is

    $$ \lambda \lVert W \rVert_* - \langle A^* r, W \rangle / n
       \le 2 \lambda \lVert E \rVert_* + \lVert E \rVert \lVert A W \rVert / n $$

    before the dual point is scaled into its ball, which adds at most $\langle r, v \rangle / n$ times the relative
    excess $\lVert E \rVert / (n \lambda)$. Sums of n terms add n rounding errors.
    """
    rows, cols = setting.entries()
    seen = setting.teacher()[rows, cols]
    residual, n = seen - W[rows, cols], len(seen)
    primal = float(residual @ residual) / (2 * n) + decay * float(np.linalg.norm(W, "nuc"))
    slope = 2.0 * decay * np.sqrt(len(W)) + float(np.linalg.norm(W[rows, cols])) / n
    slope += abs(float(residual @ seen)) / (n**2 * decay)
    return slope * error / primal + n * float(np.finfo(np.float64).eps)


def _singular_variables(setting: Completion) -> dict[str, Any]:
    """Return the largest singular values of W along the run that is drawn."""
    case = setting.case()
    run = case.run(_SINGULAR_DECAY, case.late / _SINGULAR_DECAY)
    times = np.geomspace(case.first_time(), float(run.times[-1]), _SAMPLES)
    values = np.linalg.svd(setting.products(states_of(run, times)), compute_uv=False)
    return {
        "singular_decay": ((), np.array(_SINGULAR_DECAY)),
        "singular_time": (("sample",), times),
        "singular_value": (("sample", "value"), values[:, :_SINGULAR]),
    }


def _small_variables(setting: Completion) -> dict[str, Any]:
    """Return the test error of Phi(theta_0) for a start of small scale."""
    case = setting.case().scaled(setting.small)
    limit = interpolation_limit(case.problem, case.start, rtol=min(case.rtol, 1e-6))
    return {
        "small_scale": setting.small,
        "small_phi_test": float(case.errors(flat(limit.point)[None])[0, 1]),
        "small_status": statuses("small", limit),
    }
