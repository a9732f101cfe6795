"""NumPy arrays and archives, and SciPy's sparse matrices, as grids."""

import pickle
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

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


class Named(NamedTuple):
    """A grid, and the name of the target in it, which the user may have given as a number."""

    grid: Grid
    target: str


def load_npy(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Named:
    """Return the columns x0, x1, ... of an array (n, d), or the fields of a structured array (n,)."""
    if not data.startswith(b"\x93NUMPY"):
        raise InputError(f"{file} is not a NumPy array; write one with numpy.save(file, array)")
    array = _array(file, data)
    if array.dtype.names and array.ndim == 1:
        columns = {name: array[name] for name in array.dtype.names}
        return Named(_grid_of_columns(columns, cleaning, "NPY, one field for each column"), target)
    if array.ndim != 2:
        raise InputError(
            f"{file} holds an array of shape {array.shape}, (n, d) is expected: d columns, the target among them"
        )
    names = tuple(f"x{i}" for i in range(array.shape[1]))
    return Named(_grid_of_matrix(array, names, cleaning, "NPY"), numbered(target, names))


def load_npz(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Named:
    """Return the columns of an archive, or raise an `InputError` that says what the archive holds."""
    arrays = _archive(file, data)
    if {"format", "shape", "data"} <= arrays.keys() and arrays["format"].ndim == 0:
        return _sparse(file, data, target)
    if "X" in arrays and arrays["X"].ndim == 2:
        return _with_matrix(file, arrays, cleaning, target)
    odd = [f"{name} {array.shape}" for name, array in arrays.items() if array.ndim != 1]
    lengths = {len(array) for array in arrays.values() if array.ndim == 1}
    if odd or len(lengths) != 1:
        shapes = [f"{name} {array.shape}" for name, array in arrays.items()]
        raise InputError(f"{file} holds {some(shapes, 8) or 'no arrays'}; expected is {_LAYOUTS}")
    return Named(_grid_of_columns(arrays, cleaning, "NPZ, one array for each column"), target)


def numbered(target: str, names: tuple[str, ...]) -> str:
    """Return the name of the column that the target names or numbers from 0; other texts are returned unchanged."""
    if target not in names and target.isdecimal() and int(target) < len(names):
        return names[int(target)]
    return target


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
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
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


def _sparse(file: Path, data: bytes, target: str) -> Named:
    from scipy import sparse

    try:
        loaded = sparse.load_npz(BytesIO(data))
        if loaded.dtype.kind not in "biuf":
            raise InputError(
                f"{file} holds a sparse matrix of the type {loaded.dtype}, real numbers are expected"
            )
        matrix = sparse.csc_array(loaded, dtype=np.float64, copy=True)
    except InputError:
        raise
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read as a matrix of scipy.sparse.save_npz ({error})") from None
    matrix.sum_duplicates()
    names = tuple(f"x{i}" for i in range(matrix.shape[1]))
    return Named(Grid(names, matrix, {}, "NPZ, a sparse matrix"), numbered(target, names))


def _with_matrix(file: Path, arrays: dict[str, ndarray], cleaning: Cleaning, target: str) -> Named:
    X = arrays["X"]
    names = _names(file, arrays, X.shape[1])
    grid = _grid_of_matrix(X, names, cleaning, "NPZ, an array X")
    used = {"X", "feature_names"}
    others = [name for name in arrays if name not in used]
    if target in others:
        y = arrays[target]
        if target in names:
            raise InputError(f"{file}: {target!r} is an array and a column of X; rename one of them")
        if y.shape not in ((len(X),), (len(X), 1)):
            raise InputError(
                f"{file}: the target {target!r} has shape {y.shape}, ({len(X)},) is expected, one value for each row"
            )
        grid = _with_column(grid, target, y.ravel(), cleaning)
        others.remove(target)
    elif not target:  # every array that could be the target is offered
        for name in others:
            if arrays[name].shape in ((len(X),), (len(X), 1)) and name not in names:
                grid = _with_column(grid, name, arrays[name].ravel(), cleaning)
    elif numbered(target, names) not in names:
        first = (others or list(names))[0]
        raise Fault(
            f"{file} holds no target {target!r}: besides X it has the arrays {some(others) or '(none)'}, and X has the "
            f"columns {some(names)}",
            f"to predict {first}",
            cleaning,
            target=first,
        )
    notes = (f"arrays that were not used: {some(others)}",) if others and target else ()
    return Named(
        Grid(grid.names, grid.values, grid.texts, grid.layout, grid.truths, notes), numbered(target, names)
    )


def _names(file: Path, arrays: dict[str, ndarray], d: int) -> tuple[str, ...]:
    if "feature_names" not in arrays:
        return tuple(f"x{i}" for i in range(d))
    names = tuple(str(name) for name in np.atleast_1d(_decoded(arrays["feature_names"])))
    if len(names) != d or len(set(names)) != d:
        raise InputError(
            f"{file}: feature_names holds {len(names)} names, {len(set(names))} of them different, but X has {d} "
            "columns; give each column its own name"
        )
    return names


def _grid_of_matrix(array: ndarray, names: tuple[str, ...], cleaning: Cleaning, layout: str) -> Grid:
    if array.dtype.kind in "biuf":
        values = array.astype(np.float64, order="F", copy=True)
        return Grid(names, values, {}, layout, names if array.dtype.kind == "b" else ())
    return _grid_of_columns(dict(zip(names, array.T, strict=True)), cleaning, layout)


def _grid_of_columns(columns: Mapping[str, ndarray], cleaning: Cleaning, layout: str) -> Grid:
    n = len(next(iter(columns.values()), ()))
    grid = Grid((), np.empty((n, len(columns)), order="F"), {}, layout)
    values, texts, truths = grid.values, {}, []
    for j, (name, column) in enumerate(columns.items()):
        numbers, text = _column(column, cleaning)
        values[:, j] = numbers
        if text is not None:
            texts[j] = text
        if column.dtype.kind == "b":
            truths.append(name)
    return Grid(tuple(columns), values, texts, layout, tuple(truths))


def _with_column(grid: Grid, name: str, column: ndarray, cleaning: Cleaning) -> Grid:
    numbers, text = _column(column, cleaning)
    return Grid(
        (*grid.names, name),
        np.column_stack([grid.values, numbers]),
        {**grid.texts, **({} if text is None else {len(grid.names): text})},
        grid.layout,
        (*grid.truths, *([name] if column.dtype.kind == "b" else [])),
    )


def _column(column: ndarray, cleaning: Cleaning) -> tuple[ndarray, TextColumn | None]:
    """Return the numbers of a column, or NaN and its texts."""
    if column.dtype.kind in "biuf":
        return column.astype(np.float64), None
    if column.dtype.kind == "O":
        numbers = [object_number(item) for item in column]
        if None not in numbers:
            return np.array(numbers, dtype=np.float64), None
    column = _decoded(column)
    return np.full(len(column), np.nan), TextColumn.of(column.tolist(), frozenset(cleaning.missing))


def _decoded(texts: ndarray) -> ndarray:
    """Return texts that NumPy stores as bytes as Unicode; other arrays are returned unchanged."""
    return np.strings.decode(texts, "utf-8", "replace") if texts.dtype.kind == "S" else texts
