"""The functions `read_table` and `read_rows`: a file of any known format as names and numbers."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.settled import sealed
from implicitbias._core.tables._archives import load_npy, load_npz
from implicitbias._core.tables._arrow import load_feather, load_parquet
from implicitbias._core.tables._cleaning import Cleaning, Fault, Retry, python_line
from implicitbias._core.tables._design import design
from implicitbias._core.tables._file import contents, shown, unpacked
from implicitbias._core.tables._grid import Grid
from implicitbias._core.tables._matrix import extremes, is_sparse, missing_counts, positions
from implicitbias._core.tables._recipe import Recipe
from implicitbias._core.tables._text import load_text
from implicitbias._core.tables._words import some

# One fault may hide another. Each round of advice cures one, and the last request was tried.
_ROUNDS = 12
_OTHER_READERS = {
    ".xlsx": "read_excel", ".xls": "read_excel", ".ods": "read_excel", ".json": "read_json", ".dta": "read_stata",
    ".sas7bdat": "read_sas", ".sav": "read_spss", ".pkl": "read_pickle", ".pickle": "read_pickle",
}  # fmt: skip
_TEXT_ONLY = ("encoding", "skip_lines", "no_header", "row_names")
_LOADERS = {
    ".npy": load_npy, ".npz": load_npz, ".parquet": load_parquet, ".pq": load_parquet,
    ".feather": load_feather, ".arrow": load_feather, ".arrows": load_feather, ".ipc": load_feather,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """A table to fit.

    Attributes:
        file: the path as the user wrote it; "-" for standard input.
        layout: format and separator, in words.
        hashed: the SHA-256 of the file, which may still be computed; `digest` waits for it.
        target: name of the target.
        X: (n, d) features, dense or a scipy.sparse.csc_array.
        y: (n,) target; if it holds classes, the place of each label among `classes`.
        groups: (n,) labels of the groups of rows as texts, or None.
        rows: (n,) the numbers of the rows in the file, from 1 after the header.
        recipe: how columns became features, for new rows.
        notes: sentences about decisions that the user did not make, such as a column that was left out.
    """

    file: Path
    layout: str
    hashed: "Future[str]"
    target: str
    X: Any
    y: Float64[ndarray, " n"]
    groups: ndarray | None
    rows: Int64[ndarray, " n"]
    recipe: Recipe
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name of the file without its folder, or "standard input"."""
        return shown(self.file).name

    @property
    def digest(self) -> str:
        """The SHA-256 of the file."""
        return self.hashed.result()

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of a target of classes; () for a numeric target."""
        return self.recipe.target.categories if self.recipe.target else ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return self.recipe.features


def read_table(
    file: Path,
    target: str,
    cleaning: Cleaning = Cleaning(),  # noqa: B008  (a frozen value)
    *,
    groups: str = "",
    numeric_target: bool = True,
    retry: Retry = python_line,
) -> Table:
    """Return the features and the target in a file.

    CSV and similar text (also compressed by gzip, bzip2 or xz), Parquet, Feather and Arrow IPC, NumPy arrays and
    archives and SciPy's sparse matrices are read. "-" is standard input with text.

    Args:
        file: the file.
        target: the name of the column to predict; for an array without names also its number, from 0.
        cleaning: what is to be done to the table.
        groups: the name of a column of labels that is no feature, or "".
        numeric_target: whether the target holds numbers. If not, its values are labels of classes.
        retry: returns the line to type for a changed request and target, for messages.

    Raises:
        InputError: the file, the target or some columns cannot be used. If a changed request cures this, the message
            ends with the line to type; the request was tried.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from implicitbias._core.tables import Cleaning, read_table
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "data.csv")
        ...     _ = file.write_text("size,price\\n1,$10\\n2,$25\\n3,$30\\n")
        ...     table = read_table(file, "price", Cleaning(parse=("price",)))
        >>> table.features, table.y.tolist()
        (('size',), [10.0, 25.0, 30.0])
    """
    data, named = contents(file), shown(file)

    def attempt(wanted: Cleaning, name: str) -> Table:
        grid = _loaded(named, data, wanted, name)
        if grid.numbered and name not in grid.places and name.isdecimal() and int(name) < len(grid.names):
            name = grid.names[int(name)]
        _check_names(named, grid.names, name, wanted, groups, retry)
        made = design(named, grid, name, groups, wanted, numeric_target=numeric_target)
        facts = (file, grid.layout, _hashed(data), name)
        notes = (*grid.notes, *made.notes)
        return Table(
            *facts, sealed(made.X), frozen(made.y), made.groups, frozen(made.rows), made.recipe, notes
        )

    return _with_advice(attempt, cleaning, target, retry)


def _hashed(data: bytes) -> "Future[str]":
    """Return the SHA-256 of a file, computed in a thread while the caller goes on with the table."""
    thread = ThreadPoolExecutor(1)
    digest = thread.submit(lambda: hashlib.sha256(data).hexdigest())
    thread.shutdown(wait=False)
    return digest


def read_rows(
    file: Path,
    recipe: Recipe,
    cleaning: Cleaning = Cleaning(),  # noqa: B008  (a frozen value)
    *,
    retry: Retry = python_line,
) -> Any:
    """Return the features (n, d) of new rows, made by the recipe of the table of the fit.

    Columns that the recipe does not need are ignored, the target among them.

    Args:
        file: a file as for `read_table`.
        recipe: `Table.recipe`.
        cleaning: how to read the text: `encoding`, `skip_lines`, `no_header`, and further `missing` marks. The recipe
            knows the rest.
        retry: as for `read_table`.

    Raises:
        InputError: the file cannot be read, columns are not there, a category is new, or a value is missing without
            a value that replaces it, infinite, or not a number.
    """
    data, named = contents(file), shown(file)

    def attempt(wanted: Cleaning, _: str) -> Any:
        X = recipe.matrix(_loaded(named, data, recipe.reading(wanted), ""), named)
        if not is_sparse(X):
            recipe.fill(X)
        _refuse_not_finite(named, X, recipe)
        return sealed(X)

    return _with_advice(attempt, cleaning, "", retry)


def _refuse_not_finite(file: Path, X: Any, recipe: Recipe) -> None:
    if X.shape[0] == 0:
        raise InputError(f"{file} has 0 row(s) after its header, at least one is expected")
    columns = [item.column for item in recipe.inputs for _ in item.features]
    if not columns:
        return
    names = list(dict.fromkeys(columns[j] for j in np.flatnonzero(missing_counts(X))))
    if names:
        rows = [str(i + 1) for i in np.unique(positions(X, np.isnan)[0])]
        raise InputError(
            f"{file} has missing values in {some(names)} (row {some(rows, 3)}), and no value that replaces them "
            "is stored; fill them in, or leave such rows out"
        )
    bad = ~np.isfinite(extremes(X).sizes)
    if bad.any():
        raise InputError(f"{file} has infinite values in {some([columns[j] for j in np.flatnonzero(bad)])}")


def _loaded(file: Path, data: bytes, cleaning: Cleaning, target: str) -> Grid:
    """Return the grid in a file."""
    data, inner = unpacked(file, data)
    kind = inner.suffix.lower()
    if kind in _OTHER_READERS:
        sheet = "save the sheet as CSV" if _OTHER_READERS[kind] == "read_excel" else "save the table as CSV"
        raise InputError(
            f"{file} has the ending {kind}; CSV, TSV, Parquet, Feather, NPY or NPZ is expected; {sheet}, for instance "
            f"in Python with pandas.{_OTHER_READERS[kind]}(...).to_csv(..., index=False)"
        )
    if kind not in _LOADERS:
        return load_text(file, data, cleaning, target)
    given = [name.replace("_", "-") for name in cleaning.asked() if name in _TEXT_ONLY]
    if given:
        raise InputError(
            f"{some(given)} can be asked for in text files only, and {file} has the ending {kind}"
        )
    return _LOADERS[kind](file, data, cleaning, target)


def _with_advice(
    attempt: Callable[[Cleaning, str], Any], cleaning: Cleaning, target: str, retry: Retry
) -> Any:
    """Return the result of an attempt, or raise its faults as one error with a request that was tried."""
    faults: list[Fault] = []
    while len(faults) <= _ROUNDS:
        try:
            result = attempt(cleaning, target)
        except Fault as fault:
            faults.append(fault)
            cleaning = fault.cured(cleaning)
            target = target if fault.target is None else fault.target
        except InputError as error:
            if not faults:
                raise
            raise InputError(f"{faults[0].told}. Besides, {error}") from None
        else:
            if not faults:
                return result
            aim = "; ".join(dict.fromkeys(fault.aim for fault in faults))
            raise InputError(f"{faults[0].told}. {aim[0].upper()}{aim[1:]}, type {retry(cleaning, target)}")
    raise InputError(faults[0].told)


def _check_names(
    file: Path, names: tuple[str, ...], target: str, cleaning: Cleaning, groups: str, retry: Retry
) -> None:
    if not names:
        raise InputError(f"{file} has no columns; a target and at least one feature are expected")
    if len(names) == 1:
        raise InputError(
            f"{file} has a single column, {names[0][:40]!r}, a target and at least one feature are expected"
        )
    if not target:
        raise InputError(
            f"no target is given, one of the columns of {file} is expected: {some(names, 12)}; type "
            f"{retry(cleaning, names[-1])}"
        )
    roles = (target, groups) if groups else (target,)
    for wanted in (*roles, *cleaning.drop, *cleaning.one_hot, *cleaning.parse):
        _check_name(file, names, wanted)
    for what, given in (("target", target), ("column of groups", groups)):
        for option, others in (("drop", cleaning.drop), ("one-hot", cleaning.one_hot)):
            if given and given in others:
                raise InputError(f"{given!r} is the {what}, and cannot be among the columns to {option}")
    if target == groups:
        raise InputError(f"{target!r} is the target, and cannot be the column of groups")
    twice = sorted(
        set(cleaning.drop) & {*cleaning.one_hot, *cleaning.parse}
        | set(cleaning.one_hot) & set(cleaning.parse)
    )
    if twice:
        raise InputError(
            f"{some(twice)} is named for two purposes among drop, one-hot and parse; one is expected"
        )


def _check_name(file: Path, names: tuple[str, ...], wanted: str) -> None:
    if wanted in names:
        return
    folded = {name.strip().lower(): name for name in reversed(names)}
    near = [folded[word] for word in get_close_matches(wanted.strip().lower(), folded, n=3)]
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {some(names, 12)}"
    raise InputError(f"{file} has no column {wanted!r}; {hint}")
