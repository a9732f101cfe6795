"""The compiled loop of steps of a flow with held units; it returns to Python when units reach or leave their kink."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from implicitbias._core.compiled import compiled
from implicitbias.flows._ros34pw2 import ORDER, Step, curve_of, dense_weights, step
from implicitbias.flows._sliding_system import Look, SlidingSystem, Stand
from implicitbias.flows._stepper import Chunk, Cursor, empty_chunk, recorded, stuck

_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 8.0
# The effect of units with a wrong slope, relative to rtol, that an accepted step may have, and the smallest effect at
# which the search for a shorter step ends.
_EFFECT, _ENOUGH, _SEARCH = 0.3, 0.1, 24
# The effect of crossings that is aimed at when they are foreseen, the number of halvings that find the step, and the
# shortest step in multiples of the time of the first crossing.
_AIM, _HALVINGS, _BEYOND = 0.15, 8, 1.03
# A pre-activation below this multiple of the largest one counts as 0: behind held units, it is a rounding error.
_NOISE = 1e-14
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
    """The state of the loop.

    Attributes:
        slopes: the slopes of all units, flat (r m,).
        cursor: the position.
        seen: the situation of the units there.
        chunk: the accepted steps.
        attempts: the number of steps that were tried.
        violation: the units because of which the loop has stopped.
        fits: whether slopes in [0, 1] hold the held units at the start, which the loop needs at an arrival of kind 2.
    """

    slopes: Any
    cursor: Cursor
    seen: Look
    chunk: Chunk
    attempts: Any
    violation: Violation
    fits: Any


class Program:
    """The part of a system that a compiled program depends on; its hash is computed once.

    An event takes about a millisecond, of which `equinox.filter_jit` would spend a third on hashes.
    """

    def __init__(self, system: SlidingSystem) -> None:
        self.algebra, self.parameters = system.base.algebra.name, system.base.shape.size
        leaves, self.tree = jax.tree.flatten(system)
        self.arrays = [leaf for leaf in leaves if eqx.is_array(leaf)]
        self._fixed = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
        self._hash = hash((self.tree, self._fixed))

    def system(self, arrays: list[Any]) -> SlidingSystem:
        """Return the system with these arrays."""
        given = iter(arrays)
        leaves = [next(given) if leaf is None else leaf for leaf in self._fixed]
        system: SlidingSystem = jax.tree.unflatten(self.tree, leaves)
        return system

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return self is other or (self.tree, self._fixed) == (other.tree, other._fixed)


@partial(compiled, static_argnums=0)
def look(program: Program, arrays: list[Any], stand: Stand, u: Any) -> Look:
    """Return the situation of the units at u."""
    return program.system(arrays).at(stand).look(jnp.asarray(u))


@partial(compiled, static_argnums=0)
def slide(
    program: Program,
    arrays: list[Any],
    stand: Stand,
    cursor: Cursor,
    seen: Look,
    arrival: ArrayLike,
    limits: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> Carry:
    """Take steps until a unit reaches or leaves its kink, or until a chunk is full or another limit is reached.

    Args:
        program, arrays: the system in two parts.
        stand: the slopes and the held units.
        cursor: the position.
        seen: the situation of the units there; it is not used at an arrival.
        arrival: 1 if the held units have changed: the position is first moved onto their surface. 2 if moreover steps
            are taken only if the held units are held by slopes in [0, 1]. Otherwise 0.
        limits: the end time, rtol, and the largest number of attempted steps.
    """
    t1, rtol, budget = (jnp.asarray(limit) for limit in limits)
    system = program.system(arrays)
    m, a = len(cursor.u), len(stand.places)
    length = int(min(_CHUNK, max(2, _CHUNK_BYTES // (40 * m))))
    empty = empty_chunk(length, m, m)
    none = Violation(jnp.zeros(len(seen.z), dtype=bool), jnp.zeros(a, dtype=bool), jnp.zeros(()))

    def unfinished(carry: Carry) -> jax.Array:
        at = carry.cursor
        room = (carry.chunk.filled < length) & (carry.attempts < budget)
        return room & (at.t < t1) & ~stuck(at.t, at.h) & ~carry.violation.any & carry.fits

    u, seen, fits = _arrived(system.at(stand), jnp.asarray(cursor.u), seen, jnp.asarray(arrival))
    start = Carry(stand.slopes, cursor._replace(u=u), seen, empty, jnp.zeros((), dtype=int), none, fits)
    begin = jax.tree.map(jnp.asarray, start)
    out: Carry = jax.lax.while_loop(
        unfinished,
        lambda carry: _attempt(system.at(stand._replace(slopes=carry.slopes)), carry, t1, rtol),
        begin,
    )
    return out


def _arrived(system: SlidingSystem, u: jax.Array, seen: Look, arrival: jax.Array) -> Any:
    """Return the position moved onto the surface of the held units, the situation there, and whether it fits."""

    def move(k: jax.Array, state: Any) -> Any:
        there = system.look(state[0])
        last = k == 1
        moved = jax.lax.cond(last, lambda: state[0], lambda: system.settled(state[0], there.normals))
        return moved, there

    given = jax.tree.map(jnp.asarray, seen)
    u, seen = jax.lax.fori_loop(0, jnp.where(arrival > 0, 2, 0), move, (u, given))
    slopes, places, held = system.stand
    q = seen.q[places]
    load = slopes[places] * q + seen.pull
    fits = jnp.all(~held | ((q > 0.0) & (load >= 0.0) & (load <= q)))
    return u, seen, fits | (arrival < 2)


def _attempt(system: SlidingSystem, carry: Carry, t1: jax.Array, rtol: jax.Array) -> Carry:
    at, chunk = carry.cursor, carry.chunk
    left = t1 - at.t
    free = jnp.minimum(at.h, _crossing(system, at.u, carry.seen, jnp.minimum(at.h, left), rtol))
    last = free >= left
    h = jnp.where(last, left, free)
    trial = step(system, at.u, h, at.memory, rtol)
    error = system.error(at.u, trial.end, trial.embedded) / rtol
    finite = jnp.isfinite(error) & jnp.all(jnp.isfinite(trial.end))
    error = jnp.where(finite, jnp.maximum(error, 1e-10), jnp.inf)
    search = _search(system, at.u, carry.seen.z, trial, h, rtol, error <= 1.0)
    accept = (error <= 1.0) & search.whole
    factor = jnp.clip(_SAFETY * error ** (-1.0 / ORDER), _SHRINK, _GROW)
    # If a crossing shortened the step, a longer step may still be possible, so the longer proposal is kept.
    proposal = jnp.where(accept & (h < at.h), jnp.maximum(h * factor, at.h), h * factor)
    part = jnp.where(search.low > 0.0, search.low, search.high)
    violation = search.violation
    return Carry(
        slopes=jnp.where(accept, held_slopes(system, search.seen), carry.slopes),
        cursor=at._replace(
            t=jnp.where(accept, jnp.where(last, t1, at.t + h), at.t),
            u=jnp.where(accept, system.settled(trial.end, search.seen.normals), at.u),
            h=jnp.where((error <= 1.0) & ~accept, part * h, jnp.where(last & accept, at.h, proposal)),
            rejected=at.rejected + ~accept,
            finite=finite,
            iterations=at.iterations + trial.iterations,
        ),
        seen=jax.tree.map(lambda new, old: jnp.where(accept, new, old), search.seen, carry.seen),
        chunk=recorded(chunk, accept, at, h, curve_of(trial.stages)),
        attempts=carry.attempts + 1,
        violation=Violation(violation.wrong & accept, violation.leaving & accept, violation.effect),
        fits=carry.fits,
    )


class Search(NamedTuple):
    """The search for the largest part of a step in which the effect of wrong slopes is allowed.

    Attributes:
        low, high: bounds of the part.
        best: the effect at `low`, relative to rtol.
        tried: the number of parts that were tried; the first one is the whole step.
        whole: whether the effect is allowed for the whole step.
        violation: the units with a wrong slope at the end of the part that was tried last.
        seen: the situation of the units there.
    """

    low: jax.Array
    high: jax.Array
    best: jax.Array
    tried: jax.Array
    whole: jax.Array
    violation: Violation
    seen: Look


def _search(
    system: SlidingSystem,
    u: jax.Array,
    z: jax.Array,
    trial: Step,
    h: jax.Array,
    rtol: jax.Array,
    wanted: jax.Array,
) -> Search:
    """Return the largest part of a step, found on its interpolant; only the whole step is tried if not `wanted`."""

    def searching(state: Search) -> jax.Array:
        again = wanted & ~state.whole & (state.tried < _SEARCH) & (state.best < _ENOUGH)
        return (state.tried == 0) | again

    def attempt(state: Search) -> Search:
        first = state.tried == 0
        part = jnp.where(first, 1.0, (state.low + state.high) / 2)
        end = u + dense_weights(part) @ trial.stages
        seen = system.look(end)
        violation = violations(system, u, z, end, seen, part * h)
        effect = violation.effect / rtol
        fits = effect <= _EFFECT
        return Search(
            low=jnp.where(fits, part, state.low),
            high=jnp.where(fits, state.high, part),
            best=jnp.where(fits, effect, state.best),
            tried=state.tried + 1,
            whole=first & fits,
            violation=violation,
            seen=seen,
        )

    zeros = jax.tree.map(
        lambda part: jnp.zeros(part.shape, part.dtype), jax.eval_shape(lambda: system.look(u))
    )
    none = Violation(
        jnp.zeros(len(z), dtype=bool), jnp.zeros(len(system.stand.places), dtype=bool), jnp.zeros(())
    )
    one, no = jnp.ones(()), jnp.zeros((), dtype=bool)
    start = Search(jnp.zeros(()), one, jnp.zeros(()), jnp.zeros((), dtype=int), no, none, zeros)
    found: Search = jax.lax.while_loop(searching, attempt, start)
    return found


def held_slopes(system: SlidingSystem, seen: Look) -> jax.Array:
    """Return the slopes with those of the held units replaced by the slopes in [0, 1] that hold them."""
    slopes, places, held = system.stand
    q = seen.q[places]
    holding = slopes[places] + seen.pull / jnp.where(q > 0.0, q, jnp.inf)
    return slopes.at[places].add(jnp.where(held, jnp.clip(holding, 0.0, 1.0) - slopes[places], 0.0))


def _crossing(system: SlidingSystem, u: jax.Array, seen: Look, h: jax.Array, rtol: jax.Array) -> jax.Array:
    """Return the largest step <= h in which units that cross their kink at the present rate have a small effect.

    A unit that crosses at time s has the wrong slope for the time h - s.
    """
    slopes, places, held = system.stand
    on = slopes > 0.5
    free = ~jnp.zeros(len(seen.z), dtype=bool).at[places].max(held)
    approaching = free & jnp.where(on, (seen.z > 0.0) & (seen.rate < 0.0), (seen.z < 0.0) & (seen.rate > 0.0))
    times = jnp.where(approaching, -seen.z / jnp.where(approaching, seen.rate, 1.0), jnp.inf)
    p = system.base.shape.size
    pull_back = jax.vjp(system.pre_activations, u[:p])[1]

    def effect(size: jax.Array) -> jax.Array:
        weights = jnp.where(times < size, seen.q * (size - times), 0.0)
        return system.error(u, u, u.at[:p].add(pull_back(weights)[0])) / rtol

    def halve(state: Any) -> Any:
        low, high, count = state
        # The whole step is tried first.
        middle = jnp.where(count == 0, h, jnp.sqrt(low * high))
        fits = effect(middle) <= _AIM
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle), count + 1

    # The step goes beyond the first crossing, because a step that ends before it would be followed by a smaller one.
    first = jnp.minimum(_BEYOND * jnp.min(times), h)
    start = (first, h, jnp.zeros((), dtype=int))
    found: jax.Array = jax.lax.while_loop(
        lambda state: (state[2] <= _HALVINGS) & (state[0] < h), halve, start
    )[0]
    return found


def violations(
    system: SlidingSystem, u: jax.Array, z: jax.Array, end: jax.Array, seen: Look, h: jax.Array
) -> Violation:
    """Return the units whose slope does not fit a step of size h from u to `end`."""
    slopes, places, held = system.stand
    on, noise = slopes > 0.5, _NOISE * jnp.max(jnp.abs(seen.z), initial=0.0)
    wrong = ~jnp.zeros(len(z), dtype=bool).at[places].max(held) & (
        (on & (seen.z < -noise)) | (~on & (seen.z > noise))
    )
    late = jnp.abs(seen.z) / jnp.maximum(jnp.abs(seen.z - z), jnp.finfo(z.dtype).tiny)
    q = seen.q[places]
    load = slopes[places] * q + seen.pull
    excess = load - jnp.clip(load, 0.0, jnp.maximum(q, 0.0))
    leaving = held & ((q <= 0.0) | (jnp.abs(excess) > 1e-10 * jnp.abs(q)))
    weights = jnp.where(wrong, seen.q * h * jnp.minimum(late, 1.0), 0.0)
    weights = weights.at[places].add(jnp.where(leaving, excess * h / 2, 0.0))
    p = system.base.shape.size
    effect = system.displaced(end[:p], weights)
    return Violation(wrong, leaving, system.error(u, end, end.at[:p].add(effect)))
