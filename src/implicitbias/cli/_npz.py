"""NumPy archives with an array X and a target, or with one array for each column."""

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.cli._source import some

_LAYOUTS = (
    "an array X of shape (n, d), optionally with feature_names (d,), and the target as an array (n,) or a column "
    "of X; or one array (n,) for each column"
)


class Archive(NamedTuple):
    """The columns of an archive and the name of the target among them."""

    frame: Any
    target: str
    layout: str
    notes: tuple[str, ...] = ()


def read_npz(file: Path, data: bytes, target: str) -> Archive:
    """Return the columns of an archive, or raise an `InputError` that says what the archive holds."""
    import pandas

    arrays = _load(file, data)
    if "X" in arrays and arrays["X"].ndim == 2:
        return _with_matrix(file, arrays, target)
    odd = [f"{name} {array.shape}" for name, array in arrays.items() if array.ndim != 1]
    lengths = {len(array) for array in arrays.values() if array.ndim == 1}
    if odd or len(lengths) != 1:
        shapes = [f"{name} {array.shape}" for name, array in arrays.items()]
        raise InputError(f"{file} holds {some(shapes, 8) or 'no arrays'}; expected is {_LAYOUTS}")
    return Archive(pandas.DataFrame(arrays), target, "NPZ, one array for each column")


def _load(file: Path, data: bytes) -> dict[str, ndarray]:
    if not data.startswith((b"PK", b"\x93NUMPY")):
        raise InputError(f"{file} is not an NPZ archive; write one with numpy.savez(file, X=X, y=y)")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            if isinstance(archive, ndarray):
                raise InputError(
                    f"{file} is a single array (.npy), an archive is expected: numpy.savez(file, X=X, y=y)"
                )
            return {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        hint = "; save its arrays as numbers, not as Python objects" if "pickle" in str(error) else ""
        raise InputError(f"{file} cannot be read as an NPZ archive ({error}){hint}") from None


def _with_matrix(file: Path, arrays: dict[str, ndarray], target: str) -> Archive:
    import pandas

    X = arrays["X"]
    names = _names(file, arrays, X.shape[1])
    frame = pandas.DataFrame(X, columns=names)
    used = {"X", "feature_names"}
    if target in arrays and target not in used:
        y = arrays[target]
        if target in names:
            raise InputError(f"{file}: {target!r} is an array and a column of X; rename one of them")
        if y.shape not in ((len(X),), (len(X), 1)):
            raise InputError(
                f"{file}: the target {target!r} has shape {y.shape}, ({len(X)},) is expected, one value for each row"
            )
        frame = pandas.concat([frame, pandas.DataFrame({target: y.ravel()})], axis=1)
        used.add(target)
    elif target not in names and target.isdecimal() and int(target) < X.shape[1]:
        target = names[int(target)]
    elif target not in names:
        others = [name for name in arrays if name not in used]
        raise InputError(
            f"{file} holds no target {target!r}: besides X it has the arrays {some(others) or '(none)'}, and X has the "
            f"columns {some(names)}; type --target {(others or names)[0]}"
        )
    rest = [name for name in arrays if name not in used]
    notes = (f"arrays that were not used: {some(rest)}",) if rest else ()
    return Archive(frame, target, "NPZ, an array X", notes)


def _names(file: Path, arrays: dict[str, ndarray], d: int) -> list[str]:
    if "feature_names" not in arrays:
        return [f"x{i}" for i in range(d)]
    names = [str(name) for name in np.atleast_1d(arrays["feature_names"])]
    if len(names) != d or len(set(names)) != d:
        raise InputError(
            f"{file}: feature_names holds {len(names)} names, {len(set(names))} of them different, but X has {d} "
            "columns; give each column its own name"
        )
    return names
