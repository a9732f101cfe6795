"""NumPy arrays and archives, and SciPy's sparse matrices, as grids."""

import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._frames import object_number
from implicitbias._core.tables._grid import Grid, TextColumn
from implicitbias._core.tables._words import some

_LAYOUTS = (
    "an array X of shape (n, d), optionally with feature_names (d,), and the target as an array (n,) or a column "
    "of X; one array (n,) for each column; or a matrix that scipy.sparse.save_npz wrote"
)
# All that a pickled NumPy array of texts and numbers refers to. Nothing else is loaded, so that no code runs.
_HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}


def load_npy(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the columns x0, x1, ... of an array (n, d), or the fields of a structured array (n,)."""
    if not data.startswith(b"\x93NUMPY"):
        raise InputError(f"{file} is not a NumPy array; write one with numpy.save(file, array)")
    array = _array(file, data)
    if array.dtype.names and array.ndim == 1:
        fields = {name: array[name] for name in array.dtype.names}
        return _grid(fields, cleaning, "NPY, one field for each column")
    if array.ndim != 2:
        raise InputError(
            f"{file} holds an array of shape {array.shape}, (n, d) is expected: d columns, the target among them"
        )
    return _grid(_numbered(array), cleaning, "NPY", numbered=True)


def load_npz(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the columns of an archive, or raise an `InputError` that says what the archive holds."""
    arrays = _archive(file, data)
    if {"format", "shape", "data"} <= arrays.keys() and arrays["format"].ndim == 0:
        return _sparse(file, data)
    if "X" in arrays and arrays["X"].ndim == 2:
        return _with_matrix(file, arrays, cleaning, target)
    odd = [f"{name} {array.shape}" for name, array in arrays.items() if array.ndim != 1]
    lengths = {len(array) for array in arrays.values() if array.ndim == 1}
    if odd or len(lengths) != 1:
        shapes = [f"{name} {array.shape}" for name, array in arrays.items()]
        raise InputError(f"{file} holds {some(shapes, 8) or 'no arrays'}; expected is {_LAYOUTS}")
    return _grid(arrays, cleaning, "NPZ, one array for each column")


def _archive(file: Path, data: bytes) -> dict[str, ndarray]:
    if data.startswith(b"\x93NUMPY"):
        raise InputError(f"{file} is a single array; give it the ending .npy")
    if not data.startswith(b"PK"):
        raise InputError(f"{file} is not an NPZ archive; write one with numpy.savez(file, X=X, y=y)")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return {
                name.removesuffix(".npy"): _array(file, archive.read(name)) for name in archive.namelist()
            }
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read as an NPZ archive ({error})") from None


def _array(file: Path, data: bytes) -> ndarray:
    """Return the array in the bytes of an NPY file. Arrays of Python objects may hold texts and numbers only."""
    stream = BytesIO(data)
    try:
        if b"'|O'" not in data[:256]:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        read(stream)
        return np.asarray(_HarmlessUnpickler(stream).load())
    except (
        ValueError, OSError, EOFError, pickle.UnpicklingError, AttributeError, IndexError, KeyError, TypeError,
    ) as error:  # fmt: skip
        raise InputError(
            f"{file} cannot be read as NumPy wrote it ({error}); save its arrays as numbers or texts"
        ) from None


class _HarmlessUnpickler(pickle.Unpickler):
    """An unpickler that loads arrays of texts and numbers, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few names that NumPy's arrays need."""
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds Python objects of the type {module}.{name}")
        return super().find_class(module, name)


def _sparse(file: Path, data: bytes) -> Grid:
    from scipy import sparse

    try:
        loaded = sparse.load_npz(BytesIO(data))
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read as a matrix of scipy.sparse.save_npz ({error})") from None
    if loaded.dtype.kind not in "biuf":
        raise InputError(
            f"{file} holds a sparse matrix of the type {loaded.dtype}, real numbers are expected"
        )
    matrix = sparse.csc_array(loaded, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    names = tuple(f"x{i}" for i in range(matrix.shape[1]))
    return Grid(names, matrix, {}, "NPZ, a sparse matrix", numbered=True)


def _with_matrix(file: Path, arrays: dict[str, ndarray], cleaning: Cleaning, target: str) -> Grid:
    """Return the columns of X, and the array that is the target. Without a target, all arrays (n,) are added."""
    columns = _columns_of_matrix(file, arrays)
    names, n = list(columns), len(arrays["X"])
    others = [name for name in arrays if name not in ("X", "feature_names")]
    if target in others:
        if target in columns:
            raise InputError(f"{file}: {target!r} is an array and a column of X; rename one of them")
        shape = arrays[target].shape
        if shape not in ((n,), (n, 1)):
            raise InputError(
                f"{file}: the target {target!r} has shape {shape}, ({n},) is expected, one value for each row"
            )
        columns[target] = arrays[target].ravel()
    elif not target:
        columns |= {
            name: arrays[name].ravel()
            for name in others
            if arrays[name].shape in ((n,), (n, 1)) and name not in columns
        }
    elif target not in columns and not (target.isdecimal() and int(target) < len(names)):
        first = (others or names)[0]
        raise Fault(
            f"{file} holds no target {target!r}: besides X it has the arrays {some(others) or '(none)'}, and X has the "
            f"columns {some(names)}",
            f"to predict {first}",
            Cleaning(),
            target=first,
        )
    unused = [name for name in others if name != target]
    notes = (f"arrays that were not used: {some(unused)}",) if unused and target else ()
    return _grid(columns, cleaning, "NPZ, an array X", notes, numbered=True)


def _columns_of_matrix(file: Path, arrays: dict[str, ndarray]) -> dict[str, ndarray]:
    """Return the columns of X by the names in feature_names, or by x0, x1, ..."""
    X = arrays["X"]
    if "feature_names" not in arrays:
        return _numbered(X)
    names = [str(name) for name in np.atleast_1d(_decoded(arrays["feature_names"]))]
    if len(names) != X.shape[1] or len(set(names)) != X.shape[1]:
        raise InputError(
            f"{file}: feature_names holds {len(names)} names, {len(set(names))} of them different, but X has "
            f"{X.shape[1]} columns; give each column its own name"
        )
    return dict(zip(names, X.T, strict=True))


def _numbered(matrix: ndarray) -> dict[str, ndarray]:
    return {f"x{i}": column for i, column in enumerate(matrix.T)}


def _grid(
    columns: Mapping[str, ndarray],
    cleaning: Cleaning,
    layout: str,
    notes: tuple[str, ...] = (),
    *,
    numbered: bool = False,
) -> Grid:
    """Return arrays (n,) as the columns of a grid."""
    n = len(next(iter(columns.values()), ()))
    values = np.empty((n, len(columns)), order="F")
    texts = {}
    for j, (name, column) in enumerate(columns.items()):
        values[:, j], text = _column(column, cleaning)
        if text is not None:
            texts[name] = text
    truths = tuple(name for name, column in columns.items() if column.dtype.kind == "b")
    return Grid(tuple(columns), values, texts, layout, truths, notes, numbered)


def _column(column: ndarray, cleaning: Cleaning) -> tuple[ndarray | float, TextColumn | None]:
    """Return the numbers of a column, or NaN and its texts."""
    if column.dtype.kind in "biuf":
        return column, None
    if column.dtype.kind == "O":
        numbers = [object_number(item) for item in column]
        if None not in numbers:
            return np.array(numbers, dtype=np.float64), None
    return np.nan, TextColumn.of(_decoded(column).tolist(), frozenset(cleaning.missing))


def _decoded(texts: ndarray) -> ndarray:
    """Return texts that NumPy stores as bytes as Unicode; other arrays are returned unchanged."""
    return np.strings.decode(texts, "utf-8", "replace") if texts.dtype.kind == "S" else texts
