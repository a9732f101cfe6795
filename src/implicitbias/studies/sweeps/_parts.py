"""The arrays of a sweep's store: immutable Zarr files, each with the values of many runs of one layout."""

import io
import os
import zipfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import dataset, open_zarr, zarr_bytes
from implicitbias.studies.sweeps._variables import Variables

ARRAYS = "arrays"
_END = ".zarr.zip"


def write_part(folder: Path, values: Variables) -> tuple[str, str]:
    """Write the stacked values of runs to a new file, and return its name and the digest of its bytes.

    The file is complete before it gets its name, so a process that is killed leaves no half-written part.

    Raises:
        OSError: the file cannot be written.
    """
    place = folder / ARRAYS
    place.mkdir(exist_ok=True)
    name = f"{uuid4().hex}{_END}"
    unfinished = place / f".{name}.part"
    content = zarr_bytes(dataset(values, {}, {}))
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(place / name)
    finally:
        unfinished.unlink(missing_ok=True)
    return name, sha256(content).hexdigest()


def open_part(folder: Path, name: str) -> Any:
    """Return the `xarray.Dataset` of a part; its arrays are read when they are used.

    Raises:
        InputError: the file is missing or damaged.
    """
    return open_zarr(folder / ARRAYS / name)


def is_damaged(folder: Path, name: str, digest: str) -> bool:
    """Return whether the bytes of a part are other than those that were written, or are missing."""
    try:
        with (folder / ARRAYS / name).open("rb") as file:
            found = sha256()
            while block := file.read(2**20):
                found.update(block)
    except OSError:
        return True
    return found.hexdigest() != digest


def remove_unknown(folder: Path, known: set[str]) -> None:
    """Delete the parts that no ledger knows; a process that was killed, or a merge, leaves them.

    Those who have opened a part can still read it. Windows keeps such a file, which a later call then deletes.
    """
    place = folder / ARRAYS
    for file in place.glob(f"*{_END}*") if place.is_dir() else ():
        if file.name not in known:
            with suppress(PermissionError):
                file.unlink(missing_ok=True)
    for file in place.glob(".*.part") if place.is_dir() else ():
        file.unlink(missing_ok=True)


def packed(values: Variables) -> bytes:
    """Return arrays and the names of their dimensions as the bytes of an NPZ file, without pickle."""
    file = io.BytesIO()
    arrays = {f"{name}|{','.join(dims)}": array for name, (dims, array) in values.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return file.getvalue()


def unpacked(content: bytes) -> Variables:
    """Return what `packed` was given.

    Raises:
        InputError: the bytes are damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"a blob of the ledger is damaged ({error})") from error
    return {
        key.partition("|")[0]: (tuple(filter(None, key.partition("|")[2].split(","))), array)
        for key, array in found.items()
    }
