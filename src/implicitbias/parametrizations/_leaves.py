"""Checks of parameters that are arrays of any dimension, or tuples of such arrays."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import real_array
from implicitbias._core.errors import InputError


def leaf(value: Any, name: str, ndim: int | None = None) -> Float64[ndarray, "..."]:
    """Return `value` as a finite and not empty float64 array with `ndim` dimensions (None: any number, at least one).

    Raises:
        InputError: `value` is not such an array.
    """
    if ndim is None:
        try:
            ndim = max(1, np.ndim(value))
        except ValueError:  # The rows have unequal lengths; `real_array` reports this.
            ndim = 1
    array = real_array(value, name, ndim)
    if array.size == 0:
        raise InputError(f"{name} is empty: its shape is {array.shape}, at least one entry is expected")
    return array


def equal_leaves(theta: Any, name: str, labels: tuple[str, ...]) -> tuple[ndarray, ...]:
    """Return `theta` as a tuple of float64 arrays of equal shape, one for each label."""
    parts = leaves(theta, name, labels, "equal length")
    first = leaf(parts[0], labels[0])
    arrays = [
        first,
        *(leaf(part, label, first.ndim) for part, label in zip(parts[1:], labels[1:], strict=True)),
    ]
    for array, label in zip(arrays[1:], labels[1:], strict=True):
        if array.shape != first.shape:
            raise InputError(
                f"{labels[0]} has {_extent(first)} and {label} has {_extent(array)}, they must agree"
            )
    return tuple(arrays)


def leaves(theta: Any, name: str, labels: tuple[str, ...], which: str) -> tuple[Any, ...]:
    """Return the members of a tuple or list, one for each label; the members are not checked."""
    if isinstance(theta, (tuple, list)) and len(theta) == len(labels):
        return tuple(theta)
    kind = "a pair" if len(labels) == 2 else "a tuple"
    members = ", ".join(labels if len(labels) <= 4 else (labels[0], "...", labels[-1]))
    got = type(theta).__name__
    if isinstance(theta, (tuple, list)):
        got = f"a {got} of {len(theta)}"
    raise InputError(
        f"{name} must be {kind} ({members}) of {len(labels)} arrays of {which}, got {got}; type {name} = ({members})"
    )


def _extent(array: ndarray) -> str:
    return f"{len(array)} entries" if array.ndim == 1 else f"shape {array.shape}"
