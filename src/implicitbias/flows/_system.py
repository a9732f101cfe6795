"""The equation of a flow, as the stepper wants it."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.precision import double_precision

Solve = Callable[[jax.Array], jax.Array]

# Rows that one compiled call takes.
_BLOCK = 256


class System(eqx.Module):
    """An autonomous equation M u' = field(u) for an inner variable u (m,), seen through a state (D,).

    The engine asks the system for whatever depends on the equation: states, dual variables, remarks, words for entries.

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

    def states(self, rows: ndarray) -> ndarray:
        """Return the state of each row of an array of inner variables, in NumPy."""
        return mapped(_state, self, rows)

    def duals(self, rows: ndarray) -> ndarray | None:
        """Return the dual variable of each row of an array of inner variables; None where the flow has none."""
        return None

    def remarks(self, start: ndarray, end: ndarray, rtol: float) -> tuple[str, ...]:
        """Return what a reader should know of an integration between these inner variables with this tolerance."""
        return ()

    def place(self, index: int) -> str:
        """Return an entry of the inner variable in words, as the subject of a sentence; empty where there are none."""
        return ""

    def mass(self, size: int) -> jax.Array:
        """The diagonal of M, for an inner variable of this size."""
        return jnp.ones(size)

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        """How long coordinates too small to be seen stay so, at the present speed: no step goes further."""
        return jnp.asarray(jnp.inf)


def mapped(method: Callable[[Any, jax.Array], jax.Array], system: System, rows: Any) -> ndarray:
    """Return `method(system, row)` for the rows of an array, in blocks of one compiled size."""
    count = len(rows)
    if count == 1:
        with double_precision():
            return np.asarray(_one(method, system, rows[0]))[None]
    padding = rows[-1:] if count else np.zeros((1, rows.shape[1]))
    padded = np.concatenate([rows, np.repeat(padding, -count % _BLOCK if count else _BLOCK, axis=0)])
    with double_precision():
        blocks = [
            np.asarray(_many(method, system, jnp.asarray(padded[i : i + _BLOCK])))
            for i in range(0, len(padded), _BLOCK)
        ]
    joined: ndarray = np.concatenate(blocks)[:count]
    return joined


def _state(system: System, row: jax.Array) -> jax.Array:
    return system.state(row)


@eqx.filter_jit
def _many(method: Callable[[Any, jax.Array], jax.Array], system: System, rows: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: method(system, row))(rows)


@eqx.filter_jit
def _one(method: Callable[[Any, jax.Array], jax.Array], system: System, row: jax.Array) -> jax.Array:
    return method(system, row)
