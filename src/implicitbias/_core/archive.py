"""Saving and loading of results: an NPZ archive with arrays and a JSON header, without pickled code."""

import contextlib
import glob
import json
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.whole_files import PART, written_whole

_HEADER = "header"
# The end of the names of temporary files.
# The errors that NumPy, zipfile and json raise for damaged files.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,  # zipfile raises it for an unknown compression or encryption.
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
)


class FileKind(NamedTuple):
    """The kind of a file: a name that is stored in it, the version of its layout, and a noun for messages."""

    name: str
    version: int
    noun: str


def write_archive(
    path: Path,
    kind: FileKind,
    header: Mapping[str, Any],
    arrays: Mapping[str, ndarray],
    *,
    compressed: bool = True,
) -> None:
    """Write a header and arrays to one file; if writing fails, no incomplete file is left at `path`.

    The file is written under a unique temporary name, and it is moved when its content is on the disk. After a crash of
    the process or of the machine, `path` therefore holds either the old or the new content.

    Args:
        path: the file; an existing file is replaced.
        kind: the kind of the file.
        header: values that JSON can represent.
        arrays: arrays by name, but not arrays of Python objects.
        compressed: whether the arrays are compressed, which takes much longer than writing them.

    Raises:
        InputError: the file cannot be written, or an array holds Python objects.
    """
    text = json.dumps({"kind": kind.name, "version": kind.version, **header}, allow_nan=False)
    objects = [name for name, array in arrays.items() if array.dtype == object]
    if objects:
        raise InputError(f"{objects[0]!r} holds Python objects, which cannot be saved; numbers are expected")
    save = np.savez_compressed if compressed else np.savez
    try:
        with written_whole(path) as part, part.open("xb") as stream:
            save(stream, allow_pickle=False, **{**arrays, _HEADER: np.array(text)})
            stream.flush()
            os.fsync(stream.fileno())
        _settle(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose another file") from error


def remove_parts(path: Path) -> None:
    """Remove the temporary files of `write_archive` that a killed process has left beside `path`.

    Call it only while no other process writes to `path`.
    """
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{PART}"):
        part.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk, where the system can do this for folders."""
    if sys.platform == "win32":
        return
    entry = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(
            OSError
        ):  # Some network file systems refuse it; the file itself is complete.
            os.fsync(entry)
    finally:
        os.close(entry)


def read_archive(path: Path, kind: FileKind) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Return the header and the read-only arrays of a file.

    Raises:
        InputError: the file does not exist, is damaged, is of another kind, or has a later version.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    with damage_told(path, kind):
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: frozen(archive[name]) for name in archive.files}
        except OSError as error:  # NumPy raises it for an unknown file format.
            raise ValueError(str(error)) from error
        header = dict(json.loads(str(arrays.pop(_HEADER))))
        found = str(header["kind"]), int(header["version"])
    if found[0] != kind.name or found[1] > kind.version:
        raise InputError(
            f"{path} holds {found[0]} of version {found[1]}, {kind.name} of version {kind.version} is expected"
        )
    return header, arrays


@contextmanager
def damage_told(path: Path, kind: FileKind) -> Iterator[None]:
    """Convert errors inside this scope to an `InputError` that says that the file is damaged."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGES as error:
        raise InputError(
            f"{path} is not a saved {kind.noun}, or is damaged ({type(error).__name__}: {error})"
        ) from error
