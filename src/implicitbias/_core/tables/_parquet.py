"""Write columns to a Parquet file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.whole_files import written_whole


def write_parquet(columns: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray], path: Path) -> None:
    """Write arrays whose first axis counts the rows; further axes become lists.

    Args:
        columns: {name: values}.
        known: {name: whether the value of each row is known}; the others are null.
        path: the file, which is replaced after the new one is complete.

    Raises:
        InputError: the file cannot be written, or the values of a column have no type in common.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    filled = {}
    for name, values in columns.items():
        try:
            filled[name] = _column(values, known[name])
        except pa.ArrowException as error:
            raise InputError(
                f"the values of {name} are no column of Parquet ({in_one_line(error)}); it probably holds fractions "
                "and whole numbers beyond 2^53 in one variable: return them under two names"
            ) from None
    table = pa.table(filled)
    try:
        with written_whole(path) as part:
            pq.write_table(table, part)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}); type another file") from None


def _column(values: np.ndarray, known: np.ndarray) -> Any:
    import pyarrow as pa

    if values.ndim > 1:
        rows = [row.tolist() if there else None for row, there in zip(values, known, strict=True)]
        return pa.array(rows)
    if values.dtype.kind == "U":
        return pa.array(values.tolist(), type=pa.string(), mask=~known)
    if values.dtype.kind == "O":  # Whole numbers beyond 2^53, with NaN where there is none.
        return pa.array([None if value != value else value for value in values.tolist()])
    return pa.array(values, mask=~known)
