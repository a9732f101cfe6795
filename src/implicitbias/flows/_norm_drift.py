"""The norm drift: the slow flow of training with a weight decay that tends to 0."""

from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.trees import TreeShape
from implicitbias.flows._critical_points import critical_point
from implicitbias.flows._drift_system import DriftSystem
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._errors import smallest_size
from implicitbias.flows._flow import Flow
from implicitbias.flows._gradient_flow import checked_problem, checked_start
from implicitbias.flows._guide import Settled
from implicitbias.flows._limits import Limits
from implicitbias.flows._margin_drift import margin_engine
from implicitbias.flows._tsit5 import Tsit5
from implicitbias.predictors import traced
from implicitbias.problems import ModelFlags, TrainingProblem, model_flags


class NormDrift(Flow):
    r"""The slow flow $\frac{d\theta}{d\tau} = -P_\theta\, \theta$ of training with a weight decay that tends to 0.

    Training with a small weight decay $\lambda$ has two phases. In the first one the parameters tend to
    $\Phi(\theta_0)$, the end of the flow without weight decay, which `ib.interpolation_limit` computes. In the second
    one, in the time $\tau = \lambda t$, they move along the minimisers of the loss and their norm decreases. As
    $\lambda \to 0$ they follow this flow from $\Phi(\theta_0)$, and they differ from it by $O(\lambda)$. The matrix
    $P_\theta$ is the projection on the kernel of the Hessian of the loss. Where the predictions fit the targets, this
    is the kernel of the Jacobian J of the predictions, and

    $$P_\theta\, \theta = \theta - J^\top (J J^\top)^+ J \theta.$$

    The predictions stay those of the start, up to 1e-11 of their size, and $\lVert\theta\rVert$ does not increase. The
    state is theta, a pytree like the start, and time is tau. The equation is not stiff, so that the steps are explicit
    (Tsit5). After each of them, Gauss-Newton steps lead back to the manifold. Singular values of J below 1e-12 of the
    largest one count as 0; `Trajectory.notes` says where J has dependent rows or its rank changes.

    Models with piecewise linear units need very short steps where the drift pushes a pre-activation to its kink from
    both sides, and end with `Status.MAX_STEPS` there.

    If the loss is not 0 at the start, which must then be a minimum of it, the exact Hessian is used, and its
    eigenvalues below 1e-6 of the largest one count as 0. This needs at most 1500 parameters. The Jacobian is used there
    too if the predictions are linear functions near the start.

    *Losses of margins.* The logistic, the exponential and the cross-entropy loss have no finite minimiser. With
    $\mu = \ln(1/\lambda)$ as `margin`, their slow phase tends to a sweeping process on the margins $m_i \ge \mu$,

    $$\frac{d\theta}{d\tau} = -\theta + \sum_i q_i \nabla m_i(\theta), \qquad q_i \ge 0, \qquad q_i (m_i - \mu) = 0,$$

    with the margins $m = y f$, or $f_y - f_c$ for each other class c. The flow at $\lambda$ differs from it by
    $O(1/\mu)$, relative to its size, so that a small $\lambda$ matters more than for the squared loss. If some margins
    of the start are below $\mu$, the level first rises from the least of them to $\mu$ at $\tau = 0$, as in the fast
    phase. The process is integrated from event to event: rows reach the level, or stop pulling. Two-layer diagonal
    networks have n unknowns, $z = Z^\top \nu$ with $\nu' = q$, which do not decrease, and `Trajectory.dual` returns z.

    Args:
        problem: a problem with the squared loss, or with another loss that has a finite minimiser; with a `margin`, one
            with a loss of margins.
        margin: the level mu of the margins, $\ln(1/\lambda)$ for the weight decay lam, for losses of margins; None for
            other losses.

    Raises:
        InputError: the problem has another type, or its loss has its minimiser at infinity (logistic, exponential and
            cross-entropy loss) and no margin is given, or the margin is not positive. `simulate` raises it if the start
            is not a minimum of the loss: the message names `ib.interpolation_limit`; with a margin, if the start does
            not separate the labels.
        InfeasibleError: raised by `simulate` where the start does not separate the labels and no linear classifier can;
            its certificate is a convex combination of the signed rows that is 0.
        ImplicitBiasError: the tangent kernel or the Hessian, or the Jacobian of the margins, needs more than 2 GiB.

    Reference:
        boursier2025grokking; lyu2024dichotomy for losses of margins.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]], [4.0, 1.0])
        >>> problem = problem.reparametrize(ib.HadamardProduct())
        >>> start = (
        ...     np.array([2.0, 1.0, 1.0]),
        ...     np.array([2.0, 0.0, 1.0]),
        ... )  # w = u * v = (4, 0, 1) fits the data
        >>> trajectory = ib.simulate(ib.NormDrift(problem), start, t1=20.0)
        >>> u, v = trajectory.final
        >>> (u * v).round(3).tolist()  # the smallest l1 norm among w with w_1 + 2 w_2 = 4 and w_3 = 1
        [0.0, 2.0, 1.0]

        With the logistic loss the same network ends at the classifier of the largest l_1 margin:

        >>> net = ib.Classification([[1.0, 2.0], [2.0, -1.0]], [1, -1]).reparametrize(ib.HadamardProduct())
        >>> start = (np.array([1.0, 3.0]), np.array([-1.0, 2.0]))
        >>> u, v = ib.simulate(ib.NormDrift(net, margin=20.0), start, t1=40.0).final
        >>> (u * v / 20.0).round(3).tolist(), ib.max_margin(net.problem, "l1").point.round(3).tolist()
        ([-0.2, 0.6], [-0.2, 0.6])
    """

    problem: TrainingProblem
    margin: float | None

    def __init__(self, problem: Any, margin: Any = None) -> None:
        if margin is None:
            self._settle({"problem": finite_minimiser(problem, "NormDrift"), "margin": None})
            return
        self._settle({"problem": _of_margins(problem), "margin": _checked_margin(margin)})

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " size"]]:
        return checked_start(self.problem, start)

    def flags(self, shape: TreeShape, start: Float64[ndarray, " size"]) -> ModelFlags:
        found = model_flags(self.problem, shape, start)
        if not found.not_smooth:
            return found
        kinks = (
            "The norm drift does not follow kinks: where it pushes a pre-activation to its kink from both sides, the "
            "steps become very short. Use a smooth activation such as softplus or gelu."
        )
        return found._replace(notes=(*found.notes, kinks))

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        if self.margin is not None:
            return margin_engine(self.problem, self.margin, shape, start, limits, max_bytes)
        objective = self.problem.double_objective
        predictor = traced(objective.readout).fitted(shape, start)
        point = critical_point(predictor, objective.mean_loss, shape, start, max_bytes)
        system = DriftSystem(
            manifold=point.manifold(),
            shape=shape,
            entrywise=predictor.entrywise,
            smallest=smallest_size(start, predictor.entrywise),
            full_rank=point.full_rank,
            rtol=np.asarray(limits.rtol),
        )
        return RosenbrockEngine(system, start, shape, limits, Settled("", Tsit5()))

    def __repr__(self) -> str:
        margin = "" if self.margin is None else f", margin={self.margin:g}"
        return f"NormDrift({self.problem!r}{margin})"


def _of_margins(problem: Any) -> TrainingProblem:
    """Return the problem, or raise an `InputError` for another object, or a loss that is not one of margins."""
    checked: TrainingProblem = checked_problem(problem)
    loss = checked.double_objective.mean_loss.loss
    if loss.of_margins is None:
        raise InputError(
            f"the problem has the {type(loss).__name__} loss and a margin is given, but only the losses 'logistic', "
            "'exponential' and 'cross_entropy' have margins; type ib.NormDrift(problem)"
        )
    return checked


def _checked_margin(margin: Any) -> float:
    if isinstance(margin, bool) or not isinstance(margin, Real) or not 0.0 < float(margin) < np.inf:
        raise InputError(
            f"margin is {margin!r}, a positive, finite number is expected: ln(1/lam) for the weight decay lam, for "
            "instance margin=-numpy.log(1e-8)"
        )
    return float(margin)


def finite_minimiser(problem: Any, name: str) -> TrainingProblem:
    """Return the problem, or raise an `InputError` for another object, or a loss with its minimiser at infinity."""
    checked: TrainingProblem = checked_problem(problem)
    loss = checked.double_objective.mean_loss.loss
    if loss.of_margins is not None:
        raise InputError(
            f"the problem has the {type(loss).__name__} loss, {name} expects a loss with a finite minimiser: this loss "
            "decreases as long as margins grow, so that the flow without weight decay has no end. For the end of "
            "training type ib.max_margin(problem, horizon), and for a small weight decay type "
            "ib.GradientFlow(problem, weight_decay=1e-4), or ib.NormDrift(problem, margin=-numpy.log(1e-4)) for its "
            "slow phase"
        )
    return checked
