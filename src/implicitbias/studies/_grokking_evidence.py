"""Simulations of a model with several weight decays and starts, and their measurements as variables of a dataset."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import brentq

from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, NormDrift, simulate
from implicitbias.grokking import interpolation_limit
from implicitbias.limits import Limit, norm_minimizer
from implicitbias.studies._grokking_settings import Model
from implicitbias.studies._sweep_evidence import finished
from implicitbias.trajectories import Trajectory

# A simulation with rtol times this factor measures the integration error.
_COARSER = 10.0
# The training error that counts as memorised, as a share of the first one, as in `ib.grokking.phases`.
_MEMORISED = 0.01
_SAMPLES, _SLOW, _FAST = 240, 31, 40
# The weight decay that is too large, in units of the threshold.
_TOO_LARGE = 10.0


class Pair(NamedTuple):
    """The same simulation at rtol, and at a larger one that measures its error."""

    fine: Trajectory
    coarse: Trajectory

    @property
    def statuses(self) -> list[str]:
        """The names of both statuses."""
        return [one.status.name for one in self]


class Runs(NamedTuple):
    """Everything that is simulated from one start."""

    limit: Limit
    drift: Pair
    baseline: Pair
    decayed: list[Pair]


def flat(states: Any) -> Float64[ndarray, "m p"]:
    """Return states as rows of parameters."""
    leaves = jax.tree.leaves(states)
    return np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in leaves], axis=1)


def simulated(model: Model, progress: Progress) -> Runs:
    """Return the simulations of a model from its start."""
    sweep, problem = model.sweep, model.problem()
    limit = interpolation_limit(problem, model.start, rtol=sweep.rtol)
    drift = _pair(NormDrift(problem), limit.point, sweep.end, sweep.rtol)
    last = sweep.rest / sweep.decays[-1]
    progress(0.2, "training without weight decay")
    baseline = _pair(GradientFlow(problem), model.start, last, sweep.rtol)
    decayed = []
    for i, decay in enumerate(sweep.decays):
        progress(0.3 + 0.4 * i / len(sweep.decays), f"training with weight decay {decay:g}")
        decayed.append(_pair(GradientFlow(problem, decay), model.start, sweep.rest / decay, sweep.rtol))
    return Runs(limit, drift, baseline, decayed)


def grokking_variables(model: Model, runs: Runs, progress: Progress) -> dict[str, Any]:
    """Return the variables that `_grokking_claims` describes, and curves for figures."""
    phi = flat(_one(runs.limit.point))[0]
    size = max(float(np.linalg.norm(phi)), float(np.linalg.norm(flat(_one(model.start)))))
    statuses = {
        "simulation": [name for pair in runs.decayed for name in pair.statuses],
        "drift": runs.drift.statuses,
        "baseline": runs.baseline.statuses,
    }
    progress(0.7, "distances and times")
    variables = _drift_variables(model, runs, size) | _fast_variables(model, runs, phi, size)
    variables |= _time_variables(model, runs) | _curve_variables(model, runs) | _end_variables(model, runs)
    progress(0.8, "starts of other scales")
    variables |= _scale_variables(model) | _violation_variables(model, float(np.linalg.norm(phi)))
    variables |= {f"{name}_status": ((f"{name}_run",), np.array(found)) for name, found in statuses.items()}
    return variables | {
        "phi_error": phi_error(runs),
        "size": size,
    }


def phi_error(runs: Runs) -> float:
    """Return the relative error bar of Phi(theta_0): its distance from the end of the run without weight decay.

    This measures the error without the estimate of `ib.interpolation_limit`.
    """
    point, ends = _one(runs.limit.point), [_one(one.final) for one in runs.baseline]
    apart = _apart(point, ends[0])[0] + _apart(*ends)[0]
    return float(apart / np.linalg.norm(flat(point)))


def first_below(
    trajectory: Trajectory, error: Callable[[Any], Float64[ndarray, " m"]], level: float, samples: int = 1000
) -> float:
    """Return the first time at which the error of the states is at most a level, or nan, from the dense output."""
    end = float(trajectory.times[-1])
    positive = trajectory.times[trajectory.times > 0.0]
    grid = np.append(0.0, np.geomspace(min(float(positive[0]), end / 2), end, samples))
    below = np.flatnonzero(error(trajectory.state(grid)) <= level)
    if not len(below):
        return np.nan
    if below[0] == 0:
        return 0.0

    def gap(t: float) -> float:
        return float(np.log(error(trajectory.state(np.array([t])))[0] / level))

    return float(brentq(gap, grid[below[0] - 1], grid[below[0]], rtol=1e-12))


def _pair(flow: Any, start: Any, end: float, rtol: float) -> Pair:
    fine, coarse = (finished(simulate(flow, start, t1=end, rtol=one)) for one in (rtol, _COARSER * rtol))
    return Pair(fine, coarse)


def _one(state: Any) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)


def _apart(first: Any, second: Any) -> Float64[ndarray, " m"]:
    return np.asarray(np.linalg.norm(flat(first) - flat(second), axis=1))


def _between(pair: Pair, times: ndarray) -> float:
    """Return the largest distance between both simulations of a pair at these times."""
    return float(np.max(_apart(pair.fine.state(times), pair.coarse.state(times))))


def _drift_variables(model: Model, runs: Runs, size: float) -> dict[str, Any]:
    """Return the distances of the runs from the drift on [e, T], and the spectrum of J J^T on the way."""
    tau = np.linspace(*model.sweep.window, _SLOW)
    states, known = runs.drift.fine.state(tau), _between(runs.drift, tau) / size + phi_error(runs)
    apart, errors = [], []
    for decay, pair in zip(model.sweep.decays, runs.decayed, strict=True):
        apart.append(_apart(pair.fine.state(tau / decay), states) / size)
        errors.append(_between(pair, tau / decay) / size + known)
    n = len(model.X)
    spectra = np.array([np.linalg.eigvalsh((model.X * row) @ model.X.T) / n for row in model.metric(states)])
    return {
        "weight_decay": (("decay",), np.array(model.sweep.decays)),
        "tau": (("slow",), tau),
        "apart": (("decay", "slow"), np.array(apart)),
        "apart_error": (("decay",), np.array(errors)),
        "eigenvalue": (("slow",), spectra[:, 0]),
    }


def _fast_variables(model: Model, runs: Runs, phi: ndarray, size: float) -> dict[str, Any]:
    """Return distances in the fast phase and at the junction, with their bounds."""
    times, base = np.linspace(0.0, model.sweep.fast, 1 + _FAST), runs.baseline.fine
    still = base.state(times)
    states = [pair.fine.state(times) for pair in runs.decayed]
    growth, rate = np.max([model.growth(still, moved) for moved in states], axis=0)
    apart, bound, met, allowed = [], [], [], []
    for decay, pair, moved in zip(model.sweep.decays, runs.decayed, states, strict=True):
        largest = float(np.max(np.linalg.norm(flat(moved), axis=1)))
        apart.append(_apart(moved, still) / size)
        bound.append(decay * times * np.exp(growth * times) * largest / size)
        at = np.array([-np.log(decay) / (2 * rate)])
        met.append(float(np.linalg.norm(flat(pair.fine.state(at))[0] - phi)) / size)
        rest = float(np.linalg.norm(flat(base.state(at))[0] - phi)) / size
        allowed.append(np.sqrt(decay) * at[0] * largest / size + rest)
    return {
        "fast_time": (("fast",), times),
        "fast_apart": (("decay", "fast"), np.array(apart)),
        "fast_bound": (("decay", "fast"), np.array(bound)),
        "growth": growth,
        "junction_rate": rate,
        "junction_apart": (("decay",), np.array(met)),
        "junction_bound": (("decay",), np.array(allowed)),
    }


def _levels(model: Model) -> tuple[float, float]:
    """Return the training error that counts as memorised, and the test error that counts as generalisation."""
    zero = np.zeros((1, len(model.teacher)))
    first = model.train(model.in_w(_one(model.start)))[0]
    return _MEMORISED * float(first), model.sweep.test_level * float(model.test(zero)[0])


def _time_variables(model: Model, runs: Runs) -> dict[str, Any]:
    """Return the times of memorization and of generalisation."""
    train_level, test_level = _levels(model)

    def times(trajectory: Trajectory) -> ndarray:
        first = first_below(trajectory, lambda states: model.train(model.in_w(states)), train_level)
        return np.array(
            [first, first_below(trajectory, lambda states: model.test(model.in_w(states)), test_level)]
        )

    found = np.array([[times(one) for one in pair] for pair in runs.decayed])
    return {
        "train_level": train_level,
        "test_level": test_level,
        "memorized": (("decay",), found[:, 0, 0]),
        "generalised": (("decay",), found[:, 0, 1]),
        "time_error": (("decay",), np.max(np.abs(found[:, 1] / found[:, 0] - 1.0), axis=1)),
        "baseline_memorized": times(runs.baseline.fine)[0],
        "drift_generalised": times(runs.drift.fine)[1],
    }


def _curve_variables(model: Model, runs: Runs) -> dict[str, Any]:
    """Return errors and norms along the runs, the last of which has no weight decay, and along the drift."""
    pairs = [*runs.decayed, runs.baseline]
    first = model.sweep.fast / 1e3
    rows: dict[str, list[ndarray]] = {"time": [], "train": [], "test": [], "norm": []}
    for pair in pairs:
        times = np.geomspace(first, float(pair.fine.times[-1]), _SAMPLES)
        _add(rows, model, pair.fine, times)
    slow: dict[str, list[ndarray]] = {"time": [], "train": [], "test": [], "norm": []}
    _add(slow, model, runs.drift.fine, np.linspace(0.0, model.sweep.end, _SAMPLES))
    variables: dict[str, Any] = {
        f"run_{name}": (("run", "sample"), np.array(row)) for name, row in rows.items()
    }
    variables |= {f"drift_{name}": (("sample",), row[0]) for name, row in slow.items()}
    variables |= {f"baseline_{name}": (("sample",), rows[name][-1]) for name in ("train", "test")}
    return variables | {"run_decay": (("run",), np.array([*model.sweep.decays, 0.0]))}


def _add(rows: dict[str, list[ndarray]], model: Model, trajectory: Trajectory, times: ndarray) -> None:
    states = trajectory.state(times)
    w = model.in_w(states)
    values = times, model.train(w), model.test(w), np.linalg.norm(flat(states), axis=1)
    for row, value in zip(rows.values(), values, strict=True):
        row.append(np.asarray(value))


def _end_variables(model: Model, runs: Runs) -> dict[str, Any]:
    """Return the ends of runs and drift, and the KKT point at the end of the drift with its certificate."""
    end, half = runs.drift.fine.final, runs.drift.fine.state(np.array([model.sweep.end / 2]))
    minimum = norm_minimizer(model.problem(), end)
    point, phi = (flat(_one(one))[0] for one in (minimum.point, runs.limit.point))
    size, last = float(np.linalg.norm(point)), flat(_one(end))[0]
    ends = [pair.fine.final for pair in runs.decayed]
    curvature = minimum.curvature
    distances = np.array([np.linalg.norm(flat(_one(one))[0] - point) for one in ends]) / size
    # What is left of the way to rest is at most what was covered in the second half of the slow time.
    halves = [pair.fine.state(np.array([model.sweep.rest / decay / 2]))
              for decay, pair in zip(model.sweep.decays, runs.decayed, strict=True)]  # fmt: skip
    errors = [
        float(
            _apart(_one(pair.fine.final), _one(pair.coarse.final))[0] + _apart(_one(pair.fine.final), half)[0]
        )
        for pair, half in zip(runs.decayed, halves, strict=True)
    ]
    return {
        "kkt_violation": minimum.certificate.residuals["violation"],
        "kkt_stationarity": minimum.certificate.residuals["stationarity"],
        "kkt_tolerance": minimum.certificate.tolerance,
        "kkt_flat": np.nan if curvature is None else float(curvature.negative + curvature.zero),
        "kkt_w": (("feature",), model.in_w(_one(minimum.point))[0]),
        "drift_end_apart": float(np.linalg.norm(last - point)) / size,
        "drift_end_error": float(np.linalg.norm(last - flat(half)[0])) / size,
        "phi_apart": float(np.linalg.norm(phi - point)) / size,
        "end_w": (("decay", "feature"), np.array([model.in_w(_one(one))[0] for one in ends])),
        "end_apart": (("decay",), distances),
        "end_error": (("decay",), np.array(errors) / size),
    }


def _scale_variables(model: Model) -> dict[str, Any]:
    """Return the slow times of generalisation from starts of several scales, and the test errors on the way."""
    level, sweep, problem = _levels(model)[1], model.sweep, model.problem()
    flow = GradientFlow(problem)
    tau = np.linspace(0.0, sweep.end, _SAMPLES)
    times, curves, statuses = [], [], []

    def test(states: Any) -> ndarray:
        return model.test(model.in_w(states))

    for scale in sweep.scales:
        found = []
        for rtol in (sweep.rtol, _COARSER * sweep.rtol):
            # The flow without weight decay is followed until it rests.
            fitted = finished(
                simulate(flow, model.scaled(scale), t1=sweep.rest / sweep.decays[-1], rtol=rtol)
            )
            drift = finished(simulate(NormDrift(problem), fitted.final, t1=sweep.end, rtol=rtol))
            statuses += [fitted.status.name, drift.status.name]
            found.append(first_below(drift, test, level))
            if len(found) == 1:
                curves.append(test(drift.state(tau)))
        times.append(found)
    fine, coarse = np.array(times).T
    return {
        "scale": (("scale",), np.array(sweep.scales)),
        "scale_generalised": (("scale",), fine),
        "scale_error": (("scale",), np.abs(fine - coarse)),
        "scale_test": (("scale", "sample"), np.array(curves)),
        "scale_status": (("scale_run",), np.array(statuses)),
    }


def _violation_variables(model: Model, end_norm: float) -> dict[str, Any]:
    """Return the run of a weight decay above the threshold |grad F(theta_0)| / |Phi(theta_0)|."""
    threshold = float(model.speed(_one(model.start))[0]) / end_norm
    decay = _TOO_LARGE * threshold
    run = finished(
        simulate(
            GradientFlow(model.problem(), decay),
            model.start,
            t1=model.sweep.rest / decay,
            rtol=model.sweep.rtol,
        )
    )
    times = np.linspace(0.0, float(run.times[-1]), _SAMPLES)
    return {
        "threshold": threshold,
        "violating_decay": decay,
        "violating_train": float(np.min(model.train(model.in_w(run.state(times))))),
        "violating_status": (("violating_run",), np.array([run.status.name])),
    }
