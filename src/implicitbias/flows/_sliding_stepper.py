"""The compiled loop of steps of a flow with held units; it returns to Python when units reach or leave their kink."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from implicitbias.flows._ros34pw2 import ORDER, Step, dense_weights, step
from implicitbias.flows._sliding_system import Look, SlidingSystem
from implicitbias.flows._stepper import Chunk, Cursor, stuck

_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 8.0
# The effect of units with a wrong slope, relative to rtol, that an accepted step may have, and the smallest effect at
# which the search for a shorter step ends.
_EFFECT, _ENOUGH, _SEARCH = 0.3, 0.1, 24
# The largest number of accepted steps in a chunk, and the byte budget of its buffers.
_CHUNK, _CHUNK_BYTES = 16, 32 * 2**20


class Violation(NamedTuple):
    """The units whose slope does not fit a step.

    Attributes:
        wrong: the free units that are on the other side of their kink at the end, flat (r m,).
        leaving: the held units that no slope in [0, 1] holds, (a,).
        effect: the effect on the end of the step, relative to the parameters.
    """

    wrong: jax.Array
    leaving: jax.Array
    effect: jax.Array

    @property
    def any(self) -> jax.Array:
        """Whether there are any."""
        return jnp.any(self.wrong) | jnp.any(self.leaving)


class Carry(NamedTuple):
    """The state of the loop; `z` are the pre-activations at the start of the next step."""

    system: SlidingSystem
    cursor: Cursor
    z: Any
    chunk: Chunk
    attempts: Any
    violation: Violation


@eqx.filter_jit
def look(system: SlidingSystem, u: Any) -> Look:
    """Return the situation of the units at u."""
    return system.look(jnp.asarray(u))


@eqx.filter_jit
def settle(system: SlidingSystem, u: Any) -> tuple[jax.Array, Look]:
    """Return the point u moved onto the surface of the held units, and the situation there."""
    u = jnp.asarray(u)
    return _settled(system, u, system.look(u))


@eqx.filter_jit
def slide(
    system: SlidingSystem, cursor: Cursor, z: Any, t1: ArrayLike, rtol: ArrayLike, budget: ArrayLike
) -> Carry:
    """Take steps until a unit reaches or leaves its kink, or until a chunk is full or another limit is reached."""
    t1, rtol, u = jnp.asarray(t1), jnp.asarray(rtol), jnp.asarray(cursor.u)
    m, a = len(u), len(system.places)
    length = int(min(_CHUNK, max(2, _CHUNK_BYTES // (40 * m))))
    empty = Chunk(
        jnp.zeros((), dtype=int),
        jnp.zeros(length),
        jnp.zeros(length),
        jnp.zeros((length, m)),
        jnp.zeros((length, 4, m)),
    )
    none = Violation(jnp.zeros(len(z), dtype=bool), jnp.zeros(a, dtype=bool), jnp.zeros(()))
    arrays, rest = eqx.partition(system, eqx.is_array)

    def unfinished(carry: Any) -> jax.Array:
        (_, cursor, _, chunk, attempts, violation) = carry
        room = (chunk.filled < length) & (attempts < budget)
        return room & (cursor.t < t1) & ~stuck(cursor.t, cursor.h) & ~violation.any

    def attempt(carry: Any) -> Any:
        out = _attempt(carry._replace(system=eqx.combine(carry.system, rest)), t1, rtol)
        return out._replace(system=eqx.filter(out.system, eqx.is_array))

    begin = Carry(
        jax.tree.map(jnp.asarray, arrays), jax.tree.map(jnp.asarray, cursor), jnp.asarray(z), empty, jnp.zeros((), dtype=int), none
    )
    out = jax.lax.while_loop(unfinished, attempt, begin)
    return out._replace(system=eqx.combine(out.system, rest))


def _attempt(carry: Carry, t1: jax.Array, rtol: jax.Array) -> Carry:
    system, at, chunk = carry.system, carry.cursor, carry.chunk
    left = t1 - at.t
    last = at.h >= left
    h = jnp.where(last, left, at.h)
    trial = step(system, at.u, h)
    error = system.error(at.u, trial.end, trial.embedded) / rtol
    finite = jnp.isfinite(error) & jnp.all(jnp.isfinite(trial.end))
    error = jnp.where(finite, jnp.maximum(error, 1e-10), jnp.inf)
    seen = system.look(trial.end)
    violation = violations(system, at.u, carry.z, trial.end, seen, h)
    small = error <= 1.0
    late = small & (violation.effect > _EFFECT * rtol)
    accept = small & ~late
    factor = jnp.clip(_SAFETY * error ** (-1.0 / ORDER), _SHRINK, _GROW)
    fraction = jax.lax.cond(late, lambda: _fraction(system, at.u, carry.z, trial, h, rtol), lambda: 1.0)
    end, after = _settled(system, trial.end, seen)
    cursor = Cursor(
        t=jnp.where(accept, jnp.where(last, t1, at.t + h), at.t),
        u=jnp.where(accept, end, at.u),
        h=jnp.where(late, fraction * h, jnp.where(last & accept, at.h, h * factor)),
        rejected=at.rejected + ~accept,
        finite=finite,
    )
    slopes = jnp.where(accept, held_slopes(system, after), system.slopes)
    kept = jax.tree.map(lambda new: accept & new, violation._replace(effect=accept))
    return Carry(
        system=with_slopes(system, slopes),
        cursor=cursor,
        z=jnp.where(accept, after.z, carry.z),
        chunk=_record(chunk, accept, at, h, trial.stages),
        attempts=carry.attempts + 1,
        violation=kept._replace(effect=violation.effect),
    )


def with_slopes(system: SlidingSystem, slopes: Any) -> SlidingSystem:
    """Return the system with other slopes (r m,)."""
    gated = system.gated
    predictor = gated.with_slopes(slopes.reshape(gated.slopes.shape))
    changed: SlidingSystem = eqx.tree_at(lambda at: at.base.predictor, system, predictor)
    return changed


def held_slopes(system: SlidingSystem, seen: Look) -> jax.Array:
    """Return the slopes with those of the held units replaced by the slopes in [0, 1] that hold them."""
    slopes, q = system.slopes, seen.q[system.places]
    held = slopes[system.places] + seen.pull / jnp.where(q > 0.0, q, jnp.inf)
    change = jnp.where(system.held, jnp.clip(held, 0.0, 1.0) - slopes[system.places], 0.0)
    return slopes.at[system.places].add(change)


def violations(
    system: SlidingSystem, u: jax.Array, z: jax.Array, end: jax.Array, seen: Look, h: jax.Array
) -> Violation:
    """Return the units whose slope does not fit a step of size h from u to `end`."""
    slopes, held = system.slopes, jnp.zeros(len(z), dtype=bool).at[system.places].max(system.held)
    on = slopes > 0.5
    wrong = ~held & ((on & (seen.z < 0.0)) | (~on & (seen.z > 0.0)))
    late = jnp.abs(seen.z) / jnp.maximum(jnp.abs(seen.z - z), jnp.finfo(z.dtype).tiny)
    q = seen.q[system.places]
    load = slopes[system.places] * q + seen.pull
    excess = load - jnp.clip(load, 0.0, jnp.maximum(q, 0.0))
    leaving = system.held & ((q <= 0.0) | (jnp.abs(excess) > 1e-10 * jnp.abs(q)))
    weights = jnp.where(wrong, seen.q * h * jnp.minimum(late, 1.0), 0.0)
    weights = weights.at[system.places].add(jnp.where(leaving, excess * h / 2, 0.0))
    p = system.base.shape.size
    effect = system.displaced(end[:p], weights)
    return Violation(wrong, leaving, system.error(u, end, end.at[:p].add(effect)))


def _fraction(
    system: SlidingSystem, u: jax.Array, z: jax.Array, trial: Step, h: jax.Array, rtol: jax.Array
) -> jax.Array:
    """Return the largest part of a step, found on its interpolant, at which the effect of wrong slopes is allowed."""

    def effect(part: jax.Array) -> jax.Array:
        end = u + dense_weights(part) @ trial.stages
        return violations(system, u, z, end, system.look(end), part * h).effect / rtol

    def searching(state: Any) -> jax.Array:
        low, high, value, count = state
        return (count < _SEARCH) & (value < _ENOUGH)

    def halve(state: Any) -> Any:
        low, high, value, count = state
        middle = (low + high) / 2
        there = effect(middle)
        fits = there <= _EFFECT
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle), jnp.where(fits, there, value), count + 1

    start = (jnp.zeros(()), jnp.ones(()), jnp.zeros(()), jnp.zeros((), dtype=int))
    low, high, _, _ = jax.lax.while_loop(searching, halve, start)
    return jnp.where(low > 0.0, low, high)


def _settled(system: SlidingSystem, end: jax.Array, seen: Look) -> tuple[jax.Array, Look]:
    """Return the end moved onto the surface of the held units by two Newton steps, and the situation there."""
    p = system.base.shape.size

    def newton(_: Any, state: Any) -> Any:
        theta, z = state
        gap = jnp.where(system.held, z[system.places], 0.0)
        # The shift x = B^T (B B^T)^{-1} gap is the part outside the surface of any vector v with B v = gap.
        theta = theta - system.lifts(seen.normals, gap) @ seen.normals
        return theta, system.gated.evaluate(theta, jnp.asarray(system.gated.slopes), None)[1].ravel()

    theta, _ = jax.lax.fori_loop(0, 2, newton, (end[:p], seen.z))
    moved = system.look(jnp.concatenate([theta, end[p:]]))
    f = end[p:] + (moved.predictions - seen.predictions).ravel()
    return jnp.concatenate([theta, f]), moved


def _record(chunk: Chunk, accept: jax.Array, at: Cursor, h: jax.Array, stages: jax.Array) -> Chunk:
    """Return the chunk with the step in the next row, which is counted only if the step was accepted."""
    i = chunk.filled
    return Chunk(
        filled=i + accept,
        times=chunk.times.at[i].set(at.t),
        sizes=chunk.sizes.at[i].set(h),
        starts=chunk.starts.at[i].set(at.u),
        stages=chunk.stages.at[i].set(stages),
    )
