"""The equation of a flow, as the stepper wants it."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

Solve = Callable[[jax.Array], jax.Array]


class System(eqx.Module):
    """An autonomous equation M u' = field(u) for an inner variable u (m,), seen through a state (D,).

    M is diagonal with entries 1, and 0 in rows that state a constraint. Traced by JAX: every number is a leaf, so that
    another scale or start compiles nothing anew.
    """

    @abstractmethod
    def field(self, u: jax.Array) -> jax.Array:
        """M u'."""

    @abstractmethod
    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        """b -> (M - gamma_step A)^{-1} b, A the Jacobian of `field` at u: exact in constraints; and `field` at u."""

    @abstractmethod
    def state(self, u: jax.Array) -> jax.Array:
        """What the flow moves, as one vector (D,)."""

    @abstractmethod
    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        """How far two ends of one step from u lie apart: a relative size, to be compared with rtol."""

    def mass(self, size: int) -> jax.Array:
        """The diagonal of M, for an inner variable of this size."""
        return jnp.ones(size)

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        """How long coordinates too small to be seen stay so, at the present speed: no step goes further."""
        return jnp.asarray(jnp.inf)
