"""Single runs of the studies of classifiers at settings that a sweep varies."""

from typing import Any

import numpy as np

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import tell_progress
from implicitbias.flows import GradientFlow, MirrorFlow, simulate
from implicitbias.gauges import L1, L2, LInf
from implicitbias.limits import max_margin
from implicitbias.parametrizations import SquareDifference
from implicitbias.potentials import Cosh, HyperbolicEntropy, SquaredNorm
from implicitbias.problems import Classification
from implicitbias.studies._early_late_claims import crossing
from implicitbias.studies._early_late_evidence import classified, measurements
from implicitbias.studies._early_late_settings import Data, Experiment, Separated, Signs
from implicitbias.studies._grid_runs import expect, expect_count
from implicitbias.studies._seeds import generator
from implicitbias.studies._sweep_evidence import finished

# The tolerance of the simulations, and the number of test rows of the sparse data.
_RTOL, _TESTED = 1e-4, 2000
# Scores of the early phase are measured at this lam (t - T).
_EARLY = -2.0
_PAIRS = {"l1": (HyperbolicEntropy(scale=1.0), L1()), "l2": (SquaredNorm(), L2()), "linf": (Cosh(), LInf())}


def sparse_run(*, alpha: float, weight_decay: float, n: int, d: int, seed: int) -> Any:
    """Return one run of u^2 - v^2 with weight decay on signs with a sparse rule; see `_early_late_run`."""
    expect_count("n", n)
    expect("d", d, d >= 3 and d % 1 == 0, "a whole number of at least 3")
    return _early_late_run(Signs(n, d, _TESTED, seed), alpha, weight_decay)


def margin_run(*, alpha: float, weight_decay: float, n: int, d: int, gap: float, seed: int) -> Any:
    """Return one run of u^2 - v^2 with weight decay on data with a gap; see `_early_late_run`."""
    expect_count("n", n)
    expect_count("d", d)
    expect("gap", gap, gap >= 0.0, "a number of at least 0")
    return _early_late_run(Separated(n, d, gap, seed=seed), alpha, weight_decay)


def _early_late_run(data: Data, alpha: float, weight_decay: float) -> Any:
    """Return how a run from u = v = alpha turns from the largest l2 margin to the largest l1 margin.

    Over `place`, which is lam (t - T): the cosines to both classifiers, the test accuracy and the smallest margin.
    `predicted` is lam T, which is positive if the start is in the kernel regime, and `turn` is the place at which the
    cosine to the largest l1 margin becomes the larger one; nan if it does not. Places before the time 0 are at the
    start.
    """
    expect("alpha", alpha, alpha > 0.0, "a positive number")
    expect("weight_decay", weight_decay, 0.0 < weight_decay < 1.0, "a number between 0 and 1")
    run = (alpha, weight_decay)
    training = classified(Experiment(data, (run,), run, alpha, _RTOL))
    predicted = training.transition(alpha, weight_decay)
    places = training.experiment.places()
    times = np.maximum(predicted + places / weight_decay, 0.0)
    flow = GradientFlow(training.problem.reparametrize(SquareDifference()), weight_decay)
    start = (np.full(training.problem.shape[1], alpha),) * 2
    trajectory = finished(
        simulate(flow, start, t1=float(times[-1]), times=np.unique(times), rtol=_RTOL, progress=tell_progress)
    )
    u, v = (np.asarray(leaf)[np.searchsorted(np.unique(times), times)] for leaf in trajectory.states)
    points = np.concatenate([(u - v) * (u + v), training.ends.l2[None], training.ends.l1[None]])
    found = measurements(training, points)
    along: dict[str, Any] = {name: (("place",), values[:-2]) for name, values in found.items()}
    numbers = {
        "predicted": predicted * weight_decay,
        "turn": crossing(places, (found["cos_l1"] - found["cos_l2"])[:-2]),
        "early_score": float(np.interp(_EARLY, places, found["score"][:-2])),
        "late_score": float(found["score"][-3]),
        "l2_score": float(found["score"][-2]),
        "l1_score": float(found["score"][-1]),
        "l1_l2_cosine": float(found["cos_l2"][-1]),
        "limit_gap": float(np.max(training.ends.gaps)),
        "steps": trajectory.stats.steps,
        "ended_well": trajectory.status.ok,
    }
    scalars: dict[str, Any] = {name: ((), np.array(value)) for name, value in numbers.items()}
    return dataset(along | scalars, {"place": places}, {})


def plane_run(*, horizon: str, n: int, log_time: float, seed: int) -> Any:
    """Return how far mirror flow is from the largest margin, for n points in the plane in two classes.

    The horizons "l1", "l2" and "linf" belong to the hyperbolic entropy, the squared norm and cosh. The classes are
    Gaussian around (1.6, 1.1) and its opposite; other points than separable ones are refused by `max_margin`.
    """
    expect("horizon", horizon, horizon in _PAIRS, f"one of {', '.join(_PAIRS)}")
    expect("n", n, n >= 2 and n % 1 == 0, "a whole number of at least 2")
    expect("log_time", log_time, 1.0 < log_time <= 1e9, "the logarithm of a time, between 1 and 1e9,")
    labels = np.where(np.arange(n) < n / 2, 1.0, -1.0)
    X = generator(seed).standard_normal((n, 2)) + np.outer(labels, [1.6, 1.1])
    problem = Classification(X, labels, loss="exponential")
    potential, gauge = _PAIRS[horizon]
    limit = max_margin(problem, gauge)
    assert limit.margin is not None
    trajectory = finished(
        simulate(MirrorFlow(problem, potential), np.zeros(2), log_t1=float(log_time), progress=tell_progress)
    )
    w = np.asarray(trajectory.final)
    margin = float(np.min(problem.margins(w))) / float(gauge.value(w))
    lengths = float(np.linalg.norm(w) * np.linalg.norm(limit.point))
    numbers = {
        "limit_margin": limit.margin,
        "limit_gap": limit.certificate.gap,
        "margin": margin,
        "shortfall": 1.0 - margin / limit.margin,
        "cosine": float(w @ limit.point) / lengths,
        "smallest_margin": float(np.min(problem.margins(w))),
        "log_loss": problem.log_of_loss(w),
        "steps": trajectory.stats.steps,
        "ended_well": trajectory.status.ok,
    }
    scalars: dict[str, Any] = {name: ((), np.array(value)) for name, value in numbers.items()}
    return dataset(scalars | {"w": (("feature",), w), "limit_w": (("feature",), limit.point)}, {}, {})
