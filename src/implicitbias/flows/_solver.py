"""The structured solver as a solver of diffrax, and the diffrax terms of flows."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias._core.modules import PlainModule
from implicitbias._core.trees import TreeShape
from implicitbias.flows._algebra_choice import sizes_of
from implicitbias.flows._algebra_names import OF_STEPS, checked_algebra
from implicitbias.flows._engine import MATRIX_BYTES
from implicitbias.flows._gauss_newton import system_at
from implicitbias.flows._ros34pw2 import ORDER, dense_weights, step
from implicitbias.flows._system import System
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss


class StructuredField(PlainModule):
    """A vector field that gives the `System` of its flow."""

    @abstractmethod
    def system(self, shape: TreeShape, u: jax.Array, solver: "GaussNewtonRosenbrock") -> System:
        """Return the system at the inner variable u, which consists of the flat y and the entries from `hidden`."""

    @abstractmethod
    def hidden(self, y: Any) -> jax.Array:
        """Return the entries of the inner variable that follow the flat y, computed at y."""

    @abstractmethod
    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        """Return dy / dt."""


class GradientField(StructuredField):
    """The vector field -(grad F + lam y) of a gradient flow."""

    predictor: TracedPredictor
    mean_loss: MeanLoss
    weight_decay: jax.Array

    def system(self, shape: TreeShape, u: jax.Array, solver: "GaussNewtonRosenbrock") -> System:
        system = system_at(self.predictor, self.mean_loss, shape, u, self.weight_decay)
        sizes = sizes_of(system, u, solver.max_bytes)
        name = sizes.direct() if solver.algebra == "auto" else solver.algebra
        return system.using(sizes.named(name))

    def hidden(self, y: Any) -> jax.Array:
        return self.predictor(y).reshape(-1)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        gradient = jax.grad(lambda point: self.mean_loss.value(self.predictor(point)))(y)
        if self.weight_decay.ndim == 0:
            return jax.tree.map(lambda g, leaf: -g - self.weight_decay.astype(leaf.dtype) * leaf, gradient, y)
        decays = _shape_of(y).unflatten(self.weight_decay)
        return jax.tree.map(lambda g, leaf, lam: -g - lam.astype(leaf.dtype) * leaf, gradient, y, decays)


class SystemField(StructuredField):
    """The vector field of a system whose inner variable is y."""

    inner: System

    def system(self, shape: TreeShape, u: jax.Array, solver: "GaussNewtonRosenbrock") -> System:
        return self.inner

    def hidden(self, y: Any) -> jax.Array:
        return jnp.zeros(0, y.dtype)

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        return self.inner.field(y)


class FlowTerm(diffrax.ODETerm):
    """A flow as an `ODETerm`, which any solver of diffrax accepts; `GaussNewtonRosenbrock` uses its structure.

    Attributes:
        initial: the initial y of a mirror flow, and None for other flows.
        state: the function from y to the state of the flow.
    """

    vector_field: StructuredField
    initial: Any = None
    state: Callable[[Any], Any] = lambda y: y


def gradient_term(predictor: TracedPredictor, mean_loss: MeanLoss, weight_decay: Any) -> FlowTerm:
    """Return the term of the gradient flow of a mean loss, in the caller's precision."""
    return FlowTerm(GradientField(predictor, mean_loss, jnp.asarray(weight_decay)))


def system_term(system: System, initial: jax.Array) -> FlowTerm:
    """Return the term of a system."""
    return FlowTerm(SystemField(system), initial, system.state)


class StageInterpolation(diffrax.AbstractLocalInterpolation):
    """The interpolant of a step from its stages: of order 3, or of order 2 if the Jacobian is inexact."""

    # diffrax declares t0 and t1 as class variables, but its own interpolations define them as fields too.
    t0: Any  # type: ignore[misc]
    t1: Any  # type: ignore[misc]
    y0: Any
    stages: Any

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> Any:
        """Return the value at t0, or the increment from t0 to t1 if t1 is given."""
        if t1 is not None:
            first, last = self.evaluate(t0), self.evaluate(t1)
            return jax.tree.map(lambda a, b: b - a, first, last)
        size = self.t1 - self.t0
        weights = dense_weights((t0 - self.t0) / jnp.where(size == 0, 1, size))
        return jax.tree.map(
            lambda y, stages: y + jnp.tensordot(weights.astype(y.dtype), stages, 1), self.y0, self.stages
        )


class GaussNewtonRosenbrock(diffrax.AbstractAdaptiveSolver):
    r"""The method ROS34PW2 with the Gauss-Newton matrix $-(J^\top S J + \lambda I)$ as a solver of diffrax.

    This is a Rosenbrock-W method of order 3 with an embedded method of order 2. It is L-stable and stiffly accurate,
    and each step needs four gradients and one factorisation. J (n k, p) is the Jacobian of the predictions, and S is
    the second derivative of the loss in the predictions. The linear systems are solved with n k x n k matrices if there
    are fewer predictions than parameters, with p x p matrices otherwise, and with conjugate gradients above the byte
    budget. For diagonal networks and factored matrices, J is never formed.

    The predictions are additional unknowns that a constraint connects to the parameters. Because of this, the number of
    steps in the slow phase of a flow with weight decay does not grow as the weight decay shrinks.

    Args:
        max_bytes: the largest accepted size of a dense Jacobian or kernel in bytes.
        algebra: "layers" or "kernel" for n k x n k matrices, "normal" for p x p matrices, "products" for conjugate
            gradients. With "auto", diffrax uses the factorisation with the fewest multiplications, and `ib.simulate`
            chooses by measured cost.

    Raises:
        InputError: the algebra has another name.

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
    algebra: str = eqx.field(static=True, default="auto")

    def __check_init__(self) -> None:
        checked_algebra(self.algebra, OF_STEPS)

    term_structure: ClassVar = FlowTerm
    interpolation_cls: ClassVar = StageInterpolation

    def order(self, terms: Any) -> int:
        """Return the order of the method, which is 3."""
        return ORDER

    def error_order(self, terms: Any) -> int:
        """Return the order of the error estimate, which is 3, the local order of the embedded method of order 2."""
        return ORDER

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> jax.Array:
        """Return the unknowns besides y, which are the predictions at y0 for a gradient flow."""
        return _unwrapped(terms)[0].vector_field.hidden(y0)

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: jax.Array, made_jump: Any
    ) -> tuple[Any, Any, dict[str, Any], jax.Array, Any]:
        """Return the result of a step from t0 to t1 in the form that `diffrax.AbstractSolver.step` describes."""
        del args, made_jump
        term, direction = _unwrapped(terms)
        shape = _shape_of(y0)
        u = jnp.concatenate([shape.flatten(y0), solver_state])
        system = term.vector_field.system(shape, u, self)
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
        """Return dy / dt."""
        return terms.vf(t0, y0, args)


def _unwrapped(terms: Any) -> tuple[FlowTerm, Any]:
    """Return the term and the direction of time; diffrax passes terms inside a wrapper."""
    return getattr(terms, "term", terms), getattr(terms, "direction", 1)


def _shape_of(y: Any) -> TreeShape:
    """Return the layout of a pytree of arrays, which JAX may trace."""
    leaves, treedef = jax.tree.flatten(y)
    rest = jax.tree.unflatten(treedef, [None] * len(leaves))
    names = tuple(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(y))
    return TreeShape(rest, treedef, tuple(jnp.shape(leaf) for leaf in leaves), names)
