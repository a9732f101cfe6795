"""Checks of the arrays that users pass in, and read-only arrays for results."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError

# Entries of A - A^T up to this share of the largest of A are rounding.
_SYMMETRIC = 1e-12


def frozen(array: Any) -> ndarray:
    """Return a read-only view of an array."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def kept(value: Any) -> Any:
    """Return a read-only copy of an array or a list, and any other object unchanged; the content is not checked.

    Integers and floats become float64, so that equal numbers have equal fingerprints.
    """
    if isinstance(value, (ndarray, list)):
        try:
            array = np.array(value)
            return frozen(array.astype(np.float64) if array.dtype.kind in "iuf" else array)
        except ValueError:  # The rows have unequal lengths; the later check reports this.
            return value
    return value


def as_float(value: Any) -> float:
    """Return a real number as a float, or plus or minus infinity for an integer that is too large for float64."""
    try:
        return float(value)
    except OverflowError:
        return float(np.copysign(np.inf, 1 if value > 0 else -1))


def real_number(value: Any) -> float | None:
    """Return one real number, also one in an array of no dimension, as a float; None if the value is something else."""
    try:
        array = np.asarray(value)
    except ValueError:  # Its rows have different lengths.
        return None
    return as_float(array.item()) if array.ndim == 0 and array.dtype.kind in "fiu" else None


def real_array(value: Any, name: str, ndim: int, order: Literal["K", "F"] = "K") -> Float64[ndarray, "..."]:
    """Return a finite float64 copy of `value` with `ndim` dimensions.

    Args:
        value: an array, a list, or a data frame or column of pandas, Polars or pyarrow.
        name: the name of the argument, for error messages.
        ndim: the expected number of dimensions.
        order: the memory order of the copy.

    Raises:
        InputError: `value` is sparse, masked, complex, not numeric, of another dimension, or holds NaN or infinity.
    """
    if type(value).__module__.startswith("scipy.sparse"):
        raise InputError(
            f"{name} is a scipy.sparse matrix, a dense array is expected here; type {name} = {name}.toarray()"
        )
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array, and its mask would be lost; drop or impute the masked entries"
        )
    try:
        array = np.asarray(_of_frame(value, name))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is not an array of numbers: {error}") from error
    if array.dtype.kind in "OUSMmVT":
        array = _objects_to_float(array, name)
    if array.dtype.kind == "c":
        raise InputError(
            f"{name} is complex ({array.dtype}), real numbers are expected; type {name} = {name}.real"
        )
    if array.ndim != ndim:
        raise InputError(
            f"{name} has shape {array.shape}, {ndim} dimension(s) are expected{_reshape_hint(name, array, ndim)}"
        )
    with np.errstate(over="ignore"):  # A long double may become inf; the next check rejects it.
        array = array.astype(np.float64, order=order, copy=True)
    refuse_non_finite(array, name)
    return array


def _reshape_hint(name: str, array: ndarray, ndim: int) -> str:
    if ndim == 2 and array.ndim == 1:
        return f"; for a single feature type {name} = {name}.reshape(-1, 1)"
    if ndim == 1 and array.ndim == 2 and 1 in array.shape:
        return f"; type {name} = numpy.ravel({name})"
    return ""


def _of_frame(value: Any, name: str) -> Any:
    """Return a data frame as an array (n, d), a column of a frame as an array (n,), and any other object unchanged."""
    if isinstance(value, ndarray | list | tuple):
        return value
    from implicitbias._core.tables import frame_arrays, is_frame, is_series, series_array

    if is_frame(value):
        return frame_arrays(value, name).values
    return series_array(value, name) if is_series(value) else value


def _objects_to_float(array: ndarray, name: str) -> ndarray:
    # Text is rejected explicitly, because NumPy would convert "1.5" to a number and a date to days since 1970.
    if array.dtype != object or any(isinstance(item, (str, bytes)) for item in array.ravel()):
        raise InputError(
            f"{name} holds values that are not numbers ({array.dtype}); encode or drop them first"
        )
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} holds values that are not numbers ({error}); encode or drop them first"
        ) from error


def symmetric_array(value: Any, name: str) -> Float64[ndarray, "d d"]:
    """Return `value` as a symmetric float64 matrix, its rounding averaged, or raise an `InputError`."""
    matrix = real_array(value, name, ndim=2)
    if matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InputError(f"{name} has shape {matrix.shape}, a square matrix (d, d) is expected")
    apart, size = float(np.max(np.abs(matrix - matrix.T))), float(np.max(np.abs(matrix)))
    if apart > _SYMMETRIC * size:
        raise InputError(
            f"{name} is not symmetric: {name} and {name}.T differ by up to {apart:g}; "
            f"type {name} = ({name} + {name}.T) / 2 to symmetrise it"
        )
    return (matrix + matrix.T) / 2


def refuse_non_finite(array: ndarray, name: str) -> None:
    """Raise an `InputError` if entries are NaN or infinite; it gives their number and the index of the first one."""
    with np.errstate(over="ignore", invalid="ignore"):
        # The sum needs one pass and no copy. If the sum itself overflows, the entries are checked below.
        if np.isfinite(np.sum(array)):
            return
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(str(i) for i in first)
        raise InputError(
            f"{name} holds {int(bad.sum())} NaN or infinite value(s), the first at [{place}]; "
            f"finite numbers are expected. Drop those rows or impute them first"
        )
