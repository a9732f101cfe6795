"""Addition modulo a prime with a quadratic network: phase times of the flow and of gradient descent."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.progress import Progress
from implicitbias.flows import GradientDescent, GradientFlow, simulate
from implicitbias.problems import Problem
from implicitbias.studies._grokking_evidence import Pair, first_below, flat
from implicitbias.studies._seeds import generator
from implicitbias.studies._sweep_evidence import finished
from implicitbias.trajectories import Trajectory

# The accuracies that count as memorization and as generalisation, and the training error that counts as fitted, as a
# share of the first one.
_MEMORISED, _GENERALISED, _FITTED = 0.99, 0.95, 0.01
_RTOL, _COARSER = 1e-7, 10.0
_TIMED = 1e-4
_SAMPLES, _WINDOW = 160, 120
# Gradient descent keeps many steps between these multiples of the phase times of the flow, and ends at the last one.
_EARLIER, _LATER = 0.98, 1.06
_TOO_LARGE = 10.0


@dataclass(frozen=True)
class Modular:
    """A network f = V (W x)^2 / (inputs * hidden) on sums modulo `size`, and what is simulated.

    Attributes:
        size: the modulus; inputs are two one-hot vectors, and targets are one-hot vectors.
        hidden: the number of hidden units.
        end: the end of the flows, in time units of the published loss.
        rates: the learning rates of gradient descent for the published loss, the last of which is the published one.
        shares: the weight decays, as shares of the inverse of the time of generalisation, in descending order.
        scales: factors of the standard normal start, in ascending order.
    """

    size: int
    hidden: int
    end: float
    rates: tuple[float, ...]
    shares: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def unit(self) -> float:
        """The time of the published loss in one time unit of ours.

        It is the mean of (f - y)^2 over all entries, which is 2 / size times the mean of |f - y|^2 / 2 over the rows.
        """
        return self.size / 2.0

    def sums(self) -> tuple[Float64[ndarray, "m inputs"], Int64[ndarray, " m"], Int64[ndarray, " m"]]:
        """Return all inputs, their sums, and a random order of them, of which the first 90 % are for training."""
        return *all_sums(self.size), generator(0).permutation(self.size**2)

    def start(self, scale: float = 1.0) -> dict[str, Any]:
        """Return standard normal weights times a scale."""
        rng = generator(1)
        W, V = (
            rng.standard_normal((self.hidden, 2 * self.size)),
            rng.standard_normal((self.size, self.hidden)),
        )
        return {"W": scale * W, "V": scale * V}


SETTINGS = {
    "mod-13": Modular(13, 60, 8e5, (1600.0, 800.0, 400.0, 100.0), (0.08, 0.04, 0.02), (0.7, 1.0, 1.4)),
    "mod-23": Modular(23, 100, 5e6, (1600.0, 800.0, 400.0, 100.0), (0.08, 0.04, 0.02), (0.7, 1.0, 1.4)),
}


def all_sums(size: int) -> tuple[Float64[ndarray, "m inputs"], Int64[ndarray, " m"]]:
    """Return all pairs of numbers below `size` as two one-hot vectors each, and their sums modulo `size`."""
    a, b = np.divmod(np.arange(size**2), size)
    one_hot = np.eye(size)
    return np.concatenate([one_hot[a], one_hot[b]], axis=1), (a + b) % size


def quadratic(params: Any, X: Any) -> Any:
    """Return the outputs of the network with hidden units of the square of their input."""
    hidden: Any = (X @ params["W"].T) ** 2
    return hidden @ params["V"].T / (X.shape[1] * params["W"].shape[0])


class Sums:
    """The rows for training and for the test, and how well states do on them."""

    def __init__(self, setting: Modular) -> None:
        X, sums, order = setting.sums()
        count = int(0.9 * len(order))
        self.X, self.sums, self.parts = X, sums, (order[:count], order[count:])
        self.size = setting.size

    def problem(self) -> Problem:
        """Return the training problem with our loss, the mean of |f - y|^2 / 2 over the rows."""
        rows = self.parts[0]
        return Problem(quadratic, self.X[rows], np.eye(self.size)[self.sums[rows]])

    def outputs(self, states: Any, part: int) -> Float64[ndarray, "m rows k"]:
        """Return the outputs of states on the training (0) or test (1) rows."""
        X = self.X[self.parts[part]]
        hidden = (np.asarray(states["W"]) @ X.T) ** 2
        return np.asarray(np.swapaxes(states["V"] @ hidden, 1, 2) / (X.shape[1] * hidden.shape[1]))

    def error(self, states: Any, part: int) -> Float64[ndarray, " m"]:
        """Return the published loss of states."""
        apart = self.outputs(states, part) - np.eye(self.size)[self.sums[self.parts[part]]]
        return np.asarray(np.mean(apart**2, axis=(1, 2)))

    def margins(self, states: Any, part: int) -> Float64[ndarray, "m rows"]:
        """Return the output of the right sum minus the largest other output."""
        outputs, right = self.outputs(states, part), self.sums[self.parts[part]]
        rows = np.arange(len(right))
        own = outputs[:, rows, right].copy()
        outputs[:, rows, right] = -np.inf
        return np.asarray(own - np.max(outputs, axis=2))

    def accuracy(self, states: Any, part: int) -> Float64[ndarray, " m"]:
        """Return the share of right sums."""
        return np.asarray(np.mean(self.margins(states, part) > 0.0, axis=1))

    def lead(self, states: Any, part: int) -> Float64[ndarray, " m"]:
        """Return a smooth number that is positive where the accuracy is above its level."""
        margins = np.sort(self.margins(states, part), axis=1)
        level = (_MEMORISED, _GENERALISED)[part]
        return np.asarray(margins[:, int(np.floor((1.0 - level) * margins.shape[1]))])

    def times(self, trajectory: Trajectory) -> Float64[ndarray, " 2"]:
        """Return the times of memorization and of generalisation of a flow, located in its dense output."""

        def behind(states: Any, part: int) -> Float64[ndarray, " m"]:
            return np.asarray(np.exp(-self.lead(states, part) * self.size))

        return np.array(
            [first_below(trajectory, partial(behind, part=part), 1.0, _SAMPLES) for part in (0, 1)]
        )

    def kept_times(self, trajectory: Trajectory) -> Float64[ndarray, "2 2"]:
        """Return the times of gradient descent between its kept steps, and those from every second kept step."""
        found = []
        for every in (1, 2):
            kept = trajectory.times[::every]
            leads = [self.lead(trajectory.state(kept), part) for part in (0, 1)]
            found.append([_first_positive(kept, lead) for lead in leads])
        return np.array(found)


def modular_variables(setting: Modular, progress: Progress) -> dict[str, Any]:
    """Return the phase times of all runs, in time units of the published loss, and curves for figures."""
    sums = Sums(setting)
    flow = GradientFlow(sums.problem())
    run, coarse = _flow_pair(flow, setting.start(), setting.end / setting.unit)
    found = sums.times(run)
    begin = time.process_time()
    timed = finished(simulate(flow, setting.start(), t1=_LATER * found[1], rtol=_TIMED))
    seconds = time.process_time() - begin
    variables: dict[str, Any] = {
        "memorized": found[0] * setting.unit,
        "generalised": found[1] * setting.unit,
        "flow_error": float(np.max(np.abs(sums.times(coarse) / found - 1.0))),
        "flow_seconds": seconds,
        "flow_steps": timed.stats.steps,
        "timed_error": float(np.max(np.abs(sums.times(timed) / found - 1.0))),
        "timed_status": (("timed_run",), np.array([timed.status.name])),
        "accuracy_at_memorization": sums.accuracy(run.state(found[:1]), 1)[0],
    }
    variables |= _curves(sums, setting, run)
    statuses = [run.status.name, coarse.status.name]
    for part in (_descents, _decays, _scales):
        more, names = part(setting, sums, found, progress)
        variables |= more
        statuses += names
    variables |= _violation(setting, sums, run)
    return variables | {"simulation_status": (("simulation",), np.array(statuses))}


def _flow_pair(flow: GradientFlow, start: Any, end: float) -> Pair:
    fine, coarse = (finished(simulate(flow, start, t1=end, rtol=one)) for one in (_RTOL, _COARSER * _RTOL))
    return Pair(fine, coarse)


def _first_positive(times: ndarray, values: ndarray) -> float:
    """Return where a line through the samples first crosses 0 from below, or nan."""
    above = np.flatnonzero(values > 0.0)
    if not len(above) or above[0] == 0:
        return np.nan
    i = above[0]
    return float(times[i - 1] - values[i - 1] * (times[i] - times[i - 1]) / (values[i] - values[i - 1]))


def _curves(sums: Sums, setting: Modular, run: Trajectory) -> dict[str, Any]:
    times = np.geomspace(setting.end / 1e3, setting.end, _SAMPLES)
    states = run.state(times / setting.unit)
    curves: dict[str, Any] = {"run_time": (("sample",), times)}
    for part, name in enumerate(("train", "test")):
        curves[f"run_{name}_error"] = (("sample",), sums.error(states, part))
        curves[f"run_{name}_accuracy"] = (("sample",), sums.accuracy(states, part))
    return curves


def _descents(
    setting: Modular, sums: Sums, found: ndarray, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return the phase times of gradient descent at several learning rates, and its curve at the published one."""
    times, errors, seconds, steps, names = [], [], [], [], []
    descent, trajectory = None, None
    for i, rate in enumerate(setting.rates):
        progress(0.1 + 0.5 * i / len(setting.rates), f"gradient descent at rate {rate:g}")
        step = rate / setting.unit
        descent = GradientDescent(sums.problem(), step)
        windows = [np.linspace(_EARLIER * at, _LATER * at, _WINDOW) for at in found]
        kept = np.sort(np.concatenate([np.geomspace(found[0] / 30, found[1], _SAMPLES // 2), *windows]))
        simulate(descent, setting.start(), t1=2 * step)  # compiles
        begin = time.process_time()
        trajectory = finished(simulate(descent, setting.start(), times=descent.snapped(kept)))
        seconds.append(time.process_time() - begin)
        fine, rough = sums.kept_times(trajectory)
        times.append(fine * setting.unit)
        errors.append(float(np.max(np.abs(rough / fine - 1.0))))
        steps.append(trajectory.stats.steps)
        names.append(trajectory.status.name)
    assert trajectory is not None
    states = trajectory.state(trajectory.times[1:])
    variables = {
        "rate": (("rate",), np.array(setting.rates)),
        "rate_memorized": (("rate",), np.array(times)[:, 0]),
        "rate_generalised": (("rate",), np.array(times)[:, 1]),
        "rate_error": (("rate",), np.array(errors)),
        "rate_seconds": (("rate",), np.array(seconds)),
        "rate_steps": (("rate",), np.array(steps)),
        "kept_time": (("kept",), trajectory.times[1:] * setting.unit),
        "kept_train_accuracy": (("kept",), sums.accuracy(states, 0)),
        "kept_test_accuracy": (("kept",), sums.accuracy(states, 1)),
    }
    return variables, names


def _decays(
    setting: Modular, sums: Sums, found: ndarray, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return the phase times of flows with small weight decays, which are those of our loss times 2 / size."""
    progress(0.65, "training with weight decay")
    decays = np.array(setting.shares) / found[1]
    pairs = [
        _flow_pair(GradientFlow(sums.problem(), float(decay)), setting.start(), setting.end / setting.unit)
        for decay in decays
    ]
    times = np.array([[sums.times(one) for one in pair] for pair in pairs]) * setting.unit
    variables = {
        # The flow of (k L, lam) at time t is that of (L, lam / k) at time k t, here with k = 1 / unit.
        "weight_decay": (("decay",), decays / setting.unit),
        "decay_memorized": (("decay",), times[:, 0, 0]),
        "decay_generalised": (("decay",), times[:, 0, 1]),
        "decay_error": (("decay",), np.max(np.abs(times[:, 1] / times[:, 0] - 1.0), axis=1)),
    }
    return variables, [name for pair in pairs for name in pair.statuses]


def _scales(
    setting: Modular, sums: Sums, found: ndarray, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """Return the phase times of flows from starts of several scales."""
    progress(0.85, "starts of other scales")
    flow, times, errors, names = GradientFlow(sums.problem()), [], [], []
    for scale in setting.scales:
        pair = _flow_pair(flow, setting.start(scale), setting.end / setting.unit)
        fine, coarse = (sums.times(one) for one in pair)
        times.append(fine * setting.unit)
        errors.append(float(np.max(np.abs(coarse / fine - 1.0))))
        names += pair.statuses
    variables = {
        "scale": (("scale",), np.array(setting.scales)),
        "scale_memorized": (("scale",), np.array(times)[:, 0]),
        "scale_generalised": (("scale",), np.array(times)[:, 1]),
        "scale_error": (("scale",), np.array(errors)),
    }
    return variables, names


def _violation(setting: Modular, sums: Sums, run: Trajectory) -> dict[str, Any]:
    """Return the run of a weight decay above the threshold, all in units of the published loss."""
    problem, start = sums.problem(), setting.start()
    slope = np.linalg.norm(flat(jax.tree.map(lambda leaf: np.asarray(leaf)[None], problem.gradient(start))))
    end = np.linalg.norm(flat(jax.tree.map(lambda leaf: np.asarray(leaf)[None], run.final)))
    decay = _TOO_LARGE * slope / end
    strong = finished(
        simulate(GradientFlow(problem, float(decay)), start, t1=setting.end / setting.unit, rtol=_RTOL)
    )
    times = np.append(0.0, np.geomspace(1.0 / decay / 100.0, setting.end / setting.unit, _SAMPLES))
    errors = sums.error(strong.state(times), 0)
    return {
        "threshold": float(slope / end) / setting.unit,
        "violating_decay": float(decay) / setting.unit,
        "violating_train": float(np.min(errors)),
        "train_level": _FITTED * float(errors[0]),
        "violating_status": (("violating_run",), np.array([strong.status.name])),
    }
