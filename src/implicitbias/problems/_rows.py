"""Checks of the data X of linear problems."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array, refuse_non_finite
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import DenseMap, LinearMap, SparseMap, canonical
from implicitbias._core.tables import frame_arrays, is_frame

# Squares of numbers outside this range, and norms of such columns, overflow or underflow in float64.
SMALLEST, LARGEST = 1e-140, 1e140
_SHOWN = 5


def checked_map(X: Any, targets: int) -> tuple[LinearMap, tuple[str, ...] | None]:
    """Return X (dense, memory-mapped or sparse) as a `LinearMap`, and the names of its columns.

    Raises:
        InputError: the number of rows is not `targets`, or entries are NaN, infinite or extreme.
    """
    columns, names = _as_map(X)
    refuse_shape(columns.shape, targets)
    norms = columns.norms
    if np.all((norms >= SMALLEST * np.sqrt(targets)) & (norms <= LARGEST)):
        return columns, names
    # Most often a column is zero, which is accepted. Otherwise the error says which entries are wrong.
    with np.errstate(invalid="ignore"):
        sizes = columns.sizes()
        bad = np.flatnonzero(~((sizes == 0.0) | ((sizes >= SMALLEST) & (sizes <= LARGEST))))
    if len(bad):
        refuse_non_finite_columns(columns, bad)
        raise extreme("X", bad, ndim=2)
    return columns, names


def _as_map(X: Any) -> tuple[LinearMap, tuple[str, ...] | None]:
    if isinstance(X, LinearMap):
        return X, None  # The library made this map, and it is read-only.
    # The first use of scipy.sparse loads it, which takes a while and is not needed for plain arrays.
    if not isinstance(X, np.ndarray | list | tuple) and scipy.sparse.issparse(X):
        return SparseMap(canonical(X)), None
    if isinstance(X, np.memmap) and X.ndim == 2 and X.dtype in (np.float64, np.float32) and _is_packed(X):
        return DenseMap(frozen(X)), None  # A memory map is not copied, because it may be larger than memory.
    if not is_frame(X):
        return DenseMap(frozen(real_array(X, "X", ndim=2, order="F"))), None
    values, names = frame_arrays(X, "X")
    refuse_non_finite(values, "X")
    return DenseMap(frozen(np.asfortranarray(values))), names


def _is_packed(X: ndarray) -> bool:
    return X.flags.c_contiguous or X.flags.f_contiguous


def checked_names(given: Any, of_frame: tuple[str, ...] | None, d: int) -> tuple[str, ...] | None:
    """Return the given names of the d columns, or by default the column names of a DataFrame."""
    if given is None:
        return of_frame
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InputError(f"feature_names is {given!r}, a list of {d} names is expected")
    names = tuple(str(name) for name in given)
    if len(names) != d:
        raise InputError(f"feature_names has {len(names)} names, but X has {d} columns")
    return names


def refuse_non_finite_columns(columns: LinearMap, indices: ndarray) -> None:
    """Raise an `InputError` if a column has a NaN or infinite entry; it says where the first one is."""
    for index in indices[:_SHOWN]:
        values = columns.take(np.array([index]))[:, 0]
        wrong = np.flatnonzero(~np.isfinite(values))
        if len(wrong):
            others = f" ({len(indices) - 1} more column(s) may hold some)" if len(indices) > 1 else ""
            raise InputError(
                f"X holds NaN or infinite values, the first at [{wrong[0]}, {index}]{others}; finite numbers are "
                "expected. Drop those rows or impute them first"
            )


def refuse_shape(shape: tuple[int, ...], targets: int) -> None:
    """Raise an `InputError` if X is empty, has one row, or has another number of rows than `targets`."""
    n, d = shape
    if n == 0 or d == 0:
        raise InputError(f"X is empty: its shape is {shape}, at least two rows and one column are expected")
    if n != targets:
        hint = "; X looks transposed, type X = X.T" if targets == d else ""
        raise InputError(f"X has {n} rows and y has {targets} values, they must agree{hint}")
    if n == 1:
        raise InputError(
            "X has one row, at least two samples are expected; if the row is one feature, type X = X.reshape(-1, 1)"
        )


def checked_w(w: Any, name: str, d: int) -> Float64[ndarray, " d"]:
    """Return `w` as a (d,) float64 array, or raise an `InputError`."""
    array = real_array(w, name, ndim=1)
    if array.shape[0] != d:
        raise InputError(
            f"{name} has {array.shape[0]} entries, but X has {d} columns; one entry for each column is expected"
        )
    return array


def refuse_extreme(array: ndarray, name: str) -> None:
    """Raise an `InputError` if the squares of some entries overflow or underflow."""
    sizes = np.abs(array).max(axis=0, initial=0.0)
    bad = np.flatnonzero((sizes > LARGEST) | ((sizes > 0) & (sizes < SMALLEST)))
    if len(bad):
        raise extreme(name, bad, array.ndim)


def extreme(name: str, bad: ndarray, ndim: int) -> InputError:
    """Return the error for extreme magnitudes in these columns of a matrix, or in a vector."""
    where, what = "", name
    if ndim == 2:
        where, what = f" in column(s) {', '.join(str(i) for i in bad[:_SHOWN])}", f"{name}[:, {bad[0]}]"
    return InputError(
        f"{name} holds magnitudes outside [{SMALLEST:g}, {LARGEST:g}]{where}, whose squares exceed the range of "
        "float64; "
        f"change the unit, for instance type {what} = {what} / abs({what}).max()"
    )
