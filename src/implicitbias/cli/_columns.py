"""Conversion of columns to float64. Errors name and count the cells that are not numbers, and say how to fix them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.cli._source import UNNAMED, Source, some, text_literal

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", flags=re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
# The squares of numbers outside these bounds leave the range of float64.
_SMALLEST, _LARGEST = 1e-140, 1e140
# A text column counts as names, dates or free text, not as categories, if the number of its different values exceeds
# this share of its rows.
_CATEGORIES = 0.5


@dataclass(frozen=True, eq=False)
class Columns:
    """The names of the features, the finite numbers of features (n, d) and target (n,), and notes about them."""

    features: tuple[str, ...]
    X: Float64[ndarray, "n d"]
    y: Float64[ndarray, " n"]
    notes: tuple[str, ...]


def numeric_columns(frame: Any, target: str, source: Source) -> Columns:
    """Return the frame as numbers, or raise an `InputError` that names columns, rows and the line to type."""
    file = source.file
    names = [str(name) for name in frame.columns]
    notes = []
    index = _index_columns(file, frame, names, target)
    if index:
        which = some([repr(name) for name in index])
        notes.append(
            f"the first column ({which}) was left out, because it is a row index"
            if len(index) == 1
            else f"the first columns ({which}) were left out, because they are row indices"
        )
        frame, names = frame.iloc[:, len(index) :], names[len(index) :]
    if len(names) < 2:
        raise InputError(
            f"{file} has no column besides the target {target!r}; at least one feature is expected"
        )
    if len(frame) < 2:
        raise InputError(f"{file} has {len(frame)} row(s) after its header, at least two are expected")
    table, truths = _numbers(frame, names, target, source)
    _refuse_missing(table, names, source)
    _refuse_infinite(table, names, source)
    _refuse_extreme(table, names, source)
    place = names.index(target)
    y, X = table[:, place].copy(), np.delete(table, place, axis=1)
    if np.all(y == y[0]):
        raise InputError(
            f"{file}: the target {target!r} is {y[0]:g} in every row, a target with different values is expected; "
            "choose another --target"
        )
    features = [name for name in names if name != target]
    if truths:
        notes.append(f"true and false are converted to 1 and 0 in these columns: {some(truths)}")
    constant = [name for name, column in zip(features, X.T, strict=True) if np.all(column == column[0])]
    if constant:
        notes.append(f"these features are the same in every row: {some(constant)}")
    counters = [name for name, column in zip(features, X.T, strict=True) if _is_row_number(column)]
    if counters and len(X) > 2:
        notes.append(
            f"these features equal the row number: {some(counters)}; remove them if they are a row index"
        )
    return Columns(tuple(features), X, y, tuple(notes))


def _index_columns(file: Path, frame: Any, names: list[str], target: str) -> list[str]:
    """Return the first columns without a name. pandas and R write such an index each time a table is saved."""
    found: list[str] = []
    for j, name in enumerate(names):
        if not name.startswith(UNNAMED) or name == target or len(frame) == 0:
            break
        column = frame.iloc[:, j]
        if not column.is_unique or column.dtype.kind in "bfc":
            raise InputError(
                f"{file}: column {j + 1} has no name ({name!r}) and is not a row index, because its values are not "
                "different whole numbers or names; name it in the header, or remove it"
            )
        found.append(name)
    return found


def _is_row_number(column: ndarray) -> bool:
    return bool(column[0] in (0.0, 1.0) and np.array_equal(column, column[0] + np.arange(len(column))))


def _numbers(
    frame: Any, names: list[str], target: str, source: Source
) -> tuple[Float64[ndarray, "n k"], list[str]]:
    """Return all columns as float64, with NaN for empty cells, and the names of columns of truth values."""
    table = np.empty(frame.shape)
    truths, texts = [], {}
    for j, name in enumerate(names):
        column = frame.iloc[:, j]
        if column.dtype.kind == "b" or (column.dtype.kind == "O" and _all_truths(column)):
            truths.append(name)
        if column.dtype.kind in "biuf":
            table[:, j] = column.to_numpy(dtype=np.float64, na_value=np.nan)
            continue
        values = [_number(value) for value in column]
        table[:, j] = [np.nan if value is None else value for value in values]
        failed = [i for i, value in enumerate(values) if value is None]
        if failed:
            texts[name] = (column, failed)
    if texts:
        raise InputError(_text_message(texts, target, source))
    return table, truths


def _all_truths(column: Any) -> bool:
    return all(isinstance(value, bool | np.bool_) for value in column.dropna())


def _number(value: Any) -> float | None:
    """Return the number in a cell, NaN if the cell is empty, and None if it holds something else."""
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return np.nan
        return float(text) if _NUMBER.fullmatch(text) else None
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return np.nan
    if isinstance(value, int | float | np.bool_ | np.number) and not isinstance(value, np.complexfloating):
        try:
            return float(value)
        except OverflowError:  # a whole number beyond float64 is refused together with infinite values
            return np.inf
    return float(value) if type(value).__name__ == "Decimal" else None


def _text_message(texts: dict[str, tuple[Any, list[int]]], target: str, source: Source) -> str:
    """Return the error message about columns that hold text, with a line that converts or removes them."""
    dirty = [name for name, (column, failed) in texts.items() if _mostly_numbers(column, failed)]
    name = target if target in texts else (dirty or list(texts))[0]
    column, failed = texts[name]
    examples = list(dict.fromkeys(str(column.iloc[i]) for i in failed))
    what = "the target" if name == target else "the column"
    others = [other for other in texts if other != name]
    more = f"; other columns with such values: {some(others)}" if others else ""
    told = (
        f"{source.file}: {what} {name!r} holds {len(failed)} value(s) of {len(column)} that are not numbers, the first "
        f"{examples[0][:40]!r} in row {failed[0] + 1}{more}. "
    )
    if source.load and all(map(_THOUSANDS.fullmatch, examples)):
        return told + "If the commas separate thousands, " + _with(source, 'thousands=","')
    if source.load and all(map(_DECIMAL_COMMA.fullmatch, examples)):
        return told + "If the commas are decimal commas, " + _with(source, 'decimal=","')
    if name in dirty:
        return told + (
            "Write numbers there, and leave missing values empty; to treat "
            f"{some(examples, 3)} as missing and leave such rows out, "
            + _with(source, f"na_values={text_literal(examples[:3])}", ".dropna()")
        )
    if name == target:
        return told + "A numeric target is expected: choose another --target, or replace the text by numbers"
    if not source.load:
        return told + "Encode or leave out such columns: " + source.line("")
    free = [
        other
        for other, (column, _) in texts.items()
        if column.astype(str).nunique() > _CATEGORIES * len(column)
    ]
    drop = f".drop(columns={text_literal(free)})" if free else ""
    encode = (
        Source(source.file, f"pandas.get_dummies({source.load}{drop}, dtype=int)")
        if len(free) < len(texts)
        else None
    )
    if encode is None:
        return told + "Leave out such columns: " + source.line(drop)
    also = f", leaving out {some(free)}" if free else ""
    return told + f"To convert the categories to columns of 0 and 1{also}, " + encode.line("")


def _mostly_numbers(column: Any, failed: list[int]) -> bool:
    texts = [str(column.iloc[i]) for i in failed]
    numeric = all(_THOUSANDS.fullmatch(text) or _DECIMAL_COMMA.fullmatch(text) for text in texts)
    return numeric or len(failed) < len(column.dropna()) / 2


def _with(source: Source, option: str, steps: str = "") -> str:
    load = source.load
    return Source(
        source.file, f"{load[:-1]}, {option})" if load.startswith("pandas.read_csv") else load
    ).line(steps)


def _refuse_missing(table: ndarray, names: list[str], source: Source) -> None:
    missing = np.isnan(table)
    if not missing.any():
        return
    counts = missing.sum(axis=0)
    columns = [f"{names[j]} ({counts[j]})" for j in np.argsort(-counts, kind="stable") if counts[j]]
    rows = np.flatnonzero(missing.any(axis=1))
    empty = [names[j] for j in np.flatnonzero(counts == len(table))]
    if empty:
        drop = source.line(f".drop(columns={text_literal(empty)})")
        advice = f"Every value of {some([repr(name) for name in empty])} is missing: {drop}"
    elif len(rows) <= len(table) / 2:
        advice = f"To leave such rows out, {source.line('.dropna()')}"
    else:
        advice = f"To leave out the columns with missing values, {source.line('.dropna(axis=1)')}"
    raise InputError(
        f"{source.file} has {int(missing.sum())} missing values, in {len(rows)} of {len(table)} rows (row "
        f"{some([str(i + 1) for i in rows], 3)}) and {len(columns)} of {len(names)} columns: {some(columns)}. {advice}"
    )


def _refuse_infinite(table: ndarray, names: list[str], source: Source) -> None:
    bad = np.isinf(table)
    if not bad.any():
        return
    columns = [names[j] for j in np.flatnonzero(bad.any(axis=0))]
    rows = [str(i + 1) for i in np.flatnonzero(bad.any(axis=1))]
    steps = '.replace([float("inf"), -float("inf")], float("nan")).dropna()'
    raise InputError(
        f"{source.file} has {int(bad.sum())} infinite value(s), or numbers beyond 1e308, in {some(columns)} (row "
        f"{some(rows, 3)}). To leave such rows out, {source.line(steps)}"
    )


def _refuse_extreme(table: ndarray, names: list[str], source: Source) -> None:
    sizes = np.max(np.abs(table), axis=0)
    bad = [names[j] for j in np.flatnonzero((sizes > _LARGEST) | ((sizes > 0.0) & (sizes < _SMALLEST)))]
    if bad:
        raise InputError(
            f"{source.file}: the largest number of {some(bad)} lies outside [{_SMALLEST:g}, {_LARGEST:g}], so that its "
            "square leaves the range of float64; write the column in another unit"
        )
