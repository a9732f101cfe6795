"""Measurements of early and late phases in addition modulo a prime, as variables of a dataset."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import softmax

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.diagnostics import phase
from implicitbias.flows import GradientFlow, simulate
from implicitbias.limits import Limit, kernel_regime
from implicitbias.problems import Problem
from implicitbias.studies._addition_settings import Addition, network
from implicitbias.studies._grokking_flows import COARSER, first_below, flat, states_of
from implicitbias.studies._sweep_evidence import finished
from implicitbias.trajectories import Trajectory

# lam (t - T) of the curves begins here, and this is the number of times in a curve.
_FIRST, _SAMPLES = -1.5, 120
# Times are sought from this slow time on.
_BEGIN = 1e-5
VERDICTS = ("lazy", "on the way", "rich")
# This algebra takes the fewest products with the Jacobian here, and one algebra for all runs compiles once.
_ALGEBRA = "stabilised"


class Course(NamedTuple):
    """A run with its scale, its weight decay and its predicted time of the transition."""

    run: Trajectory
    scale: float
    decay: float
    predicted: float


class Bench(NamedTuple):
    """A setting with its training problem and the kernel machine at its first scale."""

    setting: Addition
    problem: Problem
    kernel: Limit

    def reach(self, scale: float) -> float:
        """Return gamma_0 |theta_0| at a start; gamma_0 grows like the square of the scale."""
        margin = self.kernel.margin
        assert margin is not None
        return float(margin * (scale / self.setting.runs[0][0]) ** 2 * self.setting.norm(scale))

    def predicted(self, scale: float, decay: float) -> float:
        """Return T = ln(gamma_0 |theta_0| / ln(1 / lam)) / (3 lam)."""
        return float(np.log(self.reach(scale) / np.log(1.0 / decay)) / (3.0 * decay))

    def course(self, scale: float, decay: float, rtol: float) -> Course:
        """Return the run from a start with a weight decay."""
        T = self.predicted(scale, decay)
        flow = GradientFlow(self.problem, decay)
        end = max(T, 0.0) + self.setting.late / decay
        run = simulate(flow, self.setting.start(scale), t1=end, rtol=rtol, solver=_ALGEBRA)
        return Course(finished(run), scale, decay, T)


def addition_dataset(setting: Addition, progress: Progress) -> Any:
    """Return the dataset of one setting."""
    problem = setting.problem()
    bench = Bench(setting, problem, kernel_regime(problem, setting.start(setting.runs[0][0])))
    progress(0.1, "kernel machine")
    courses = []
    for scale, decay in setting.runs:
        courses.append(bench.course(scale, decay, setting.rtol))
        done = len(courses) / len(setting.runs)
        progress(0.1 + 0.5 * done, f"run from scale {scale:g} with lam = {decay:g}")
    first = courses[0]
    coarse = bench.course(first.scale, first.decay, COARSER * setting.rtol)
    small = bench.course(setting.small, first.decay, setting.rtol)
    progress(0.7, "control from a small start")
    found = np.array([_times(bench, one) for one in [*courses, coarse]])
    variables = _run_variables(bench, courses, found[:-1])
    variables |= {
        "size": ((), np.array(setting.size)),
        "time_error": ((), np.max(np.abs(found[0] - found[-1])[1:3])),
        "simulation_status": (
            ("simulation",),
            np.array([c.run.status.name for c in [*courses, coarse, small]]),
        ),
    }
    variables |= (
        _kernel_variables(bench)
        | _end_variables(bench, courses)
        | _small_variables(bench, small)
        | _held_variables(bench, first)
        | _phase_variables(bench, first, found[0])
    )
    progress(0.8, "run without weight decay")
    variables |= _without_decay(bench)
    return dataset({}, {}, {"rtol": setting.rtol}).assign(variables)


def _times(bench: Bench, course: Course) -> Float64[ndarray, " 4"]:
    """Return the slow times of a run.

    These are the times at which all training sums are right, the parameters have moved as far as what is left of the
    start, most test sums are right, and all test sums are right; nan if this never happens.
    """
    setting = bench.setting
    start = flat(setting.start(course.scale))

    def behind(part: int, share: float) -> float:
        def quantity(states: ndarray) -> ndarray:
            margins = setting.margins(setting.outputs(states, part), part)
            return -np.asarray(margins[:, int(share * (margins.shape[1] - 1))])

        return first_below(course.run, quantity, 0.0, _BEGIN / course.decay)

    moved = first_below(course.run, lambda states: 1.0 / _moved(states, start), 1.0, _BEGIN / course.decay)
    return course.decay * np.array([behind(0, 0.0), moved, behind(1, 0.5), behind(1, 0.0)])


def _moved(states: Float64[ndarray, "m p"], start: Float64[ndarray, " p"]) -> Float64[ndarray, " m"]:
    """Return the size of the part of states across the start, relative to the part along it; at least 1e-9."""
    along = states @ start / (start @ start)
    across = np.linalg.norm(states - along[:, None] * start, axis=1)
    return np.maximum(across / (np.abs(along) * np.linalg.norm(start)), 1e-9)


def _run_variables(bench: Bench, courses: list[Course], found: Float64[ndarray, "run 4"]) -> dict[str, Any]:
    """Return the times of all runs, and their accuracies and cosines on the axis lam (t - T)."""
    setting, machine = bench.setting, bench.kernel.predict(bench.setting.rows(1)[0]).ravel()
    places = np.linspace(_FIRST, setting.late, _SAMPLES)
    curves, early = [], []
    for course, times in zip(courses, found, strict=True):
        t = course.predicted + places / course.decay
        moments = np.append(np.maximum(t, 0.0), times[0] / course.decay)
        states = states_of(course.run, moments)
        outputs = setting.outputs(states, 1)
        flattened = outputs.reshape(len(moments), -1)
        size = np.linalg.norm(flattened, axis=1) * np.linalg.norm(machine)
        cosine = np.divide(flattened @ machine, size, out=np.zeros(len(size)), where=size > 0.0)
        rows = np.array([setting.accuracy(outputs, 1), cosine])
        early.append(rows[:, -1])
        rows[:, :-1][:, t < 0.0] = np.nan
        curves.append(rows[:, :-1])
    scales, decays = np.array(setting.runs).T
    names = ("memorized", "moved", "middle", "full")
    variables: dict[str, Any] = {
        name: (("run",), column) for name, column in zip(names, found.T, strict=True)
    }
    keys = ("test", "cosine")
    variables |= {f"curve_{key}": (("run", "place"), np.array(curves)[:, k]) for k, key in enumerate(keys)}
    return variables | {
        "place": (("place",), places),
        "scale": (("run",), scales),
        "weight_decay": (("run",), decays),
        "predicted": (("run",), np.array([c.predicted * c.decay for c in courses])),
        "early_test": (("run",), np.array(early)[:, 0]),
        "early_cosine": (("run",), np.array(early)[:, 1]),
        "steps": (("run",), np.array([c.run.stats.steps for c in courses])),
    }


def _kernel_variables(bench: Bench) -> dict[str, Any]:
    """Return the certificate of the kernel machine and its accuracies."""
    found = [
        bench.setting.accuracy(bench.kernel.predict(bench.setting.rows(part)[0])[None], part)[0]
        for part in (0, 1)
    ]
    certificate = bench.kernel.certificate
    return {
        "kernel_gap": ((), np.array(certificate.gap)),
        "kernel_tolerance": ((), np.array(certificate.tolerance)),
        "kernel_train": ((), np.array(found[0])),
        "kernel_test": ((), np.array(found[1])),
    }


def _small_variables(bench: Bench, course: Course) -> dict[str, Any]:
    """Return the predicted time of a small start, and how far it has moved when it has learned the training sums."""
    found = _times(bench, course)
    start = flat(bench.setting.start(course.scale))
    states = states_of(course.run, found[:1] / course.decay)
    outputs = bench.setting.outputs(states, 1)
    return {
        "small_predicted": ((), np.array(course.predicted * course.decay)),
        "small_memorized": ((), found[0]),
        "small_moved": ((), _moved(states, start)[0]),
        "small_test": ((), bench.setting.accuracy(outputs, 1)[0]),
    }


def _held_variables(bench: Bench, course: Course) -> dict[str, Any]:
    """Return the accuracies at the end of the main run if its weight decay pulls the parameters towards the start.

    It trains the change of the parameters, in which the network is not homogeneous, so that the start does not decay.
    """
    setting, (W, V) = bench.setting, bench.setting.start(course.scale)
    X, right = setting.rows(0)

    def moved(change: Any, X: Any) -> Any:
        return network((W + change[0], V + change[1]), X)

    flow = GradientFlow(Problem(moved, X, right, loss="cross_entropy"), course.decay)
    end = float(course.run.times[-1])
    run = simulate(
        flow, (0.0 * W, 0.0 * V), t1=end, times=np.array([end]), rtol=setting.rtol, solver=_ALGEBRA
    )
    state = flat((W + run.final[0], V + run.final[1]))[None]
    accuracies = [setting.accuracy(setting.outputs(state, part), part)[0] for part in (0, 1)]
    return {
        "held_train": ((), np.array(accuracies[0])),
        "held_test": ((), np.array(accuracies[1])),
        "held_status": (("held_run",), np.array([run.status.name])),
    }


def _phase_variables(bench: Bench, course: Course, found: Float64[ndarray, " 4"]) -> dict[str, Any]:
    """Return what `diagnostics.phase` says at the first two measured times of a run and at its end."""
    times = np.append(found[:2] / course.decay, course.run.times[-1])
    start, params = bench.setting.start(course.scale), [course.run.state(float(t)) for t in times]
    X_new = bench.setting.rows(1)[0]
    found = phase(bench.problem, params, start, weight_decay=course.decay, X_new=X_new, late=False)
    names = ("kernel_cosine", "prediction_cosine", "moved", "kernel_change", "degree", "transition_time")
    variables: dict[str, Any] = {
        f"phase_{name}": (("checkpoint",), np.array([getattr(one, name) for one in found])) for name in names
    }
    variables |= {
        "phase_slow": (("checkpoint",), times * course.decay),
        "phase_verdict": (("checkpoint",), np.array([VERDICTS.index(one.verdict) for one in found])),
    }
    return variables


def _end_variables(bench: Bench, courses: list[Course]) -> dict[str, Any]:
    r"""Return how near the ends of the runs are to KKT points of the least norm under margins of 1.

    With the probabilities $p_{ic}$ of the wrong classes, $-\nabla L = \frac1n \sum p_{ic} \nabla m_{ic}$ for the
    margins $m_{ic}$, so that $q_{ic} = p_{ic} / (n \lambda)$ are multipliers of $\theta$ if the run is at rest. The
    stationarity is $\lVert \nabla L + \lambda \theta \rVert / \lVert \lambda \theta \rVert$, and the complementarity is
    $\sum q_{ic} (m_{ic} - M) / \sum q_{ic} m_{ic}$ with the smallest margin M. Both are 0 at a KKT point.
    """
    setting, right = bench.setting, bench.setting.rows(0)[1]
    found = []
    for course in courses:
        theta = flat(course.run.final)
        slope = flat(jax.tree.map(np.asarray, bench.problem.gradient(course.run.final)))
        outputs = setting.outputs(theta[None], 0)[0]
        margins = outputs[np.arange(len(right)), right][:, None] - outputs
        shares = softmax(outputs, axis=1)
        shares[np.arange(len(right)), right] = 0.0
        smallest = setting.margins(outputs[None], 0)[0, 0]
        stationarity = np.linalg.norm(slope + course.decay * theta) / (course.decay * np.linalg.norm(theta))
        found.append([stationarity, 1.0 - smallest * np.sum(shares) / np.sum(shares * margins), smallest])
    names = ("stationarity", "complementarity", "margin")
    return {f"end_{name}": (("run",), column) for name, column in zip(names, np.array(found).T, strict=True)}


def _without_decay(bench: Bench) -> dict[str, Any]:
    """Return the run without weight decay in the logarithm of the time."""
    setting = bench.setting
    flow, start = GradientFlow(bench.problem), setting.start(setting.baseline)
    run = finished(simulate(flow, start, log_t1=setting.log_end, rtol=setting.rtol, solver=_ALGEBRA))
    logs = np.geomspace(1.0, setting.log_end, 40)
    states = [run.state(log_t=float(log)) for log in logs]
    rows = np.array([flat(state) for state in states])
    outputs = [setting.outputs(rows, part) for part in (0, 1)]
    norms = np.linalg.norm(rows, axis=1)
    pulls = np.array([setting.pulled(row) for row in rows])
    aligned = np.sum(pulls * rows, axis=1) / (np.linalg.norm(pulls, axis=1) * norms)
    return {
        "log_time": (("log",), logs),
        "baseline_reach": ((), np.array(bench.reach(setting.baseline))),
        "baseline_train": (("log",), setting.accuracy(outputs[0], 0)),
        "baseline_test": (("log",), setting.accuracy(outputs[1], 1)),
        "baseline_margin": (("log",), setting.margins(outputs[0], 0)[:, 0] / norms**3),
        "baseline_aligned": (("log",), aligned),
        "baseline_status": (("baseline_run",), np.array([run.status.name])),
    }
