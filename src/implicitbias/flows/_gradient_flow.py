"""The gradient flow with weight decay, d theta = -(grad F + lam theta) dt."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.traced_maps import TracedMap
from implicitbias._core.trees import TreeShape
from implicitbias.flows._algebra_choice import SLIDING, factorized, guided, sizes_of
from implicitbias.flows._dual_engine import dual_engine
from implicitbias.flows._dual_system import dual_system, map_for_duals
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._flow import Flow
from implicitbias.flows._gauss_newton import gauss_newton_system
from implicitbias.flows._limits import Limits
from implicitbias.flows._log_time import LONG, log_unit_at
from implicitbias.flows._log_time_system import LogTimeSystem, log_time_system
from implicitbias.flows._margin_rows import two_class_rows
from implicitbias.flows._primal_maps import DiagonalNetworkMap, PrimalMap
from implicitbias.flows._sliding_choice import EventCosts
from implicitbias.flows._sliding_engine import SlidingEngine
from implicitbias.flows._weight_decay import checked_weight_decay, decays_at, weight_decay_text
from implicitbias.predictors import gated, rounded, traced
from implicitbias.problems import MeanLoss, ModelFlags, TrainingProblem, model_flags
from implicitbias.trajectories import Clock

# Stabilised steps round kinks over this share of rtol, relative to the size of the pre-activations.
ROUNDED = 0.5

# From starts whose entries are all smaller than _TINY, dual variables are used for up to _FEW_ROWS rows, whatever the
# number of columns. A step then takes about as long as one in the parameters.
_TINY, _FEW_ROWS = 1e-8, 100


class GradientFlow(Flow):
    r"""The flow $\dot\theta = -\nabla F(\theta) - \lambda \theta$ of full-batch training with an infinitesimal step.

    It is integrated with the Gauss-Newton matrix of the loss. How the linear systems of a step are solved is chosen by
    cost: by a factorisation, by conjugate gradients, or not at all where an explicit method is cheaper. With
    `problem.reparametrize(ib.HadamardProduct())` or `SquareDifference()`, the flow is integrated in n dual variables,
    in which it is exact for starts of any scale. The state is theta, a pytree like the start, and time is t.

    Models with piecewise linear units (ReLU, leaky ReLU, abs, clip, maxima) are integrated from kink to kink, and
    pre-activations that both sides of a kink push to 0 stay at 0, which is the solution in the sense of Filippov. Where
    a network is so wide that some unit switches in each step, its kinks are crossed by short steps instead, as long as
    this is estimated to cost less. Long stabilised steps round them over `rtol` / 2 times the size of pre-activations.
    `Trajectory.notes` and `Trajectory.stats` show which was done.

    Without weight decay, the losses "logistic", "exponential" and "cross_entropy" tend to 0 if the model separates the
    labels. Long flows of them are integrated in the logarithm of the time, to times beyond float64: pass `log_t1`.

    Args:
        problem: `ib.Problem(model, X, y, loss)`, `ib.LeastSquares`, `ib.Classification`, or a reparametrised problem.
        weight_decay: lam >= 0 of the penalty lam/2 ||theta||^2, or a pytree of such numbers (or of arrays, for single
            entries) like the parameters, for instance {"W": 1e-3, "b": 0.0} where biases do not decay.

    Raises:
        InputError: an argument has another type, or a weight decay is negative. `simulate` raises it if the pytree does
            not fit the start.

    Reference:
        boursier2025grokking; lyu2024dichotomy.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [2.0, 1.0]).reparametrize(ib.SquareDifference())
        >>> flow = ib.GradientFlow(problem, weight_decay=1e-2)
        >>> theta0 = (np.full(2, 1e-3), np.full(2, 1e-3))
        >>> u, v = ib.simulate(flow, theta0, t1=2e3).final
        >>> (u**2 - v**2).round(4).tolist()  # the Lasso solution at penalty lam / 2, which is y - n lam / 2
        [1.99, 0.99]
    """

    problem: TrainingProblem
    weight_decay: Any

    def __init__(self, problem: TrainingProblem, weight_decay: Any = 0.0) -> None:
        decay = checked_weight_decay(weight_decay)
        self._settle({"problem": checked_problem(problem), "weight_decay": decay})

    @property
    def has_algebras(self) -> bool:
        return True

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        shape, flat = checked_start(self.problem, start)
        decays_at(self.weight_decay, shape)
        return shape, flat

    def flags(self, shape: TreeShape, start: Float64[ndarray, " size"]) -> ModelFlags:
        return model_flags(self.problem, shape, start)

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        objective = self.problem.double_objective
        predictor = self.problem.remembered("traced", shape, lambda: traced(objective.readout))
        loss, in_logs = objective.mean_loss.loss, not limits.clock.plain
        # Growth over many orders of magnitude is followed in closed form in the dual variables. In the parameters, the
        # errors of its steps add up.
        grows = 0.0 < float(np.max(np.abs(start), initial=0.0)) < _TINY
        any_rows = in_logs or (grows and len(objective.mean_loss.targets) <= _FEW_ROWS)
        linear = map_for_duals(predictor.linear, loss, any_rows=any_rows)
        decay = decays_at(self.weight_decay, shape)
        # Whoever asks for an algebra wants the flow in theta. The dual variables describe one decay for all parameters.
        in_duals = linear is not None and limits.algebra == "auto"
        closed_form = predictor.closed_form_flow(shape.numpy_tree(start)) if in_duals else None
        if closed_form is not None and linear is not None and isinstance(decay, float):
            primal = DiagonalNetworkMap.of(closed_form)
            if in_logs:
                system = _diagonal_in_log_time(linear, objective.mean_loss, primal, limits)
                return RosenbrockEngine(system, system.start(), shape, limits)
            dual = dual_system(linear, objective.mean_loss, primal, weight_decay=decay)
            return dual_engine(*dual, shape, limits)
        # A model has the same structure at all parameters. Finding it takes longer than many steps of a small model.
        predictor = self.problem.remembered("fitted", shape, lambda: predictor.fitted(shape, start))
        base, u = gauss_newton_system(predictor, objective.mean_loss, shape, start, decay, limits)
        kinked = self.flags(shape, start).not_smooth
        slides = kinked and limits.algebra in SLIDING
        tracked = kinked and limits.algebra in (*SLIDING, "stabilised")
        with_slopes = gated(predictor, shape, start) if tracked else None
        smooth = None
        if with_slopes is not None:
            corners = rounded(with_slopes, start, ROUNDED * limits.rtol)
            smooth, _ = gauss_newton_system(corners, objective.mean_loss, shape, start, decay, limits)
            smooth = dataclasses.replace(smooth, sharp=predictor)
        plain, guide = guided(base, u, limits, max_bytes, kinked=kinked, rounded=smooth)
        engine = RosenbrockEngine(plain, u, shape, limits, guide)
        if with_slopes is None or not slides:
            return engine
        kinks, _ = gauss_newton_system(with_slopes, objective.mean_loss, shape, start, decay, limits)
        rows = objective.mean_loss.targets.shape[0]
        before, after = (sizes_of(one, u, max_bytes) for one in (base, kinks))
        costs = EventCosts(before, after, rows, with_slopes.slopes.size)
        return SlidingEngine(engine, kinks, costs, lambda: factorized(kinks, u, limits, max_bytes))

    def clock(self, shape: TreeShape, start: Float64[ndarray, " size"], log_end: float) -> Clock:
        """Return the clock: logarithmic for long flows of losses of margins, which end only if they have a minimum."""
        objective = self.problem.double_objective
        if objective.mean_loss.loss.of_margins is None:
            return Clock()
        # The unit is also computed with a weight decay, so that a later flow without it compiles nothing.
        unit = log_unit_at(traced(objective.readout), objective.mean_loss, shape, start)
        decays = np.any(decays_at(self.weight_decay, shape))
        return Clock(unit) if log_end - unit >= LONG and not decays else Clock()

    def term(self, params: Any = None) -> Any:
        """Return the flow as a diffrax term for `diffrax.diffeqsolve(flow.term(), ib.GaussNewtonRosenbrock(), ...)`.

        The variable y is the pytree of parameters. Each leaf must be a floating-point array, and its type is the
        precision of the computation. For an `ib.Problem`, pass some parameters: the model is then tested for whether it
        treats its rows independently, and if so, its Jacobian costs n times less.
        """
        from implicitbias.flows._solver import gradient_term

        objective = self.problem.objective()
        predictor, decay = traced(objective.readout), self.weight_decay
        if params is None and not isinstance(decay, float):
            raise InputError("weight_decay is a pytree, so the parameters are needed: type flow.term(params)")
        if params is not None:
            shape, start = self.checked_start(params)
            decay = decays_at(decay, shape)
            with double_precision():
                structure = traced(self.problem.double_objective.readout).structure(shape, start)
            predictor = predictor.with_structure(structure)
        return gradient_term(predictor, objective.mean_loss, decay)

    def __repr__(self) -> str:
        return f"GradientFlow({self.problem!r}, weight_decay={weight_decay_text(self.weight_decay)})"


def _diagonal_in_log_time(
    linear: TracedMap, mean_loss: MeanLoss, primal: PrimalMap, limits: Limits
) -> LogTimeSystem:
    """Return the system of a diagonal network in the logarithm of the time, for a loss of margins."""
    loss = mean_loss.loss.of_margins
    assert loss is not None  # `GradientFlow.clock` is logarithmic only for losses of margins.
    rows = two_class_rows(np.asarray(linear.stored), np.asarray(mean_loss.targets), loss)
    return log_time_system(rows, primal, np.zeros(len(rows.sizes)), limits.clock)[0]


def checked_problem(problem: Any) -> TrainingProblem:
    """Return the problem, or raise an `InputError` for another object."""
    if not isinstance(problem, TrainingProblem):
        raise InputError(
            f"problem is a {type(problem).__name__}, a problem is expected, for instance "
            "ib.Problem(model, X, y) or ib.LeastSquares(X, y).reparametrize(ib.HadamardProduct())"
        )
    return problem


def checked_start(problem: TrainingProblem, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
    """Return the layout of the parameters and the start as one vector.

    Raises:
        InputError: the start is invalid, or predictions or derivatives at the start are not finite.
    """
    shape, flat = problem.checked_params(start, "start")
    problem.refuse_non_finite(shape, flat)
    return shape, flat
