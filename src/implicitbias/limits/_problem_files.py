"""The problem of a result as part of its file: the data if they are small enough, otherwise the fingerprint."""

from pathlib import Path
from typing import Any

from numpy import ndarray

from implicitbias._core.archive import FileKind
from implicitbias._core.errors import InputError
from implicitbias.problems import LeastSquares, stored_map, stored_map_arrays

# The file of a result includes the problem if X takes at most this number of bytes.
LARGEST_DATA = 2**26


def problem_record(problem: Any) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Return the header and the arrays of a problem; there are no arrays if it is large or not a `LeastSquares`."""
    header = {"fingerprint": problem.fingerprint(), "problem": repr(problem), "map": None}
    if not isinstance(problem, LeastSquares):
        return header, {}
    names = problem.feature_names
    header |= {"shape": list(problem.shape), "feature_names": None if names is None else list(names)}
    data = stored_map_arrays(problem.linear_map)
    if sum(array.nbytes for array in data.values()) > LARGEST_DATA:
        return header, {}
    header["map"] = type(problem.linear_map).__name__
    return header, {f"X.{name}": array for name, array in data.items()} | {"y": problem.y}


def stored_problem(
    file: Path, kind: FileKind, header: dict[str, Any], arrays: dict[str, ndarray], like: Any
) -> Any:
    """Return `like` if it is given and has the fingerprint of the stored problem; otherwise the problem in the file.

    Raises:
        InputError: the problem is not in the file and `like` is None, or `like` is another problem.
    """
    if like is None and header["map"] is None:
        raise InputError(
            f"{file} does not hold the data of its problem, {header['problem']}, which is too large or not a "
            f"LeastSquares; type ib.{kind.name.rpartition('.')[2]}.load({str(file)!r}, like=problem)"
        )
    if like is None:
        parts = {name.removeprefix("X."): array for name, array in arrays.items() if name.startswith("X.")}
        X = stored_map(header["map"], parts, tuple(header["shape"]))
        return LeastSquares(X, arrays["y"], feature_names=header["feature_names"])
    fingerprint = getattr(like, "fingerprint", None)
    if fingerprint is None:
        raise InputError(f"like is a {type(like).__name__}, the problem of the {kind.noun} is expected")
    if fingerprint() != header["fingerprint"]:
        raise InputError(
            f"like is {like!r} with other data or feature names than the problem of {file}, {header['problem']}; "
            f"pass the problem from which the {kind.noun} was computed"
        )
    return like
