"""The mirror flow, d grad phi(w) = -grad L(w) dt."""

import math
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.trees import TreeShape, tree_shape
from implicitbias.flows._dual_engine import dual_engine
from implicitbias.flows._dual_system import DualSystem, dual_system
from implicitbias.flows._engine import MATRIX_BYTES, Engine, RosenbrockEngine
from implicitbias.flows._flow import Flow
from implicitbias.flows._limits import Limits
from implicitbias.flows._log_time_in_w import LogTimeInW, log_time_in_w
from implicitbias.flows._log_time_system import LogTimeSystem, log_time_system
from implicitbias.flows._margin_rows import margin_rows
from implicitbias.flows._primal_maps import InverseMirrorMap, PrimalMap, SeparableInverseMirrorMap
from implicitbias.potentials import Potential, refuse_shape
from implicitbias.predictors import traced
from implicitbias.problems import Classification, LeastSquares
from implicitbias.trajectories import Clock


class MirrorFlow(Flow):
    r"""The flow $\frac{d}{dt} \nabla\phi(w_t) = -\nabla L(w_t)$, integrated in dual variables.

    With $\phi$ = `HyperbolicEntropy(log_scale=2 * ln(alpha))` it is the gradient flow of $w = u \odot v$ from
    u0 = sqrt(2) alpha and v0 = 0. The number of steps does not grow with 1/alpha. The state is w, and time is t, not
    slow time. For a `Classification` the flow is integrated in the logarithm of the time, also with more than two
    classes, where w is (d, k) and the potential acts on its d k entries.

    Args:
        problem: a `LeastSquares` or `Classification` problem.
        potential: a `Potential`. If it is not separable, each step needs n products with its inverse Hessian. If w is a
            matrix, `Spectral` potentials apply to it, and other potentials to its entries in row order.

    Raises:
        InputError: an argument has another type, or the parameters of the potential do not have as many entries as w.

    Reference:
        pesme2024mirror; woodworth2020kernel for diagonal networks.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [1.0, 0.5])
        >>> flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-200.0))
        >>> trajectory = ib.simulate(flow, np.zeros(2), t1=500.0)
        >>> trajectory.final.round(4).tolist()
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
        columns, size = problem.linear_map.shape[1], math.prod(shape)
        of_w = f"X has {columns} columns" if size == columns else f"w has {size} entries"
        refuse_shape(potential, shape, "ib.Classification(X, y) with matrices X (n, p, q)", of_w)
        self._settle({"problem": problem, "potential": potential})

    def checked_start(self, start: Any) -> tuple[TreeShape, Float64[ndarray, " d"]]:
        return tree_shape(self.problem.predictor(start, "start"), "start")

    def engine(
        self, shape: TreeShape, start: Float64[ndarray, " size"], limits: Limits, max_bytes: int
    ) -> Engine:
        if limits.clock.plain:
            return dual_engine(*self._dual(start), shape, limits)
        system = self._in_log_time(start, limits.clock, max_bytes)[0]
        return RosenbrockEngine(system, system.start(), shape, limits)

    def clock(self, shape: TreeShape, start: Float64[ndarray, " size"], log_end: float) -> Clock:
        """Return the clock: logarithmic for losses of margins, because their flow on separable data never ends."""
        return self._in_log_time(start)[1] if isinstance(self.problem, Classification) else Clock()

    def term(self, start: Any = None) -> Any:
        """Return the flow from `start` (default 0) as a diffrax term in dual variables.

        diffrax integrates y = (nu, X w, t) from `term.initial`, and `term.state(y)` is w as one vector. Call this
        method and diffrax inside `jax.enable_x64(True)`, because tiny scales underflow in float32.

        Raises:
            InputError: the problem has the loss "cross_entropy".
        """
        from implicitbias.flows._solver import system_term

        shape = self.problem.predictor_shape
        if shape != self.problem.linear_map.domain:
            raise InputError(
                f"problem is a {self.problem!r} with w of shape {shape}, one column for each class, for which there is "
                "no diffrax term; type ib.simulate(flow, start, log_t1=...)"
            )
        w = np.zeros(shape) if start is None else self.problem.predictor(start, "start")
        return system_term(*self._dual(w.ravel()))

    def _dual(self, start: Float64[ndarray, " size"]) -> tuple[DualSystem, Any]:
        objective = self.problem.double_objective
        linear = traced(objective.readout).linear
        rows = None if linear is None else linear.flat
        return dual_system(rows, objective.mean_loss, self._primal_map(), self._first_dual(start))

    def _in_log_time(
        self, start: Float64[ndarray, " size"], clock: Clock | None = None, max_bytes: int = MATRIX_BYTES
    ) -> tuple[LogTimeSystem | LogTimeInW, Clock]:
        assert isinstance(self.problem, Classification)
        rows, steep = margin_rows(self.problem), self.potential.steep
        if steep is not None:
            return log_time_in_w(rows, steep, np.asarray(start), clock, max_bytes)
        return log_time_system(rows, self._primal_map(), self._first_dual(start), clock)

    def _shape(self) -> tuple[int, ...]:
        """Return the shape of the argument of the potential: potentials of vectors apply to the entries of w."""
        shape = self.problem.predictor_shape
        return (math.prod(shape),) if self.potential.dimensions == 1 else shape

    def _first_dual(self, start: Float64[ndarray, " size"]) -> ndarray:
        return np.asarray(self.potential.mirror_formula(jax.device_put(start.reshape(self._shape())))).ravel()

    def _primal_map(self) -> PrimalMap:
        separable = self.potential.separable
        if separable is None:
            return InverseMirrorMap(self.potential, self._shape())
        return SeparableInverseMirrorMap(separable)

    def __repr__(self) -> str:
        return f"MirrorFlow({self.problem!r}, {type(self.potential).__name__})"
