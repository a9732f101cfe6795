"""The start of the norm drift under margins: the choice of its equation, and the fast phase before it."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dual_system import map_for_duals
from implicitbias.flows._engine import Engine
from implicitbias.flows._errors import smallest_size
from implicitbias.flows._limits import Limits
from implicitbias.flows._margin_engine import MarginEngine
from implicitbias.flows._margin_system import DiagonalMargins, MarginSystem, ModelMargins
from implicitbias.flows._primal_maps import DiagonalNetworkMap, Rows, on_device
from implicitbias.predictors import TracedPredictor, traced
from implicitbias.problems import MeanLoss, Objective, TrainingProblem, refuse_inseparable_problem

# Margins that differ from the level by at most this share are at the level.
_AT_LEVEL = 1e-9


def margin_engine(
    problem: TrainingProblem,
    margin: float,
    shape: TreeShape,
    start: Float64[ndarray, " size"],
    limits: Limits,
    max_bytes: int,
) -> Engine:
    """Return the engine of the drift at the level `margin`; call it inside `double_precision`.

    If margins of the start are below the level, the level first rises from the least of them, as it does in the fast
    phase of training in proportion to the logarithm of the time.

    Raises:
        InfeasibleError: a margin of the start is not positive, and no linear classifier separates the data.
        InputError: a margin of the start is not positive, or the level cannot be reached from the start.
        ImplicitBiasError: the Jacobian of the margins needs more than `max_bytes`.
    """
    system, u = _system(problem.double_objective, shape, start, max_bytes)
    margins = np.asarray(system.margins(jnp.asarray(u)))
    least = float(np.min(margins))
    if not least > 0.0:
        refuse_inseparable_problem(problem)
        wrong = np.flatnonzero(~(margins > 0.0))
        raise InputError(
            f"{len(wrong)} of {len(margins)} margins of the start are not positive, the first is number {wrong[0]}, "
            "and a start that separates the labels is expected; the likely cause are parameters before training: type "
            f"start = ib.simulate(ib.GradientFlow(problem), params, log_t1={margin:g}).final"
        )
    held, counts = np.zeros(len(margins), dtype=bool), (0, 0, 0, 0, 0)
    if least < margin * (1.0 - _AT_LEVEL):
        u[-1] = np.log(least)
        rising = replace(system, rise=np.float64(np.log(margin / least)))
        ahead = MarginEngine(rising, u, Limits(1.0, limits.rtol, limits.max_steps), held)
        while ahead.status() is None:
            ahead.advance()
        if ahead.t < 1.0:
            raise InputError(
                f"the margins of the start could not be raised from {least:.3g} to {margin:g}: they stop at "
                f"{np.exp(ahead.u[-1]):.3g}. The likely cause is a model whose margins are bounded, which needs "
                "a smaller level, or a start whose margins are much smaller than the level; "
                f"type start = ib.simulate(ib.GradientFlow(problem), params, log_t1={margin:g}).final"
            )
        u, held, counts = ahead.u.copy(), ahead.held, ahead.counts
    u[-1] = np.log(margin)
    drifting = replace(system, decay=np.float64(1.0))
    words = (
        f"The margins are held at or above {margin:g}. The flow at the weight decay e^-{margin:g} follows this drift "
        f"up to a relative distance of the order of 1 / {margin:g}.",
    )
    return MarginEngine(drifting, u, limits, held, counts, words)


def _system(
    objective: Objective, shape: TreeShape, start: Float64[ndarray, " size"], max_bytes: int
) -> tuple[MarginSystem, Float64[ndarray, " m"]]:
    """Return the system without held rows and at rest, and its inner variable at the start, with the level 1."""
    predictor, mean_loss = traced(objective.readout), objective.mean_loss
    targets = np.asarray(mean_loss.targets)
    linear = map_for_duals(predictor.linear, mean_loss.loss, any_rows=False)
    closed_form = None if linear is None else predictor.closed_form_flow(shape.numpy_tree(start))
    if linear is not None and closed_form is not None:
        Z = targets[:, None] * np.asarray(linear.stored)
        rows = Rows(jnp.asarray(Z), jnp.asarray(np.ascontiguousarray(Z.T)), jnp.asarray(np.sum(Z**2, axis=0)))
        free = np.zeros(len(Z), dtype=bool)
        primal = on_device(DiagonalNetworkMap(closed_form))
        return DiagonalMargins(free, np.float64(0.0), np.float64(0.0), rows, primal), np.zeros(len(Z) + 2)
    predictor = predictor.fitted(shape, start)
    factor = _margin_factor(predictor, mean_loss, shape, start)
    number = factor.shape[0] * factor.shape[1]
    needed = 8 * number * max(number, len(start))
    if needed > max_bytes:
        raise ImplicitBiasError(
            f"the Jacobian of {number} margins in {len(start)} parameters takes {needed / 2**30:.2g} GiB, more than "
            f"the budget of {max_bytes / 2**30:.2g} GiB; pass fewer rows, or follow the flow itself: type "
            "ib.simulate(ib.GradientFlow(problem, weight_decay), params, t1=...)"
        )
    entrywise = predictor.entrywise
    system = ModelMargins(
        held=np.zeros(number, dtype=bool),
        rise=np.float64(0.0),
        decay=np.float64(0.0),
        predictor=predictor,
        shape=shape,
        factor=jnp.asarray(factor),
        smallest=smallest_size(start, entrywise),
        entrywise=entrywise,
    )
    return system, np.append(start, 0.0)


def _margin_factor(
    predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, start: Float64[ndarray, " size"]
) -> Float64[ndarray, "n g k"]:
    """Return U with the margins m_ig = sum_k U_igk f_ik: y f for two classes, and f_y - f_c for each other class c."""
    targets = np.asarray(mean_loss.targets)
    if targets.dtype.kind == "f":
        return targets.reshape(-1, 1, 1)
    classes = predictor(shape.unflatten(jnp.asarray(start))).shape[1]
    unit, own = np.eye(classes), targets.astype(np.int64)
    others = np.array([[c for c in range(classes) if c != label] for label in range(classes)])[own]
    return unit[own][:, None, :] - unit[others]
