"""The compiled loop: adaptive steps in chunks, driven from the host."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias.flows._ros34pw2 import ORDER, step
from implicitbias.flows._system import System

CHUNK = 64
_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 8.0


class Cursor(NamedTuple):
    """Where an integration stands; h is the size to try next."""

    t: jax.Array
    u: jax.Array
    h: jax.Array
    rejected: jax.Array


class Chunk(NamedTuple):
    """Accepted steps: their starts, sizes and stages; rows from `filled` on are empty."""

    filled: jax.Array
    times: jax.Array
    sizes: jax.Array
    starts: jax.Array
    stages: jax.Array


class _Carry(NamedTuple):
    cursor: Cursor
    chunk: Chunk
    attempts: jax.Array


def first_cursor(u: jax.Array, t1: jax.Array) -> Cursor:
    """The start. The first step is short; where it may be longer, a few steps find that out."""
    return Cursor(jnp.zeros(()), u, 1e-4 * t1, jnp.zeros((), dtype=int))


@eqx.filter_jit
def advance(
    system: System, cursor: Cursor, t1: jax.Array, rtol: jax.Array, budget: jax.Array
) -> tuple[Cursor, Chunk]:
    """Up to CHUNK accepted steps and `budget` attempts towards t1."""
    m = len(cursor.u)
    empty = Chunk(
        jnp.zeros((), dtype=int),
        jnp.zeros(CHUNK),
        jnp.zeros(CHUNK),
        jnp.zeros((CHUNK, m)),
        jnp.zeros((CHUNK, 4, m)),
    )

    def unfinished(carry: _Carry) -> jax.Array:
        at = carry.cursor
        room = (carry.chunk.filled < CHUNK) & (carry.attempts < budget)
        return room & (at.t < t1) & ~stuck(at.t, at.h)

    def attempt(carry: _Carry) -> _Carry:
        at, chunk = carry.cursor, carry.chunk
        left = t1 - at.t
        free = jnp.minimum(at.h, system.quiet_time(at.u, rtol, left))
        last = free >= left
        h = jnp.where(last, left, free)
        trial = step(system, at.u, h)
        error = system.error(at.u, trial.end, trial.embedded) / rtol
        error = jnp.where(jnp.isfinite(error), jnp.maximum(error, 1e-10), jnp.inf)
        accept = error <= 1.0
        factor = jnp.clip(_SAFETY * error ** (-1.0 / ORDER), _SHRINK, _GROW)
        # A step cut by the quiet time says nothing against a longer one: keep the longer proposal.
        proposal = jnp.where(accept & (h < at.h), jnp.maximum(h * factor, at.h), h * factor)
        cursor = Cursor(
            t=jnp.where(accept, jnp.where(last, t1, at.t + h), at.t),
            u=jnp.where(accept, trial.end, at.u),
            h=jnp.where(last & accept, at.h, proposal),
            rejected=at.rejected + ~accept,
        )
        return _Carry(cursor, _record(chunk, accept, at, h, trial.stages), carry.attempts + 1)

    out = jax.lax.while_loop(unfinished, attempt, _Carry(cursor, empty, jnp.zeros((), dtype=int)))
    return out.cursor, out.chunk


def stuck(t: jax.Array, h: jax.Array) -> jax.Array:
    """Whether a step of size h no longer moves the clock at t."""
    return h <= 4 * jnp.finfo(jnp.float64).eps * t


def _record(chunk: Chunk, accept: jax.Array, at: Cursor, h: jax.Array, stages: jax.Array) -> Chunk:
    """Write the step into the next row; the row counts only if the step was accepted."""
    i = chunk.filled
    return Chunk(
        filled=i + accept,
        times=chunk.times.at[i].set(at.t),
        sizes=chunk.sizes.at[i].set(h),
        starts=chunk.starts.at[i].set(at.u),
        stages=chunk.stages.at[i].set(stages),
    )
