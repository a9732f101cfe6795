"""Missing values of features and target: they are refused, imputed, or their rows are left out."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Integer
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._matrix import is_sparse, missing_counts, rows_with
from implicitbias._core.tables._recipe import Input, Recipe
from implicitbias._core.tables._words import some


class Cells(NamedTuple):
    """Features, target and labels of groups before missing values are treated.

    Attributes:
        recipe: how the features were made.
        X: (n, d) features, NaN where missing.
        y: (n,) target, NaN where missing.
        target: its name.
        groups: (n,) labels of groups or None; None where a label is missing.
        grouping: the name of the column of groups, or "".
    """

    recipe: Recipe
    X: Any
    y: Float64[ndarray, " n"]
    target: str
    groups: ndarray | None
    grouping: str


class Complete(NamedTuple):
    """The rows that are used, without missing values, and notes about what was done."""

    recipe: Recipe
    X: Any
    y: Float64[ndarray, " n"]
    groups: ndarray | None
    notes: tuple[str, ...]


def without_missing(file: Path, cells: Cells, cleaning: Cleaning) -> Complete:
    """Return complete rows, as the request wants them.

    Raises:
        Fault: values are missing and the request does not say what to do with them.
        InputError: every value of the target is missing, or a sparse matrix is to be imputed.
    """
    counts = _counts(cells)
    if not counts.any():
        return Complete(cells.recipe, cells.X, cells.y, cells.groups, ())
    names = [*(item.column for item in cells.recipe.inputs), cells.target]
    names += [cells.grouping] if cells.grouping else []
    empty = [names[j] for j in np.flatnonzero(counts == len(cells.y))]
    if cells.target in empty:
        raise InputError(
            f"{file}: every value of the target {cells.target!r} is missing; choose another target"
        )
    gone = _rows(cells)
    told = _told(file, names, counts, gone)
    if empty:
        raise Fault(
            f"{told}. Every value of {some([repr(name) for name in empty])} is missing",
            f"to leave out {some(empty)}",
            cleaning.adding(Cleaning(drop=tuple(empty))),
        )
    if cleaning.impute is not None:
        return _imputed(told, cells, cleaning, counts)
    if not cleaning.drop_missing:
        raise _refused(told, cells, cleaning, counts, gone)
    if np.count_nonzero(~gone) < 2:
        raise Fault(
            f"{told}, so that {np.count_nonzero(~gone)} complete row(s) are left",
            "to replace missing values by medians",
            replace(cleaning, impute="median"),
        )
    return Complete(
        cells.recipe, cells.X[~gone], cells.y[~gone], _some_rows(cells.groups, ~gone), (_left_out(gone),)
    )


def _counts(cells: Cells) -> Integer[ndarray, " k"]:
    """Return the numbers of missing values of the inputs, the target and the groups."""
    found = missing_counts(cells.X)
    starts = np.cumsum([0, *(len(item.features) for item in cells.recipe.inputs)])[:-1]
    counts = [*found[starts], np.count_nonzero(np.isnan(cells.y))]
    if cells.groups is not None:
        counts.append(np.count_nonzero(_without_group(cells.groups)))
    return np.array(counts, dtype=np.int64)


def _without_group(groups: ndarray) -> Bool[ndarray, " n"]:
    return np.array([label is None for label in groups], dtype=bool)


def _rows(cells: Cells) -> Bool[ndarray, " n"]:
    """Return which rows have a missing value."""
    return rows_with(cells.X, np.isnan) | _necessary(cells)


def _necessary(cells: Cells) -> Bool[ndarray, " n"]:
    """Return which rows lack the target or the group, which are never imputed."""
    gone = np.isnan(cells.y)
    return gone if cells.groups is None else gone | _without_group(cells.groups)


def _told(file: Path, names: list[str], counts: ndarray, gone: ndarray) -> str:
    columns = [f"{names[j]} ({counts[j]})" for j in np.argsort(-counts, kind="stable") if counts[j]]
    rows = [str(i + 1) for i in np.flatnonzero(gone)]
    return (
        f"{file} has {int(counts.sum())} missing values, in {len(rows)} of {len(gone)} rows (row {some(rows, 3)}) and "
        f"{len(columns)} of {len(names)} columns: {some(columns)}"
    )


def _refused(told: str, cells: Cells, cleaning: Cleaning, counts: ndarray, gone: ndarray) -> Fault:
    """Return the fault whose cure keeps at least half of the rows, or else leaves out columns or imputes."""
    n = len(gone)
    gaps = [
        item.column
        for item, count in zip(cells.recipe.inputs, counts, strict=False)
        if count > n / 2  # more is missing than is known
    ]
    if np.count_nonzero(gone) <= n / 2:
        # A missing target or group is never replaced.
        kept = "" if _necessary(cells).any() else ". Imputation by the median would keep these rows"
        return Fault(
            f"{told}{kept}",
            "to leave such rows out",
            replace(cleaning, drop_missing=True),
        )
    if gaps and len(gaps) < len(cells.recipe.inputs):
        return Fault(
            f"{told}. More than half of the rows have one",
            f"to leave out the columns with more than half of their values missing, {some(gaps)}",
            cleaning.adding(Cleaning(drop=tuple(gaps))),
        )
    if is_sparse(cells.X):
        return Fault(told, "to leave such rows out", replace(cleaning, drop_missing=True))
    return Fault(
        f"{told}. More than half of the rows have one",
        "to replace them by the medians of their columns",
        replace(cleaning, impute="median", drop_missing=bool(_necessary(cells).any())),
    )


def _imputed(told: str, cells: Cells, cleaning: Cleaning, counts: ndarray) -> Complete:
    if is_sparse(cells.X):
        raise InputError(f"{told}; a sparse matrix cannot be imputed, so leave such rows out instead")
    notes: list[str] = []
    gone = _necessary(cells)
    if gone.any():
        if not cleaning.drop_missing:
            raise Fault(
                f"{told}; a missing target or group is never replaced",
                "to leave such rows out",
                replace(cleaning, drop_missing=True),
            )
        notes.append(_left_out(gone))
    X = np.asfortranarray(cells.X[~gone])
    inputs, start, filled = [], 0, []
    for item, count in zip(cells.recipe.inputs, counts, strict=False):
        width = len(item.features)
        if count:
            item = _fill(X[:, start : start + width], item, cleaning.impute)
            filled.append(f"{item.column} ({count}: {_shown(item.fill)})")
        inputs.append(item)
        start += width
    statistic = f"the {cleaning.impute}"
    if any(item.categories and item.fill is not None for item in inputs):
        statistic += ", or the most frequent category,"
    notes.append(
        f"missing values were replaced by {statistic} of their column over all rows, those that "
        f"cross-validation holds out too (column, number of values, value): {some(filled, 8)}"
    )
    recipe = replace(cells.recipe, inputs=tuple(inputs))
    return Complete(recipe, X, cells.y[~gone], _some_rows(cells.groups, ~gone), tuple(notes))


def _shown(fill: float | str | None) -> str:
    return f"{fill:.6g}" if isinstance(fill, float) else str(fill)


def _fill(block: Float64[ndarray, "n k"], item: Input, impute: str | None) -> Input:
    """Replace the missing values of the features of one column, in place, and return the column with its fill."""
    if not item.categories:
        known = block[~np.isnan(block[:, 0]), 0]
        value = float(np.mean(known) if impute == "mean" else np.median(known))
        item = replace(item, fill=value)
    else:
        known = block[~np.isnan(block[:, 0])]
        frequencies = [len(known) - known.sum(), *known.sum(axis=0)]
        item = replace(item, fill=item.categories[int(np.argmax(frequencies))])
    fill_block(block, item)
    return item


def fill_block(block: Float64[ndarray, "n k"], item: Input) -> None:
    """Replace the missing values of the features of one column, in place, by the fill of the column."""
    if item.fill is None:
        return
    values = [item.fill == label for label in item.categories[1:]] if item.categories else [item.fill]
    missing = np.isnan(block[:, 0])
    block[missing] = np.array(values, dtype=np.float64)


def _left_out(gone: Bool[ndarray, " n"]) -> str:
    rows = [str(i + 1) for i in np.flatnonzero(gone)]
    return (
        f"{len(rows)} of {len(gone)} rows were left out, because values are missing there: row {some(rows)}"
    )


def _some_rows(groups: ndarray | None, kept: Bool[ndarray, " n"]) -> ndarray | None:
    return None if groups is None else groups[kept]
