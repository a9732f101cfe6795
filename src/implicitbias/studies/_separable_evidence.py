"""Mirror flows on separable data, and measurements of them, as a dataset."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import brentq

from implicitbias._core.labelled import dataset
from implicitbias._core.precision import double_precision
from implicitbias._core.progress import Progress
from implicitbias.flows import MirrorFlow, simulate
from implicitbias.limits import Limit, max_margin
from implicitbias.problems import Classification
from implicitbias.studies._separable_settings import NAMED_GAUGES, PAPER, Entry, Setting
from implicitbias.studies._sweep_evidence import finished
from implicitbias.trajectories import Trajectory

NODES = 3
RTOL, COARSE = 1e-5, 1e-4
_MAX_STEPS = 20_000
# Entries of a classifier that differ by less than this share count as tied.
_TIED = 1e-9
# Logarithms of the time: evenly spaced up to this one, and geometrically later.
_MODERATE, _EARLIEST, _SAMPLES = 30.0, -4.0, 48
# Points of the ray of the limit at which the bound of the loss is evaluated: shifts of the margin from the balance of
# both terms of the bound.
_SHIFTS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 4.0])

_STATES, _TIMES = ("node", "feature"), ("sample",)
_AXES = {
    "limit_w": ("feature",),
    "sample_log_time": _TIMES,
    "sample_size": _TIMES,
    "sample_log_loss": _TIMES,
    "sample_log_bound": _TIMES,
    "sample_w": ("sample", "feature"),
    "cross_size": ("node", "horizon"),
    "cross_margin": ("horizon",),
    "node_log_time": ("node",),
    "coarse_log_time": ("node",),
    **{f"{kind}_w": _STATES for kind in ("node", "coarse", "logistic")},
    **{f"{kind}_size": ("node",) for kind in ("node", "coarse", "logistic")},
}


class Measured(NamedTuple):
    """A flow, with the states at which it is measured."""

    trajectory: Trajectory
    samples: Float64[ndarray, " s"]
    sampled: Float64[ndarray, "s ..."]
    nodes: Float64[ndarray, "k ..."]
    node_times: Float64[ndarray, " k"]


def measured(problem: Classification, entry: Entry, rtol: float) -> Measured:
    """Return the flow of a potential with its states at log-spaced times, and at margins in geometric progression.

    Raises:
        KeyboardInterrupt: the simulation was interrupted from the keyboard.
    """
    start = np.zeros(problem.predictor_shape)
    flow = MirrorFlow(problem, entry.potential)
    trajectory = finished(simulate(flow, start, log_t1=entry.log_time, rtol=rtol, max_steps=_MAX_STEPS))
    end = float(trajectory.log_times[-1])
    half = _SAMPLES // 2
    early = np.linspace(_EARLIEST, min(_MODERATE, end), half)
    late = np.geomspace(min(_MODERATE, end), end, half + 1)[1:] if end > _MODERATE else np.full(half, np.nan)
    samples = np.concatenate([early, late])
    known = np.isfinite(samples)
    rows = np.full((len(samples), *problem.predictor_shape), np.nan)
    rows[known] = trajectory.state(log_t=np.minimum(samples[known], end))
    logs = _node_times(problem, entry, trajectory)
    nodes = np.full((NODES, *problem.predictor_shape), np.nan)
    if logs is not None:
        nodes = trajectory.state(log_t=logs)
    return Measured(trajectory, samples, rows, nodes, np.full(NODES, np.nan) if logs is None else logs)


def _node_times(
    problem: Classification, entry: Entry, trajectory: Trajectory
) -> Float64[ndarray, " k"] | None:
    """Return the logarithms of the times at which the smallest margin, or its logarithm, is its last value or its half
    or quarter. There are none if the smallest margin is not above 1 at the end.
    """
    end, first = float(trajectory.log_times[-1]), float(trajectory.log_times[1])

    def log_margin(log_t: float) -> float:
        return float(np.log(max(np.min(problem.margins(trajectory.state(log_t=log_t))), 1e-300)))

    last, logs = log_margin(end), [end]
    if not last > 0.0:
        return None
    halvings = np.arange(1, NODES)
    for wanted in last / 2.0**halvings if entry.logarithmic else last - halvings * np.log(2.0):
        logs.append(
            brentq(lambda log_t, aim: log_margin(log_t) - aim, first, logs[-1], args=(wanted,), xtol=1e-12)
        )
    return np.array(logs)


def log_bounds(problem: Classification, entry: Entry, limit: Limit, run: Measured) -> Float64[ndarray, " s"]:
    """Return upper bounds of ln min_w [L(w) + D(w, w_0) / t] at the sampled times.

    The bound holds for every w. It is evaluated at the start, on the ray of the predicted classifier where both terms
    balance, and at the other sampled states.
    """
    start = np.zeros(problem.predictor_shape)
    log_divergences = _log_divergences(entry, start)

    def logs(points: Float64[ndarray, "m ..."]) -> Float64[ndarray, "m 2"]:
        losses = np.array([problem.log_of_loss(w) for w in points])
        return np.stack([losses, log_divergences(points)], axis=1)

    known = np.isfinite(run.samples)
    times, bounds = run.samples[known], np.full(len(run.samples), np.nan)
    margins = np.maximum(1.0, times)
    for _ in range(3):  # the margin at which L(w) = D(w, w_0) / t, by iteration
        margins = np.maximum(1.0, times - log_divergences(np.multiply.outer(margins, limit.point)))
    shifted = np.maximum(0.0, margins[:, None] + _SHIFTS)
    on_ray = logs(np.multiply.outer(shifted.ravel(), limit.point)).reshape(len(times), len(_SHIFTS), 2)
    at_states = np.broadcast_to(logs(run.sampled[known]), (len(times), len(times), 2))
    every = np.concatenate([on_ray, at_states], axis=1)
    terms = np.logaddexp(every[:, :, 0], every[:, :, 1] - times[:, None])
    own = np.arange(len(times))
    terms[own, len(_SHIFTS) + own] = np.inf  # The bound of a state by itself says nothing.
    bounds[known] = np.minimum(np.min(terms, axis=1), problem.log_of_loss(start))
    return bounds


def _log_divergences(entry: Entry, start: Float64[ndarray, "..."]) -> Callable[[ndarray], ndarray]:
    """Return the function from points to the logarithms of their divergence from the start; inf where it overflows.

    For sums of hyperbolic cosines and the start 0 it is a sum of logarithms, which does not overflow.
    """
    if entry.steep:
        return lambda points: np.array([_log_cosh(_entries(w)) for w in points])
    potential = entry.potential

    def one(w: jax.Array) -> jax.Array:
        origin = jnp.asarray(start)
        slope = potential.mirror_formula(origin)
        return potential.value_formula(w) - potential.value_formula(origin) - jnp.sum(slope * (w - origin))

    compiled = jax.jit(jax.vmap(one))

    def logs(points: Float64[ndarray, "m ..."]) -> Float64[ndarray, " m"]:
        with double_precision(), np.errstate(all="ignore"):
            values = np.asarray(compiled(jnp.asarray(points)))
            return np.where(values >= 0.0, np.log(values), np.inf)

    return logs


def _log_cosh(sizes: Float64[ndarray, " k"]) -> float:
    """Return ln sum (cosh s - 1) for s >= 0, with cosh s - 1 = e^s (1 - e^-s)^2 / 2."""
    with np.errstate(divide="ignore"):
        return float(np.logaddexp.reduce(sizes + 2.0 * np.log(-np.expm1(-sizes)) - np.log(2.0)))


def flows_dataset(setting: Setting, progress: Progress) -> Any:
    """Return the dataset of all potentials of a setting.

    Raises:
        KeyboardInterrupt: a simulation was interrupted from the keyboard.
    """
    problem, logistic = setting.problem(), setting.problem("logistic")
    entries = setting.entries(problem.shape[1])
    rows: list[dict[str, Any]] = []
    for i, (name, entry) in enumerate(entries.items()):
        progress(i / (len(entries) + 1), name)
        rows.append(_row(problem, entry))
        other = (
            measured(logistic, entry, RTOL).nodes
            if name in PAPER
            else np.full_like(rows[-1]["node_w"], np.nan)
        )
        rows[-1] |= {"logistic_w": other, "logistic_size": _sizes(entry, other)}
    variables = {key: _stacked(key, [row[key] for row in rows]) for key in rows[0]}
    variables |= {
        "X": (("row", "feature"), np.reshape(problem.X, (len(problem.y), -1))),
        "y": (("row",), problem.y),
    }
    coordinates = {"potential": list(entries), "horizon": list(NAMED_GAUGES)}
    return dataset(variables, coordinates, {"rtol": RTOL, "coarse_rtol": COARSE, "paper": "; ".join(PAPER)})


def _stacked(name: str, values: list[Any]) -> tuple[tuple[str, ...], ndarray]:
    """Return the values of all potentials as a variable. The features of a matrix are its entries."""
    axes, array = _AXES.get(name, ()), np.array(values)
    return ("potential", *axes), array.reshape(*array.shape[: len(axes)], -1) if "feature" in axes else array


def _row(problem: Classification, entry: Entry) -> dict[str, Any]:
    """Return the measurements of one potential."""
    limit = max_margin(problem, entry.gauge)
    fine, coarse = (measured(problem, entry, rtol) for rtol in (RTOL, COARSE))
    named = [max_margin(problem, gauge) for gauge in NAMED_GAUGES.values()]
    known = np.isfinite(fine.samples)
    losses = np.full(len(known), np.nan)
    losses[known] = [problem.log_of_loss(w) for w in fine.sampled[known]]
    return {
        "limit_w": limit.point,
        "limit_margin": limit.margin,
        "limit_gap": limit.certificate.gap,
        "limit_tolerance": limit.certificate.tolerance,
        "limit_status": limit.status.name,
        "flow_status": fine.trajectory.status.name,
        "flow_log_time": float(fine.trajectory.log_times[-1]),
        "logarithmic": int(entry.logarithmic),
        "rate": entry.rate,
        "tie": _tie(entry, limit, fine.nodes[0]),
        "steps": fine.trajectory.stats.steps,
        "sample_log_time": fine.samples,
        "sample_w": fine.sampled,
        "sample_size": _sizes(entry, fine.sampled),
        "sample_log_loss": losses,
        "sample_log_bound": log_bounds(problem, entry, limit, fine),
        "node_w": fine.nodes,
        "node_log_time": fine.node_times,
        "node_size": _sizes(entry, fine.nodes),
        "coarse_w": coarse.nodes,
        "coarse_log_time": coarse.node_times,
        "coarse_size": _sizes(entry, coarse.nodes),
        "cross_size": np.array([[_size(gauge, w) for gauge in NAMED_GAUGES.values()] for w in fine.nodes]),
        "cross_margin": np.array([other.margin for other in named]),
    }


def _tie(entry: Entry, limit: Limit, w: Float64[ndarray, "..."]) -> float:
    """Return exp(-|w| gap), where gap is the relative distance of the largest entry from the next one that is no tie.

    Sublevel sets of hyperbolic cosines at the size of w do not tell such entries apart if it is not small.
    """
    if not entry.steep:
        return 0.0
    shares, size = (_entries(point) for point in (limit.point, w))
    shares = shares / np.max(shares)
    below = shares[shares < 1.0 - _TIED]
    gap = 1.0 - float(np.max(below, initial=0.0))
    return float(np.exp(-gap * np.max(size)))


def _entries(point: Float64[ndarray, "..."]) -> Float64[ndarray, " k"]:
    """Return the sizes of the entries of a vector, or the singular values of a matrix."""
    return np.abs(point) if point.ndim == 1 else np.linalg.svd(point, compute_uv=False)


def _sizes(entry: Entry, points: Float64[ndarray, "k ..."]) -> Float64[ndarray, " k"]:
    return np.array([_size(entry.gauge, w) for w in points])


def _size(gauge: Any, w: Float64[ndarray, "..."]) -> float:
    return float(gauge.value(w)) if np.all(np.isfinite(w)) else np.nan
