"""Arrays at the border: what comes in is checked and made float64, what goes out is read-only."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError


def frozen(array: Any) -> ndarray:
    """A read-only view of the array: results are values."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def kept(value: Any) -> Any:
    """A read-only copy of an array or a list, for values that are checked later; anything else as it is."""
    if isinstance(value, (ndarray, list)):
        try:
            return frozen(np.array(value))
        except ValueError:  # rows of unequal lengths: refused where it is checked
            return value
    return value


def as_float(value: Any) -> float:
    """A real number as a float; inf for a whole number beyond float64."""
    try:
        return float(value)
    except OverflowError:
        return float(np.copysign(np.inf, 1 if value > 0 else -1))


def real_array(value: Any, name: str, ndim: int, order: Literal["K", "F"] = "K") -> Float64[ndarray, "..."]:
    """A finite float64 copy of `value` with `ndim` dimensions, or an `InputError` that says what was got."""
    if type(value).__module__.startswith("scipy.sparse"):
        raise InputError(
            f"{name} is a scipy.sparse matrix, a dense array is expected here; type {name} = {name}.toarray()"
        )
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        _refuse_text_columns(value, name)
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(
            f"{name} is a masked array, whose mask would be lost; drop or impute the masked entries"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
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
    with np.errstate(over="ignore"):  # a long double may become inf, which is refused next
        array = array.astype(np.float64, order=order, copy=True)
    refuse_non_finite(array, name)
    return array


def _reshape_hint(name: str, array: ndarray, ndim: int) -> str:
    if ndim == 2 and array.ndim == 1:
        return f"; for a single feature type {name} = {name}.reshape(-1, 1)"
    if ndim == 1 and array.ndim == 2 and 1 in array.shape:
        return f"; type {name} = numpy.ravel({name})"
    return ""


def _refuse_text_columns(frame: Any, name: str) -> None:
    text = [
        str(column) for column, kind in zip(frame.columns, frame.dtypes, strict=True) if not _is_number(kind)
    ]
    if text:
        raise InputError(
            f"{name} has columns that are not numbers: {', '.join(text[:5])}{' ...' if len(text) > 5 else ''}; "
            f"type {name} = {name}.select_dtypes('number'), or encode them (pandas.get_dummies)"
        )


def _is_number(kind: Any) -> bool:
    return getattr(kind, "kind", "O") in "fiub"


def _objects_to_float(array: ndarray, name: str) -> ndarray:
    # NumPy would read "1.5" as a number, and a date as days since 1970.
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


def refuse_non_finite(array: ndarray, name: str) -> None:
    """An `InputError` that says how many entries are NaN or infinite, and where the first one is."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(array)):  # one pass and no copy; a sum that overflows is looked at below
            return
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = ", ".join(str(i) for i in first)
        raise InputError(
            f"{name} holds {int(bad.sum())} NaN or infinite value(s), the first at [{place}]; "
            f"finite numbers are expected. Drop those rows or impute them first"
        )
