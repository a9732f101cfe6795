"""Runs with and without weight decay and the norm drift of one model, as variables of a dataset.

The names of the variables are those of `_grokking_claims`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.progress import Progress
from implicitbias.flows import GradientFlow, NormDrift, simulate
from implicitbias.grokking import interpolation_limit
from implicitbias.limits import Limit
from implicitbias.predictors import of
from implicitbias.studies._sweep_evidence import finished
from implicitbias.trajectories import Trajectory

# A run with rtol times this factor measures the integration error.
COARSER = 10.0
# The times in a curve, in the search for a time, and in each refinement of the search; the number of refinements.
_CURVE, _SEARCHED, _PARTS, _REFINED = 160, 400, 9, 12
# The times in [e, T] at which runs are compared with the drift.
_COMPARED = 40
# The first time of a curve, as a share of the time in which the loss falls at its first speed.
_FIRST = 1e-2

Errors = Callable[[Float64[ndarray, "m size"]], Float64[ndarray, "m 2"]]


class Case(NamedTuple):
    """A training problem with a start, and the weight decays and slow times at which it is studied.

    Attributes:
        problem: the training problem.
        start: the parameters at which training starts, a pytree of arrays.
        errors: the function from rows of flat parameters to their training and test errors.
        levels: the training error at which the data are fitted, and the test error at which the model generalises.
        decays: the weight decays of the sweep, from the largest to the smallest one.
        slow: e and T, the slow times between which runs are compared with the drift.
        late: the slow time at which runs end.
        rtol: the tolerance of the runs.
    """

    problem: Any
    start: Any
    errors: Errors
    levels: tuple[float, float]
    decays: tuple[float, ...]
    slow: tuple[float, float]
    late: float
    rtol: float

    def run(self, decay: float, end: float, rtol: float | None = None) -> Trajectory:
        """Return the flow with a weight decay, from the start to a time."""
        flow = GradientFlow(self.problem, decay)
        return finished(simulate(flow, self.start, t1=end, rtol=rtol or self.rtol))

    def scaled(self, scale: float) -> "Case":
        """Return the case with another scale of the start."""
        return self._replace(start=jax.tree.map(lambda leaf: scale * leaf, self.start))

    def first_time(self) -> float:
        """Return a time that is short compared with the first changes of the loss."""
        slope = flat(self.problem.gradient(self.start))
        return _FIRST * float(self.problem.loss(self.start) / (slope @ slope))


class Drift(NamedTuple):
    """Phi(theta_0), and the norm drift from there at two tolerances."""

    limit: Limit
    fine: Trajectory
    coarse: Trajectory


def drift_of(case: Case, end: float, max_steps: int = 100_000) -> Drift:
    """Return the drift of a case until a slow time."""
    limit = interpolation_limit(case.problem, case.start, rtol=min(case.rtol, 1e-6))

    def run(rtol: float) -> Trajectory:
        flow = NormDrift(case.problem)
        return finished(simulate(flow, limit.point, t1=end, rtol=rtol, max_steps=max_steps))

    return Drift(limit, run(case.rtol), run(COARSER * case.rtol))


class Sweep(NamedTuple):
    """The variables about runs with weight decay, and their ends (decay, 2, size), at rtol and at a larger one."""

    variables: dict[str, Any]
    ends: Float64[ndarray, "decay 2 size"]


def sweep_of(case: Case, drift: Drift, progress: Progress) -> Sweep:
    """Return the runs with weight decay: their phases, their distances from the drift, and their ends."""
    times = np.geomspace(*case.slow, _COMPARED)
    known = times[times <= drift.fine.times[-1]]
    # At times that the drift did not reach, distances are nan.
    path = np.full((len(times), flat(case.start).size), np.nan)
    path[: len(known)] = drift.fine.dense.state(known)
    size = float(np.linalg.norm(flat(drift.limit.point)))
    rows: dict[str, list[Any]] = {
        name: [] for name in ("apart", "apart_error", "time_error", "phases", "status", "ends")
    }
    for i, decay in enumerate(case.decays):
        progress(i / len(case.decays), f"flow with weight decay {decay:g}")
        runs = [case.run(decay, case.late / decay, rtol) for rtol in (case.rtol, COARSER * case.rtol)]
        fine, coarse = (states_of(run, times / decay) for run in runs)
        rows["apart"].append(np.linalg.norm(fine - path, axis=1) / size)
        rows["apart_error"].append(np.max(np.linalg.norm(fine - coarse, axis=1)) / size)
        found, other = (phase_times(case, run) for run in runs)
        rows["phases"].append(found)
        rows["time_error"].append(np.max(np.abs(found - other) / found))
        rows["status"] += [run.status.name for run in runs]
        rows["ends"].append([flat(run.final) for run in runs])
    first, second = np.array(rows["phases"]).T
    variables: dict[str, Any] = {
        "weight_decay": (("decay",), np.array(case.decays)),
        "tau": (("slow",), times),
        "apart": (("decay", "slow"), np.array(rows["apart"])),
        "apart_error": (("decay",), np.array(rows["apart_error"])),
        "eigenvalue": (("slow",), np.array([least_eigenvalue(case, theta) for theta in path])),
        "memorized": (("decay",), first),
        "generalised": (("decay",), second),
        "time_error": (("decay",), np.array(rows["time_error"])),
        "train_level": ((), np.array(case.levels[0])),
        "test_level": ((), np.array(case.levels[1])),
        "drift_generalised": ((), np.array(drift_time(case, drift.fine))),
        "threshold": ((), np.array(threshold(case, drift.limit))),
        "simulation_status": (("simulation",), np.array(rows["status"])),
        "drift_status": statuses("drift", *drift),
    }
    return Sweep(variables, np.array(rows["ends"]))


def curves_of(case: Case, decays: tuple[float, ...], drift: Drift) -> dict[str, Any]:
    """Return the curves of runs with these weight decays, of the run without weight decay, and of the drift.

    The run without weight decay goes on as long as the longest of the others.
    """
    longest = case.late / min(decays)
    runs = [*(case.run(decay, case.late / decay) for decay in decays), case.run(0.0, longest)]
    curves = np.array([_curve(case, run, case.first_time()) for run in runs])
    slow = _curve(case, drift.fine, _FIRST)
    names = ("time", "train", "test", "norm")
    found: dict[str, Any] = {f"run_{name}": (("run", "sample"), curves[:, k]) for k, name in enumerate(names)}
    found |= {f"drift_{name}": (("sample",), slow[k]) for k, name in enumerate(names)}
    found |= {f"baseline_{name}": (("sample",), curves[-1, k]) for k, name in enumerate(names)}
    return found | {
        "run_decay": (("run",), np.array([*decays, 0.0])),
        "baseline_memorized": ((), np.array(phase_times(case, runs[-1])[0])),
        "baseline_status": statuses("baseline", runs[-1]),
    }


def scales_of(case: Case, scales: tuple[float, ...], end: float, progress: Progress) -> dict[str, Any]:
    """Return the slow times of generalisation along the drifts from starts of several scales, and their test errors."""
    slow = np.linspace(0.0, end, _CURVE)
    times, curves, before = [], [], []
    runs: list[Trajectory | Limit] = []
    for i, scale in enumerate(scales):
        progress(i / len(scales), f"start of scale {scale:g}")
        moved = case.scaled(scale)
        drift = drift_of(moved, end)
        runs += drift
        times.append([drift_time(moved, run) for run in (drift.fine, drift.coarse)])
        curves.append(case.errors(states_of(drift.fine, slow))[:, 1])
        before.append(curves[-1][0])
    fine, coarse = np.array(times).T
    return {
        "scale": (("scale",), np.array(scales)),
        "scale_generalised": (("scale",), fine),
        "scale_error": (("scale",), np.abs(fine - coarse)),
        "scale_phi_test": (("scale",), np.array(before)),
        "scale_status": statuses("scaled", *runs),
        "scale_time": (("sample",), slow),
        "scale_test": (("scale", "sample"), np.array(curves)),
    }


def violation_of(case: Case, drift: Drift, factor: float) -> dict[str, Any]:
    """Return the least training error of a run whose weight decay is `factor` thresholds."""
    decay = factor * threshold(case, drift.limit)
    run = case.run(decay, case.late / decay)
    return {
        "violating_decay": ((), np.array(decay)),
        "violating_train": ((), np.array(np.min(_curve(case, run, case.first_time())[1]))),
        "violating_status": statuses("violating", run),
    }


def statuses(dimension: str, *runs: Trajectory | Limit) -> tuple[tuple[str], ndarray]:
    """Return the names of the statuses of runs and of limits, as a variable."""
    return (f"{dimension}_run",), np.array([run.status.name for run in runs])


def _curve(case: Case, run: Trajectory, begin: float) -> Float64[ndarray, "4 m"]:
    """Return log-spaced times, training errors, test errors and ||theta|| of a run."""
    times = np.geomspace(begin, float(run.times[-1]), _CURVE)
    states = states_of(run, times)
    return np.array([times, *case.errors(states).T, np.linalg.norm(states, axis=1)])


def phase_times(case: Case, run: Trajectory) -> Float64[ndarray, " 2"]:
    """Return the first times at which the training error and the test error are at most their levels."""
    begin = case.first_time()
    return np.array([first_below(run, partial(_column, case, k), case.levels[k], begin) for k in (0, 1)])


def drift_time(case: Case, drift: Trajectory) -> float:
    """Return the first slow time at which the test error along the drift is at most its level."""
    return first_below(drift, partial(_column, case, 1), case.levels[1], 1e-6)


def _column(case: Case, k: int, states: Float64[ndarray, "m size"]) -> Float64[ndarray, " m"]:
    """Return the training errors (k = 0) or the test errors (k = 1) of states."""
    return case.errors(states)[:, k]


def first_below(run: Trajectory, quantity: Callable[[ndarray], ndarray], level: float, begin: float) -> float:
    """Return the first time from `begin` on at which a quantity of the state is at most `level`; nan if it never is.

    It is sought on log-spaced times, and then in ever smaller intervals of the dense output.
    """
    times = np.geomspace(begin, float(run.times[-1]), _SEARCHED)
    for _ in range(_REFINED):
        below = quantity(states_of(run, times)) <= level
        if not np.any(below):
            return np.nan
        first = int(np.argmax(below))
        if first == 0:
            return float(times[0])
        times = np.geomspace(times[first - 1], times[first], _PARTS)
    return float(times[-1])


def states_of(run: Trajectory, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m size"]:
    """Return flat states at some times; nan at times that the run did not reach."""
    end = float(run.times[-1])
    states = run.dense.state(np.minimum(times, end))
    states[times > end * (1.0 + 1e-12)] = np.nan
    return states


def threshold(case: Case, limit: Limit) -> float:
    """Return ||grad F(theta_0)|| / ||Phi(theta_0)||, far below which the weight decay must be (theory 3.7)."""
    return float(np.linalg.norm(flat(case.problem.gradient(case.start))) / np.linalg.norm(flat(limit.point)))


def least_eigenvalue(case: Case, theta: Float64[ndarray, " size"]) -> float:
    """Return the smallest eigenvalue of J J^T / n, which are the non-zero ones of J^T J / n if J has full rank."""
    if np.any(np.isnan(theta)):
        return np.nan
    J = of(case.problem).jacobian(unflattened(case.start, theta)).dense()
    return float(np.linalg.eigvalsh(J @ J.T)[0]) / len(J)


def flat(params: Any) -> Float64[ndarray, " size"]:
    """Return the parameters as one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])


def unflattened(like: Any, theta: Float64[ndarray, " size"]) -> Any:
    """Return a vector as a pytree like another one."""
    leaves, tree = jax.tree.flatten(like)
    parts = np.split(theta, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        tree, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    )
