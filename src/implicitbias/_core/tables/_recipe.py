"""What was done to the columns of a table, so that new rows get the same features."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cells import parsed_number, plain_number
from implicitbias._core.tables._cleaning import Cleaning
from implicitbias._core.tables._grid import Grid, TextColumn, number_label
from implicitbias._core.tables._matrix import column, is_sparse, with_missing
from implicitbias._core.tables._words import some


@dataclass(frozen=True)
class Input:
    """One column that gives features.

    Attributes:
        column: its name in the file.
        unit: None if it is read as plain numbers; else the unit of its parsed numbers, "" if they have none.
        categories: the categories of a one-hot column; the first one is the reference and gives no feature.
        fill: the number or category that replaces missing values, or None if none is allowed.
    """

    column: str
    unit: str | None = None
    categories: tuple[str, ...] = ()
    fill: float | str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features: its own name, or `column=category`."""
        return tuple(f"{self.column}={label}" for label in self.categories[1:]) or (self.column,)

    def record(self) -> dict[str, Any]:
        """Return the column as a dict of JSON types."""
        return {
            "column": self.column,
            "unit": self.unit,
            "categories": list(self.categories),
            "fill": self.fill,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Input":
        """Return the column of a record."""
        return cls(record["column"], record["unit"], tuple(record["categories"]), record["fill"])


@dataclass(frozen=True)
class Recipe:
    """How columns of a file become features, also those of a file with new rows.

    Attributes:
        inputs: the columns that give features, in order.
        missing: texts or numbers that stand for a missing value.
        decimal_comma: whether numbers have a decimal comma.
        target: the column of the target, which new rows need only if predictions are compared with it.

    Examples:
        >>> from implicitbias._core.tables import Input, Recipe
        >>> recipe = Recipe((Input("age", fill=31.5), Input("city", categories=("Oslo", "Rome"))))
        >>> recipe.features
        ('age', 'city=Rome')
        >>> Recipe.of_record(recipe.record()) == recipe
        True
    """

    inputs: tuple[Input, ...]
    missing: tuple[str, ...] = ()
    decimal_comma: bool = False
    target: Input | None = None

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of the d features."""
        return tuple(name for item in self.inputs for name in item.features)

    def only(self, features: Container[str]) -> "Recipe":
        """Return the recipe without the columns that give none of these features."""
        kept = tuple(item for item in self.inputs if any(name in features for name in item.features))
        return replace(self, inputs=kept)

    def with_target(self) -> "Recipe":
        """Return the recipe that makes the target too, as the last feature."""
        assert self.target is not None
        return replace(self, inputs=(*self.inputs, self.target))

    def record(self) -> dict[str, Any]:
        """Return the recipe as a dict of JSON types."""
        return {
            "inputs": [item.record() for item in self.inputs],
            "missing": list(self.missing),
            "decimal_comma": self.decimal_comma,
            "target": None if self.target is None else self.target.record(),
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Recipe":
        """Return the recipe of a record.

        Raises:
            InputError: entries are missing or have other names.
        """
        try:
            inputs = tuple(map(Input.of_record, record["inputs"]))
            target = None if record["target"] is None else Input.of_record(record["target"])
            return cls(inputs, tuple(record["missing"]), bool(record["decimal_comma"]), target)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"the record of a recipe has no usable entry {error}; the result may come from another version, so "
                "make it again"
            ) from None

    def reading(self, cleaning: Cleaning) -> Cleaning:
        """Return the request with which a file of new rows is read."""
        return Cleaning(
            one_hot=tuple(item.column for item in self.inputs if item.categories),
            parse=tuple(item.column for item in self.inputs if item.unit is not None),
            missing=(*self.missing, *cleaning.missing),
            decimal_comma=self.decimal_comma,
            encoding=cleaning.encoding,
            skip_lines=cleaning.skip_lines,
            no_header=cleaning.no_header,
            row_names=cleaning.row_names,
        )

    def matrix(self, grid: Grid, file: Path) -> Any:
        """Return the features (n, d) of a grid, with NaN where values are missing.

        Raises:
            InputError: columns are not there, or cells hold text, another unit or a new category.
        """
        places = {name: j for j, name in enumerate(grid.names)}
        absent = [item.column for item in self.inputs if item.column not in places]
        if absent:
            raise InputError(
                f"{file} has no column {some([repr(name) for name in absent])}, which is needed; it has "
                f"{some(grid.names, 12)}"
            )
        if is_sparse(grid.values):
            return self._sparse(grid, places, file)
        found = [places[item.column] for item in self.inputs]
        plain = all(item.unit is None and not item.categories for item in self.inputs)
        if found and plain and not self.missing and not grid.texts.keys() & set(found):
            if found == list(range(found[0], found[0] + len(found))):
                return grid.values[
                    :, found[0] : found[0] + len(found)
                ]  # a view, since large tables are read often
            return np.asfortranarray(grid.values[:, found])
        X = np.empty((grid.n, len(self.features)), order="F")
        start = 0
        for item in self.inputs:
            width = len(item.features)
            X[:, start : start + width] = self._block(grid, places[item.column], item, file)
            start += width
        return X

    def _sparse(self, grid: Grid, places: Mapping[str, int], file: Path) -> Any:
        marks = mark_numbers(self.missing)
        if any(item.categories for item in self.inputs) or 0.0 in marks:
            raise InputError(
                f"{file} holds a sparse matrix: its columns cannot become categories, and its zeros cannot be missing"
            )
        values = grid.values[:, [places[item.column] for item in self.inputs]]
        return with_missing(values, marks) if marks else values

    def _block(self, grid: Grid, j: int, item: Input, file: Path) -> Float64[ndarray, "n ..."]:
        if item.categories:
            return _one_hot(category_column(grid, j, self.missing), item, file)
        values = column_numbers(grid, j, item.unit, self.decimal_comma)
        text = grid.texts.get(j)
        bad = np.flatnonzero(np.isnan(values) & (text.codes >= 0)) if text is not None else np.array([])
        if text is not None and len(bad):
            label = text.labels[text.codes[bad[0]]]
            raise InputError(
                f"{file}: the column {item.column!r} holds {len(bad)} value(s) that are not numbers in the expected "
                f"unit ({item.unit or 'plain numbers'}), the first {label[:40]!r} in row {bad[0] + 1}"
            )
        marks = mark_numbers(self.missing)
        values = with_missing(values, marks) if marks else values
        return values[:, None]


def column_numbers(grid: Grid, j: int, unit: str | None, decimal_comma: bool) -> Float64[ndarray, " n"]:
    """Return a column as numbers, with NaN for missing values and for texts that are not numbers of the unit."""
    text = grid.texts.get(j)
    if text is None:
        return column(grid.values, j)
    if unit is None:
        return text.numbers(lambda label: plain_number(label, decimal_comma))
    return text.numbers(lambda label: _of_unit(label, unit, decimal_comma))


def _of_unit(label: str, unit: str, decimal_comma: bool) -> float | None:
    parsed = parsed_number(label, decimal_comma)
    if parsed is None:
        return None
    # A plain zero has any unit, and plain numbers go with currency signs.
    plain = not parsed.unit and (unit not in ("percent", "clock") or parsed.value == 0.0)
    return parsed.value if plain or parsed.unit == unit else None


def category_column(grid: Grid, j: int, missing: tuple[str, ...]) -> TextColumn:
    """Return a column as categories; numbers become their shortest texts."""
    text = grid.texts.get(j)
    if text is not None:
        return text
    values = column(grid.values, j)
    return TextColumn.of(
        [None if np.isnan(value) else number_label(value) for value in values], frozenset(missing)
    )


def _one_hot(text: TextColumn, item: Input, file: Path) -> Float64[ndarray, "n k"]:
    new = [label for label in text.labels if label not in item.categories]
    if new:
        row = int(np.flatnonzero(text.codes == text.labels.index(new[0]))[0]) + 1
        raise InputError(
            f"{file}: the column {item.column!r} holds the category {new[0][:40]!r} (row {row}), which was not among "
            f"the rows of the fit: {some(item.categories, 8)}; leave such rows out"
        )
    places = np.array([item.categories.index(label) for label in text.labels] + [-1], dtype=np.int64)
    found = places[text.codes]
    block = (found[:, None] == np.arange(1, len(item.categories))).astype(np.float64)
    block[found < 0] = np.nan
    return block


def mark_numbers(missing: tuple[str, ...]) -> list[float]:
    """Return the missing marks that are numbers, such as -99."""
    return [value for value in map(plain_number, missing) if value is not None]
