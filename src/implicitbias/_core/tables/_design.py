"""Features, target and groups of a grid, and the recipe for new rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._advice import column_advice, joined, numeric_advice
from implicitbias._core.tables._cells import common_unit, has_thousands, parsed_number, plain_number
from implicitbias._core.tables._cleaning import Cleaning, Fault
from implicitbias._core.tables._grid import Grid, TextColumn
from implicitbias._core.tables._matrix import Extremes, column, extremes, positions
from implicitbias._core.tables._missing import Design, without_missing
from implicitbias._core.tables._recipe import Input, Recipe
from implicitbias._core.tables._text_layout import UNNAMED
from implicitbias._core.tables._words import some

# The squares of numbers outside these bounds leave the range of float64.
_SMALLEST, _LARGEST = 1e-140, 1e140
# More columns of 0 and 1 than this come from names or numbers, not from categories.
_MOST_CATEGORIES = 10_000


def design(
    file: Path, grid: Grid, target: str, groups: str, cleaning: Cleaning, *, numeric_target: bool = True
) -> Design:
    """Return the features and the target of a grid as finite numbers.

    With `numeric_target=False` the target holds labels of classes, and y holds the place of each label among the
    categories of the target.

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
    used = {*names, target}
    _refuse_text(file, grid, used if numeric_target else set(names), target, cleaning)
    recipe = Recipe(
        tuple(_input(file, grid, name, cleaning) for name in names),
        cleaning.missing,
        cleaning.decimal_comma,
        _input(file, grid, target, cleaning) if numeric_target else _classes(file, grid, target, cleaning),
    )
    if len(set(recipe.features)) < len(recipe.features):
        raise InputError(f"{file}: a column of 0 and 1 would get the name of another column; rename that one")
    # The target as numbers, with NaN where it is missing; its texts were checked above.
    if numeric_target:
        y = column(replace(recipe, inputs=()).with_target().matrix(grid, file), 0)
    else:
        y = _places(grid, recipe)
    found = Design(recipe, recipe.matrix(grid, file), y, _labels(grid, groups), np.arange(1, grid.n + 1))
    found = without_missing(file, found, target, groups, cleaning)
    if not numeric_target:
        found = _with_present_classes(found)
    limits = extremes(found.X)
    _refuse_infinite(file, found, limits, target)
    _refuse_extreme(file, found, limits, target)
    if np.all(found.y == found.y[0]):
        raise _one_value(file, target, f"{found.y[0]:g}" if numeric_target else repr(_labels_of(found)[0]))
    notes = (
        *_index_note(index),
        *_truths_note([name for name in grid.truths if name in used]),
        *_recipe_notes(found.recipe),
        *found.notes,
        *_feature_notes(found.X, limits, found.recipe.features),
    )
    return found._replace(notes=notes)


def _one_value(file: Path, target: str, value: str) -> InputError:
    return InputError(
        f"{file}: the target {target!r} is {value} in every row, a target with different values is expected; choose "
        "another target"
    )


def _labels_of(found: Design) -> tuple[str, ...]:
    assert found.recipe.target is not None
    return found.recipe.target.categories


def _places(grid: Grid, recipe: Recipe) -> Float64[ndarray, " n"]:
    """Return the place of each label among the categories of the target, NaN where the label is missing."""
    assert recipe.target is not None
    places = {label: float(place) for place, label in enumerate(recipe.target.categories)}
    return grid.categories(recipe.target.column, recipe.missing).numbers(places.get)


def _with_present_classes(found: Design) -> Design:
    """Return the design without the classes whose rows were all left out."""
    present, y = np.unique(found.y, return_inverse=True)
    labels = tuple(_labels_of(found)[int(place)] for place in present)
    assert found.recipe.target is not None
    recipe = replace(found.recipe, target=replace(found.recipe.target, categories=labels))
    return found._replace(recipe=recipe, y=y.astype(np.float64))


def _classes(file: Path, grid: Grid, target: str, cleaning: Cleaning) -> Input:
    """Return the input of a target that holds labels. Numbers are sorted as numbers, and other labels as texts."""
    if target in cleaning.parse:
        raise InputError(
            f"{file}: {target!r} is a target of classes, whose labels are not parsed; leave out parse for it"
        )
    labels = grid.categories(target, cleaning.missing).labels
    numbers = [plain_number(label) for label in labels]
    known = [number for number in numbers if number is not None]
    if len(known) == len(labels):
        labels = tuple(label for _, label in sorted(zip(known, labels, strict=True)))
    return Input(target, categories=tuple(labels) if len(known) == len(labels) else tuple(sorted(labels)))


def _index_columns(file: Path, grid: Grid, target: str, groups: str, cleaning: Cleaning) -> list[str]:
    """Return the first columns without a name. pandas and R write such an index each time a table is saved."""
    found: list[str] = []
    chosen = {target, groups, *cleaning.drop, *cleaning.one_hot, *cleaning.parse}
    for j, name in enumerate(grid.names):
        if not name.startswith(UNNAMED) or grid.n == 0:
            break
        if name in chosen:
            continue
        if name in grid.truths or not _is_index(grid, name):
            raise Fault(
                f"{file}: column {j + 1} has no name ({name!r}) and is not a row index, because its values are not "
                "different whole numbers or names; name it in the header, or remove it",
                "to leave it out",
                Cleaning(drop=(name,)),
            )
        found.append(name)
    return found


def _is_index(grid: Grid, name: str) -> bool:
    if name in grid.texts:
        return len(grid.texts[name].labels) == grid.n
    values = grid.column(name)
    return bool(np.all(values == np.floor(values)) and len(np.unique(values)) == len(values))


def _labels(grid: Grid, groups: str) -> ndarray | None:
    """Return the labels of a column of groups as texts, None where one is missing."""
    if not groups:
        return None
    text = grid.categories(groups, ())
    return np.array([*text.labels, None], dtype=object)[text.codes]


def _refuse_text(file: Path, grid: Grid, used: set[str], target: str, cleaning: Cleaning) -> None:
    """Raise an error about columns that hold text, with the request that converts or removes them."""
    comma = cleaning.decimal_comma
    wanted = used - {*cleaning.one_hot, *cleaning.parse}
    texts = {
        name: text
        for name, text in grid.texts.items()
        if name in wanted and any(plain_number(label, comma) is None for label in text.labels)
    }
    if not texts:
        return
    numeric = {name: numeric_advice(name, text, comma) for name, text in texts.items()}
    dirty = [name for name, advice in numeric.items() if advice is not None]
    name = target if target in texts else (dirty or list(texts))[0]
    text = texts[name]
    bad = [label for label in text.labels if plain_number(label, comma) is None]
    failed = np.flatnonzero(
        np.isnan(text.numbers(lambda label: plain_number(label, comma))) & (text.codes >= 0)
    )
    others = [other for other in texts if other != name]
    told = (
        f"{file}: {'the target' if name == target else 'the column'} {name!r} holds {len(failed)} value(s) of "
        f"{grid.n} that are not numbers, the first {text.labels[text.codes[failed[0]]][:40]!r} in row {failed[0] + 1}"
    )
    if others:
        told += f"; other columns with such values: {some(others)}"
    if comma and any(map(_has_points, texts.values())):
        raise Fault(
            f"{told}. These numbers have decimal points, not decimal commas",
            "to read decimal points",
            withdrawn=("decimal_comma",),
        )
    if target in texts and numeric[target] is None:
        raise InputError(
            f"{told}. A numeric target is expected: choose another target, or replace the text by numbers"
        )
    more, aim = joined([numeric[other] or column_advice(other, texts[other], comma) for other in texts])
    if more.parse and not comma and all(map(has_thousands, bad)):
        told += "; if its commas are decimal commas, ask for decimal commas instead"
    raise Fault(told, aim, more)


def _has_points(text: TextColumn) -> bool:
    """Return whether all texts are numbers with a decimal point, and some point cannot separate thousands."""
    plain = all(plain_number(label) is not None for label in text.labels)
    return plain and any(parsed_number(label, decimal_comma=True) is None for label in text.labels)


def _input(file: Path, grid: Grid, name: str, cleaning: Cleaning) -> Input:
    """Return what is done to one column; the fill of missing values is not known yet."""
    if name in cleaning.one_hot:
        labels = grid.categories(name, cleaning.missing).labels
        numbers = [plain_number(label) for label in labels]
        if None in numbers:
            categories = sorted(labels)
        else:
            categories = [label for _, label in sorted(zip(numbers, labels, strict=True))]
        if not 2 <= len(categories) <= _MOST_CATEGORIES:
            raise Fault(
                f"{file}: the column {name!r} has {len(categories)} categories, 2 to {_MOST_CATEGORIES} are expected",
                f"to leave out {name}",
                Cleaning(drop=(name,)),
            )
        return Input(name, categories=tuple(categories))
    if name not in cleaning.parse:
        return Input(name)
    labels = grid.texts[name].labels if name in grid.texts else ()
    unit = common_unit(labels, cleaning.decimal_comma)
    if unit is None:
        raise InputError(
            f"{file}: the column {name!r} cannot be parsed, because it holds other text or mixes units: "
            f"{some([repr(label) for label in labels], 4)}; write one unit there"
        )
    return Input(name, unit=unit)


def _refuse_infinite(file: Path, found: Design, limits: Extremes, target: str) -> None:
    features, y = found.recipe.features, found.y
    if np.isfinite(limits.sizes).all() and np.isfinite(y).all():
        return
    rows, columns = positions(found.X, np.isinf)
    own = np.flatnonzero(np.isinf(y))
    names = [features[j] for j in np.unique(columns)] + ([target] if len(own) else [])
    signs = []
    if (limits.greatest == np.inf).any() or np.max(y) == np.inf:
        signs.append("inf")
    if (limits.least == -np.inf).any() or np.min(y) == -np.inf:
        signs.append("-inf")
    raise Fault(
        f"{file} has {len(rows) + len(own)} infinite value(s), or numbers beyond 1e308, in {some(names)} (row "
        f"{some([str(i + 1) for i in np.union1d(rows, own)], 3)})",
        "to treat them as missing",
        Cleaning(missing=tuple(signs)),
    )


def _refuse_extreme(file: Path, found: Design, limits: Extremes, target: str) -> None:
    sizes = np.append(limits.sizes, np.max(np.abs(found.y)))
    names = [*found.recipe.features, target]
    bad = [names[j] for j in np.flatnonzero((sizes > _LARGEST) | ((sizes > 0.0) & (sizes < _SMALLEST)))]
    if not bad:
        return
    told = (
        f"{file}: the largest number of {some(bad)} lies outside [{_SMALLEST:g}, {_LARGEST:g}], so that its "
        "square leaves the range of float64; write the column in another unit"
    )
    if target in bad or len(bad) == len(found.recipe.inputs):
        raise InputError(told)
    raise Fault(told, f"to leave out {some(bad)}", Cleaning(drop=tuple(bad)))


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
    candidates = np.isin(limits.least, [0.0, 1.0]) & (limits.greatest == limits.least + (n - 1))
    counters = [
        features[j]
        for j in np.flatnonzero(candidates)
        if np.array_equal(column(X, int(j)), limits.least[j] + np.arange(n))
    ]
    if counters and n > 2:
        notes.append(
            f"these features equal the row number: {some(counters)}; remove them if they are a row index"
        )
    return notes
