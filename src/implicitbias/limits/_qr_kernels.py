"""Compiled: a thin QR factorisation that gains and loses columns, and the signed least squares on top of it."""

# mypy: allow-untyped-defs, allow-incomplete-defs
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy import ndarray

# A column whose part outside the span of the others is smaller than this (relative) counts as dependent.
DEPENDENT = 1e-13
# A coefficient whose share of the fit is smaller than this (relative to the data) counts as 0.
NEGLIGIBLE = 1e-13


class Pool(NamedTuple):
    """Columns that may carry a coefficient, one a row: with sign, norm and place in the factors (-1: none)."""

    columns: ndarray
    signs: ndarray
    norms: ndarray
    place: ndarray


class Factors(NamedTuple):
    """Row j of `Q` is the j-th orthonormal vector (so that products with it are contiguous); `R` is upper
    triangular in its leading k x k block; `member[j]` is the pool slot of factor column j, `w[j]` its coefficient.
    """

    Q: ndarray
    R: ndarray
    member: ndarray
    w: ndarray


@njit(cache=True)
def append_column(Q, R, k, x, norm):
    """Append x as factor column k. False, and nothing done, where it depends on the columns that are there."""
    if k >= Q.shape[0]:
        return False
    v, inside = x.copy(), np.zeros(k)
    for _ in range(2 if k > 0 else 0):  # Gram-Schmidt twice is enough
        h = np.dot(Q[:k], v)
        v -= np.dot(h, Q[:k])
        inside += h
    rho = np.sqrt(np.dot(v, v))
    if rho <= DEPENDENT * norm:
        return False
    Q[k] = v / rho
    R[:k, k] = inside
    R[k, k] = rho
    return True


@njit(cache=True)
def remove_column(Q, R, k, j):
    """Remove factor column j by Givens rotations; k - 1 columns remain."""
    for column in range(j, k - 1):
        R[: column + 2, column] = R[: column + 2, column + 1]
    for i in range(j, k - 1):
        a, b = R[i, i], R[i + 1, i]
        rho = np.hypot(a, b)
        c, s = (1.0, 0.0) if rho == 0.0 else (a / rho, b / rho)
        for column in range(i, k - 1):
            upper, lower = R[i, column], R[i + 1, column]
            R[i, column] = c * upper + s * lower
            R[i + 1, column] = c * lower - s * upper
        for row in range(Q.shape[1]):
            upper, lower = Q[i, row], Q[i + 1, row]
            Q[i, row] = c * upper + s * lower
            Q[i + 1, row] = c * lower - s * upper


@njit(cache=True)
def solve_upper(R, k, b):
    """R x = b, in place."""
    for i in range(k - 1, -1, -1):
        total = b[i]
        for j in range(i + 1, k):
            total -= R[i, j] * b[j]
        b[i] = total / R[i, i]


@njit(cache=True)
def _residual(pool, factors, k, w, y, r):
    r[:] = y
    for j in range(k):
        weight, column = w[j], pool.columns[factors.member[j]]
        for i in range(len(r)):
            r[i] -= weight * column[i]


@njit(cache=True)
def _least_squares(pool, factors, k, y, r, w):
    """w = argmin ||y - A w|| over the factor columns A, refined once; r = y - A w."""
    Q, R = factors.Q, factors.R
    w[:k] = np.dot(Q[:k], y)
    solve_upper(R, k, w)
    _residual(pool, factors, k, w, y, r)
    step = np.dot(Q[:k], r)
    solve_upper(R, k, step)
    w[:k] += step
    _residual(pool, factors, k, w, y, r)


@njit(cache=True)
def _entering_slot(pool, count, banned, r, threshold):
    """The free pool slot whose signed, normalised correlation with r is largest, or -1."""
    best, best_value = -1, threshold
    for slot in range(count):
        if pool.place[slot] < 0 and not banned[slot]:
            value = pool.signs[slot] * np.dot(pool.columns[slot], r) / pool.norms[slot]
            if value > best_value:
                best, best_value = slot, value
    return best


@njit(cache=True)
def _drop(pool, factors, k, j):
    """Factor column j leaves; returns the new number of columns."""
    member, w = factors.member, factors.w
    remove_column(factors.Q, factors.R, k, j)
    pool.place[member[j]] = -1
    for i in range(j, k - 1):
        member[i], w[i] = member[i + 1], w[i + 1]
        pool.place[member[i]] = i
    return k - 1


@njit(cache=True)
def _first_to_vanish(pool, factors, k, trial, zero):
    """(length, column) of the first coefficient to vanish on the way to `trial`; column -1 where none does."""
    length, blocking = 1.0, -1
    for j in range(k):
        slot = factors.member[j]
        here, there = pool.signs[slot] * factors.w[j], pool.signs[slot] * trial[j]
        if there * pool.norms[slot] <= zero:
            ratio = min(1.0, here / (here - there)) if here > max(there, 0.0) else 0.0
            if blocking < 0 or ratio < length:
                length, blocking = ratio, j
    return length, blocking


@njit(cache=True)
def _walk(pool, factors, k, y, r, zero):
    """From feasible coefficients to the least-squares point of the columns that keep their sign."""
    w, trial = factors.w, np.empty(k)
    while k > 0:
        _least_squares(pool, factors, k, y, r, trial)
        length, blocking = _first_to_vanish(pool, factors, k, trial, zero)
        if blocking < 0:
            w[:k] = trial[:k]
            return k
        w[:k] += length * (trial[:k] - w[:k])
        k = _drop(pool, factors, k, blocking)
    r[:] = y
    return k


@njit(cache=True)
def refit(pool, count, factors, k, y, r, rounding, scale):
    """Least squares over the pool with the sign of each coefficient held (Lawson-Hanson, from where it stands).

    In: pool, factors, k and r describe the last point; out: the new one, in place. Columns whose
    sign * x^T r / ||x|| is at most rounding * scale stay out. Returns (k, changes), changes < 0 where the
    number of changes says that it would not end.
    """
    banned = np.zeros(count, dtype=np.bool_)
    most = 50 * (count + 10)
    for change in range(most):
        slot = _entering_slot(pool, count, banned, r, rounding * scale)
        if slot < 0:
            return k, change
        if not append_column(factors.Q, factors.R, k, pool.columns[slot], pool.norms[slot]):
            banned[slot] = True
            continue
        factors.member[k], pool.place[slot], factors.w[k] = slot, k, 0.0
        before = np.dot(r, r)
        k = _walk(pool, factors, k + 1, y, r, NEGLIGIBLE * scale)
        # In exact arithmetic every entry lowers the loss; one that does not is rounding and stays out.
        if pool.place[slot] < 0 or np.dot(r, r) >= before:
            banned[slot] = True
    return k, -1
