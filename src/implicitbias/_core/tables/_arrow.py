"""pyarrow tables as grids, and the formats that pyarrow reads: Parquet, Feather and Arrow IPC."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cleaning import Cleaning
from implicitbias._core.tables._grid import Grid, TextColumn
from implicitbias._core.tables._words import some


def grid_of_arrow(table: Any, missing: frozenset[str], layout: str, notes: tuple[str, ...] = ()) -> Grid:
    """Return the columns of a pyarrow table. Types without numbers become text."""
    import pyarrow

    values = np.empty((table.num_rows, table.num_columns), order="F")
    texts, truths = {}, []
    for j, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pyarrow.types.is_dictionary(column.type):
            decoded = column.cast(column.type.value_type)
            column = column if pyarrow.types.is_string(decoded.type) else decoded
        if not _fill_numbers(column, values[:, j]):
            texts[name] = _texts(column, missing)
            values[:, j] = np.nan
            continue
        if pyarrow.types.is_boolean(column.type):
            truths.append(name)
    return Grid(tuple(table.column_names), values, texts, layout, tuple(truths), notes)


def _fill_numbers(column: Any, values: Float64[ndarray, " n"]) -> bool:
    """Write a column of numbers into an array, with NaN for nulls; return False if it holds something else."""
    from pyarrow import float64, types

    kind = column.type
    if types.is_null(kind):
        values[:] = np.nan
        return True
    if types.is_boolean(kind) or types.is_decimal(kind):
        column = column.cast(float64())
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        return False
    start = 0
    for chunk in column.chunks:  # chunk by chunk, so that the column is copied once
        values[start : start + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
        start += len(chunk)
    return True


def _texts(column: Any, missing: frozenset[str]) -> TextColumn:
    from pyarrow import types

    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind):
        column = column.dictionary_encode()
    elif not types.is_dictionary(kind):  # dates, times, lists: their text is shown in a message
        return TextColumn.of(column.to_pylist(), missing)
    coded = column.combine_chunks()
    coded = coded.chunk(0) if hasattr(coded, "chunk") else coded
    codes = np.asarray(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)
    return TextColumn.of_coded(codes, coded.dictionary.to_pylist(), missing)


def load_parquet(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the columns of a Parquet file, without the index of a pandas frame."""
    from pyarrow import parquet

    return _loaded(file, data, cleaning, "Parquet", lambda source: parquet.ParquetFile(source).read())


def load_feather(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the columns of a Feather file (Arrow IPC) or of an IPC stream, without the index of a pandas frame."""
    from pyarrow import ipc

    opened = ipc.open_file if data.startswith(b"ARROW1") else ipc.open_stream
    return _loaded(file, data, cleaning, "Feather or Arrow IPC", lambda source: opened(source).read_all())


def _loaded(file: Path, data: bytes, cleaning: Cleaning, layout: str, read: Callable[[Any], Any]) -> Grid:
    import pyarrow

    try:
        table = read(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        lines = str(error).strip().splitlines() or ["unknown"]
        raise InputError(f"{file} cannot be read as {layout}: {lines[0]}") from None
    repeated = [name for name, count in Counter(table.column_names).items() if count > 1]
    if repeated:
        raise InputError(
            f"{file}: more than one column has the name {some(repeated)}; give each column its own name"
        )
    # pandas names the columns of an index, and describes a range, which has no column, by a dict.
    index, named = [], []
    for entry in (table.schema.pandas_metadata or {}).get("index_columns", ()):
        if isinstance(entry, dict):
            named += [] if entry.get("name") is None else [str(entry["name"])]
        elif entry in table.column_names:
            index.append(entry)
            named += [] if entry.startswith("__index_level_") else [entry]
    notes = (f"the index of the table ({some(named)}) was left out",) if named else ()
    return grid_of_arrow(table.drop_columns(index), frozenset(cleaning.missing), layout, notes)
