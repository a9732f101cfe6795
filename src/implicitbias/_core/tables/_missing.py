"""Missing values of features and target: they are refused, imputed, or their rows are left out."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._matrix import is_sparse, missing_counts, positions
from implicitbias._core.tables._recipe import Input, Recipe
from implicitbias._core.tables._words import some


class Design(NamedTuple):
    """What a fit takes.

    Attributes:
        recipe: how the features were made.
        X: (n, d) features, NaN where missing.
        y: (n,) target, NaN where missing.
        groups: (n,) labels of groups or None; None where a label is missing.
        rows: (n,) the numbers of the rows in the file, from 1.
        notes: sentences about what was done.
    """

    recipe: Recipe
    X: Any
    y: Float64[ndarray, " n"]
    groups: ndarray | None
    rows: Int64[ndarray, " n"]
    notes: tuple[str, ...] = ()

    def without(self, gone: Bool[ndarray, " n"]) -> "Design":
        """Return the design without some rows, with a note if there are any."""
        if not gone.any():
            return self
        rows = [str(i + 1) for i in np.flatnonzero(gone)]
        note = f"{len(rows)} of {len(gone)} rows were left out, because values are missing there: row {some(rows)}"
        groups = None if self.groups is None else self.groups[~gone]
        return Design(
            self.recipe, self.X[~gone], self.y[~gone], groups, self.rows[~gone], (*self.notes, note)
        )


def without_missing(file: Path, found: Design, target: str, groups: str, cleaning: Cleaning) -> Design:
    """Return a design without missing values, as the request wants it.

    Raises:
        Fault: values are missing and the request does not say what to do with them.
        InputError: every value of the target is missing, or a sparse matrix is to be imputed.
    """
    # Rows without a target or a group are never imputed.
    n = len(found.y)
    ungrouped = np.zeros(n, dtype=bool)
    if found.groups is not None:
        ungrouped[:] = [label is None for label in found.groups]
    necessary = np.isnan(found.y) | ungrouped
    of_features = missing_counts(found.X)
    counts = {item.column: int(of_features[place.start]) for item, place in found.recipe.blocks()}
    counts[target] = int(np.count_nonzero(np.isnan(found.y)))
    if groups:
        counts[groups] = int(np.count_nonzero(ungrouped))
    if not any(counts.values()):
        return found
    empty = [name for name, count in counts.items() if count == n]
    if target in empty:
        raise InputError(f"{file}: every value of the target {target!r} is missing; choose another target")
    gone = necessary.copy()
    gone[positions(found.X, np.isnan)[0]] = True
    told = _told(file, counts, gone)
    if empty:
        raise Fault(
            f"{told}. Every value of {some([repr(name) for name in empty])} is missing",
            f"to leave out {some(empty)}",
            Cleaning(drop=tuple(empty)),
        )
    if cleaning.impute is not None:
        if not necessary.any():
            return _imputed(told, found, counts, cleaning.impute)
        if cleaning.drop_missing:  # the statistics are those of the rows that are left
            return without_missing(file, found.without(necessary), target, groups, cleaning)
        raise Fault(
            f"{told}; a missing target or group is never replaced",
            "to leave such rows out",
            Cleaning(drop_missing=True),
        )
    if not cleaning.drop_missing:
        raise _refused(told, found, counts, gone, necessary)
    left = np.count_nonzero(~gone)
    if left < 2:
        raise Fault(
            f"{told}, so that {left} complete row(s) are left",
            "to replace missing values by medians",
            Cleaning(impute="median"),
        )
    return found.without(gone)


def _told(file: Path, counts: Mapping[str, int], gone: Bool[ndarray, " n"]) -> str:
    columns = [
        f"{name} ({counts[name]})" for name in sorted(counts, key=lambda name: -counts[name]) if counts[name]
    ]
    rows = [str(i + 1) for i in np.flatnonzero(gone)]
    return (
        f"{file} has {sum(counts.values())} missing values, in {len(rows)} of {len(gone)} rows (row {some(rows, 3)}) "
        f"and {len(columns)} of {len(counts)} columns: {some(columns)}"
    )


def _refused(
    told: str,
    found: Design,
    counts: Mapping[str, int],
    gone: Bool[ndarray, " n"],
    necessary: Bool[ndarray, " n"],
) -> Fault:
    """Return the fault whose cure keeps at least half of the rows, or else leaves out columns or imputes."""
    n, inputs = len(gone), found.recipe.inputs
    gaps = [item.column for item in inputs if counts[item.column] > n / 2]  # more is missing than is known
    if np.count_nonzero(gone) <= n / 2:
        # A missing target or group is never replaced.
        kept = "" if necessary.any() else ". Imputation by the median would keep these rows"
        return Fault(
            f"{told}{kept}",
            "to leave such rows out",
            Cleaning(drop_missing=True),
        )
    if 0 < len(gaps) < len(inputs):
        return Fault(
            f"{told}. More than half of the rows have one",
            f"to leave out the columns with more than half of their values missing, {some(gaps)}",
            Cleaning(drop=tuple(gaps)),
        )
    if is_sparse(found.X):
        return Fault(told, "to leave such rows out", Cleaning(drop_missing=True))
    return Fault(
        f"{told}. More than half of the rows have one",
        "to replace them by the medians of their columns",
        Cleaning(impute="median", drop_missing=bool(necessary.any())),
    )


def _imputed(told: str, found: Design, counts: Mapping[str, int], impute: str) -> Design:
    if is_sparse(found.X):
        raise InputError(f"{told}; a sparse matrix cannot be imputed, so leave such rows out instead")
    inputs = tuple(
        _with_fill(item, found.X[:, place], impute) if counts[item.column] else item
        for item, place in found.recipe.blocks()
    )
    filled = [
        f"{item.column} ({counts[item.column]}: {_shown(item.fill)})"
        for item in inputs
        if item.fill is not None
    ]
    statistic = f"the {impute}"
    if any(item.categories and item.fill is not None for item in inputs):
        statistic += ", or the most frequent category,"
    note = (
        f"missing values were replaced by {statistic} of their column over all rows, those that "
        f"cross-validation holds out too (column, number of values, value): {some(filled, 8)}"
    )
    recipe, X = replace(found.recipe, inputs=inputs), np.array(found.X, order="F")
    recipe.fill(X)
    return Design(recipe, X, found.y, found.groups, found.rows, (*found.notes, note))


def _shown(fill: float | str | None) -> str:
    return f"{fill:.6g}" if isinstance(fill, float) else str(fill)


def _with_fill(item: Input, block: Float64[ndarray, "n k"], impute: str) -> Input:
    """Return an input with the statistic of its features, or with its most frequent category."""
    known = block[~np.isnan(block[:, 0])]
    if not item.categories:
        return replace(item, fill=float(np.mean(known) if impute == "mean" else np.median(known)))
    frequencies = [len(known) - known.sum(), *known.sum(axis=0)]
    return replace(item, fill=item.categories[int(np.argmax(frequencies))])
