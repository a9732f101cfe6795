"""The columns of numbers of a measured log, in which values may be missing."""

from pathlib import Path
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._frames import _column_numbers, _eager


def numeric_columns(frame: Any, name: str) -> dict[str, Float64[ndarray, " n"]]:
    """Return the columns of numbers of a data frame as float64, with NaN for missing values; others are left out.

    Raises:
        InputError: the frame is lazy, or two columns have the same name.

    Examples:
        >>> import pandas
        >>> from implicitbias._core.tables import numeric_columns
        >>> frame = pandas.DataFrame({"t": [1, None], "run": ["a", "b"]})
        >>> numeric_columns(frame, "log")["t"].tolist(), list(numeric_columns(frame, "log"))
        ([1.0, nan], ['t'])
    """
    eager = _eager(frame, name)
    found = {str(column.name): _column_numbers(column) for column in eager.iter_columns()}
    return {label: array for label, array in found.items() if array is not None}


def read_columns(file: Path) -> dict[str, Float64[ndarray, " n"]]:
    """Return the columns of numbers of a CSV file with a header, with NaN for empty cells; others are left out.

    Raises:
        InputError: there is no such file, or it is not a CSV file.
    """
    import narwhals
    import pyarrow

    if not file.is_file():
        raise InputError(f"there is no file {file}, a CSV file with a header is expected")
    try:
        frame = narwhals.read_csv(str(file), backend="pyarrow")
    except pyarrow.ArrowException as error:
        raise InputError(
            f"{file} cannot be read as CSV ({' '.join(str(error).split())[:200]}); a header and rows with as many "
            "cells are expected, separated by commas"
        ) from error
    return numeric_columns(frame.to_native(), str(file))
