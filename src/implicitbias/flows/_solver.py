"""The structured solver as diffrax sees it: a solver, and the terms that it takes."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias._core.trees import TreeShape
from implicitbias.flows._engine import MATRIX_BYTES
from implicitbias.flows._gauss_newton import assumed_system
from implicitbias.flows._ros34pw2 import ORDER, dense_weights, step
from implicitbias.flows._system import System
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss


class StructuredField(eqx.Module):
    """A vector field that knows its `System`."""

    @abstractmethod
    def system(self, shape: TreeShape, u: jax.Array, max_bytes: int) -> System:
        """The system for this inner variable: the flat y, and what `hidden` adds."""

    @abstractmethod
    def hidden(self, y: Any) -> jax.Array:
        """What the inner variable of the system holds beyond y, at y."""

    @abstractmethod
    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        """dy / dt."""


class GradientField(StructuredField):
    """-(grad F + lam y)."""

    predictor: TracedPredictor
    mean_loss: MeanLoss
    weight_decay: jax.Array

    def system(self, shape: TreeShape, u: jax.Array, max_bytes: int) -> System:
        return assumed_system(self.predictor, self.mean_loss, shape, u, self.weight_decay, max_bytes)

    def hidden(self, y: Any) -> jax.Array:
        return self.predictor(y).reshape(-1)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        gradient = jax.grad(lambda point: self.mean_loss.value(self.predictor(point)))(y)
        return jax.tree.map(lambda g, leaf: -g - self.weight_decay.astype(leaf.dtype) * leaf, gradient, y)


class SystemField(StructuredField):
    """The field of a system whose inner variable is y."""

    inner: System

    def system(self, shape: TreeShape, u: jax.Array, max_bytes: int) -> System:
        return self.inner

    def hidden(self, y: Any) -> jax.Array:
        return jnp.zeros(0, y.dtype)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        return self.inner.field(y)


class FlowTerm(diffrax.ODETerm):
    """A flow as an `ODETerm`: any solver of diffrax takes it, `GaussNewtonRosenbrock` uses its structure.

    Attributes:
        initial: the start, where the flow knows it (mirror flows), else None.
        state: the state of the flow, from y.
    """

    vector_field: StructuredField
    initial: Any = None
    state: Callable[[Any], Any] = lambda y: y


def gradient_term(predictor: TracedPredictor, mean_loss: MeanLoss, weight_decay: float) -> FlowTerm:
    """The gradient flow of a mean loss of predictions, in the caller's precision."""
    return FlowTerm(GradientField(predictor, mean_loss, jnp.asarray(weight_decay)))


def system_term(system: System, initial: jax.Array) -> FlowTerm:
    """A system as a term."""
    return FlowTerm(SystemField(system), initial, system.state)


class StageInterpolation(diffrax.AbstractLocalInterpolation):
    """The interpolant of order 3 (2 where the Jacobian is inexact) from the stages of a step."""

    # diffrax declares both as variables of the class; every one of its own interpolations makes them fields.
    t0: Any  # type: ignore[misc]
    t1: Any  # type: ignore[misc]
    y0: Any
    stages: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """The value at t0, or its increment from t0 to t1."""
        if t1 is not None:
            first, last = self.evaluate(t0), self.evaluate(t1)
            return jax.tree.map(lambda a, b: b - a, first, last)
        size = self.t1 - self.t0
        weights = dense_weights((t0 - self.t0) / jnp.where(size == 0, 1, size))
        return jax.tree.map(
            lambda y, stages: y + jnp.tensordot(weights.astype(y.dtype), stages, 1), self.y0, self.stages
        )


class GaussNewtonRosenbrock(diffrax.AbstractAdaptiveSolver):
    r"""ROS34PW2 with the Gauss-Newton matrix $-(J^\top S J + \lambda I)$, a solver of diffrax.

    A Rosenbrock-W method of order 3 with an embedded one of order 2: L-stable, stiffly accurate, four gradients and one
    factorisation a step. J (n k, p) is the Jacobian of the predictions and S the curvature of the loss in prediction
    space; the linear systems are solved through n k x n k matrices where there are fewer predictions than parameters,
    through p x p ones otherwise, and by conjugate gradients above the byte budget. Diagonal networks and factored
    matrices never form J. The predictions are unknowns of their own, tied to the parameters by a constraint: the number
    of steps through the slow phase of a flow with weight decay does not grow as the decay shrinks.

    Args:
        max_bytes: most memory for a dense Jacobian or kernel.

    Reference:
        rang2005rosenbrock.

    Examples:
        >>> import diffrax, jax, jax.numpy as jnp, numpy as np, implicitbias as ib
        >>> with jax.enable_x64(True):
        ...     flow = ib.GradientFlow(ib.LeastSquares(np.eye(2), [2.0, 1.0]))
        ...     solution = diffrax.diffeqsolve(
        ...         flow.term(),
        ...         ib.GaussNewtonRosenbrock(),
        ...         t0=0.0,
        ...         t1=50.0,
        ...         dt0=0.1,
        ...         y0=jnp.zeros(2),
        ...         stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-8),
        ...     )
        >>> np.round(solution.ys[-1], 4).tolist()
        [2.0, 1.0]
    """

    max_bytes: int = eqx.field(static=True, default=MATRIX_BYTES)

    term_structure: ClassVar = FlowTerm
    interpolation_cls: ClassVar = StageInterpolation

    def order(self, terms: Any) -> int:
        """3."""
        return ORDER

    def error_order(self, terms: Any) -> int:
        """3: the local order of the embedded method of order 2."""
        return ORDER

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> jax.Array:
        """The unknowns besides y: the predictions at y0."""
        return _unwrapped(terms)[0].vector_field.hidden(y0)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: jax.Array, made_jump: Any
    ) -> tuple[Any, Any, dict[str, Any], jax.Array, Any]:
        """One step from t0 to t1; see `diffrax.AbstractSolver.step`."""
        del args, made_jump
        term, direction = _unwrapped(terms)
        shape = _shape_of(y0)
        u = jnp.concatenate([shape.flatten(y0), solver_state])
        system = term.vector_field.system(shape, u, self.max_bytes)
        done = step(system, u, jnp.asarray(direction * (t1 - t0), u.dtype))
        y1, apart = done.end[: shape.size], (done.end - done.embedded)[: shape.size]
        info = {"y0": y0, "stages": shape.unflatten(done.stages[:, : shape.size])}
        return (
            shape.unflatten(y1),
            shape.unflatten(apart),
            info,
            done.end[shape.size :],
            diffrax.RESULTS.successful,
        )

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        """dy / dt."""
        return terms.vf(t0, y0, args)


def _unwrapped(terms: Any) -> tuple[FlowTerm, Any]:
    """The term, and the direction of time: diffrax hands terms over in a wrapper of its own."""
    return getattr(terms, "term", terms), getattr(terms, "direction", 1)


def _shape_of(y: Any) -> TreeShape:
    """The shape of a pytree of arrays, which may be traced."""
    leaves, treedef = jax.tree.flatten(y)
    rest = jax.tree.unflatten(treedef, [None] * len(leaves))
    names = tuple(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(y))
    return TreeShape(rest, treedef, tuple(jnp.shape(leaf) for leaf in leaves), names)
