"""Compiled: from saddle to saddle, until Python is needed.

numba keeps the machine code of `walk` under the content of this file alone. What `OTHER_KERNELS` says of the files that
are compiled into it makes a change there a change here; a test says what to write.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias.limits._column_kernels import Dense, Sparse, some_products, write_column
from implicitbias.limits._hit_kernels import Watch, arrivals, next_hit, threshold
from implicitbias.limits._qr_kernels import add_multiple, dot, entry, inner, refit, refresh

# SHA-256 of _column_kernels.py, _hit_kernels.py and _qr_kernels.py, one after another: its first 16 digits.
OTHER_KERNELS = "5da9a4b198f399a4"


class Data(NamedTuple):
    """The problem: X (`storage`), y, column norms, the thresholds `lower` < 0 < `upper` of s, the unit of rounding, and
    a random word a column (to recognise supports).
    """

    X: Dense | Sparse
    y: ndarray
    norms: ndarray
    lower: ndarray
    upper: ndarray
    rounding: float
    words: ndarray


class State(NamedTuple):
    """Where the walk stands; `slot` is a column's place in the pool (-1: none), `watch` knows the columns outside it,
    `hits` are the next ones to arrive.

    Mutable numbers live in `counts` (factor columns k, pool columns, jumps: -1 before the first saddle) and `clock`
    (time, time of the next jump).
    """

    r: ndarray
    nu: ndarray
    slot: ndarray
    watch: Watch
    hits: ndarray
    visited: ndarray
    counts: ndarray
    clock: ndarray


class Rows(NamedTuple):
    """Saddles that Python has not yet taken, one a row: `numbers` holds time, r @ r and the worst KKT residual, `sizes`
    the numbers of support, boundary and idle coordinates (boundary, with neither coefficient nor gradient).
    """

    numbers: ndarray
    sizes: ndarray
    nu: ndarray
    support: ndarray
    values: ndarray
    boundary: ndarray


@inner
def _scale(data, pool, factors, k):
    """||y|| + sum ||x_i|| |w_i|: what rounding errors of the residual are relative to."""
    scale = np.sqrt(dot(data.y, data.y))
    for j in range(k):
        scale += pool.norms[factors.member[j]] * abs(factors.w[j])
    return scale


@inner
def _add_to_pool(data, state, pool, index, sign):
    """A column reaches the boundary on this side."""
    count = state.counts[1]
    write_column(data.X, index, pool.columns[count])
    pool.owner[count], pool.place[count], pool.speeds[count] = index, -1, 0.0
    pool.signs[count], pool.norms[count] = sign, data.norms[index]
    state.slot[index] = count
    state.counts[1] = count + 1


@inner
def _remove_from_pool(state, pool, factors, slot):
    """A column without a coefficient leaves the boundary; the last slot moves into its place."""
    last = state.counts[1] - 1
    state.slot[pool.owner[slot]] = -1
    if slot != last:
        for i in range(pool.columns.shape[1]):
            pool.columns[slot, i] = pool.columns[last, i]
        pool.owner[slot], pool.place[slot] = pool.owner[last], pool.place[last]
        pool.signs[slot], pool.norms[slot] = pool.signs[last], pool.norms[last]
        pool.speeds[slot] = pool.speeds[last]
        state.slot[pool.owner[slot]] = slot
        if pool.place[slot] >= 0:
            factors.member[pool.place[slot]] = slot
    state.counts[1] = last


@inner
def _boundary_speeds(data, state, pool, factors, unit):
    """Speeds x_i^T r / n on the boundary, 0 where active or rounding; returns the worst KKT residual, relative."""
    n = len(data.y)
    worst = 0.0
    for slot in range(state.counts[1]):
        speed = dot(pool.columns[slot], state.r) / n
        size = abs(speed)
        outward = size > data.rounding * unit * pool.norms[slot] and speed * pool.signs[slot] > 0.0
        if pool.place[slot] >= 0 or outward:
            # Outward on the boundary is impossible by the optimality conditions: it measures how far they fail.
            worst = max(worst, size / pool.norms[slot])
            speed = 0.0
        elif size <= data.rounding * unit * pool.norms[slot]:
            speed = 0.0
        pool.speeds[slot] = speed
    return worst / unit if unit > 0.0 else 0.0


@inner
def _release(data, state, pool, factors):
    """Boundary coordinates whose gradient points inward leave, from where they stand."""
    watch, count, slot = state.watch, 0, 0
    while slot < state.counts[1]:
        if pool.place[slot] < 0 and pool.speeds[slot] != 0.0:
            index = pool.owner[slot]
            watch.s[index], watch.near[count] = threshold(data, index, pool.signs[slot]), index
            count += 1
            _remove_from_pool(state, pool, factors, slot)
        else:
            slot += 1
    some_products(data.X, watch.near, count, watch.drift, state.r, watch.near_s, watch.near_c)
    for k in range(count):
        watch.s[watch.near[k]] -= watch.near_s[k]


@inner
def _returned(data, state, pool, factors):
    """Whether this support and boundary were seen before: the loss falls, so that then only rounding is left."""
    word = np.uint64(0)
    for slot in range(state.counts[1]):
        word ^= data.words[pool.owner[slot]] >> np.uint64(1)
    for j in range(state.counts[0]):
        word ^= data.words[pool.owner[factors.member[j]]]
    jumps = state.counts[2]
    for i in range(jumps):
        if state.visited[i] == word:
            return True
    state.visited[jumps] = word
    return False


@inner
def _record(state, pool, factors, rows, row, worst):
    """Write the present saddle into a row; returns the number of idle coordinates."""
    k, count, idle = state.counts[0], state.counts[1], 0
    rows.numbers[row, 0], rows.numbers[row, 1], rows.numbers[row, 2] = (
        state.clock[0],
        dot(state.r, state.r),
        worst,
    )
    for i in range(len(state.nu)):
        rows.nu[row, i] = state.nu[i]
    for j in range(k):
        rows.support[row, j], rows.values[row, j] = pool.owner[factors.member[j]], factors.w[j]
    for slot in range(count):
        rows.boundary[row, slot] = pool.owner[slot]
        if pool.place[slot] < 0 and pool.speeds[slot] == 0.0:
            idle += 1
    rows.sizes[row, 0], rows.sizes[row, 1], rows.sizes[row, 2] = k, count, idle
    return idle


@inner
def _has_room(state, pool, factors, found):
    """Whether the arriving columns fit into pool and factors, and one more jump into the list of visited supports."""
    needed = state.counts[1] + found
    columns = min(needed, len(state.r), len(state.slot))
    return (
        needed <= len(pool.owner) and columns <= len(factors.w) and state.counts[2] + 1 < len(state.visited)
    )


@inner
def _move(data, state, pool, factors, step, found):
    """Let inward coordinates go, move s, nu and the clock, take in the first `found` hits, and refit."""
    _release(data, state, pool, factors)
    add_multiple(state.nu, step / len(data.y), state.r)
    add_multiple(state.watch.drift, step / len(data.y), state.r)
    state.clock[0] += step
    for h in range(found):
        code = state.hits[h]
        _add_to_pool(data, state, pool, max(code, -1 - code), 1.0 if code >= 0 else -1.0)
    scale = _scale(data, pool, factors, state.counts[0])
    k = refit(pool, state.counts[1], factors, state.counts[0], state.r, data.rounding, scale)
    refresh(pool, factors, max(k, 0), data.y, state.r)
    state.counts[0] = max(k, 0)
    state.counts[2] += 1
    return k >= 0


@entry
def walk(data, state, pool, factors, rows, step, found, t_max):
    """Jump from saddle to saddle, the first time by `step` with `found` arrivals, and write each into a row.

    Comes back when the rows are full, a tie or a lack of room needs Python, no jump is left before t_max, or a refit
    did not end: (whether all refits ended, rows written, next step, number of next arrivals). `clock[1]` is then the
    time of the next jump: inf at a minimum, and where support and boundary return, because the loss falls at every
    jump, so that what is left of the gradient is rounding.
    """
    row = 0
    while row < len(rows.numbers) and _has_room(state, pool, factors, found):
        if not _move(data, state, pool, factors, step, found):
            return False, row, step, found
        unit = _scale(data, pool, factors, state.counts[0]) / len(data.y)
        worst = _boundary_speeds(data, state, pool, factors, unit)
        step = np.inf if _returned(data, state, pool, factors) else next_hit(data, state, pool, unit)
        state.clock[1] = state.clock[0] + step
        found = 0 if np.isinf(step) else arrivals(data, state, pool, step)
        idle = _record(state, pool, factors, rows, row, worst)
        row += 1
        if idle > 0 or np.isinf(step) or state.clock[1] > t_max:
            break
    return True, row, step, found
