"""Data frames of pandas, Polars, pyarrow and other libraries as float64 arrays, through narwhals."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._words import some

_SHOWN = 40  # characters of a cell in a message


class FrameArrays(NamedTuple):
    """The numbers (n, d) of a data frame, and the d names of its columns as text."""

    values: Float64[ndarray, "n d"]
    names: tuple[str, ...]


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame, eager or lazy, of a library that narwhals knows; it loads no library."""
    if not hasattr(type(value), "columns"):  # all of them have this attribute, arrays do not
        return False
    import narwhals

    return narwhals.dependencies.is_into_dataframe(value) or _is_lazy(value)


def is_series(value: Any) -> bool:
    """Return whether a value is a column (a pandas, Polars or pyarrow series) that narwhals knows."""
    if isinstance(value, ndarray | list | tuple) or np.isscalar(value):
        return False
    import narwhals

    return narwhals.dependencies.is_into_series(value)


def frame_arrays(frame: Any, name: str = "X") -> FrameArrays:
    """Return the columns of a data frame as float64.

    pandas, Polars and pyarrow give the same numbers. True and false become 1 and 0. Decimals and whole numbers are
    rounded to float64. Nullable columns are accepted if no value is missing. Infinite values are not checked here.

    Args:
        frame: a data frame with n rows and d columns of numbers or truth values.
        name: the name of the argument, for error messages.

    Raises:
        InputError: the frame is lazy, two columns have the same name, columns hold text, categories, dates or other
            values that are not numbers, or values are missing (null, None, NA or NaN). The message names the columns.

    Examples:
        >>> import pandas
        >>> from implicitbias._core.tables import frame_arrays
        >>> frame_arrays(pandas.DataFrame({"a": [1, 2], "b": [True, False]})).values.tolist()
        [[1.0, 1.0], [2.0, 0.0]]
    """
    eager = _eager(frame, name)
    # The types are read once, because a frame may have many thousands of columns.
    kinds = list(eager.schema.values())
    names = tuple(str(label) for label in eager.columns)
    if kinds and all(kind.is_float() or kind.is_integer() for kind in kinds):
        values = eager.to_numpy()
        if values.dtype.kind in "fiu":
            values = np.array(values, dtype=np.float64, order="K")
            _refuse_missing(values, names, name)
            return FrameArrays(values, names)
    values = np.empty(eager.shape, order="F")
    refused: dict[str, str] = {}
    for j, column in enumerate(eager.iter_columns()):
        array = _column_numbers(column)
        if array is None:
            refused[names[j]] = _example(column)
        else:
            values[:, j] = array
    if refused:
        first = next(iter(refused))
        frames = "" if len(refused) == 1 else f" ({len(refused)} of {len(names)} columns)"
        raise InputError(
            f"{name} has columns that are not numbers: {some(list(refused))}{frames}; {first} holds {refused[first]}. "
            "Encode categories as columns of 0 and 1 (sklearn.preprocessing.OneHotEncoder(drop='first')), or remove "
            f"the columns: type {name} = {name}.drop({_drop_argument(frame, list(refused)[:5])})"
        )
    _refuse_missing(values, names, name)
    return FrameArrays(values, names)


def series_array(series: Any, name: str = "y") -> Float64[ndarray, " n"]:
    """Return one column of a data frame library as float64, under the rules of `frame_arrays`.

    Raises:
        InputError: the column holds values that are not numbers, or values are missing.

    Examples:
        >>> import pandas
        >>> from implicitbias._core.tables import series_array
        >>> series_array(pandas.Series([1, 2], dtype="Int64")).tolist()
        [1.0, 2.0]
    """
    import narwhals

    column = narwhals.from_native(series, series_only=True)
    array = _column_numbers(column)
    if array is None:
        raise InputError(f"{name} holds {_example(column)}; numbers are expected")
    missing = np.flatnonzero(np.isnan(array))
    if len(missing):
        raise InputError(
            f"{name} has {len(missing)} missing values (row {some([str(i + 1) for i in missing], 3)}); leave those "
            "rows out"
        )
    return array


def _eager(frame: Any, name: str) -> Any:
    import narwhals

    try:
        if _is_lazy(frame):
            raise InputError(
                f"{name} is a lazy frame, whose values are not computed yet; type {name} = {name}.collect()"
            )
        return narwhals.from_native(frame, eager_only=True)
    except narwhals.exceptions.DuplicateError as error:
        first = " ".join(str(error).split())
        raise InputError(
            f"{name} has columns of the same name ({first[:200]}); give each column its own name"
        ) from None


def _is_lazy(value: Any) -> bool:
    import narwhals

    return isinstance(narwhals.from_native(value, pass_through=True), narwhals.LazyFrame)


def _column_numbers(column: Any) -> Float64[ndarray, " n"] | None:
    """Return a narwhals series as float64 with NaN for missing values, or None if it holds something else."""
    import narwhals

    kind = column.dtype
    if kind.is_numeric() or kind == narwhals.Boolean:
        return np.asarray(column.cast(narwhals.Float64).to_numpy(), dtype=np.float64)
    if kind not in (narwhals.Object, narwhals.Unknown):
        # pandas calls a column of nothing but None text.
        return np.full(len(column), np.nan) if column.null_count() == len(column) else None
    # Python objects, columns of nulls, and types that narwhals does not name, such as pandas' sparse columns.
    array = np.asarray(column.to_numpy())
    if array.dtype.kind in "biuf":
        return np.array(array, dtype=np.float64)
    if array.dtype.kind != "O":
        return None
    numbers = [object_number(item) for item in array]
    return None if None in numbers else np.array(numbers, dtype=np.float64)


def object_number(value: Any) -> float | None:
    """Return a Python object as a number: NaN if it stands for a missing value, None if it is not a number."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond float64; infinite values are refused later
            return float(np.inf if value > 0 else -np.inf)
    return float(value) if type(value).__name__ == "Decimal" else None


def _example(column: Any) -> str:
    kept = column.drop_nulls()
    first = f", for instance {str(kept[0])[:_SHOWN]!r}" if len(kept) else ""
    return f"values of type {column.dtype}{first}"


def _drop_argument(frame: Any, names: list[str]) -> str:
    return f"columns={names}" if type(frame).__module__.startswith("pandas") else str(names)


def _refuse_missing(values: Float64[ndarray, "n d"], names: tuple[str, ...], name: str) -> None:
    # One pass without a copy. Infinite values of both signs also give NaN, and are told apart below.
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isnan(np.sum(values)):
            return
    missing = np.isnan(values)
    if not missing.any():
        return
    counts = missing.sum(axis=0)
    rows = int(missing.any(axis=1).sum())
    columns = [f"{names[j]} ({counts[j]})" for j in np.argsort(-counts, kind="stable") if counts[j]]
    raise InputError(
        f"{name} holds {int(missing.sum())} missing or NaN values, in {rows} of {len(values)} rows and "
        f"{len(columns)} of {len(names)} columns: {some(columns)}. Drop those rows or impute them first"
    )
