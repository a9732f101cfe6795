"""The runs of a store as a table in a Parquet file."""

from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.tables import write_parquet
from implicitbias.studies.sweeps._opened import MISSING, open_store
from implicitbias.studies.sweeps._store import DONE
from implicitbias.studies.sweeps._variables import RESERVED


def to_parquet(folder: Any, file: Any, study: str | None = None) -> Path:
    """Write the runs of a store to a Parquet file, one row a run, for pandas, polars, R or SQL.

    The columns are the settings; `state` ("done" or "failed"), `seconds`, `code` and `error`; and the values. Arrays
    become lists, and complex numbers two columns, name_real and name_imag. Values of a run that failed are null; where
    there are such runs, whole numbers and truth values become numbers of double precision, as in `open`.

    Args:
        folder: the folder that a sweep has written.
        file: the name of the file; an existing one is replaced.
        study: the name of the study or function, where the folder has several.

    Returns:
        The path of the file.

    Raises:
        InputError: the folder holds no store, or several studies and none is chosen, or the file cannot be written.

    Examples:
        >>> import implicitbias as ib, pyarrow.parquet, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> swept = ib.studies.sweep(lambda a: {"half": a / 2}, {"a": [1, 2]}, out=folder)
        >>> file = ib.studies.to_parquet(folder, folder + "/runs.parquet")
        >>> pyarrow.parquet.read_table(file, columns=["a", "half"]).to_pylist()
        [{'a': 1, 'half': 0.5}, {'a': 2, 'half': 1.0}]
    """
    if not str(file):
        raise InputError("the name of the Parquet file is empty; type one such as runs.parquet")
    data = open_store(folder, study)
    axes = data["state"].dims
    there = data["state"].values.ravel() != MISSING
    columns: dict[str, np.ndarray] = {}
    for name in [*data.coords, *(name for name in data.data_vars)]:
        item = data[name]
        inner = tuple(dim for dim in item.dims if dim not in axes)
        spread = item.broadcast_like(data["state"]).transpose(*axes, *inner).values
        values = spread.reshape(there.size, *spread.shape[len(axes) :])[there]
        parts = {"_real": values.real, "_imag": values.imag} if values.dtype.kind == "c" else {"": values}
        for end, part in parts.items():
            if f"{name}{end}" in columns:
                raise InputError(
                    f"two variables would be the column {name}{end}; return one under another name"
                )
            columns[f"{name}{end}"] = part
    settings = [str(name) for name in data.coords if set(data[name].dims) <= set(axes)]
    first = [*settings, *RESERVED]
    order = [*first, *(name for name in columns if name not in first)]
    done = columns["state"] == DONE
    known = {name: np.ones_like(done) if name in first else done for name in order}
    place = Path(file)
    write_parquet({name: columns[name] for name in order}, known, place)
    return place
