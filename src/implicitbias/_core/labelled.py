"""The only module that imports xarray: labelled copies of results, and NetCDF files."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from implicitbias._core.errors import InputError


def dataset(
    variables: Mapping[str, tuple[Sequence[str], np.ndarray]],
    coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Any:
    """Return an `xarray.Dataset` made from {name: (dimensions, values)}."""
    import xarray

    return xarray.Dataset(
        {name: (tuple(dims), np.array(values)) for name, (dims, values) in variables.items()},
        coords=dict(coordinates),
        attrs=dict(attributes),
    )


def is_dataset(value: Any) -> bool:
    """Return whether a value is an `xarray.Dataset`; it loads no library."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, xarray.Dataset)


def columns(data: Any) -> dict[str, np.ndarray]:
    """Return the variables and coordinates of a dataset that have one dimension, by name."""
    return {str(name): np.asarray(item.values) for name, item in data.variables.items() if item.ndim == 1}


def write_netcdf(data: Any, path: Path) -> None:
    """Write a dataset to a compressed NetCDF-4 file with checksums; if writing fails, no incomplete file is left.

    The file is built in memory and then written as bytes. If HDF5 itself cannot write, for instance because the disk is
    full, it ends the process with a segmentation fault later when it closes the file.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    # Scalars cannot be compressed.
    encoding = {
        name: {"zlib": True, "fletcher32": True}
        for name, variable in data.variables.items()
        if variable.dtype.kind in "fiu" and variable.size and variable.ndim
    }
    content = data.to_netcdf(engine="h5netcdf", encoding=encoding)
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_netcdf(path: Path) -> Any:
    """Return the dataset of a NetCDF-4 file, loaded into memory.

    Raises:
        InputError: the file does not exist, is not a NetCDF-4 file, or is damaged.
    """
    import xarray

    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        with xarray.open_dataset(path, engine="h5netcdf") as data:
            return data.load()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as NetCDF-4 ({error}); it is damaged or of another kind"
        ) from error
