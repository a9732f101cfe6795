"""The equation of a flow, as the stepper wants it."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax

Linear = Callable[[jax.Array], jax.Array]


class System(eqx.Module):
    """An autonomous equation u' = field(u) for an inner variable u (m,), seen through a state w (d,).

    Traced by JAX: every number is a leaf, so that another scale or start compiles nothing anew.
    """

    @abstractmethod
    def field(self, u: jax.Array) -> jax.Array:
        """u'."""

    @abstractmethod
    def linearize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Linear, Linear]:
        """(v -> A v, b -> (I - gamma_step A)^{-1} b), A the Jacobian of `field` at u."""

    @abstractmethod
    def state(self, u: jax.Array) -> jax.Array:
        """w, what the flow moves and what errors are measured in."""

    @abstractmethod
    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        """How far two ends of one step from u lie apart: a relative size, to be compared with rtol."""

    def quiet_time(self, u: jax.Array, rtol: jax.Array, left: jax.Array) -> jax.Array:
        """How long coordinates too small to be seen stay so, at the present speed: no step goes further.

        Anything from `left`, the time to the end, on is as good as never.
        """
        return left
