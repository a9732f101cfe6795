"""The rows X that linear problems share, checked."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError

# Squares of numbers outside this range leave float64's, and norms with them.
SMALLEST, LARGEST = 1e-140, 1e140


def checked_rows(X: Any, targets: int) -> tuple[Float64[ndarray, "n d"], tuple[str, ...] | None]:
    """X as a read-only float64 array with as many rows as targets, and its column names."""
    columns = getattr(X, "columns", None)
    names = None if columns is None else tuple(str(name) for name in columns)
    X = real_array(X, "X", ndim=2)
    n, d = X.shape
    if n == 0 or d == 0:
        raise InputError(f"X is empty: its shape is {X.shape}, at least two rows and one column are expected")
    if n != targets:
        hint = "; X looks transposed, type X = X.T" if targets == d else ""
        raise InputError(f"X has {n} rows and y has {targets} values, they must agree{hint}")
    if n == 1:
        raise InputError(
            "X has one row, at least two samples are expected; if the row is one feature, type X = X.reshape(-1, 1)"
        )
    refuse_extreme(X, "X")
    return frozen(X), names


def checked_w(w: Any, name: str, d: int) -> Float64[ndarray, " d"]:
    """`w` as a (d,) float64 array."""
    array = real_array(w, name, ndim=1)
    if array.shape[0] != d:
        raise InputError(
            f"{name} has {array.shape[0]} entries, one for each of the {d} columns of X is expected"
        )
    return array


def refuse_extreme(array: ndarray, name: str) -> None:
    """An `InputError` for magnitudes whose squares overflow or underflow."""
    sizes = np.abs(array).max(axis=0, initial=0.0)
    bad = np.flatnonzero((sizes > LARGEST) | ((sizes > 0) & (sizes < SMALLEST)))
    if len(bad) == 0:
        return
    if array.ndim == 1:
        where, what = "", name
    else:
        where, what = f" in column(s) {', '.join(str(i) for i in bad[:5])}", f"{name}[:, {bad[0]}]"
    raise InputError(
        f"{name} holds magnitudes outside [{SMALLEST:g}, {LARGEST:g}]{where}, whose squares leave float64; "
        f"change the unit, for instance type {what} = {what} / abs({what}).max()"
    )
