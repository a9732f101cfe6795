"""The one door to xarray: labelled copies of results, and NetCDF files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def dataset(
    variables: Mapping[str, tuple[Sequence[str], np.ndarray]],
    coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Any:
    """An `xarray.Dataset` from {name: (dimensions, values)}."""
    import xarray

    return xarray.Dataset(
        {name: (tuple(dims), np.array(values)) for name, (dims, values) in variables.items()},
        coords=dict(coordinates),
        attrs=dict(attributes),
    )


def write_netcdf(data: Any, path: Path) -> None:
    """Write a dataset as NetCDF-4, compressed, whole or not at all."""
    part = path.with_name(path.name + ".part")
    encoding = {
        name: {"zlib": True} for name, variable in data.data_vars.items() if variable.dtype.kind in "fiu"
    }
    data.to_netcdf(part, engine="h5netcdf", encoding=encoding)
    part.replace(path)


def read_netcdf(path: Path) -> Any:
    """The dataset in a NetCDF-4 file, read into memory."""
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf") as data:
        return data.load()
