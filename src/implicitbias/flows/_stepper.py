"""The compiled loop: adaptive steps in chunks, driven from the host."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias.flows._ros34pw2 import ORDER, step
from implicitbias.flows._system import System

# Steps between two looks from the host, and the buffers that hold them.
_CHUNK, _CHUNK_BYTES = 64, 128 * 2**20
_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 8.0


class Cursor(NamedTuple):
    """Where an integration stands; h is the size to try next, `finite` whether the last attempt gave numbers."""

    t: Any
    u: Any
    h: Any
    rejected: Any
    finite: Any


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


def first_cursor(u: ndarray, end: float) -> Cursor:
    """The start. The first step is short; where it may be longer, a few steps find that out."""
    # NumPy: strong types, as the loop returns them (a weak one would compile it again), and made in no time.
    numbers: list[Any] = [np.float64(0.0), u, np.float64(1e-4 * end), np.int64(0), np.bool_(True)]
    return Cursor(*(np.asarray(number) for number in numbers))


def chunk_length(m: int) -> int:
    """Accepted steps in one chunk for m unknowns."""
    return int(min(_CHUNK, max(2, _CHUNK_BYTES // (40 * m))))


@eqx.filter_jit
def advance(
    system: System, cursor: Cursor, t1: ArrayLike, rtol: ArrayLike, budget: ArrayLike
) -> tuple[Cursor, Chunk]:
    """A chunk of accepted steps, or `budget` attempts, towards t1."""
    t1, rtol = jnp.asarray(t1), jnp.asarray(rtol)
    m = len(cursor.u)
    length = chunk_length(m)
    empty = Chunk(
        jnp.zeros((), dtype=int),
        jnp.zeros(length),
        jnp.zeros(length),
        jnp.zeros((length, m)),
        jnp.zeros((length, 4, m)),
    )

    def unfinished(carry: _Carry) -> jax.Array:
        at = carry.cursor
        room = (carry.chunk.filled < length) & (carry.attempts < budget)
        return room & (at.t < t1) & ~stuck(at.t, at.h)

    def attempt(carry: _Carry) -> _Carry:
        at, chunk = carry.cursor, carry.chunk
        left = t1 - at.t
        free = jnp.minimum(at.h, system.quiet_time(at.u, rtol))
        last = free >= left
        h = jnp.where(last, left, free)
        trial = step(system, at.u, h)
        error = system.error(at.u, trial.end, trial.embedded) / rtol
        finite = jnp.isfinite(error) & jnp.all(jnp.isfinite(trial.end))
        error = jnp.where(finite, jnp.maximum(error, 1e-10), jnp.inf)
        accept = error <= 1.0
        factor = jnp.clip(_SAFETY * error ** (-1.0 / ORDER), _SHRINK, _GROW)
        # A step cut by the quiet time says nothing against a longer one: keep the longer proposal.
        proposal = jnp.where(accept & (h < at.h), jnp.maximum(h * factor, at.h), h * factor)
        cursor = Cursor(
            t=jnp.where(accept, jnp.where(last, t1, at.t + h), at.t),
            u=jnp.where(accept, trial.end, at.u),
            h=jnp.where(last & accept, at.h, proposal),
            rejected=at.rejected + ~accept,
            finite=finite,
        )
        return _Carry(cursor, _record(chunk, accept, at, h, trial.stages), carry.attempts + 1)

    out = jax.lax.while_loop(unfinished, attempt, _Carry(cursor, empty, jnp.zeros((), dtype=int)))
    return out.cursor, out.chunk


def stuck(t: Any, h: Any) -> Any:
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
