"""The compiled loop of adaptive steps; Python calls it once for each chunk of steps."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._growth_modes import ROUNDING_OF_RATES, Modes, no_modes
from implicitbias.flows._lost_growth import LostGrowth, nothing_lost
from implicitbias.flows._method import Method, Probe, Trial
from implicitbias.flows._system import System

# The largest number of accepted steps in a chunk, and the byte budget of its buffers.
_CHUNK, _CHUNK_BYTES = 64, 16 * 2**20
_SAFETY, _SHRINK, _GROW = 0.9, 0.1, 8.0
# Errors below this share of rtol say nothing about the next step (Hairer & Wanner II, IV.8); the second number is for
# methods that foresee longer steps.
_SMALL_ERROR, _SMALL_FORESEEN = 1e-2, 0.1
# A step that follows growth modes is at most this times longer than the one before: its error grows exponentially.
_GROW_WITH_MODES = 3.0
# While no mode is followed, modes are searched again after _AGE steps, or when the step is _LONGER times as long and a
# mode may matter. A method that does not follow modes needs them for its error estimate only: while none of them
# matters, it searches after _OLD steps, or when the step is _EARLIER times as long.
_AGE, _LONGER = 8, 2.0
_OLD, _EARLIER = 24, 1.5
# A search may miss modes whose rates are a smaller share than this one of the largest rate of growth or decay.
_UNSEEN = 2e-3
# A step longer than this many of the fastest times of decay leaves errors in the speed that may hide slow modes.
_HIDING = 100.0
# The error inside a step is estimated if the state changes by more than this share in it.
_CHANGED = 0.1


class Cursor(NamedTuple):
    """The position of an integration.

    Attributes:
        t: the time.
        u: the inner variable at time t.
        h: the size of the next attempted step.
        rejected: the number of rejected steps.
        finite: whether the last attempted step gave finite values.
        iterations: the number of iterations of linear solvers.
        memory: what the next step may use.
        fitting: the step size at which the last accepted step would have had an error of rtol; 0 if there is none.
        watch: what is known about growth modes, or None if the system has none.
    """

    t: Any
    u: Any
    h: Any
    rejected: Any
    finite: Any
    iterations: Any
    memory: Any
    fitting: Any
    watch: Any = None


class Watch(NamedTuple):
    """The state of the search for growth modes.

    Attributes:
        modes: the modes that are followed; their rates are 0 if an ordinary step is accurate in all of them.
        followed: whether modes are followed.
        age: the number of accepted steps since the last search.
        step: the step size at the last search.
        lost: what the searches have seen of growth that began in rounding errors.
        change: the change of the state (p,) in the last accepted step; 0 before it.
        span: the size of this step.
    """

    modes: Modes
    followed: Any
    age: Any
    step: Any
    lost: LostGrowth
    change: Any
    span: Any

    def after(self, change: jax.Array, span: jax.Array, accepted: jax.Array) -> "Watch":
        """Return what is known after an attempt that changes the state by `change` (p,) in the time `span`."""
        return self._replace(
            age=self.age + accepted,
            change=jnp.where(accepted, change, self.change),
            span=jnp.where(accepted, span, self.span),
        )


class Chunk(NamedTuple):
    """A chunk of accepted steps: their times, sizes, starts and curves, and which of them followed growth modes.

    Only the first `filled` rows are used.
    """

    filled: jax.Array
    times: jax.Array
    sizes: jax.Array
    starts: jax.Array
    curves: jax.Array
    followed: jax.Array


class _Carry(NamedTuple):
    cursor: Cursor
    chunk: Chunk
    attempts: jax.Array


def first_cursor(
    system: System, u: ndarray, end: float, memory: Any, known: Modes | None = None, step: float | None = None
) -> Cursor:
    """Return the position at the start; the first step is short, and the step size grows quickly if possible.

    `known` are the growth modes at the start, and `step` is the time of `first_step`, if they were computed before.
    """
    # NumPy arrays are fast to make and have strong types, like the values that the loop returns. With weak types the
    # loop would be compiled again.
    step = float(_first_step(system, u)) if step is None else step
    numbers = (np.float64(0.0), np.float64(min(1e-4 * end, step)), np.int64(0), np.bool_(True), np.int64(0))
    t, h, rejected, finite, iterations = (np.asarray(number) for number in numbers)
    cursor = Cursor(t, u, h, rejected, finite, iterations, memory, np.asarray(np.float64(0.0)))
    if not system.unstable:
        return cursor
    # The age makes the first step search for modes.
    modes = no_modes(system.state_size(len(u)))
    if known is not None:
        modes = modes._replace(top=known.top, loose=known.loose, radius=known.radius)
    age = np.int64(_OLD if known is None else 0)
    zero = np.float64(0.0)
    watch = Watch(modes, np.bool_(False), age, zero, nothing_lost(), np.zeros(len(modes.course)), zero)
    return cursor._replace(watch=jax.tree.map(np.asarray, watch))


@compiled
def _first_step(system: System, u: Any) -> jax.Array:
    """Return the time in which the inner variable would move by a tenth of its size; infinite at 0."""
    moving = system.mass(len(u))
    return first_step(moving * u, moving * system.field(u))


def first_step(moving: jax.Array, slope: jax.Array) -> jax.Array:
    """Return the time in which these entries would move by a tenth of their size; infinite at 0."""
    time = 0.1 * jnp.linalg.norm(moving) / jnp.linalg.norm(slope)
    return jnp.where(jnp.isfinite(time) & (time > 0.0), time, jnp.inf)


def empty_chunk(length: int, m: int, shown: int) -> Chunk:
    """Return a chunk for `length` steps of m unknowns, and curves of `shown` ones; call it in a traced function."""
    sizes = jnp.zeros(length)
    none, followed = jnp.zeros((), dtype=int), jnp.zeros(length, dtype=bool)
    return Chunk(none, sizes, sizes, jnp.zeros((length, m)), jnp.zeros((length, 4, shown)), followed)


def chunk_length(m: int, shown: int) -> int:
    """Return the number of accepted steps in a chunk for m unknowns, and curves of `shown` ones."""
    return int(min(_CHUNK, max(2, _CHUNK_BYTES // (8 * m + 32 * shown))))


@compiled
def advance(
    system: System, method: Method, cursor: Cursor, t1: ArrayLike, rtol: ArrayLike, budget: ArrayLike
) -> tuple[Cursor, Chunk]:
    """Take steps until a chunk is full, `budget` steps were attempted, t1 is reached or the step size is too small.

    Return the new position and the chunk of accepted steps.
    """
    t1, rtol = jnp.asarray(t1), jnp.asarray(rtol)
    m, shown = len(cursor.u), system.shown(len(cursor.u))
    length = chunk_length(m, shown)
    empty = empty_chunk(length, m, shown)

    def unfinished(carry: _Carry) -> jax.Array:
        at = carry.cursor
        room = (carry.chunk.filled < length) & (carry.attempts < budget)
        return room & (at.t < t1) & ~stuck(at.t, at.h)

    def attempt(carry: _Carry) -> _Carry:
        at, chunk = carry.cursor, carry.chunk
        left = t1 - at.t
        free = jnp.minimum(at.h, jnp.minimum(system.quiet_time(at.u, rtol), method.longest(at.memory)))
        watch = _watched(system, method, at, jnp.minimum(free, left), rtol)
        if watch is not None:
            # A mode that was seen but not found is not followed, so that the step has to be accurate without it.
            loose = jnp.maximum(watch.modes.loose, jnp.finfo(jnp.float64).tiny)
            free = jnp.minimum(jnp.minimum(free, watch.modes.longest()), method.accurate_growth(rtol) / loose)
        last = free >= left
        h = jnp.where(last, left, free)
        trial = method.attempt(system, at, h, rtol, None if watch is None else watch.modes)
        error = _error(system, method, at.u, h, trial, watch) / rtol
        grow = _GROW if watch is None else jnp.where(watch.followed, _GROW_WITH_MODES, _GROW)
        finite = jnp.isfinite(error) & jnp.all(jnp.isfinite(trial.end))
        error = jnp.where(finite, jnp.maximum(error, 1e-10), jnp.inf)
        accept = error <= 1.0
        least = _SMALL_FORESEEN if method.foresees else _SMALL_ERROR
        fitting = h * jnp.maximum(error, least) ** (-1.0 / method.order)
        factor = _SAFETY * error ** (-1.0 / method.order) * trend(method, fitting, at.fitting, accept)
        factor = jnp.clip(factor, _SHRINK, grow)
        # If the quiet time shortened the step, a longer step may still be possible, so the longer proposal is kept.
        proposal = jnp.where(accept & (h < at.h), jnp.maximum(h * factor, at.h), h * factor)
        if watch is not None:
            watch = watch.after(system.state(trial.end) - system.state(at.u), h, accept)
            # Near a blow-up the modes limit the step, in the end to less than a rounding error of the time.
            proposal = jnp.where(stuck(at.t, watch.modes.longest()), h, proposal)
        cursor = Cursor(
            t=jnp.where(accept, jnp.where(last, t1, at.t + h), at.t),
            u=jnp.where(accept, trial.end, at.u),
            h=jnp.where(last & accept, at.h, proposal),
            rejected=at.rejected + ~accept,
            finite=finite,
            iterations=at.iterations + trial.iterations,
            memory=method.kept(at.memory, trial.memory, accept),
            fitting=jnp.where(accept, fitting, at.fitting),
            watch=watch,
        )
        followed = jnp.asarray(False) if watch is None else watch.followed & method.follows_modes
        return _Carry(cursor, recorded(chunk, accept, at, h, trial.curve, followed), carry.attempts + 1)

    out = jax.lax.while_loop(unfinished, attempt, _Carry(cursor, empty, jnp.zeros((), dtype=int)))
    return out.cursor, out.chunk


def _error(
    system: System, method: Method, u: jax.Array, h: jax.Array, trial: Trial, watch: Watch | None
) -> jax.Array:
    """Return the relative error of an attempted step from u: the largest of its estimates."""
    errors = [system.error(u, trial.end, trial.embedded)]
    if trial.corrected is not None:
        errors.append(system.error(u, trial.end, trial.corrected))
    if system.checks_inside and method.probe is not None:
        followed = watch.modes if watch is not None and method.follows_modes else None
        errors.append(_error_inside(system, method.probe, u, h, trial, followed))
    if watch is not None:
        errors.append(watch.modes.error(u, trial.end, trial.embedded))
    # `jnp.maximum` keeps values that are not numbers, so that such a step is rejected.
    return functools.reduce(jnp.maximum, errors)


def _error_inside(
    system: System, probe: Probe, u: jax.Array, h: jax.Array, trial: Trial, modes: Modes | None
) -> jax.Array:
    """Return the relative error of dense output inside a step, which is estimated if the step changes the state much.

    The ends of a long step in which the state grows may be accurate where dense output between them is not. The error
    estimates of explicit methods are too small for such steps, too. `modes` are those that the step follows.
    """

    def estimated() -> jax.Array:
        start, curve = system.moving(u), trial.curve
        if curve.shape[1] > len(start):
            curve = jax.vmap(system.moving)(curve)
        index = jnp.arange(1, 5)
        point = start + probe.at**index @ curve
        change = index * probe.at ** (index - 1) @ curve
        if modes is not None:
            moved, speed = modes.moved(probe.at * h)
            point, change = point.at[: len(moved)].add(moved), change.at[: len(moved)].add(h * speed)
        whole, slope = system.complete(point)
        return system.error(u, whole, point + probe.weight * (h * slope - change))

    return jax.lax.cond(system.error(u, trial.end, u) > _CHANGED, estimated, lambda: jnp.zeros(()))


def trend(method: Method, fitting: jax.Array, before: jax.Array, accept: jax.Array) -> jax.Array:
    """Return how the next fitting step size is expected to differ from this one, as a factor.

    Where the error of steps of equal size grows from step to step, it is expected to grow on (Gustafsson's predictive
    controller, Hairer & Wanner II, IV.8). It is expected to shrink on only if the method foresees it.
    """
    factor = fitting / before
    factor = factor if method.foresees else jnp.minimum(1.0, factor)
    return jnp.where(accept & (before > 0.0), factor, 1.0)


def stuck(t: Any, h: Any) -> Any:
    """Return whether a step of size h is too small to change the time t in float64."""
    return h <= 4 * jnp.finfo(jnp.float64).eps * t


def _watched(system: System, method: Method, at: Cursor, h: jax.Array, rtol: jax.Array) -> Watch | None:
    """Return what is known about growth modes at u; they are searched again where they may have changed."""
    if at.watch is None:
        return None
    watch: Watch = at.watch
    ahead = _LONGER if method.follows_modes else _EARLIER

    # The growth rate from which on a mode matters in the steps that come before the next search.
    least = method.accurate_growth(rtol) / (ahead * h)

    def searched() -> Watch:
        modes = _searched(system, at.u, watch, least)
        followed = jnp.any(modes.rates > least)
        kept = jax.tree.map(lambda value: jnp.where(followed, value, 0.0), modes)
        kept = kept._replace(top=modes.top, loose=modes.loose, radius=modes.radius)
        lost = watch.lost.after(at.t, modes, system.rounding(at.u))
        return watch._replace(modes=kept, followed=followed, age=jnp.zeros_like(watch.age), step=h, lost=lost)

    # Modes that a step follows in closed form must be those of its start.
    most = (
        jnp.where(watch.followed, 1, _AGE) if method.follows_modes else jnp.where(watch.followed, _AGE, _OLD)
    )
    possible = jnp.maximum(watch.modes.top, _UNSEEN * watch.modes.radius)
    longer = (h > ahead * watch.step) & (possible > least)
    due = (watch.age >= most) | longer
    found: Watch = jax.lax.cond(due, searched, lambda: watch)
    return found._replace(modes=method.modes_now(found.modes, at))


def _searched(system: System, u: jax.Array, watch: Watch, least: jax.Array) -> Modes:
    """Return the growth modes at u; a rate that only a search from the last change of the state has seen is `loose`.

    After a step that is much longer than the fast times of decay, errors in the fast directions may hide a slow mode in
    the speed. A step damps them, so that its change of the state shows the mode.
    """

    def due(searches: tuple[jax.Array, Modes]) -> jax.Array:
        count, found = searches
        hidden = (watch.span * found.radius > _HIDING) & ~jnp.any(found.rates > least)
        return (count == 0) | ((count == 1) & hidden)

    def search(searches: tuple[jax.Array, Modes]) -> tuple[jax.Array, Modes]:
        # Both searches are one piece of code, which is compiled once.
        count, first = searches
        found = system.modes(u, least, jnp.where(count == 0, 0.0, watch.change))
        rate = jnp.max(found.rates)
        rate = jnp.where(rate > ROUNDING_OF_RATES * found.radius, rate, 0.0)
        both = first._replace(
            top=jnp.maximum(first.top, found.top),
            loose=jnp.maximum(first.loose, jnp.maximum(found.loose, rate)),
        )
        return count + 1, jax.tree.map(lambda new, old: jnp.where(count == 0, new, old), found, both)

    return jax.lax.while_loop(due, search, (jnp.zeros((), int), watch.modes))[1]


def recorded(
    chunk: Chunk, accept: jax.Array, at: Cursor, h: jax.Array, curve: jax.Array, followed: Any = False
) -> Chunk:
    """Return the chunk with the step in the next row, which is counted only if the step was accepted."""
    i = chunk.filled
    return Chunk(
        filled=i + accept,
        times=chunk.times.at[i].set(at.t),
        sizes=chunk.sizes.at[i].set(h),
        starts=chunk.starts.at[i].set(at.u),
        curves=chunk.curves.at[i].set(curve[:, : chunk.curves.shape[2]]),
        followed=chunk.followed.at[i].set(followed),
    )
