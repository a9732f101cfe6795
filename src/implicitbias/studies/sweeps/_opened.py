"""The results in a store, as a labelled dataset whose arrays are read when they are used."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.labelled import labelled_arrays
from implicitbias.studies.sweeps._ledger import LEDGER, Row, ledger_to_read
from implicitbias.studies.sweeps._parts import open_part, unpacked
from implicitbias.studies.sweeps._settings import POINT, one_form
from implicitbias.studies.sweeps._variables import ATTRIBUTES, Variables

MISSING = "missing"
# The runs of a grid may be incomplete; a list of points that fills less than this of its grid stays a list.
_LEAST_FILLED = 0.25
# How often the ledger is read until all its parts can be opened.
_ATTEMPTS = 5
# Whole numbers beyond this one lose digits as numbers of double precision.
_LARGEST_EXACT = 2**53


def is_store(folder: Any) -> bool:
    """Return whether a folder holds the results of a sweep."""
    return (Path(folder) / LEDGER).is_file()


def open_store(folder: Any, study: str | None = None) -> Any:
    """Return the stored results of a sweep as an `xarray.Dataset`.

    If the settings form a grid, each setting is a dimension with its values as coordinate; otherwise there is one
    dimension `run`, and the settings are coordinates along it. The arrays are read when they are used (Dask). Runs of
    unequal shapes are padded with NaN, and runs that failed or are missing are NaN, or empty texts. Whole numbers are
    then numbers of double precision, or objects if they are beyond 2^53. The folder may be one that you cannot write.

    The variables `state` ("done", "failed" or "missing"), `seconds`, `code` (the version of the code that computed the
    run) and `error` say what is known about each run.

    Args:
        folder: the folder that a sweep has written.
        study: the name of the study or function, where the folder has several.

    Returns:
        An `xarray.Dataset`.

    Raises:
        InputError: the folder holds no store, or several studies and none is chosen, or a file is damaged.

    Examples:
        >>> import implicitbias as ib, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> swept = ib.studies.sweep(
        ...     lambda a, b: {"total": a + b}, {"a": [1.0, 2.0], "b": [10, 20, 30]}, out=folder
        ... )
        >>> data = ib.studies.open(folder)
        >>> data.total.sel(a=2.0).values.tolist()
        [12.0, 22.0, 32.0]
    """
    place = Path(folder)
    if not is_store(place):
        raise InputError(
            f"{place} holds no results of a sweep; write some with implicitbias run --grid, or sweep(out=)"
        )
    rows, blobs, parts = _read(place, study)
    settings = [json.loads(row.settings) for row in rows]
    grid = _grid_of(settings)
    sizes = tuple(len(values) for values in grid.values()) if grid else (len(rows),)
    places = _places(settings, grid) if grid else np.arange(len(rows))
    names = tuple(grid) if grid else ("run",)
    variables = _known(rows, places, sizes)
    pieces = _pieces_of(rows, places, blobs, parts)
    variables |= {name: _gathered(found, sizes) for name, found in pieces.items()}
    coordinates: Any = dict(grid) if grid else _listed(settings)
    labelled: dict[str, Any] = {}
    settled = {*names, *coordinates}
    for name, (own, array) in variables.items():
        dims = tuple(_other_name(dim, settled) for dim in own)
        shared = _shared(array, len(sizes)) if own == (name,) and dims == own else None
        if shared is not None:
            coordinates[name] = shared
        else:  # xarray keeps the name of a dimension for its coordinate.
            labelled[_other_name(name, {*settled, *dims, *(set(variables) - {name})})] = (
                (*names, *dims),
                array,
            )
    attributes = {"study": rows[0].study}
    if len(rows) == 1 and ATTRIBUTES in labelled:
        attributes |= json.loads(str(np.asarray(labelled.pop(ATTRIBUTES)[1]).item()))
    return labelled_arrays(labelled, coordinates, attributes)


def _read(place: Path, study: str | None) -> tuple[list[Row], dict[int, Variables], dict[int, Any]]:
    """Return the rows of a study, the values that wait in the ledger, and the open parts.

    Another sweep may merge parts after the ledger was read and before they are open; the ledger is then read again.
    Parts that are open can be read after they are deleted.
    """
    for attempt in range(_ATTEMPTS):
        with ledger_to_read(place) as ledger, ledger.reading():
            rows = _chosen(ledger.rows(), study, place)
            needed = {row.blob for row in rows if row.blob is not None}
            blobs = {
                number: unpacked(content)
                for number, (_, content) in ledger.blobs().items()
                if number in needed
            }
            files = {number: file for number, (file, _, _) in ledger.parts().items()}
        try:
            return rows, blobs, {number: open_part(place, file) for number, file in files.items()}
        except InputError:
            if attempt + 1 == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _other_name(name: str, taken: set[str]) -> str:
    """Return a name, with _values after it if a setting or a dimension has this name."""
    while name in taken:
        name += "_values"
    return name


def _chosen(rows: list[Row], study: str | None, folder: Path) -> list[Row]:
    names = list(dict.fromkeys(row.study for row in rows))
    if not names:
        raise InputError(f"the store in {folder} is empty; no run of its sweep has ended yet")
    if study is None and len(names) > 1:
        raise InputError(
            f"{folder} holds {', '.join(names)}; choose one: type study={names[0]!r} after the folder"
        )
    if study is not None and study not in names:
        raise InputError(f"{folder} holds no {study!r}, but {', '.join(names)}")
    return [row for row in rows if row.study == (study or names[0])]


def _grid_of(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the axes of the grid that the settings fill well; {} if they fill none."""
    names = list(settings[0])
    if names == [POINT] or any(set(one) != set(names) for one in settings):
        return {}
    axes = {name: _labels([one[name] for one in settings]) for name in names}
    grid = {name: list(dict.fromkeys(labels)) for name, labels in axes.items()}
    total = float(np.prod([len(values) for values in grid.values()], dtype=float))
    if len(settings) < _LEAST_FILLED * total:
        return {}
    return {name: values if isinstance(values[0], str) else sorted(values) for name, values in grid.items()}


def _labels(values: list[Any]) -> list[Any]:
    """Return numbers as they are, and any other values as texts, so that a coordinate has one type.

    Texts are quoted where one of them looks like another value, such as the text "1" and the number 1.
    """
    truths = sum(isinstance(value, bool) for value in values)
    if truths in (0, len(values)) and all(isinstance(value, (int, float)) for value in values):
        return values
    texts = {repr(one_form(value)): str(one_form(value)) for value in values}
    quoted = len(set(texts.values())) < len(texts)
    return [(repr if quoted else str)(one_form(value)) for value in values]


def _places(settings: list[dict[str, Any]], grid: dict[str, list[Any]]) -> np.ndarray:
    """Return the place of each run in the flattened grid."""
    index = []
    for name, values in grid.items():
        order = {value: k for k, value in enumerate(values)}
        index.append([order[label] for label in _labels([one[name] for one in settings])])
    return np.ravel_multi_index(tuple(map(np.array, index)), tuple(len(values) for values in grid.values()))


def _known(rows: list[Row], places: np.ndarray, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return state, seconds, code and error of each place."""
    columns: dict[str, tuple[Any, list[Any]]] = {
        "state": (MISSING, [row.state for row in rows]),
        "seconds": (np.nan, [row.seconds for row in rows]),
        "code": ("", [row.code for row in rows]),
        "error": ("", [row.reason for row in rows]),
    }
    total, found = int(np.prod(sizes)), {}
    for name, (fill, values) in columns.items():
        kinds = np.array([fill, *values]).dtype
        column = np.full(total, fill, dtype=kinds)
        column[places] = values
        found[name] = ((), column.reshape(sizes))
    return found


def _pieces_of(
    rows: list[Row], places: np.ndarray, blobs: dict[int, Any], parts: dict[int, Any]
) -> dict[str, list[tuple[tuple[str, ...], np.ndarray, Any]]]:
    """Return {variable: [(dimensions, places, values)]}; the values of parts are arrays of Dask."""
    groups: dict[tuple[bool, int], list[tuple[int, int]]] = defaultdict(list)
    for row, place in zip(rows, places.tolist(), strict=True):
        if row.blob is not None or row.part is not None:
            groups[row.blob is not None, int(row.blob if row.blob is not None else row.part or 0)].append(
                (int(row.row or 0), place)
            )
    found: dict[str, list[tuple[tuple[str, ...], np.ndarray, Any]]] = defaultdict(list)
    for (in_blob, number), pairs in groups.items():
        chosen, at = (np.array(column) for column in zip(*sorted(pairs), strict=True))
        if in_blob:
            arrays = {name: (dims, array) for name, (dims, array) in blobs[number].items()}
        else:
            arrays = {str(n): (tuple(map(str, v.dims)), v.data) for n, v in parts[number].variables.items()}
        for name, (dims, array) in arrays.items():
            whole = len(chosen) == len(array) and bool((chosen == np.arange(len(array))).all())
            found[name].append((dims[1:], at, array if whole else array[chosen]))
    return found


def _gathered(pieces: list[tuple[tuple[str, ...], np.ndarray, Any]], sizes: tuple[int, ...]) -> Any:
    """Return the dimensions of one variable after those of the grid, and its values in the order of the grid."""
    import dask.array as da

    dims = pieces[0][0]
    if any(len(other) != len(dims) for other, _, _ in pieces):
        raise InputError(
            "a variable has another number of dimensions in some runs; "
            "return it under two names, one for each kind"
        )
    total = int(np.prod(sizes))
    kinds = np.result_type(*(array.dtype for _, _, array in pieces))
    inner = tuple(max(array.shape[1 + k] for _, _, array in pieces) for k in range(len(dims)))
    filled = sum(len(at) for _, at, _ in pieces)
    padded = any(array.shape[1:] != inner for _, _, array in pieces)
    # A number that is not there is NaN, which whole numbers and truth values cannot be.
    if (filled < total or padded) and kinds.kind in "biu":
        kinds = np.dtype(float)
    if kinds.kind in "fc" and any(_loses_digits(array) for _, _, array in pieces):
        kinds = np.dtype(object)
    fill = "" if kinds.kind == "U" else np.nan
    stack = [
        _widened(da.asarray(array).astype(kinds), inner, fill if padded else None) for _, _, array in pieces
    ]
    order = np.full(total, filled)
    order[np.concatenate([at for _, at, _ in pieces])] = np.arange(filled)
    if filled < total:
        stack.append(_constant((1, *inner), fill, kinds))
    together = stack[0] if len(stack) == 1 else da.concatenate(stack)
    if not bool((order == np.arange(total)).all()):
        together = together[order]
    return dims, together.reshape((*sizes, *inner))


def _loses_digits(array: Any) -> bool:
    """Return whether whole numbers would be others in double precision; the array is read for this."""
    if array.dtype.kind not in "iu" or array.dtype.itemsize < np.dtype(np.int64).itemsize or not array.size:
        return False
    return int(array.max()) > _LARGEST_EXACT or int(array.min()) < -_LARGEST_EXACT


def _constant(shape: tuple[int, ...], value: Any, kinds: np.dtype) -> Any:
    """Return an array of Dask of one value; Dask makes none of objects directly."""
    import dask.array as da

    return da.full(shape, value, dtype=float if kinds.kind == "O" else kinds).astype(kinds)


def _widened(array: Any, inner: tuple[int, ...], fill: Any) -> Any:
    import dask.array as da

    if fill is None or array.shape[1:] == inner:
        return array
    for axis, size in enumerate(inner, start=1):
        missing = (*array.shape[:axis], size - array.shape[axis], *array.shape[axis + 1 :])
        if missing[axis]:
            array = da.concatenate([array, _constant(missing, fill, array.dtype)], axis=axis)
    return array


def _listed(settings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings as coordinates along the dimension `run`."""
    names = dict.fromkeys(name for one in settings for name in one)
    return {name: ("run", np.array(_labels([one.get(name) for one in settings]))) for name in names}


def _shared(array: Any, axes: int) -> np.ndarray | None:
    """Return the coordinate that all runs share, along the axes after the first ones; None if they differ."""
    rows = np.asarray(array).reshape(-1, *array.shape[axes:])
    known = rows[~np.isnan(rows).all(axis=1)] if rows.dtype.kind == "f" else rows
    return known[0] if len(known) and bool((known == known[0]).all()) else None
