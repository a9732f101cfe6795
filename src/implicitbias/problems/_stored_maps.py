"""Conversion between linear maps and named arrays, for files."""

from collections.abc import Mapping

import scipy
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import DenseMap, LinearMap, ShiftedMap, SparseMap

_SPARSE = ("data", "indices", "indptr")


def stored_map_arrays(linear_map: LinearMap) -> dict[str, ndarray]:
    """Return the arrays of a linear map without a copy.

    Raises:
        InputError: the map is not dense, sparse or shifted.
    """
    if isinstance(linear_map, DenseMap):
        return {"X": linear_map.X}
    if isinstance(linear_map, SparseMap):
        return {name: getattr(linear_map.X, name) for name in _SPARSE}
    if isinstance(linear_map, ShiftedMap):
        shift = {"rows": linear_map.rows, "shift": linear_map.shift}
        return stored_map_arrays(linear_map.plain) | shift
    raise InputError(
        f"X is a {type(linear_map).__name__}, which cannot be saved; a dense or sparse X is expected"
    )


def stored_map(kind: str, arrays: Mapping[str, ndarray], shape: tuple[int, ...]) -> LinearMap:
    """Return the linear map of the class `kind` that has these arrays.

    Raises:
        ValueError: the class is unknown.
    """
    if kind == DenseMap.__name__:
        return DenseMap(arrays["X"])
    if kind not in (SparseMap.__name__, ShiftedMap.__name__):
        raise ValueError(f"{kind} is not a linear map that can be loaded")
    X = scipy.sparse.csc_array(tuple(arrays[name] for name in _SPARSE), shape=shape)
    return SparseMap(X) if kind == SparseMap.__name__ else ShiftedMap(X, arrays["rows"], arrays["shift"])
