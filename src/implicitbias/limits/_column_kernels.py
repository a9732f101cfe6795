"""Compiled: products with the columns of X, dense or sparse. The type of the storage picks the loop."""

# mypy: allow-untyped-defs, allow-incomplete-defs
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload
from numpy import ndarray

from implicitbias._core.linear_maps import DenseMap, LinearMap, ShiftedMap, SparseMap

_SUM: Any = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy"}


class Dense(NamedTuple):
    """An (n, d) array; Fortran order is the fast one."""

    X: ndarray


class Sparse(NamedTuple):
    """The arrays of a CSC matrix less `rows` times `shift`: (n,) and (d,), or empty where nothing is taken off."""

    values: ndarray
    indices: ndarray
    indptr: ndarray
    rows: ndarray
    shift: ndarray


def storage(columns: LinearMap) -> Dense | Sparse:
    """What the compiled loops read."""
    if isinstance(columns, DenseMap):
        # A memory map as the plain array that it is: the same machine code.
        return Dense(columns.X.view(np.ndarray))
    if isinstance(columns, ShiftedMap):
        X = columns.plain.X
        return Sparse(X.data, X.indices, X.indptr, columns.rows, columns.shift)
    assert isinstance(columns, SparseMap)
    X, nothing = columns.X, np.empty(0)
    nothing.flags.writeable = False
    return Sparse(X.data, X.indices, X.indptr, nothing, nothing)


def along(store, v):
    """What the rank-one part of X sees of v; 0 where there is none."""
    raise TypeError("compiled only")


def some_products(store, indices, count, a, b, put_a, put_b):
    """put_a[k] = x_j^T a and put_b[k] = x_j^T b for the first `count` of the columns j in `indices`.

    One call for many columns: a call on its own costs more than a short column, in counting references to arrays.
    """
    raise TypeError("compiled only")


def write_column(store, j, out):
    """out = x_j."""
    raise TypeError("compiled only")


def correlate(store, a, b, add_a, put_b):
    """add_a += X^T a and put_b = X^T b in one pass over X."""
    raise TypeError("compiled only")


def _is_dense(store):
    return isinstance(store, types.NamedUniTuple) and store.instance_class is Dense


@overload(along, jit_options=_SUM)
def _along(store, v):
    if _is_dense(store):
        return lambda store, v: 0.0

    def sparse(store, v):
        total = 0.0
        for i in range(len(store.rows)):
            total += store.rows[i] * v[i]
        return total

    return sparse


@overload(some_products, jit_options=_SUM)
def _some_products(store, indices, count, a, b, put_a, put_b):
    if _is_dense(store):

        def dense(store, indices, count, a, b, put_a, put_b):
            X = store.X
            for k in range(count):
                j, first, second = indices[k], 0.0, 0.0
                for i in range(len(a)):
                    first += X[i, j] * a[i]
                    second += X[i, j] * b[i]
                put_a[k], put_b[k] = first, second

        return dense

    def sparse(store, indices, count, a, b, put_a, put_b):
        values, rows, indptr, shift = store.values, store.indices, store.indptr, store.shift
        seen_a, seen_b = along(store, a), along(store, b)
        for k in range(count):
            j, first, second = indices[k], 0.0, 0.0
            for place in range(indptr[j], indptr[j + 1]):
                first += values[place] * a[rows[place]]
                second += values[place] * b[rows[place]]
            if len(shift) > 0:
                first -= shift[j] * seen_a
                second -= shift[j] * seen_b
            put_a[k], put_b[k] = first, second

    return sparse


@overload(write_column, jit_options=_SUM)
def _write_column(store, j, out):
    if _is_dense(store):

        def dense(store, j, out):
            for i in range(len(out)):
                out[i] = store.X[i, j]

        return dense

    def sparse(store, j, out):
        for i in range(len(out)):
            out[i] = -store.shift[j] * store.rows[i] if len(store.shift) > 0 else 0.0
        for place in range(store.indptr[j], store.indptr[j + 1]):
            out[store.indices[place]] += store.values[place]

    return sparse


@overload(correlate, jit_options=_SUM)
def _correlate(store, a, b, add_a, put_b):
    if _is_dense(store) and store.dtype.layout == "C":

        def by_rows(store, a, b, add_a, put_b):
            X = store.X
            for j in range(len(put_b)):
                put_b[j] = 0.0
            for i in range(len(a)):
                for j in range(len(put_b)):
                    add_a[j] += X[i, j] * a[i]
                    put_b[j] += X[i, j] * b[i]

        return by_rows

    if _is_dense(store):

        def by_columns(store, a, b, add_a, put_b):
            X = store.X
            for j in range(len(put_b)):
                first, second = 0.0, 0.0
                for i in range(len(a)):
                    first += X[i, j] * a[i]
                    second += X[i, j] * b[i]
                add_a[j] += first
                put_b[j] = second

        return by_columns

    def sparse(store, a, b, add_a, put_b):
        values, rows, indptr, shift = store.values, store.indices, store.indptr, store.shift
        seen_a, seen_b = along(store, a), along(store, b)
        for j in range(len(put_b)):
            first, second = 0.0, 0.0
            for place in range(indptr[j], indptr[j + 1]):
                first += values[place] * a[rows[place]]
                second += values[place] * b[rows[place]]
            if len(shift) > 0:
                first -= shift[j] * seen_a
                second -= shift[j] * seen_b
            add_a[j] += first
            put_b[j] = second

    return sparse
