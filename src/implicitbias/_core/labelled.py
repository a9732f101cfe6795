"""The only module that imports xarray: labelled copies of results, and NetCDF files."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.whole_files import written_whole


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
    # Scalars cannot be compressed.
    encoding = {
        name: {"zlib": True, "fletcher32": True}
        for name, variable in data.variables.items()
        if variable.dtype.kind in "fiu" and variable.size and variable.ndim
    }
    content = data.to_netcdf(engine="h5netcdf", encoding=encoding)
    with written_whole(path) as part:
        part.write_bytes(content)


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


def zarr_bytes(data: Any) -> bytes:
    """Return a dataset as the bytes of a zipped Zarr store.

    Version 2 of the format is written, because version 3 has no stable form for texts yet.
    """
    import io
    import zipfile

    from zarr.storage import MemoryStore

    # xarray writes some entries twice, which a zip file would keep twice.
    entries: dict[str, Any] = {}
    data.to_zarr(MemoryStore(entries), zarr_format=2, consolidated=False)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content.to_bytes())
    return file.getvalue()


def open_zarr(path: Path) -> Any:
    """Return the dataset of a zipped Zarr store; its arrays are read when they are used.

    Raises:
        InputError: the file is missing or damaged.
    """
    import zipfile

    import xarray
    from zarr.storage import ZipStore

    try:
        return xarray.open_zarr(ZipStore(path, mode="r"), consolidated=False, zarr_format=2, chunks={})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as Zarr ({in_one_line(error)}); it is missing or damaged: start the sweep again "
            "with the same folder, and the runs in it are computed again"
        ) from error


def labelled_arrays(
    variables: Mapping[str, tuple[Sequence[str], Any]],
    coordinates: Mapping[str, Any],
    attributes: Mapping[str, Any],
) -> Any:
    """Return an `xarray.Dataset` of arrays as they are, which may be arrays of Dask that are computed on use."""
    import xarray

    return xarray.Dataset(dict(variables), coords=dict(coordinates), attrs=dict(attributes))
