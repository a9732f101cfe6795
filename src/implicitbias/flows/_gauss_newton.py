"""The gradient flow of any objective, with the Gauss-Newton matrix in place of the Jacobian."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias.flows._gauss_newton_algebra import (
    GaussNewtonMatrix,
    by_kernel,
    by_normal_equations,
    by_products,
)
from implicitbias.flows._jacobians import has_kernel, jacobian
from implicitbias.flows._system import Solve, System
from implicitbias.parametrizations import Diagonal
from implicitbias.problems import Kind, Model, Objective, Reparametrized

# A leaf far smaller than the rest is held to this fraction of the rest's size.
_LEAF_FLOOR = 1e-3
# In least normal numbers: the compiler multiplies this by rtol, which must not make it 0.
_TINY = 1e12
# Up to rounding: predictions of single rows are those of the batch.
_ROWS_AGREE = 1e-6


class GaussNewtonSystem(System):
    r"""$\theta' = -J(\theta)^\top g(f) - \lambda\theta$, $0 = f(\theta) - f$: predictions f are unknowns of their own.

    J (n k, p) is the Jacobian of the predictions, g the derivative of the loss in them, $S = R R^\top$ its curvature.
    Along the slow phase g(f) is of the size of lam. Were it computed from the predictions at a stage, the curvature of
    the model would make it of the size h^2 there, in directions that the matrix of the step does not damp, and steps
    would shrink like lam^(1/4). As unknowns the predictions move with the linearised model, and steps do not depend on
    lam. `algebra` is the way to solve: "kernel" factorises the n k x n k matrix of Woodbury's identity, "normal" the
    p x p matrix $I + \gamma h (J^\top S J + \lambda I)$, "free" runs conjugate gradients and stores neither.
    """

    objective: Objective
    shape: TreeShape
    weight_decay: ArrayLike
    smallest: ArrayLike
    algebra: str = eqx.field(static=True)
    by_rows: bool = eqx.field(static=True)
    by_entries: bool = eqx.field(static=True)

    def model(self, theta: jax.Array) -> jax.Array:
        """The predictions (n, k) at theta."""
        return self.objective.readout(self.shape.unflatten(theta))

    def mass(self, size: int) -> jax.Array:
        return 1.0 * (jnp.arange(size) < self.shape.size)

    def field(self, u: jax.Array) -> jax.Array:
        theta, f = self._split(u)
        predictions, pull_back = jax.vjp(self.model, theta)
        slope = pull_back(self.objective.pull(f))[0] + self.weight_decay * theta
        return jnp.concatenate([-slope, (predictions - f).reshape(-1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        theta, f = self._split(u)
        readout, p = self.objective.readout, self.shape.size
        matrix_free = self.algebra == "free" or (self.algebra == "kernel" and has_kernel(readout))
        J = jacobian(readout, self.shape, theta, matrix_free=matrix_free, by_rows=self.by_rows)
        matrix = GaussNewtonMatrix(J, self.objective.roots(f), gamma_step, 1 + gamma_step * self.weight_decay)
        solve = {"normal": by_normal_equations, "kernel": by_kernel, "free": by_products}[self.algebra](
            matrix
        )

        def eliminate(b: jax.Array) -> jax.Array:
            # The constraint gives f = J theta + gap; what remains is the Gauss-Newton matrix in theta.
            gap = b[p:].reshape(f.shape) / gamma_step
            change, predicted = solve(b[:p], gap)
            return jnp.concatenate([change, (predicted + gap).reshape(-1)])

        slope = J.rmv(self.objective.pull(f)) + self.weight_decay * theta
        return eliminate, jnp.concatenate([-slope, (J.predictions - f).reshape(-1)])

    def state(self, u: jax.Array) -> jax.Array:
        return u[: self.shape.size]

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        u, end, embedded = (self.state(point) for point in (u, end, embedded))
        size, apart = jnp.maximum(jnp.abs(u), jnp.abs(end)), jnp.abs(end - embedded)
        if self.by_entries:
            return jnp.max(apart / (size + self.smallest))
        floor = _LEAF_FLOOR * jnp.sqrt(jnp.mean(size**2)) + self.smallest
        leaves = zip(self.shape.pieces(apart), self.shape.pieces(size), strict=True)
        return jnp.max(jnp.stack([_rms(leaf) / jnp.maximum(_rms(scale), floor) for leaf, scale in leaves]))

    def _split(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Parameters (p,) and predictions (n, k)."""
        p, n = self.shape.size, self.objective.targets.shape[0]
        return u[:p], u[p:].reshape(n, -1)


def gauss_newton_system(
    objective: Objective, shape: TreeShape, theta: ndarray, weight_decay: float, max_bytes: int
) -> tuple[GaussNewtonSystem, ndarray]:
    """The system with the algebra that its sizes ask for, and its inner start; called under double precision."""
    predictions, apart = first_look(objective.readout, shape, theta)
    by_rows = bool(apart < _ROWS_AGREE)
    u = np.concatenate([theta, np.asarray(predictions).ravel()])
    return assumed_system(objective, shape, u, np.asarray(weight_decay), max_bytes, by_rows), u


def assumed_system(
    objective: Objective, shape: TreeShape, u: Any, weight_decay: ArrayLike, max_bytes: int, by_rows: bool
) -> GaussNewtonSystem:
    """The system from an inner start that may be traced, for a model that treats its rows one by one or not."""
    readout, theta = objective.readout, u[: shape.size]
    diagonal = isinstance(readout, Reparametrized) and isinstance(readout.G, Diagonal)
    # Errors of single entries are held where entries grow by themselves from however small a start.
    numerics: Any = np if isinstance(u, ndarray) else jnp
    smallest = _LEAF_FLOOR * numerics.sqrt(numerics.mean(theta**2)) if diagonal else 0.0
    return GaussNewtonSystem(
        objective=objective,
        shape=shape,
        weight_decay=weight_decay,
        smallest=numerics.asarray(
            numerics.maximum(smallest, _TINY * np.finfo(theta.dtype).tiny), theta.dtype
        ),
        algebra=_algebra(readout, len(u) - shape.size, shape.size, max_bytes),
        by_rows=by_rows,
        by_entries=diagonal,
    )


def rows_agree(readout: Kind, shape: TreeShape, theta: ndarray) -> bool:
    """Whether a model treats its rows one by one, as far as one point can tell; called under double precision."""
    return bool(first_look(readout, shape, theta)[1] < _ROWS_AGREE)


@eqx.filter_jit
def first_look(readout: Kind, shape: TreeShape, theta: Any) -> tuple[jax.Array, jax.Array]:
    """Predictions (n, k), and how far those of rows by themselves are from them, relatively (inf if unknown).

    Looked at beside theta too: rows that depend on each other may not do so at a start of zeros.
    """
    together = readout(shape.unflatten(theta))
    if not isinstance(readout, Model):
        return together, jnp.asarray(jnp.inf)
    model = readout
    if not _takes_one_row(model, shape, theta, together.shape[1:]):
        return together, jnp.asarray(jnp.inf)

    def apart(point: jax.Array) -> jax.Array:
        params = shape.unflatten(point)
        batch, rows = model(params), jax.vmap(lambda x: model.row(params, x))(model.X)
        return jnp.max(jnp.abs(batch - rows)) / (jnp.max(jnp.abs(batch)) + 1e-300)

    size = jnp.sqrt(jnp.mean(theta**2))
    beside = theta + 0.1 * jnp.where(size > 0, size, 1.0) * jnp.cos(1.0 + jnp.arange(len(theta)))
    return together, jnp.max(jax.lax.map(apart, jnp.stack([theta, beside])))


def _takes_one_row(model: Model, shape: TreeShape, theta: Any, outputs: tuple[int, ...]) -> bool:
    """Whether the model gives (k,) for a single row; seen while tracing."""
    try:
        row = jax.eval_shape(lambda point, x: model.row(shape.unflatten(point), x), theta, model.X[0])
    except Exception:  # whatever a model raises that wants all of its rows
        return False
    return row.shape == outputs


def _algebra(readout: Kind, rows: int, p: int, max_bytes: int) -> str:
    """The smallest factorisation within the byte budget."""
    dense, fits = 8 * rows * p <= max_bytes, 8 * min(rows, p) ** 2 <= max_bytes
    if p < rows and dense and fits:
        return "normal"
    known = has_kernel(readout)
    return "kernel" if 8 * rows**2 <= max_bytes and (known or dense) else "free"


def _rms(leaf: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(leaf**2))
