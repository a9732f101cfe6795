"""The gradient flow of any objective, whose steps use the Gauss-Newton matrix instead of the exact Jacobian."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias.flows._decayed_algebra import decayed
from implicitbias.flows._gauss_newton_algebra import Algebra, GaussNewtonMatrix, Products
from implicitbias.flows._growth_modes import Modes, growth_modes
from implicitbias.flows._rest import Curvature, rest_near
from implicitbias.flows._ros34pw2 import TIGHT
from implicitbias.flows._system import Prepared, Solve, System
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss

# The smallest error scale of a leaf, relative to the root mean square of all parameters.
_LEAF_FLOOR = 1e-3
_EPSILON = float(np.finfo(np.float64).eps)
# The largest numbers of parameters for which rest is searched with the exact Hessian, and steps are taken with it. A
# factorisation of the latter is made in each step.
_MOST_FOR_REST, _MOST_FOR_EXACT = 1500, 400
# The smallest error scale, in multiples of the smallest normal number. It is larger than 1 because the compiled program
# multiplies the scale by rtol, and the product must not underflow to 0.
_TINY = 1e12
# The largest error of a linear solve that iterates, relative to rtol.
_SOLVE_SHARE = 1e-2


class GaussNewtonSystem(System):
    r"""The system $\theta' = -J(\theta)^\top g(f) - \lambda\theta$ with the constraint $0 = f(\theta) - f$.

    The predictions f are additional unknowns. J (n k, p) is the Jacobian of the predictions, g is the derivative of the
    loss in the predictions, and $S = R R^\top$ is its second derivative.

    In the slow phase of a flow with weight decay, g(f) has the size of lam. If g were evaluated at the predictions of a
    stage, the second derivative of the model would add an error of size h^2, in directions that the matrix of the step
    does not damp, and the step size would shrink like lam^(1/4). As unknowns, the predictions follow the linearised
    model, and the step size does not depend on lam.

    `algebra` solves the linear systems. `weight_decay` is one number, or the decay of each entry (p,). If `exact`,
    steps use the positive part of the exact Hessian instead.
    """

    predictor: TracedPredictor
    mean_loss: MeanLoss
    shape: TreeShape
    weight_decay: ArrayLike
    smallest: ArrayLike
    algebra: Algebra
    exact: bool = eqx.field(static=True, default=False)

    def using(self, algebra: Algebra) -> "GaussNewtonSystem":
        """Return the system that solves linear systems by this algebra."""
        return dataclasses.replace(self, algebra=algebra)

    def outputs(self, u: Any) -> int:
        """Return the number k of outputs of the model."""
        return (len(u) - self.shape.size) // self.mean_loss.targets.shape[0]

    def model(self, theta: jax.Array) -> jax.Array:
        """Return the predictions (n, k) at theta."""
        return self.predictor(self.shape.unflatten(theta))

    def mass(self, size: int) -> jax.Array:
        return 1.0 * (jnp.arange(size) < self.shape.size)

    def field(self, u: jax.Array) -> jax.Array:
        theta, f = self._split(u)
        predictions, pull_back = jax.vjp(self.model, theta)
        slope = pull_back(self.mean_loss.pull(f))[0] + self.weight_decay * theta
        return jnp.concatenate([-slope, (predictions - f).reshape(-1)])

    def curvature_product(self, u: jax.Array) -> Solve:
        """Return the function v -> (J^T S J + lam) v at u."""
        theta, f = self._split(u)
        predict, change = jax.linearize(self.model, theta)
        del predict
        back = jax.linear_transpose(change, theta)
        roots = self.mean_loss.roots(f)

        def product(v: jax.Array) -> jax.Array:
            ahead = jnp.einsum("nkl,nk->nl", roots, change(v))
            return back(jnp.einsum("nkl,nl->nk", roots, ahead))[0] + self.weight_decay * v

        return product

    def complete(self, moving: jax.Array) -> tuple[jax.Array, jax.Array]:
        f, pull_back = jax.vjp(self.model, moving)
        slope = pull_back(self.mean_loss.pull(f))[0] + self.weight_decay * moving
        return jnp.concatenate([moving, f.reshape(-1)]), -slope

    def prepare(self, u: jax.Array, gamma_step: jax.Array, memory: Any, rtol: Any) -> Prepared:
        theta, f = self._split(u)
        p = self.shape.size
        if self.exact:
            return self._prepare_exact(theta, f, gamma_step, memory)
        J = self.predictor.jacobian(self.shape, theta, dense=self.algebra.needs_entries)
        shift = jnp.asarray(1 + gamma_step * self.weight_decay)
        matrix = GaussNewtonMatrix(J, self.mean_loss.roots(f), gamma_step, shift, self.accuracy(theta, rtol))
        eliminate, memory = decayed(self.algebra, matrix, memory)

        def solve(b: jax.Array) -> tuple[jax.Array, jax.Array]:
            # The constraint gives f = J theta + gap. The matrix of the remaining system in theta is the Gauss-Newton
            # matrix.
            gap = b[p:].reshape(f.shape) / gamma_step
            change, predicted, iterations = eliminate(b[:p], gap)
            return jnp.concatenate([change, (predicted + gap).reshape(-1)]), iterations

        slope = J.rmv(self.mean_loss.pull(f)) + self.weight_decay * theta
        return Prepared(solve, jnp.concatenate([-slope, (J.predictions - f).reshape(-1)]), memory)

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        memory = jax.tree.map(jnp.asarray, self.algebra.first_memory(len(u) - self.shape.size))
        prepared = self.prepare(u, gamma_step, memory, TIGHT)
        return lambda b: prepared.solve(b)[0], prepared.field

    def first_memory(self, u: ndarray) -> Any:
        return self.algebra.first_memory(len(u) - self.shape.size)

    def learned(self, memory: Any, iterations: jax.Array) -> Any:
        return self.algebra.learned(memory, iterations)

    def _prepare_exact(self, theta: jax.Array, f: jax.Array, gamma_step: jax.Array, memory: Any) -> Prepared:
        """Return the same for the positive part of the Hessian J^T S J + sum g_i Hess f_i + lam I."""
        p, pull, roots = self.shape.size, self.mean_loss.pull(f), self.mean_loss.roots(f)
        J = self.predictor.jacobian(self.shape, theta, dense=True)
        residual = jax.hessian(lambda point: jnp.sum(pull * self.model(point)))(theta)
        values, vectors = jnp.linalg.eigh(J.normal(roots) + residual + self.weight_decay * jnp.eye(p))
        shrink = 1 / (1 + gamma_step * jnp.maximum(values, 0.0))

        def solve(b: jax.Array) -> tuple[jax.Array, jax.Array]:
            gap = b[p:].reshape(f.shape) / gamma_step
            curved = jnp.einsum("nkl,nl->nk", roots, jnp.einsum("nkl,nk->nl", roots, gap))
            right = b[:p] - gamma_step * J.rmv(curved)
            change = vectors @ (shrink * (vectors.T @ right))
            return jnp.concatenate([change, (J.mv(change) + gap).reshape(-1)]), jnp.zeros((), int)

        slope = J.rmv(pull) + self.weight_decay * theta
        return Prepared(solve, jnp.concatenate([-slope, (J.predictions - f).reshape(-1)]), memory)

    def state(self, u: jax.Array) -> jax.Array:
        return u[: self.shape.size]

    def states(self, rows: ndarray) -> ndarray:
        return rows[:, : self.shape.size]

    def shown(self, size: int) -> int:
        return self.shape.size

    def notes(self, start: ndarray, end: ndarray) -> tuple[str, ...]:
        sizes = [float(np.linalg.norm(u[: self.shape.size])) for u in (start, end)]
        if self.predictor.entrywise or sizes[0] == 0.0 or sizes[1] <= sizes[0] / _EPSILON:
            return ()
        growth = np.log(sizes[1]) - np.log(sizes[0])
        slowest = 1 + np.log(_EPSILON) / growth
        return (
            f"The parameters grew e^{growth:.3g} times from their start. A direction whose rate of growth is below "
            f"{slowest:.2g} of the fastest rate became smaller than rounding errors of the parameters, which then "
            "decide when it grows. Use a larger start, or ib.HadamardProduct() or ib.SquareDifference(), which are "
            "exact from any start.",
        )

    def rest(self, u: ndarray, rtol: float) -> tuple[ndarray, str] | None:
        p = self.shape.size
        if p > _MOST_FOR_REST:
            return None

        def curvature(theta: ndarray) -> Curvature:
            speed, hessian, terms = (np.asarray(part) for part in _curvature(self, theta))
            return Curvature(speed, hessian, float(terms), float(np.linalg.norm(theta)))

        def near(theta: ndarray) -> bool:
            point = np.concatenate([theta, u[p:]])
            return bool(np.asarray(_error(self, u, point)) <= rtol)

        found = rest_near(curvature, u[:p], near)
        if found is None:
            return None
        note = (
            f"the flow is at rest: |theta'| = {found.speed:.1e} at the rest point, and the least eigenvalue of the "
            f"Hessian is {found.least:.1e}. The remaining time was crossed in one step"
        )
        predictions = np.asarray(_predictions(self.predictor, self.shape, found.point))
        return np.concatenate([found.point, predictions.ravel()]), note

    def with_exact_jacobian(self) -> System:
        # Where each entry has its own relative accuracy, tiny entries that grow make steps short, and the rounding
        # errors of a dense Hessian would be larger than these entries.
        known = self.exact or self.predictor.entrywise or self.shape.size > _MOST_FOR_EXACT
        return self if known else dataclasses.replace(self, exact=True)

    @property
    def unstable(self) -> bool:
        # A quadratic objective has no growth modes, and an error that is bounded entry by entry sees them.
        quadratic = self.predictor.linear_in_parameters and self.mean_loss.loss.quadratic
        return not (self.predictor.entrywise or quadratic)

    def state_size(self, size: int) -> int:
        return self.shape.size

    def modes(self, u: jax.Array) -> Modes:
        theta, f = self._split(u)
        gap = f - self.model(theta)

        def speed(point: jax.Array) -> jax.Array:
            # In the slow phase the slope of the loss has the size of lam, which is far below its change over the gap.
            predictions, pull_back = jax.vjp(self.model, point)
            return -pull_back(self.mean_loss.pull(predictions + gap))[0] - self.weight_decay * point

        return growth_modes(lambda vector: jax.jvp(speed, (theta,), (vector,))[1], speed(theta))

    def carried(self, u: jax.Array, change: jax.Array) -> jax.Array:
        predicted = jax.jvp(self.model, (self.state(u),), (change,))[1]
        return jnp.concatenate([change, predicted.reshape(-1)])

    def entry_name(self, index: int) -> str:
        if index < self.shape.size:
            return f"the gradient in leaf {self.shape.leaf_of(index)} is"
        return f"the predictions (not the gradient in {', '.join(self.shape.names)}) are"

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        u, end, embedded = (self.state(point) for point in (u, end, embedded))
        size, apart = jnp.maximum(jnp.abs(u), jnp.abs(end)), jnp.abs(end - embedded)
        if self.predictor.entrywise:
            return jnp.max(apart / (size + self.smallest))
        floor = _LEAF_FLOOR * jnp.sqrt(jnp.mean(size**2)) + self.smallest
        leaves = zip(self.shape.pieces(apart), self.shape.pieces(size), strict=True)
        return jnp.max(jnp.stack([_rms(leaf) / jnp.maximum(_rms(scale), floor) for leaf, scale in leaves]))

    def accuracy(self, theta: jax.Array, rtol: Any) -> jax.Array:
        """Return the largest accepted norm of the error of a linear solve that iterates, for a step from theta."""
        return _SOLVE_SHARE * rtol * self._least_norm(theta)

    def _least_norm(self, theta: jax.Array) -> jax.Array:
        """Return the smallest norm of a leaf that has the size which its error is compared with."""
        if self.predictor.entrywise:
            return jnp.min(jnp.abs(theta)) + self.smallest
        floor = _LEAF_FLOOR * jnp.sqrt(jnp.mean(theta**2)) + self.smallest
        norms = [
            jnp.sqrt(1.0 * leaf.size) * jnp.maximum(_rms(leaf), floor)
            for leaf in self.shape.pieces(theta)
            if leaf.size
        ]
        return jnp.min(jnp.stack(norms))

    def _split(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the parameters (p,) and the predictions (n, k)."""
        p, n = self.shape.size, self.mean_loss.targets.shape[0]
        return u[:p], u[p:].reshape(n, -1)


def gauss_newton_system(
    predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, theta: ndarray, weight_decay: Any
) -> tuple[GaussNewtonSystem, ndarray]:
    """Return the system and its inner variable at the start; call it inside `double_precision`."""
    u = np.concatenate([theta, np.asarray(_predictions(predictor, shape, theta)).ravel()])
    return system_at(predictor, mean_loss, shape, u, np.asarray(weight_decay)), u


def system_at(
    predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, u: Any, weight_decay: ArrayLike
) -> GaussNewtonSystem:
    """Return the system for an inner variable at the start, which JAX may trace; its algebra needs no matrices."""
    theta = u[: shape.size]
    # If each entry grows at its own rate, the error of an entry is bounded relative to this entry.
    numerics: Any = np if isinstance(u, ndarray) else jnp
    smallest = _LEAF_FLOOR * numerics.sqrt(numerics.mean(theta**2)) if predictor.entrywise else 0.0
    return GaussNewtonSystem(
        predictor=predictor,
        mean_loss=mean_loss,
        shape=shape,
        weight_decay=weight_decay,
        smallest=numerics.asarray(
            numerics.maximum(smallest, _TINY * np.finfo(theta.dtype).tiny), theta.dtype
        ),
        algebra=Products(),
    )


@eqx.filter_jit
def _predictions(predictor: TracedPredictor, shape: TreeShape, theta: Any) -> jax.Array:
    return predictor(shape.unflatten(theta))


@eqx.filter_jit
def _curvature(system: GaussNewtonSystem, theta: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the speed, the Hessian of the objective with weight decay, and the size of the terms of the speed."""

    def slope(point: jax.Array) -> jax.Array:
        predictions, pull_back = jax.vjp(system.model, point)
        return pull_back(system.mean_loss.pull(predictions))[0]

    hessian = jax.jacfwd(slope)(theta) + system.weight_decay * jnp.eye(len(theta))
    decay = system.weight_decay * theta
    # The gradient is a sum over rows, whose terms may be larger than their sum.
    predictions, pull_back = jax.vjp(system.model, theta)
    rows = jnp.abs(system.mean_loss.pull(predictions))
    size = jnp.linalg.norm(pull_back(rows)[0]) + jnp.linalg.norm(decay)
    return -slope(theta) - decay, (hessian + hessian.T) / 2, size


@eqx.filter_jit
def _error(system: GaussNewtonSystem, u: Any, point: Any) -> jax.Array:
    return system.error(u, point, u)


def _rms(leaf: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(leaf**2))
