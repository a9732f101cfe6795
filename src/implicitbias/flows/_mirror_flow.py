"""The mirror flow, d grad phi(w) = -grad L(w) dt."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.trees import TreeShape, tree_shape
from implicitbias.flows._dual_system import DualSystem, dual_system
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._flow import Flow
from implicitbias.flows._limits import Limits
from implicitbias.flows._log_time_system import in_log_time, log_clock
from implicitbias.flows._primal_maps import InverseMirrorMap, PrimalMap, SeparableInverseMirrorMap
from implicitbias.potentials import Potential
from implicitbias.predictors import traced
from implicitbias.problems import Classification, LeastSquares
from implicitbias.trajectories import Clock


class MirrorFlow(Flow):
    r"""The flow $\frac{d}{dt} \nabla\phi(w_t) = -\nabla L(w_t)$, integrated in dual variables.

    With $\phi$ = `HyperbolicEntropy(log_scale=2 * ln(alpha))` it is the gradient flow of $w = u \odot v$ from
    u0 = sqrt(2) alpha and v0 = 0. The number of steps does not grow with 1/alpha. The state is w, and time is t, not
    slow time.

    Args:
        problem: a `LeastSquares` or `Classification` problem.
        potential: a `Potential`. If it is not separable, each step needs n products with its inverse Hessian. If w is a
            matrix, `Spectral` potentials apply to it, and other potentials to its entries in row order.

    Raises:
        InputError: an argument has another type, or the parameters of the potential do not have d entries.

    Reference:
        pesme2024mirror; woodworth2020kernel for diagonal networks.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [1.0, 0.5])
        >>> flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-200.0))
        >>> trajectory = ib.simulate(flow, np.zeros(2), t1=500.0)
        >>> trajectory.final.round(6).tolist()
        [1.0, 0.5]
    """

    problem: LeastSquares | Classification
    potential: Potential

    def __init__(self, problem: LeastSquares | Classification, potential: Potential) -> None:
        if not isinstance(problem, (LeastSquares, Classification)):
            raise InputError(
                f"problem is a {type(problem).__name__}, a LeastSquares or a Classification is expected: "
                "ib.LeastSquares(X, y)"
            )
        if not isinstance(potential, Potential):
            raise InputError(
                f"potential is a {type(potential).__name__}, a Potential is expected, "
                "for instance ib.HyperbolicEntropy(scale=1e-6)"
            )
        shape = problem.predictor_shape
        if shape != problem.linear_map.domain:
            raise InputError(
                f"problem is a {problem!r} with w of shape {shape}, w of shape (d,) is expected; "
                "type ib.GradientFlow(problem) for the gradient flow with more classes"
            )
        if potential.dimensions != 1 and potential.dimensions != len(shape):
            raise InputError(
                f"{type(potential).__name__} is a potential of matrices, but w has shape {shape}; type "
                "ib.Classification(X, y) with matrices X (n, p, q), or a potential of vectors such as ib.Cosh()"
            )
        length, d = potential.length(), problem.linear_map.shape[1]
        if length is not None and length[1] != d:
            raise InputError(
                f"the potential's {length[0]} has {length[1]} entries, but X has {d} columns; one entry for each "
                "column is expected"
            )
        self._settle({"problem": problem, "potential": potential})

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " d"]]:
        return tree_shape(self.problem.predictor(start, "start"), "start")

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " d"], limits: Limits, max_bytes: int
    ) -> Engine:
        system, u = self._dual(start)
        if limits.clock.log_unit is not None:
            system = in_log_time(system, u, limits.clock.log_unit)
            u = system.start()
        return RosenbrockEngine(system, u, shape, limits)

    def clock(self, start: Float64[ndarray, " d"]) -> Clock:
        """Return the clock: logarithmic for losses of margins, because their flow on separable data never ends."""
        if self.problem.double_objective.mean_loss.loss.of_margins is None:
            return Clock()
        return log_clock(*self._dual(start))

    def term(self, start: Any = None) -> Any:
        """Return the flow from `start` (default 0) as a diffrax term in dual variables.

        diffrax integrates y = (nu, X w, t) from `term.initial`, and `term.state(y)` is w as one vector. Call this
        method and diffrax inside `jax.enable_x64(True)`, because tiny scales underflow in float32.
        """
        from implicitbias.flows._solver import system_term

        w = (
            np.zeros(self.problem.predictor_shape)
            if start is None
            else self.problem.predictor(start, "start")
        )
        return system_term(*self._dual(w.ravel()))

    def _dual(self, start: Float64[ndarray, " d"]) -> tuple[DualSystem, Any]:
        objective = self.problem.double_objective
        # Potentials of vectors apply to the entries of w.
        shape = start.shape if self.potential.dimensions == 1 else self.problem.predictor_shape
        z0 = np.asarray(self.potential.mirror_formula(jnp.asarray(start.reshape(shape)))).ravel()
        separable = self.potential.separable
        primal: PrimalMap = (
            InverseMirrorMap(self.potential, shape)
            if separable is None
            else SeparableInverseMirrorMap(separable)
        )
        linear = traced(objective.readout).linear
        return dual_system(None if linear is None else linear.flat, objective.mean_loss, primal, z0)

    def __repr__(self) -> str:
        return f"MirrorFlow({self.problem!r}, {type(self.potential).__name__})"
