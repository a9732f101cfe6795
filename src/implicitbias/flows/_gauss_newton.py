"""The gradient flow of any objective, whose steps use the Gauss-Newton matrix instead of the exact Jacobian."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.trees import TreeShape
from implicitbias.flows._decayed_algebra import decayed
from implicitbias.flows._errors import LEAF_FLOOR, relative_error, rms, smallest_size
from implicitbias.flows._gauss_newton_algebra import Algebra, GaussNewtonMatrix, Products
from implicitbias.flows._gauss_newton_hessian import curvature_at, speed_at
from implicitbias.flows._growth_modes import Modes, growth_modes
from implicitbias.flows._large_rest import HessianProducts
from implicitbias.flows._limits import Limits
from implicitbias.flows._log_time import LogTime, log_time_from, not_separated
from implicitbias.flows._lost_growth import Rounding
from implicitbias.flows._rest import Curvature, Expansion, rest_at_zero, rest_near
from implicitbias.flows._ros34pw2 import TIGHT
from implicitbias.flows._system import Prepared, Solve, System
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss

_EPSILON = float(np.finfo(np.float64).eps)
# The largest numbers of parameters for which rest is searched with the whole Hessian and with products, and for which
# steps are taken with the exact Hessian, which is factorised in each step.
_MOST_FOR_WHOLE, _MOST_FOR_REST, _MOST_FOR_EXACT = 1500, 30_000, 400
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
    steps use the positive part of the exact Hessian instead. With a `log_time`, the variable of the clock is tau, which
    is the last unknown, and g and S are multiplied by t + t_0. `sharp` is the predictor without rounded kinks, if
    `predictor` rounds them.
    """

    predictor: TracedPredictor
    mean_loss: MeanLoss
    shape: TreeShape
    weight_decay: ArrayLike
    smallest: ArrayLike
    algebra: Algebra
    exact: bool = eqx.field(static=True, default=False)
    log_time: LogTime | None = None
    sharp: TracedPredictor | None = None

    def using(self, algebra: Algebra) -> "GaussNewtonSystem":
        """Return the system that solves linear systems by this algebra."""
        return dataclasses.replace(self, algebra=algebra)

    def rows(self, u: Any) -> int:
        """Return the number n k of predictions."""
        return len(u) - self.shape.size - (self.log_time is not None)

    def outputs(self, u: Any) -> int:
        """Return the number k of outputs of the model."""
        return self.rows(u) // self.mean_loss.targets.shape[0]

    def model(self, theta: jax.Array) -> jax.Array:
        """Return the predictions (n, k) at theta."""
        return self.predictor(self.shape.unflatten(theta))

    def mass(self, size: int) -> jax.Array:
        index = jnp.arange(size)
        moving = index < self.shape.size
        return 1.0 * (moving if self.log_time is None else moving | (index == size - 1))

    def pull(self, f: jax.Array, tau: jax.Array) -> jax.Array:
        """Return the derivative of the mean loss in the predictions (n, k), times t + t_0 with a `log_time`."""
        return self.mean_loss.pull(f, self.log_scale(f, tau))

    def roots(self, f: jax.Array, tau: jax.Array) -> jax.Array:
        """Return the roots R (n, k, k) of the second derivative, times t + t_0 with a `log_time`."""
        return self.mean_loss.roots(f, self.log_scale(f, tau))

    def with_time(
        self, u: jax.Array, b: jax.Array, gamma_step: jax.Array, force: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return the parts of a right-hand side b, with the derivative of theta' in the unknown tau eliminated.

        `force` is theta' at u. With a `log_time` it is proportional to e^tau, so that it is its own derivative.
        """
        right, gap, ahead = self.split(b)
        if self.log_time is not None:
            _, f, tau = self.split(u)
            right = right + gamma_step * self.log_time.growth(self.mean_loss, f, tau) * force * ahead
        return right, gap / gamma_step, ahead

    def field(self, u: jax.Array) -> jax.Array:
        theta, f, tau = self.split(u)
        predictions, pull_back = jax.vjp(self.model, theta)
        slope = pull_back(self.pull(f, tau))[0] + self.weight_decay * theta
        return jnp.concatenate([-slope, (predictions - f).reshape(-1), jnp.ones_like(tau)])

    def curvature_product(self, u: jax.Array) -> Solve:
        """Return the function v -> (J^T S J + lam) v at u."""
        theta, f, tau = self.split(u)
        predict, change = jax.linearize(self.model, theta)
        del predict
        back = jax.linear_transpose(change, theta)
        roots = self.roots(f, tau)

        def product(v: jax.Array) -> jax.Array:
            ahead = jnp.einsum("nkl,nk->nl", roots, change(v))
            return back(jnp.einsum("nkl,nl->nk", roots, ahead))[0] + self.weight_decay * v

        return product

    def hessian_product(self, u: jax.Array) -> Solve:
        theta, _, tau = self.split(u)

        def slope(point: jax.Array) -> jax.Array:
            f, pull_back = jax.vjp(self.model, point)
            return pull_back(self.pull(f, tau))[0] + self.weight_decay * point

        return jax.linearize(slope, theta)[1]

    def moving(self, u: jax.Array) -> jax.Array:
        theta, _, tau = self.split(u)
        return jnp.concatenate([theta, tau])

    def complete(self, moving: jax.Array) -> tuple[jax.Array, jax.Array]:
        theta, tau = jnp.split(moving, [self.shape.size])
        f, pull_back = jax.vjp(self.model, theta)
        slope = pull_back(self.pull(f, tau))[0] + self.weight_decay * theta
        return jnp.concatenate([theta, f.reshape(-1), tau]), jnp.concatenate([-slope, jnp.ones_like(tau)])

    def prepare(self, u: jax.Array, gamma_step: jax.Array, memory: Any, rtol: Any) -> Prepared:
        theta, f, tau = self.split(u)
        if self.exact:
            return self._prepare_exact(u, gamma_step, memory)
        J = self.predictor.jacobian(self.shape, theta, dense=self.algebra.needs_entries)
        shift = jnp.asarray(1 + gamma_step * self.weight_decay)
        matrix = GaussNewtonMatrix(J, self.roots(f, tau), gamma_step, shift, self.accuracy(theta, rtol))
        eliminate, memory = decayed(self.algebra, matrix, memory)
        force = -J.rmv(self.pull(f, tau)) - self.weight_decay * theta

        def solve(b: jax.Array) -> tuple[jax.Array, jax.Array]:
            # The constraint gives f = J theta + gap. The matrix of the remaining system in theta is the Gauss-Newton
            # matrix.
            right, gap, ahead = self.with_time(u, b, gamma_step, force)
            change, predicted, iterations = eliminate(right, gap)
            return jnp.concatenate([change, (predicted + gap).reshape(-1), ahead]), iterations

        field = jnp.concatenate([force, (J.predictions - f).reshape(-1), jnp.ones_like(tau)])
        return Prepared(solve, field, memory)

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        memory = jax.tree.map(jnp.asarray, self.algebra.first_memory(self.rows(u)))
        prepared = self.prepare(u, gamma_step, memory, TIGHT)
        return lambda b: prepared.solve(b)[0], prepared.field

    def first_memory(self, u: ndarray) -> Any:
        return self.algebra.first_memory(self.rows(u))

    def learned(self, memory: Any, iterations: jax.Array) -> Any:
        return self.algebra.learned(memory, iterations)

    def _prepare_exact(self, u: jax.Array, gamma_step: jax.Array, memory: Any) -> Prepared:
        """Return the same for the positive part of the Hessian J^T S J + sum g_i Hess f_i + lam I."""
        theta, f, tau = self.split(u)
        p, pull, roots = self.shape.size, self.pull(f, tau), self.roots(f, tau)
        J = self.predictor.jacobian(self.shape, theta, dense=True)
        residual = jax.hessian(lambda point: jnp.sum(pull * self.model(point)))(theta)
        values, vectors = jnp.linalg.eigh(J.normal(roots) + residual + self.weight_decay * jnp.eye(p))
        shrink = 1 / (1 + gamma_step * jnp.maximum(values, 0.0))
        force = -J.rmv(pull) - self.weight_decay * theta

        def solve(b: jax.Array) -> tuple[jax.Array, jax.Array]:
            right, gap, ahead = self.with_time(u, b, gamma_step, force)
            curved = jnp.einsum("nkl,nl->nk", roots, jnp.einsum("nkl,nk->nl", roots, gap))
            change = vectors @ (shrink * (vectors.T @ (right - gamma_step * J.rmv(curved))))
            return jnp.concatenate([change, (J.mv(change) + gap).reshape(-1), ahead]), jnp.zeros((), int)

        field = jnp.concatenate([force, (J.predictions - f).reshape(-1), jnp.ones_like(tau)])
        return Prepared(solve, field, memory)

    def state(self, u: jax.Array) -> jax.Array:
        return u[: self.shape.size]

    def states(self, rows: ndarray) -> ndarray:
        return rows[:, : self.shape.size]

    def shown(self, size: int) -> int:
        return self.shape.size

    def notes(self, start: ndarray, end: ndarray) -> tuple[str, ...]:
        return () if self.log_time is None else not_separated(self.mean_loss, self.split(end)[1])

    @property
    def may_rest(self) -> bool:
        return True

    def rest(self, u: ndarray, rtol: float, *, vanished: bool = False) -> tuple[ndarray, str] | None:
        p = self.shape.size
        if p > (_MOST_FOR_WHOLE if vanished else _MOST_FOR_REST):
            return None

        def whole(theta: ndarray) -> Curvature:
            point = np.concatenate([theta, u[p:]])
            speed, hessian, terms = (np.asarray(part) for part in curvature_at(self, point))
            return Curvature(speed, hessian, float(terms), float(np.linalg.norm(theta)))

        def curvature(theta: ndarray) -> Expansion:
            if p <= _MOST_FOR_WHOLE:
                return whole(theta)
            point = np.concatenate([theta, u[p:]])
            speed, terms = (np.asarray(part) for part in speed_at(self, point))
            return HessianProducts(self, point, speed, float(terms), rtol)

        def near(theta: ndarray) -> bool:
            point = np.concatenate([theta, u[p:]])
            return bool(np.asarray(_error(self, u, point)) <= rtol)

        found = rest_at_zero(whole, u[:p]) if vanished else rest_near(curvature, u[:p], near)
        if found is None or (self.log_time is not None and found.speed == 0.0):
            return None  # With a `log_time`, a speed of exactly 0 has underflowed.
        unit = float(np.asarray(_unscaled(self, u)))
        note = (
            f"the flow is at rest: |theta'| = {unit * found.speed:.1e} at the rest point, and the least eigenvalue of "
            f"the Hessian is {unit * found.least:.1e}. The remaining time was crossed in one step"
        )
        predictions = np.asarray(_predictions(self.predictor, self.shape, found.point)).ravel()
        return np.concatenate([found.point, predictions, u[p + len(predictions) :]]), note

    def with_exact_jacobian(self) -> System:
        # Where each entry has its own relative accuracy, tiny entries that grow make steps short, and the rounding
        # errors of a dense Hessian would be larger than these entries.
        known = self.exact or self.predictor.entrywise or self.shape.size > _MOST_FOR_EXACT
        return self if known else dataclasses.replace(self, exact=True)

    @property
    def checks_inside(self) -> bool:
        return True

    @property
    def unstable(self) -> bool:
        # A quadratic objective has no growth modes, and an error that is bounded entry by entry sees them.
        quadratic = self.predictor.linear_in_parameters and self.mean_loss.loss.quadratic
        return not (self.predictor.entrywise or quadratic)

    def state_size(self, size: int) -> int:
        return self.shape.size

    def modes(self, u: jax.Array, least: Any = 0.0, start: jax.Array | None = None) -> Modes:
        theta, f, tau = self.split(u)
        # The negative curvature of a rounded kink that is crossed acts only until it is crossed, and is no growth.
        predictor = self.predictor if self.sharp is None else self.sharp

        def model(point: jax.Array) -> jax.Array:
            return predictor(self.shape.unflatten(point))

        gap = f - model(theta)

        def speed(point: jax.Array) -> jax.Array:
            # In the slow phase the slope of the loss has the size of lam, which is far below its change over the gap.
            predictions, pull_back = jax.vjp(model, point)
            return -pull_back(self.pull(predictions + gap, tau))[0] - self.weight_decay * point

        def change(vector: jax.Array) -> jax.Array:
            return jax.jvp(lambda point: jax.jvp(speed, (point,), (vector,))[1], (theta,), (now,))[1]

        # The products of a search share what does not depend on the vector, which is computed and compiled once.
        now, product = jax.linearize(speed, theta)
        first = now if start is None else jnp.where(jnp.any(start != 0.0), start, now)
        return growth_modes(product, now, change, least, first)

    def rounding(self, u: jax.Array) -> Rounding:
        theta, f, tau = self.split(u)
        decay, pull, pull_back = self.weight_decay * theta, self.pull(f, tau), jax.vjp(self.model, theta)[1]
        # The gradient is a sum over rows, whose terms are larger than their sum near a saddle.
        terms = jnp.linalg.norm(pull_back(jnp.abs(pull))[0]) + jnp.linalg.norm(decay)
        one = _EPSILON / jnp.sqrt(1.0 * len(theta))  # the share of a vector in one direction
        speed = jnp.linalg.norm(pull_back(pull)[0] + decay)
        return Rounding(speed, one * terms, one * jnp.linalg.norm(theta))

    def carried(self, u: jax.Array, change: jax.Array) -> jax.Array:
        predicted = jax.jvp(self.model, (self.state(u),), (change,))[1]
        return jnp.concatenate([change, predicted.reshape(-1), jnp.zeros_like(self.split(u)[2])])

    def entry_name(self, index: int) -> str:
        if index < self.shape.size:
            return f"the gradient in leaf {self.shape.leaf_of(index)} is"
        return f"the predictions (not the gradient in {', '.join(self.shape.names)}) are"

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        if self.log_time is None:
            return self._error(u, end, embedded)
        theta, after, _ = self.split(end)
        rise = self.log_time.rise(self.mean_loss, self.split(u)[1], after, self.model(theta))
        return jnp.maximum(rise, self._error(u, end, embedded))

    def _error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        u, end, embedded = (self.state(point) for point in (u, end, embedded))
        # Where the whole state shrinks in a step, the error is compared with the state at its end.
        shrunk = jnp.linalg.norm(end) / jnp.maximum(jnp.linalg.norm(u), jnp.finfo(u.dtype).tiny)
        size = jnp.maximum(jnp.abs(u), jnp.abs(end)) * jnp.minimum(1.0, shrunk)
        apart = jnp.abs(end - embedded)
        return relative_error(self.shape, self.predictor.entrywise, self.smallest, size, apart)

    def accuracy(self, theta: jax.Array, rtol: Any) -> jax.Array:
        """Return the largest accepted norm of the error of a linear solve that iterates, for a step from theta."""
        return _SOLVE_SHARE * rtol * self._least_norm(theta)

    def _least_norm(self, theta: jax.Array) -> jax.Array:
        """Return the smallest norm of a leaf that has the size which its error is compared with."""
        if self.predictor.entrywise:
            return jnp.min(jnp.abs(theta)) + self.smallest
        floor = LEAF_FLOOR * jnp.sqrt(jnp.mean(theta**2)) + self.smallest
        norms = [
            jnp.sqrt(1.0 * leaf.size) * jnp.maximum(rms(leaf), floor)
            for leaf in self.shape.pieces(theta)
            if leaf.size
        ]
        return jnp.min(jnp.stack(norms))

    def split(self, u: Any) -> tuple[Any, Any, Any]:
        """Return the parameters (p,), the predictions (n, k), and tau (1,) with a `log_time`, else an array (0,)."""
        p, rows = self.shape.size, self.rows(u)
        return u[:p], u[p : p + rows].reshape(self.mean_loss.targets.shape[0], -1), u[p + rows :]

    def log_scale(self, f: jax.Array, tau: jax.Array) -> jax.Array | None:
        """Return the logarithm of the factor of the gradient, or None without a `log_time`."""
        return None if self.log_time is None else self.log_time.log_scale(self.mean_loss, f, tau)


def gauss_newton_system(
    predictor: TracedPredictor,
    mean_loss: MeanLoss,
    shape: TreeShape,
    theta: ndarray,
    weight_decay: Any,
    limits: Limits,
) -> tuple[GaussNewtonSystem, ndarray]:
    """Return the system and its inner variable at the start; call it inside `double_precision`."""
    predictions = np.asarray(_predictions(predictor, shape, theta))
    u = np.concatenate([theta, predictions.ravel()])
    system = system_at(predictor, mean_loss, shape, u, np.asarray(weight_decay))
    if limits.clock.plain:
        return system, u
    log_time = log_time_from(mean_loss, predictions, limits)
    return dataclasses.replace(system, log_time=log_time), np.append(u, 0.0)


def system_at(
    predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, u: Any, weight_decay: ArrayLike
) -> GaussNewtonSystem:
    """Return the system for an inner variable at the start, which JAX may trace; its algebra needs no matrices."""
    theta = u[: shape.size]
    return GaussNewtonSystem(
        predictor=predictor,
        mean_loss=mean_loss,
        shape=shape,
        weight_decay=weight_decay,
        smallest=smallest_size(theta, predictor.entrywise),
        algebra=Products(),
    )


@compiled
def _predictions(predictor: TracedPredictor, shape: TreeShape, theta: Any) -> jax.Array:
    return predictor(shape.unflatten(theta))


@compiled
def _unscaled(system: GaussNewtonSystem, u: Any) -> jax.Array:
    """Return the factor that takes the factor of a `log_time` away; 1 without one."""
    _, f, tau = system.split(u)
    scale = system.log_scale(f, tau)
    return jnp.ones(()) if scale is None else jnp.exp(-scale)


@compiled
def _error(system: GaussNewtonSystem, u: Any, point: Any) -> jax.Array:
    return system.error(u, point, u)
