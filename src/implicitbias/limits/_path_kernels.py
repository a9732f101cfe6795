r"""Compiled functions that follow the path of saddles of a least-squares problem under sign constraints.

The state is (t, s, nu) with s = q + X^T nu between two thresholds. Between jumps s_i moves at the speed
c_i = x_i^T r / n, where r = y - X w is the residual. The pool is the set of columns that may have a coefficient. At a
jump, the coordinates that reach a threshold enter the pool, and the coordinates of the pool whose speed points inward
leave it. Then w becomes the least-squares point of the pool in which every coefficient keeps its sign. A thin QR
factorisation X_A = Q R of the columns with a coefficient gives that point; columns are appended to it and removed.

All compiled functions are in this file, because numba's cache looks only at the content of the file that holds the
entry point. The code is written so that it compiles fast:

- Numba translates every function again for each level of callers above it, so `walk` calls nearly everything itself.
- Each array that a function receives costs as much as ten lines of its code, so arrays of one length are the rows of
  one table, and named constants say which row is what.
- A function whose first call has a literal number as argument is compiled twice, so counters are in `Path.counts`.
- Loops are written out, and no array is allocated or sliced.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy import ndarray

# Only the entry point needs wrappers for Python and a place in the cache.
_BARE: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
inner = njit(**_BARE)
# Sums may be reordered, so that they use vector registers.
inner_sum = njit(fastmath={"reassoc", "contract"}, **_BARE)
# numba copies these functions into their caller. They have one caller, so they need no call level of their own.
merged = njit(inline="always", **_BARE)
entry = njit(cache=True, nogil=True, error_model="numpy")

# A column counts as dependent if its part outside the span of the others is smaller than this share of its norm.
DEPENDENT = 1e-13
# A coefficient counts as 0 if its share of the fit is smaller than this, relative to the data.
NEGLIGIBLE = 1e-13
# If one pass of Gram-Schmidt keeps this share of a column, the result is orthogonal up to a few units of rounding.
_LITTLE = 0.7
# Arrivals closer than this count as one event. The distance in s is relative to the threshold, that in t to t itself.
SIMULTANEOUS = 1e-12
# The bounds carry rounding errors, so a column is examined if its bound comes this close to its threshold.
_NEARLY = 1.0 - 1e-9
# All columns are examined at once after this share of them has been examined one by one.
_LOOK_SHARE = 0.5
# Numbers of columns that give a first upper bound on the time to the next hit.
_BLOCKS, _MANY = 16, 256

# Values of `Store.kind`.
COLUMN_MAJOR, ROW_MAJOR, SPARSE = range(3)
# Rows of `Path.columns`. NORM: norms of the columns of X. LOWER < 0 < UPPER: thresholds of s. S and SPEED: s and c of
# each column at the last examination of all columns. NEAR_S and NEAR_SPEED: the present s and c of the columns in the
# list NEAR, in the order of that list.
NORM, LOWER, UPPER, S, SPEED, NEAR_S, NEAR_SPEED = range(7)
# Rows of `Path.places`. SLOT: the slot of each column in the pool (-1: none). NEAR: the list of columns that may hit a
# threshold next. HITS: the list of the next arrivals (i at the upper threshold, -1 - i at the lower one).
SLOT, NEAR, HITS = range(3)
# Places in `Path.counts`. ACTIVE: columns with a coefficient. POOLED: columns in the pool. JUMPS: jumps so far (-1
# before the first saddle). WRITTEN: rows written by this call. EXAMINED: columns examined one by one since the last
# examination of all columns. LISTED_FROM and LISTED: the first entry of the list NEAR, and one past its last entry.
ACTIVE, POOLED, JUMPS, WRITTEN, EXAMINED, LISTED_FROM, LISTED = range(7)
# Places in `Path.clock`: the present slow time, the slow time of the next jump, and the unit of rounding.
NOW, NEXT, ROUNDING = range(3)
# Rows of `Pool.numbers`. SIGN: the sign of the coefficient. SIZE: the norm of the column. INWARD: the speed of s if it
# points away from the threshold, and 0 otherwise.
SIGN, SIZE, INWARD = range(3)
# Rows of `Pool.places`. OWNER: the index in X. FACTOR: the index among the factor columns (-1: none). BANNED: 1 if the
# present refit leaves the column out.
OWNER, FACTOR, BANNED = range(3)
# Rows of `Factors.numbers`: Q y, the coefficients, and working memory.
QY, W, TRIAL = range(3)
# Places in a row of `Rows.numbers`: slow time, r @ r, and the largest residual of the optimality conditions.
TIME, SQUARES, WORST = range(3)
# Places in a row of `Rows.sizes`: the numbers of coordinates in the support, in the equicorrelation set (on the
# boundary), and idle on the boundary.
SUPPORT, BOUNDARY, IDLE = range(3)


class Store(NamedTuple):
    """The matrix X. Dense and sparse storage share one type, so that numba compiles once for both.

    For dense storage, `values` is X row by row, (n, d), or its transpose, (d, n); `kind` says which. For sparse
    storage, the arrays are those of a CSC matrix, with `values` (1, nnz). X is then that matrix minus the outer product
    of `rows` (n,) and `shift` (d,); both are empty if nothing is subtracted.
    """

    kind: int
    values: ndarray
    indices: ndarray
    indptr: ndarray
    rows: ndarray
    shift: ndarray


class Path(NamedTuple):
    """The present state of the path.

    The s of a column outside the pool is not updated at every jump. It is computed as s_i = S[i] + x_i^T drift for
    the columns that may hit a threshold.
    """

    columns: ndarray
    places: ndarray
    counts: ndarray
    clock: ndarray


class Vectors(NamedTuple):
    """Vectors of length n.

    `r` is the residual. `drift` is the change of nu since the last examination of all columns, and `seen` is the
    residual at that examination.
    """

    y: ndarray
    r: ndarray
    nu: ndarray
    drift: ndarray
    seen: ndarray


class Pool(NamedTuple):
    """The columns that may have a coefficient, one in each slot."""

    columns: ndarray
    numbers: ndarray
    places: ndarray


class Factors(NamedTuple):
    """The QR factorisation of the columns with a coefficient.

    Row j of `Q` is the j-th orthonormal vector, so that products with it are contiguous. The leading block of `R` is
    upper triangular. `member[j]` is the pool slot of factor column j.
    """

    Q: ndarray
    R: ndarray
    numbers: ndarray
    member: ndarray


class Supports(NamedTuple):
    """A random word for each column, and the words of the supports that the path has visited."""

    words: ndarray
    visited: ndarray


class Rows(NamedTuple):
    """The saddles that this call has found, one in each row."""

    numbers: ndarray
    sizes: ndarray
    nu: ndarray
    support: ndarray
    values: ndarray
    boundary: ndarray


# ---------------------------------------------------------------------------------------------- rows of tables


@inner_sum
def dot(a, b):
    """Return a @ b."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@inner_sum
def row_dot(A, j, b):
    """Return A[j] @ b."""
    total = 0.0
    for i in range(len(b)):
        total += A[j, i] * b[i]
    return total


@inner
def add_row(y, factor, A, j):
    """Add factor * A[j] to y in place."""
    for i in range(len(y)):
        y[i] += factor * A[j, i]


@inner_sum
def solve_upper(R, k, numbers):
    """Solve R x = b in place, with the leading k x k block of R; b and x are in row TRIAL."""
    for i in range(k - 1, -1, -1):
        total = 0.0
        # The index is unsigned, because the compiler does not vectorise a loop whose index might be negative.
        for j in range(np.uint64(i + 1), np.uint64(k)):
            total += R[i, j] * numbers[TRIAL, j]
        numbers[TRIAL, i] = (numbers[TRIAL, i] - total) / R[i, i]


# ------------------------------------------------------------------------------------------------ columns of X


@inner_sum
def products(X, path, a, b):
    """Compute x_j^T a and x_j^T b of the listed columns, into NEAR_S and NEAR_SPEED."""
    near, out, values = path.places, path.columns, X.values
    n, begin, end = len(a), path.counts[LISTED_FROM], path.counts[LISTED]
    if X.kind == ROW_MAJOR:
        for k in range(begin, end):
            out[NEAR_S, k], out[NEAR_SPEED, k] = 0.0, 0.0
        for i in range(n):
            for k in range(begin, end):
                value = values[i, near[NEAR, k]]
                out[NEAR_S, k] += value * a[i]
                out[NEAR_SPEED, k] += value * b[i]
        return
    seen_a, seen_b = 0.0, 0.0
    for i in range(len(X.rows)):
        seen_a += X.rows[i] * a[i]
        seen_b += X.rows[i] * b[i]
    for k in range(begin, end):
        j, first, second = near[NEAR, k], 0.0, 0.0
        if X.kind == COLUMN_MAJOR:
            for i in range(n):
                first += values[j, i] * a[i]
                second += values[j, i] * b[i]
        else:
            for place in range(X.indptr[j], X.indptr[j + 1]):
                first += values[0, place] * a[X.indices[place]]
                second += values[0, place] * b[X.indices[place]]
            if len(X.shift) > 0:
                first -= X.shift[j] * seen_a
                second -= X.shift[j] * seen_b
        out[NEAR_S, k], out[NEAR_SPEED, k] = first, second


@inner
def admit(X, path, pool, found):
    """Put the columns of the first `found` hits into the pool."""
    n = pool.columns.shape[1]
    for h in range(found):
        code, slot = path.places[HITS, h], path.counts[POOLED]
        j = code if code >= 0 else -1 - code
        for i in range(n):
            if X.kind == COLUMN_MAJOR:
                pool.columns[slot, i] = X.values[j, i]
            elif X.kind == ROW_MAJOR:
                pool.columns[slot, i] = X.values[i, j]
            else:
                pool.columns[slot, i] = -X.shift[j] * X.rows[i] if len(X.shift) > 0 else 0.0
        if X.kind == SPARSE:
            for place in range(X.indptr[j], X.indptr[j + 1]):
                pool.columns[slot, X.indices[place]] += X.values[0, place]
        pool.places[OWNER, slot], pool.places[FACTOR, slot] = j, -1
        pool.numbers[SIGN, slot], pool.numbers[INWARD, slot] = 1.0 if code >= 0 else -1.0, 0.0
        pool.numbers[SIZE, slot] = path.columns[NORM, j]
        path.places[SLOT, j] = slot
        path.counts[POOLED] = slot + 1


# --------------------------------------------------------- sign-constrained least squares over the pool (QR)


@inner
def append_column(pool, slot, factors, k, r):
    """Append the column of a slot as factor column k and subtract its share from the residual.

    Returns False and changes nothing if the column depends on the others.
    """
    Q, R = factors.Q, factors.R
    if k >= Q.shape[0]:
        return False
    v = Q[k]
    for i in range(len(v)):
        v[i] = pool.columns[slot, i]
    for j in range(k):
        R[j, k] = 0.0
    rho = np.sqrt(dot(v, v))
    # Gram-Schmidt is needed at most twice, and only once if the column has kept most of its length.
    for _ in range(2):
        before = rho
        for j in range(k):
            share = row_dot(Q, j, v)
            R[j, k] += share
            add_row(v, -share, Q, j)
        rho = np.sqrt(dot(v, v))
        if rho > _LITTLE * before:
            break
    if rho <= DEPENDENT * pool.numbers[SIZE, slot]:
        return False
    for i in range(len(v)):
        v[i] /= rho
    R[k, k] = rho
    share = dot(v, r)
    add_row(r, -share, Q, k)
    factors.numbers[QY, k], factors.numbers[W, k] = share, 0.0
    factors.member[k], pool.places[FACTOR, slot] = slot, k
    return True


@inner
def remove_column(pool, factors, k, j, r):
    """Remove factor column j of k by Givens rotations and add its share to the residual."""
    Q, R, numbers, member = factors.Q, factors.R, factors.numbers, factors.member
    pool.places[FACTOR, member[j]] = -1
    for i in range(j, k - 1):
        member[i], numbers[W, i] = member[i + 1], numbers[W, i + 1]
        pool.places[FACTOR, member[i]] = i
        for row in range(i + 2):
            R[row, i] = R[row, i + 1]
    for i in range(j, k - 1):
        rho = np.hypot(R[i, i], R[i + 1, i])
        c, s = (1.0, 0.0) if rho == 0.0 else (R[i, i] / rho, R[i + 1, i] / rho)
        for m in range(np.uint64(i), np.uint64(k - 1)):
            upper, lower = R[i, m], R[i + 1, m]
            R[i, m], R[i + 1, m] = c * upper + s * lower, c * lower - s * upper
        for m in range(Q.shape[1]):
            upper, lower = Q[i, m], Q[i + 1, m]
            Q[i, m], Q[i + 1, m] = c * upper + s * lower, c * lower - s * upper
        upper, lower = numbers[QY, i], numbers[QY, i + 1]
        numbers[QY, i], numbers[QY, i + 1] = c * upper + s * lower, c * lower - s * upper
    add_row(r, numbers[QY, k - 1], Q, k - 1)


@inner
def refresh(pool, factors, k, y, r):
    """Compute the coefficients and the residual again from the data, which removes the rounding errors of updates.

    This is done at every jump. An error of the gradient on the active set enters nu and the jump times multiplied by
    the length of the plateau, so that even a small one matters.
    """
    numbers = factors.numbers
    for i in range(len(r)):
        r[i] = y[i]
    for j in range(k):
        add_row(r, -numbers[W, j], pool.columns, factors.member[j])
    for j in range(k):
        numbers[TRIAL, j] = row_dot(factors.Q, j, r)
        numbers[QY, j] += numbers[TRIAL, j]
        add_row(r, -numbers[TRIAL, j], factors.Q, j)
    solve_upper(factors.R, k, numbers)
    for j in range(k):
        numbers[W, j] += numbers[TRIAL, j]


@inner
def entering_slot(pool, count, r, least):
    """Return the pool slot without a coefficient that has the largest signed, normalised correlation with the residual.

    Returns -1 if no such correlation is above `least`.
    """
    best = -1
    for slot in range(count):
        if pool.places[FACTOR, slot] < 0 and pool.places[BANNED, slot] == 0:
            product = row_dot(pool.columns, slot, r)
            value = pool.numbers[SIGN, slot] * product / pool.numbers[SIZE, slot]
            if value > least:
                best, least = slot, value
    return best


@inner
def step_to_trial(pool, factors, k, zero):
    """Move the coefficients towards the least-squares point of the factor columns, as far as their signs allow.

    Returns the factor column whose coefficient vanishes first, or -1 if the least-squares point is reached.
    """
    numbers, length, blocking = factors.numbers, 1.0, -1
    for j in range(k):
        numbers[TRIAL, j] = numbers[QY, j]
    solve_upper(factors.R, k, numbers)
    for j in range(k):
        slot = factors.member[j]
        sign = pool.numbers[SIGN, slot]
        here, there = sign * numbers[W, j], sign * numbers[TRIAL, j]
        if there * pool.numbers[SIZE, slot] <= zero:
            ratio = here / (here - there) if here > there and here > 0.0 else 0.0
            if blocking < 0 or ratio < length:
                length, blocking = ratio, j
    if length > 1.0:
        length = 1.0
    for j in range(k):
        way = numbers[TRIAL, j] - numbers[W, j]
        numbers[W, j] = numbers[TRIAL, j] if blocking < 0 else numbers[W, j] + length * way
    return blocking


@merged
def refit(pool, count, factors, k, r, rounding):
    """Solve least squares over the pool with fixed signs of the coefficients, by Lawson-Hanson from the last point.

    The pool, the factors, k and the residual describe the last point and are changed in place to the new one. Columns
    whose sign * x^T r / ||x|| is at most `rounding` get no coefficient. Returns k, or -1 if the iteration has not ended
    after the largest number of changes that is allowed.
    """
    for slot in range(count):
        pool.places[BANNED, slot] = 0
    negligible = rounding[1]
    left = 50 * (count + 10)
    while left > 0:
        slot = entering_slot(pool, count, r, rounding[0])
        if slot < 0:
            break
        left -= 1
        before = dot(r, r)
        stays = append_column(pool, slot, factors, k, r)
        if stays:
            k += 1
            while k > 0:
                vanishing = step_to_trial(pool, factors, k, negligible)
                if vanishing < 0:
                    break
                remove_column(pool, factors, k, vanishing, r)
                k -= 1
            # In exact arithmetic every column that enters lowers the loss. If the loss did not fall, the correlation
            # of the column was rounding, and the column is left out.
            lowered = dot(r, r) < before
            stays = lowered and pool.places[FACTOR, slot] >= 0
        if not stays:
            pool.places[BANNED, slot] = 1
    return k if left > 0 else -1


# --------------------------------------------------------------------------------------- the next coordinates


@inner
def wait(s, c, lower, upper):
    """Return the time that s needs to reach its threshold at speed c; inf if c is 0."""
    if c == 0.0:
        return np.inf
    way = upper - s if c > 0.0 else s - lower
    return way / abs(c) if way > 0.0 else 0.0


@inner
def arrives(s, c, lower, upper, step, time):
    """Return whether s is at its threshold after this step of time, up to rounding."""
    bound, there = (upper, s + step * c) if c > 0.0 else (-lower, -s - step * c)
    return c != 0.0 and there >= bound - SIMULTANEOUS * (bound + abs(c) * time)


@inner
def examine(X, path, vectors, unit):
    """Compute s and speed of the listed columns, and return the least time to a hit.

    Columns of speed 0 are removed from the list. If all columns are listed, S, SPEED, the drift and the residual of the
    last examination are set anew.
    """
    columns, places, counts = path.columns, path.places, path.counts
    count, kept, n, first = counts[LISTED], 0, len(vectors.r), np.inf
    everything = count == columns.shape[1]
    counts[LISTED_FROM] = 0
    products(X, path, vectors.drift, vectors.r)
    for k in range(count):
        i = places[NEAR, k]
        s, c = columns[S, i] + columns[NEAR_S, k], columns[NEAR_SPEED, k] / n
        if abs(c) <= path.clock[ROUNDING] * unit * columns[NORM, i]:
            c = 0.0
        if everything:
            columns[S, i], columns[SPEED, i] = s, c
        if c != 0.0 and places[SLOT, i] < 0:
            places[NEAR, kept], columns[NEAR_S, kept], columns[NEAR_SPEED, kept] = i, s, c
            time = wait(s, c, columns[LOWER, i], columns[UPPER, i])
            if time < first:
                first = time
            kept += 1
    counts[EXAMINED] += count
    counts[LISTED] = kept
    if everything:
        counts[EXAMINED] = 0
        for i in range(n):
            vectors.drift[i], vectors.seen[i] = 0.0, vectors.r[i]
    return first


@inner
def guess(path, along, speed):
    """List columns that may hit soon: those that were listed at the last jump, or one column of each block.

    Each block gives the column that would hit first if nu had moved by `along` times `seen` since the last examination
    of all columns, and if the residual were `speed` times `seen`.
    """
    columns, places, count = path.columns, path.places, 0
    for k in range(path.counts[LISTED]):
        if count < _MANY and places[SLOT, places[NEAR, k]] < 0:
            places[NEAR, count] = places[NEAR, k]
            count += 1
    if count < _BLOCKS:
        d, count = columns.shape[1], 0
        for block in range(_BLOCKS):
            best, least = -1, np.inf
            for i in range(block * d // _BLOCKS, (block + 1) * d // _BLOCKS):
                s, c = columns[S, i] + along * columns[SPEED, i], speed * columns[SPEED, i]
                way = columns[UPPER, i] - s if c > 0.0 else s - columns[LOWER, i]
                # This compares way / |c| with the least value without the division, which is slow.
                if way < least * abs(c) and places[SLOT, i] < 0:
                    best, least = i, way / abs(c)
            if best >= 0:
                places[NEAR, count] = best
                count += 1
    path.counts[LISTED] = count


@inner
def screen(path, vectors, ahead, step):
    """List every column that may reach a threshold within `step`, by the Cauchy-Schwarz bound.

    At the end of the step, s_i = S[i] + ahead * SPEED[i] + x_i^T v, where v is the part of the change of nu that is not
    along `seen`, and |x_i^T v| <= ||x_i|| ||v||. Because s is linear in time, it suffices to look at the end of the
    step.
    """
    columns, n, square, count = path.columns, len(vectors.r), 0.0, 0
    for i in range(n):
        gap = vectors.drift[i] + step / n * vectors.r[i] - ahead / n * vectors.seen[i]
        square += gap * gap
    tie = SIMULTANEOUS * (path.clock[NOW] + step) * np.sqrt(dot(vectors.r, vectors.r)) / n
    reach = np.sqrt(square) + tie
    for i in range(columns.shape[1]):
        s, margin = columns[S, i] + ahead * columns[SPEED, i], columns[NORM, i] * reach
        outside = s + margin > columns[UPPER, i] * _NEARLY or s - margin < columns[LOWER, i] * _NEARLY
        if outside and path.places[SLOT, i] < 0:
            path.places[NEAR, count] = i
            count += 1
    path.counts[LISTED] = count


@inner
def inward_wait(path, pool):
    """Return the time until the first boundary coordinate whose gradient points inward reaches its other threshold."""
    least = np.inf
    for slot in range(path.counts[POOLED]):
        i = pool.places[OWNER, slot]
        lower, upper = path.columns[LOWER, i], path.columns[UPPER, i]
        s = upper if pool.numbers[SIGN, slot] > 0.0 else lower
        time = wait(s, pool.numbers[INWARD, slot], lower, upper)
        if time < least:
            least = time
    return least


@merged
def next_hit(X, path, vectors, pool, unit):
    """Return the time until the next hit (inf: none); afterwards the list holds every column that may be part of it."""
    counts, n, d = path.counts, len(vectors.r), path.columns.shape[1]
    least = inward_wait(path, pool)
    square = dot(vectors.r, vectors.r)
    moving = (
        np.sqrt(square) > path.clock[ROUNDING] * unit * n
    )  # otherwise, by Cauchy-Schwarz, every column moves by rounding only
    bounded = False
    if moving and counts[EXAMINED] < _LOOK_SHARE * d:
        square, along, speed = dot(vectors.seen, vectors.seen), 0.0, 0.0
        if square > 0.0:
            along = n * dot(vectors.drift, vectors.seen) / square
            speed = dot(vectors.r, vectors.seen) / square
        guess(path, along, speed)
        time = examine(X, path, vectors, unit)
        if time < least:
            least = time
        bounded = not np.isinf(least)
        if bounded:
            screen(path, vectors, along + least * speed, least)
    if not bounded:
        for i in range(d):
            path.places[NEAR, i] = i
        counts[LISTED] = d
    if not moving:
        counts[LISTED] = 0
    time = examine(X, path, vectors, unit)
    return time if time < least else least


@inner
def arrivals(path, pool, step):
    """Write the coordinates that arrive after this step, up to rounding, into HITS; return their number."""
    columns, places, found, time = path.columns, path.places, 0, path.clock[NOW] + step
    for slot in range(path.counts[POOLED]):
        i, c = pool.places[OWNER, slot], pool.numbers[INWARD, slot]
        lower, upper = columns[LOWER, i], columns[UPPER, i]
        s = upper if pool.numbers[SIGN, slot] > 0.0 else lower
        if arrives(s, c, lower, upper, step, time):
            places[HITS, found] = i if c > 0.0 else -1 - i
            found += 1
    for k in range(path.counts[LISTED]):
        i, c = places[NEAR, k], columns[NEAR_SPEED, k]
        if arrives(columns[NEAR_S, k], c, columns[LOWER, i], columns[UPPER, i], step, time):
            places[HITS, found] = i if c > 0.0 else -1 - i
            found += 1
    # A list of all moving columns is no useful guess for the next jump.
    if path.counts[EXAMINED] == 0:
        path.counts[LISTED] = 0
    return found


# --------------------------------------------------------------------------------------------------- the jump


@inner
def data_scale(pool, factors, k, y):
    """Return ||y|| + sum ||x_i|| |w_i|, the scale of rounding errors of the residual."""
    scale = np.sqrt(dot(y, y))
    for j in range(k):
        scale += pool.numbers[SIZE, factors.member[j]] * abs(factors.numbers[W, j])
    return scale


@inner
def release(X, path, vectors, pool, member):
    """Remove the boundary coordinates whose gradient points inward from the pool; their s starts at the threshold.

    The column of the last slot moves into the slot that becomes free.
    """
    columns, places, counts = path.columns, path.places, path.counts
    counts[LISTED_FROM] = counts[LISTED]
    for slot in range(counts[POOLED] - 1, -1, -1):
        if pool.places[FACTOR, slot] >= 0 or pool.numbers[INWARD, slot] == 0.0:
            continue
        i, last = pool.places[OWNER, slot], counts[POOLED] - 1
        columns[S, i] = columns[UPPER, i] if pool.numbers[SIGN, slot] > 0.0 else columns[LOWER, i]
        places[NEAR, counts[LISTED]] = i
        counts[LISTED] += 1
        if slot != last:
            for m in range(pool.columns.shape[1]):
                pool.columns[slot, m] = pool.columns[last, m]
            for row in range(3):
                pool.numbers[row, slot], pool.places[row, slot] = (
                    pool.numbers[row, last],
                    pool.places[row, last],
                )
            places[SLOT, pool.places[OWNER, slot]] = slot
            if pool.places[FACTOR, slot] >= 0:
                member[pool.places[FACTOR, slot]] = slot
        places[SLOT, i] = -1
        counts[POOLED] = last
    products(X, path, vectors.drift, vectors.r)
    for k in range(counts[LISTED_FROM], counts[LISTED]):
        columns[S, places[NEAR, k]] -= columns[NEAR_S, k]


@inner
def boundary_speeds(r, rounding, pool, count):
    """Compute the speeds x_i^T r / n on the boundary; they are 0 for active coordinates and below rounding.

    Returns the largest residual of the optimality conditions, for columns scaled to norm 1.
    """
    worst = 0.0
    for slot in range(count):
        speed, size = row_dot(pool.columns, slot, r) / len(r), pool.numbers[SIZE, slot]
        least = rounding * size
        outward = abs(speed) > least and speed * pool.numbers[SIGN, slot] > 0.0
        if pool.places[FACTOR, slot] >= 0 or outward:
            # The optimality conditions exclude an outward speed on the boundary, so its size measures their violation.
            if abs(speed) / size > worst:
                worst = abs(speed) / size
            speed = 0.0
        elif abs(speed) <= least:
            speed = 0.0
        pool.numbers[INWARD, slot] = speed
    return worst


@inner
def returned(counts, pool, member, supports):
    """Return whether the path has visited this support and boundary before.

    The loss falls at every jump, so that a second visit means that the remaining gradient is rounding.
    """
    word = np.uint64(0)
    for slot in range(counts[POOLED]):
        word ^= supports.words[pool.places[OWNER, slot]] >> np.uint64(1)
    for j in range(counts[ACTIVE]):
        word ^= supports.words[pool.places[OWNER, member[j]]]
    jumps = counts[JUMPS]
    for i in range(jumps):
        if supports.visited[i] == word:
            return True
    supports.visited[jumps] = word
    return False


@inner
def record(path, vectors, pool, factors, rows, worst):
    """Write the present saddle into the next row; return the number of idle coordinates.

    A coordinate is idle if it is on the boundary and both its coefficient and its gradient are 0.
    """
    counts = path.counts
    row, k, count, idle = counts[WRITTEN], counts[ACTIVE], counts[POOLED], 0
    rows.numbers[row, TIME] = path.clock[NOW]
    rows.numbers[row, SQUARES] = dot(vectors.r, vectors.r)
    rows.numbers[row, WORST] = worst
    for i in range(len(vectors.nu)):
        rows.nu[row, i] = vectors.nu[i]
    for j in range(k):
        rows.support[row, j] = pool.places[OWNER, factors.member[j]]
        rows.values[row, j] = factors.numbers[W, j]
    for slot in range(count):
        rows.boundary[row, slot] = pool.places[OWNER, slot]
        if pool.places[FACTOR, slot] < 0 and pool.numbers[INWARD, slot] == 0.0:
            idle += 1
    rows.sizes[row, SUPPORT], rows.sizes[row, BOUNDARY], rows.sizes[row, IDLE] = k, count, idle
    counts[WRITTEN] = row + 1
    return idle


@inner
def has_room(counts, n, d, owners, members, visited, rows, found):
    """Return whether the tables have room for another row, the arriving columns and one more visited support."""
    needed = counts[POOLED] + found
    columns = needed if needed < d else d
    if columns > n:
        columns = n
    room = needed <= owners and columns <= members
    return room and counts[WRITTEN] < rows and counts[JUMPS] + 1 < visited


@entry
def walk(X, path, vectors, pool, factors, supports, rows, step, found, t_max):
    """Jump from saddle to saddle and write each saddle into a row.

    The first jump is after the time `step` and has `found` arrivals.

    The function returns when the tables are full, when idle coordinates need Python, when no jump is left before t_max,
    or when a refit did not end. The result is (whether all refits ended, next step, number of next arrivals). Then
    `counts[WRITTEN]` is the number of rows, and `clock[NEXT]` is the time of the next jump. That time is inf at a
    minimum. It is inf also if support and boundary were visited before: the loss falls at every jump, so the remaining
    gradient is rounding.
    """
    counts, clock, y, r = path.counts, path.clock, vectors.y, vectors.r
    n, d, member = len(r), path.columns.shape[1], factors.member
    owners, members, visited, most = (
        pool.places.shape[1],
        len(member),
        len(supports.visited),
        len(rows.numbers),
    )
    counts[WRITTEN] = 0
    while has_room(counts, n, d, owners, members, visited, most, found):
        release(X, path, vectors, pool, member)
        for i in range(n):
            vectors.nu[i] += step / n * r[i]
            vectors.drift[i] += step / n * r[i]
        clock[NOW] += step
        admit(X, path, pool, found)
        scale = data_scale(pool, factors, counts[ACTIVE], y)
        rounding = (clock[ROUNDING] * scale, NEGLIGIBLE * scale)
        k = refit(pool, counts[POOLED], factors, counts[ACTIVE], r, rounding)
        if k < 0:
            return False, step, found
        refresh(pool, factors, k, y, r)
        counts[ACTIVE] = k
        counts[JUMPS] += 1
        unit = data_scale(pool, factors, k, y) / n
        worst = boundary_speeds(r, clock[ROUNDING] * unit, pool, counts[POOLED])
        step = np.inf
        if not returned(counts, pool, member, supports):
            step = next_hit(X, path, vectors, pool, unit)
        clock[NEXT] = clock[NOW] + step
        found = 0 if np.isinf(step) else arrivals(path, pool, step)
        idle = record(path, vectors, pool, factors, rows, worst / unit if unit > 0.0 else 0.0)
        if idle > 0 or np.isinf(step) or clock[NEXT] > t_max:
            break
    return True, step, found
