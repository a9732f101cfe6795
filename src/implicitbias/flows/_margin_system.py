r"""The equation of the norm drift under margins: a sweeping process on the constraints $m_i \ge \mu$.

At a weight decay $\lambda$, a row of margin m pulls with the strength $e^{-m} / (n \lambda)$ in the slow time. With
$\mu = \ln(1/\lambda)$, rows of larger margins do not pull, and no margin stays below $\mu$. The rows at the level $\mu$
are *held*: their pulls $q_i \ge 0$ are those with which their margins stay there.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias.flows._errors import relative_error
from implicitbias.flows._primal_maps import DiagonalNetworkMap, Rows
from implicitbias.flows._system import Solve, System, mapped
from implicitbias.predictors import TracedPredictor

# The stabilisation of the kernel of the held rows relative to its largest entry, for rows that depend on each other.
STABLE = 1e-14
# Held margins are at the level up to this share of it; corrections stop if they reduce the distance by less than this.
_HELD, _CONTRACTION = 1e-13, 0.3


class Pulls(NamedTuple):
    """What the rows do at one point: margins (N,), the kernel (N, N), the fall of margins, and the pulls q (N,).

    The fall is the speed at which a margin falls relative to the level if no row pulls.
    """

    margins: jax.Array
    kernel: jax.Array
    fall: jax.Array
    q: jax.Array


class MarginSystem(System):
    r"""The sweeping process for given held rows; the last entry of the inner variable is the logarithm of the level.

    Attributes:
        held: (N,) whether a row is held.
        rise: the derivative of the logarithm of the level: 0 in the drift.
        decay: the derivative of the slow time: 1 in the drift, 0 while the level rises in the fast phase before it.
    """

    held: Any
    rise: Any
    decay: Any

    @abstractmethod
    def margins(self, u: jax.Array) -> jax.Array:
        """Return the margins (N,)."""

    @abstractmethod
    def kernel_and_loss(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the kernel (N, N), and how fast the margins fall by the weight decay alone, (N,)."""

    @abstractmethod
    def pulled(self, u: jax.Array, q: jax.Array, time: Any) -> jax.Array:
        """Return the change of u by pulls q over the given slow time, to first order; the level does not change."""

    def level(self, u: jax.Array) -> jax.Array:
        """Return the level."""
        return jnp.exp(u[-1])

    def pulls(self, u: jax.Array) -> Pulls:
        """Return what the rows do at u."""
        kernel, loss = self.kernel_and_loss(u)
        fall = self.level(u) * self.rise + self.decay * loss
        return Pulls(self.margins(u), kernel, fall, self._solver(kernel)(fall))

    def field(self, u: jax.Array) -> jax.Array:
        return self.moved(u, self.pulls(u).q)

    def moved(self, u: jax.Array, q: jax.Array) -> jax.Array:
        """Return the derivative of u for these pulls."""
        return self.pulled(u, q, self.decay).at[-1].set(self.rise)

    def complete(self, moving: jax.Array) -> tuple[jax.Array, jax.Array]:
        # Newton steps with one kernel bring the held margins back to the level. The correction is as small as the error
        # of a step, so that the slope is that of the point before it.
        at = self.pulls(moving)
        solve, level = self._solver(at.kernel), self.level(moving)

        def gap(u: jax.Array) -> jax.Array:
            return jnp.where(self.held, level - self.margins(u), 0.0)

        def unfinished(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            size = jnp.max(jnp.abs(carry[1]), initial=0.0)
            return (size > _HELD * level) & (size < _CONTRACTION * carry[2])

        def step(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            u, missing, _ = carry
            nearer = u + self.pulled(u, solve(missing), 0.0)
            return nearer, gap(nearer), jnp.max(jnp.abs(missing), initial=0.0)

        u = jax.lax.while_loop(unfinished, step, (moving, gap(moving), jnp.asarray(jnp.inf)))[0]
        return u, self.moved(moving, at.q)

    def _solver(self, kernel: jax.Array) -> Solve:
        """Return the solver of the equations of the held rows; the entries of other rows are 0."""
        both = self.held[:, None] & self.held[None, :]
        size = jnp.max(jnp.where(self.held, jnp.diag(kernel), 0.0), initial=0.0)
        diagonal = jnp.where(self.held, STABLE * size, 1.0)
        factor = jax.scipy.linalg.cho_factor(jnp.where(both, kernel, 0.0) + jnp.diag(diagonal))
        return lambda r: jax.scipy.linalg.cho_solve(factor, jnp.where(self.held, r, 0.0))

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        # The approximation of the Jacobian is 0: the equation is not stiff, and its steps are explicit.
        return lambda b: b, self.field(u)


class DiagonalMargins(MarginSystem):
    r"""The sweeping process of a diagonal network in its dual variables, with the inner variable $(\nu, \tau, \ln\mu)$.

    Here $z = z_0 + Z^\top \nu$ with the rows $y_i x_i$ of Z, and $w = w(z, \tau)$ is the closed form of the network, so
    that there are n unknowns for any number of parameters. The pulls are the derivative of $\nu$.
    """

    rows: Rows
    primal_map: DiagonalNetworkMap

    def _at(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        return u[:-2] @ self.rows.X, u[-2]

    def margins(self, u: jax.Array) -> jax.Array:
        return self.rows.X @ self.primal_map.predictor(*self._at(u))

    def kernel_and_loss(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        z, tau = self._at(u)
        kernel = self.primal_map.kernel(self.rows, z, tau)
        return kernel, -self.rows.X @ self.primal_map.decay_slope(z, tau)

    def pulled(self, u: jax.Array, q: jax.Array, time: Any) -> jax.Array:
        return jnp.concatenate([q, jnp.stack([jnp.asarray(time, u.dtype), jnp.zeros((), u.dtype)])])

    def state(self, u: jax.Array) -> jax.Array:
        return self.primal_map.state(*self._at(u))

    @property
    def has_duals(self) -> bool:
        return True

    def duals(self, rows: ndarray) -> ndarray:
        return mapped(_dual, self, rows)

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        # The parameters are exponentials of the dual variable, so that its error is the relative one of each of them.
        apart = jnp.abs(self._at(end)[0] - self._at(embedded)[0])
        return self.primal_map.closed_form.rate * jnp.max(apart)


class ModelMargins(MarginSystem):
    r"""The sweeping process of any model, with the inner variable $(\theta, \ln\mu)$.

    It is $\theta' = -\theta + \sum_i q_i \nabla m_i(\theta)$. The margins are `factor` times the predictions.
    """

    predictor: TracedPredictor
    shape: TreeShape
    factor: jax.Array
    smallest: Any
    entrywise: bool = eqx.field(static=True)

    def margins(self, u: jax.Array) -> jax.Array:
        return self._lifted(self.predictor(self.shape.unflatten(u[:-1])))

    def _lifted(self, predictions: jax.Array) -> jax.Array:
        """Return what changes of the predictions (n, k, ...) are for the margins, (N, ...)."""
        lifted = jnp.einsum("igk,ik...->ig...", self.factor, predictions)
        return lifted.reshape(-1, *lifted.shape[2:])

    def kernel_and_loss(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        J = self._lifted(self.predictor.jacobian(self.shape, u[:-1], dense=True).matrix())
        return J @ J.T, J @ u[:-1]

    def pulled(self, u: jax.Array, q: jax.Array, time: Any) -> jax.Array:
        back = jax.vjp(lambda theta: self.predictor(self.shape.unflatten(theta)), u[:-1])[1]
        weights = jnp.einsum("igk,ig->ik", self.factor, q.reshape(self.factor.shape[:2]))
        return jnp.append(back(weights)[0] - time * u[:-1], 0.0)

    def state(self, u: jax.Array) -> jax.Array:
        return u[:-1]

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        size = jnp.maximum(jnp.abs(u[:-1]), jnp.abs(end[:-1]))
        apart = jnp.abs(end[:-1] - embedded[:-1])
        return relative_error(self.shape, self.entrywise, self.smallest, size, apart)


def _dual(system: DiagonalMargins, row: jax.Array) -> jax.Array:
    return system._at(row)[0]
