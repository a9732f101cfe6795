"""Features, target and groups of a grid, and the recipe for new rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._advice import (
    column_advice,
    common_unit,
    is_ambiguous,
    joined,
    numeric_advice,
)
from implicitbias._core.tables._cells import parsed_number, plain_number
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._grid import Grid, TextColumn
from implicitbias._core.tables._matrix import Extremes, column, columns_with, count, extremes, rows_with
from implicitbias._core.tables._missing import Cells, Complete, without_missing
from implicitbias._core.tables._recipe import Input, Recipe, category_column
from implicitbias._core.tables._text_layout import UNNAMED
from implicitbias._core.tables._words import some

# The squares of numbers outside these bounds leave the range of float64.
_SMALLEST, _LARGEST = 1e-140, 1e140
# More columns of 0 and 1 than this come from names or numbers, not from categories.
_MOST_CATEGORIES = 10_000


class Design(NamedTuple):
    """What a fit takes: features, target and groups, with the recipe and notes."""

    recipe: Recipe
    X: Any
    y: Float64[ndarray, " n"]
    groups: ndarray | None
    notes: tuple[str, ...]


def design(file: Path, grid: Grid, target: str, groups: str, cleaning: Cleaning) -> Design:
    """Return the features and the target of a grid as finite numbers.

    Raises:
        Fault: a request cures what is wrong.
        InputError: nothing does.
    """
    index = _index_columns(file, grid, target, groups, cleaning)
    left = {*index, *cleaning.drop, target, groups}
    names = [name for name in grid.names if name not in left]
    if not names:
        raise InputError(
            f"{file} has no column besides the target {target!r}; at least one feature is expected"
        )
    if grid.n < 2:
        raise InputError(f"{file} has {grid.n} row(s) after its header, at least two are expected")
    _refuse_text(file, grid, [*names, target], target, cleaning)
    places = {name: j for j, name in enumerate(grid.names)}
    recipe = Recipe(
        tuple(_input(file, grid, places[name], name, cleaning) for name in names),
        cleaning.missing,
        cleaning.decimal_comma,
        _input(file, grid, places[target], target, replace(cleaning, one_hot=())),
    )
    if len(set(recipe.features)) < len(recipe.features):
        raise InputError(f"{file}: a column of 0 and 1 would get the name of another column; rename that one")
    # The target as numbers, with NaN where it is missing; its texts were checked above.
    y = column(replace(recipe, inputs=()).with_target().matrix(grid, file), 0)
    cells = Cells(recipe, recipe.matrix(grid, file), y, target, _labels(grid, groups), groups)
    complete = without_missing(file, cells, cleaning)
    limits = extremes(complete.X)
    _refuse_infinite(file, complete, limits, target, cleaning)
    _refuse_extreme(file, complete, limits, target, cleaning)
    if np.all(complete.y == complete.y[0]):
        raise InputError(
            f"{file}: the target {target!r} is {complete.y[0]:g} in every row, a target with different values is "
            "expected; choose another target"
        )
    used = {*names, target}
    notes = (
        *_index_note(index),
        *_truths_note([name for name in grid.truths if name in used]),
        *_recipe_notes(complete.recipe),
        *complete.notes,
        *_feature_notes(complete.X, limits, complete.recipe.features),
    )
    return Design(complete.recipe, complete.X, complete.y, complete.groups, notes)


def _index_columns(file: Path, grid: Grid, target: str, groups: str, cleaning: Cleaning) -> list[str]:
    """Return the first columns without a name. pandas and R write such an index each time a table is saved."""
    found: list[str] = []
    chosen = {target, groups, *cleaning.drop, *cleaning.one_hot, *cleaning.parse}
    for j, name in enumerate(grid.names):
        if not name.startswith(UNNAMED) or grid.n == 0:
            break
        if name in chosen:
            continue
        if name in grid.truths or not _is_index(grid, j):
            raise Fault(
                f"{file}: column {j + 1} has no name ({name!r}) and is not a row index, because its values are not "
                "different whole numbers or names; name it in the header, or remove it",
                "to leave it out",
                cleaning.adding(Cleaning(drop=(name,))),
            )
        found.append(name)
    return found


def _is_index(grid: Grid, j: int) -> bool:
    text = grid.texts.get(j)
    if text is not None:
        return len(text.labels) == grid.n
    values = column(grid.values, j)
    return bool(np.all(values == np.floor(values)) and len(np.unique(values)) == len(values))


def _labels(grid: Grid, groups: str) -> ndarray | None:
    """Return the labels of a column of groups as texts, None where one is missing."""
    if not groups:
        return None
    text = category_column(grid, grid.names.index(groups), ())
    return np.array([*text.labels, None], dtype=object)[text.codes]


def _refuse_text(file: Path, grid: Grid, names: list[str], target: str, cleaning: Cleaning) -> None:
    """Raise an error about columns that hold text, with the request that converts or removes them."""
    asked = {*cleaning.one_hot, *cleaning.parse}
    texts: dict[str, TextColumn] = {}
    for j, text in sorted(grid.texts.items()):
        name = grid.names[j]
        plain = all(plain_number(label, cleaning.decimal_comma) is not None for label in text.labels)
        if name in names and name not in asked and not plain:
            texts[name] = text
    if not texts:
        return
    comma = cleaning.decimal_comma
    numeric = {name: numeric_advice(name, text, comma) for name, text in texts.items()}
    dirty = [name for name, advice in numeric.items() if advice is not None]
    name = target if target in texts else (dirty or list(texts))[0]
    told = _text_told(file, name, texts, target, comma)
    if comma and any(map(_has_points, texts.values())):
        raise Fault(
            f"{told}. These numbers have decimal points, not decimal commas",
            "to read decimal points",
            replace(cleaning, decimal_comma=False),
        )
    if target in texts and numeric[target] is None:
        raise InputError(
            f"{told}. A numeric target is expected: choose another target, or replace the text by numbers"
        )
    advices = [numeric[other] or column_advice(other, text, comma) for other, text in texts.items()]
    changed, aim = joined(advices, cleaning)
    if not comma and changed.parse and is_ambiguous(texts[name]):
        told += "; if its commas are decimal commas, ask for decimal commas instead"
    raise Fault(told, aim, changed)


def _has_points(text: TextColumn) -> bool:
    """Return whether all texts are numbers with a decimal point, and some point cannot separate thousands."""
    plain = all(plain_number(label) is not None for label in text.labels)
    return plain and any(parsed_number(label, decimal_comma=True) is None for label in text.labels)


def _text_told(file: Path, name: str, texts: dict[str, TextColumn], target: str, comma: bool) -> str:
    text = texts[name]
    bad = np.array([plain_number(label, comma) is None for label in text.labels] + [False])
    failed = np.flatnonzero(bad[text.codes])
    first = text.labels[text.codes[failed[0]]]
    others = [other for other in texts if other != name]
    more = f"; other columns with such values: {some(others)}" if others else ""
    return (
        f"{file}: {'the target' if name == target else 'the column'} {name!r} holds {len(failed)} value(s) of "
        f"{len(text.codes)} that are not numbers, the first {first[:40]!r} in row {failed[0] + 1}{more}"
    )


def _input(file: Path, grid: Grid, j: int, name: str, cleaning: Cleaning) -> Input:
    """Return what is done to one column; the fill of missing values is not known yet."""
    if name in cleaning.one_hot:
        labels = category_column(grid, j, cleaning.missing).labels
        numbers = {label: plain_number(label) for label in labels}
        numeric = all(value is not None for value in numbers.values())
        categories = sorted(labels, key=lambda label: (numbers[label] if numeric else 0.0, label))
        if not 2 <= len(categories) <= _MOST_CATEGORIES:
            raise Fault(
                f"{file}: the column {name!r} has {len(categories)} categories, 2 to {_MOST_CATEGORIES} are expected",
                f"to leave out {name}",
                replace(
                    cleaning,
                    one_hot=tuple(other for other in cleaning.one_hot if other != name),
                    drop=(*cleaning.drop, name),
                ),
            )
        return Input(name, categories=tuple(categories))
    text = grid.texts.get(j)
    if name not in cleaning.parse:
        return Input(name)
    unit = "" if text is None else common_unit(text.labels, cleaning.decimal_comma)
    if unit is None:
        raise InputError(
            f"{file}: the column {name!r} cannot be parsed, because it holds other text or mixes units: "
            f"{some([repr(label) for label in (text.labels if text else ())], 4)}; write one unit there"
        )
    return Input(name, unit=unit)


def _refuse_infinite(file: Path, found: Complete, limits: Extremes, target: str, cleaning: Cleaning) -> None:
    X, y, recipe = found.X, found.y, found.recipe
    if np.isfinite(limits.sizes).all() and np.isfinite(y).all():
        return
    columns = [name for name, bad in zip(recipe.features, columns_with(X, np.isinf), strict=True) if bad]
    columns += [target] if np.isinf(y).any() else []
    bad = rows_with(X, np.isinf) | np.isinf(y)
    total = int(np.sum(np.isinf(y))) + count(X, np.isinf)
    signs = []
    if (limits.greatest == np.inf).any() or np.max(y) == np.inf:
        signs.append("inf")
    if (limits.least == -np.inf).any() or np.min(y) == -np.inf:
        signs.append("-inf")
    raise Fault(
        f"{file} has {total} infinite value(s), or numbers beyond 1e308, in {some(columns)} (row "
        f"{some([str(i + 1) for i in np.flatnonzero(bad)], 3)})",
        "to treat them as missing",
        cleaning.adding(Cleaning(missing=tuple(signs))),
    )


def _refuse_extreme(file: Path, found: Complete, limits: Extremes, target: str, cleaning: Cleaning) -> None:
    recipe = found.recipe
    sizes = np.append(limits.sizes, np.max(np.abs(found.y)))
    names = [*recipe.features, target]
    bad = [names[j] for j in np.flatnonzero((sizes > _LARGEST) | ((sizes > 0.0) & (sizes < _SMALLEST)))]
    if not bad:
        return
    told = (
        f"{file}: the largest number of {some(bad)} lies outside [{_SMALLEST:g}, {_LARGEST:g}], so that its "
        "square leaves the range of float64; write the column in another unit"
    )
    if target in bad or len(bad) == len(recipe.inputs):
        raise InputError(told)
    raise Fault(told, f"to leave out {some(bad)}", cleaning.adding(Cleaning(drop=tuple(bad))))


def _index_note(index: list[str]) -> list[str]:
    which = some([repr(name) for name in index])
    if len(index) == 1:
        return [f"the first column ({which}) was left out, because it is a row index"]
    return [f"the first columns ({which}) were left out, because they are row indices"] if index else []


def _truths_note(truths: list[str]) -> list[str]:
    return [f"true and false are converted to 1 and 0 in these columns: {some(truths)}"] if truths else []


def _recipe_notes(recipe: Recipe) -> list[str]:
    notes = [
        f"the categories of {item.column} became columns of 0 and 1; the reference, which has no column, is "
        f"{item.categories[0]!r}"
        for item in recipe.inputs
        if item.categories
    ]
    units = {
        "percent": "percent signs were removed, so that numbers are in percent",
        "clock": "times are in hours",
    }
    notes += [
        f"the numbers of {item.column} were parsed: {units.get(item.unit, 'signs and separators were removed')}"
        for item in (*recipe.inputs, *([recipe.target] if recipe.target else []))
        if item.unit is not None
    ]
    return notes


def _feature_notes(X: Any, limits: Extremes, features: tuple[str, ...]) -> list[str]:
    """Return notes about constant columns and columns of row numbers."""
    notes = []
    constant = [features[j] for j in np.flatnonzero(limits.least == limits.greatest)]
    if constant:
        notes.append(f"these features are the same in every row: {some(constant)}")
    n = X.shape[0]
    counters = [
        features[j]
        for j in np.flatnonzero(
            np.isin(limits.least, [0.0, 1.0]) & (limits.greatest == limits.least + (n - 1))
        )
        if np.array_equal(column(X, int(j)), limits.least[j] + np.arange(n))
    ]
    if counters and n > 2:
        notes.append(
            f"these features equal the row number: {some(counters)}; remove them if they are a row index"
        )
    return notes
