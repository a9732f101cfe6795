"""What was done to the columns of a table, so that new rows get the same features."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.tables._cells import number_of_unit, plain_number
from implicitbias._core.tables._cleaning import Cleaning
from implicitbias._core.tables._grid import Grid, TextColumn
from implicitbias._core.tables._matrix import is_sparse, with_missing
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

    def blocks(self) -> Iterator[tuple[Input, slice]]:
        """Yield each input with the places of its features."""
        start = 0
        for item in self.inputs:
            stop = start + len(item.features)
            yield item, slice(start, stop)
            start = stop

    def only(self, features: Container[str]) -> "Recipe":
        """Return the recipe without the columns that give none of these features."""
        kept = tuple(item for item in self.inputs if any(name in features for name in item.features))
        return replace(self, inputs=kept)

    def with_target(self) -> "Recipe":
        """Return the recipe that makes the target too, as the last feature."""
        assert self.target is not None
        return replace(self, inputs=(*self.inputs, self.target))

    def record(self) -> dict[str, Any]:
        """Return the recipe as a dict that JSON can store."""
        return asdict(self)

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
        return replace(
            cleaning,
            one_hot=tuple(item.column for item in self.inputs if item.categories),
            parse=tuple(item.column for item in self.inputs if item.unit is not None),
            missing=(*self.missing, *cleaning.missing),
            decimal_comma=self.decimal_comma,
        )

    def matrix(self, grid: Grid, file: Path) -> Any:
        """Return the features (n, d) of a grid, with NaN where values are missing.

        Raises:
            InputError: columns are not there, or cells hold text, another unit or a new category.
        """
        columns = [item.column for item in self.inputs]
        absent = [name for name in columns if name not in grid.places]
        if absent:
            raise InputError(
                f"{file} has no column {some([repr(name) for name in absent])}, which is needed; it has "
                f"{some(grid.names, 12)}"
            )
        places = [grid.places[name] for name in columns]
        if is_sparse(grid.values):
            return self._sparse(grid.values[:, places], file)
        plain = all(item.unit is None and not item.categories for item in self.inputs)
        if columns and plain and not self.missing and not grid.texts.keys() & set(columns):
            first, count = places[0], len(places)
            if places == list(range(first, first + count)):
                return grid.values[:, first : first + count]  # without a copy, since tables may be large
        X = np.empty((grid.n, len(self.features)), order="F")
        for item, place in self.blocks():
            X[:, place] = self._block(grid, item, file)
        return X

    def fill(self, X: Float64[ndarray, "n d"]) -> None:
        """Replace missing values of the features in place, where a column has a value for them."""
        for item, place in self.blocks():
            if item.fill is not None:
                block = X[:, place]
                values = [item.fill == label for label in item.categories[1:]]
                block[np.isnan(block[:, 0])] = np.array(values or item.fill, dtype=np.float64)

    def _sparse(self, values: Any, file: Path) -> Any:
        if any(item.categories for item in self.inputs) or 0.0 in self._mark_numbers:
            raise InputError(
                f"{file} holds a sparse matrix: its columns cannot become categories, and its zeros cannot be missing"
            )
        return with_missing(values, self._mark_numbers) if self._mark_numbers else values

    def _block(self, grid: Grid, item: Input, file: Path) -> Float64[ndarray, "n ..."]:
        if item.categories:
            return _one_hot(grid.categories(item.column, self.missing), item, file)
        text = grid.texts.get(item.column)
        values = grid.column(item.column) if text is None else self._numbers(text, item, file)
        return (with_missing(values, self._mark_numbers) if self._mark_numbers else values)[:, None]

    def _numbers(self, text: TextColumn, item: Input, file: Path) -> Float64[ndarray, " n"]:
        """Return a column of text as numbers of the unit of the input, with NaN for missing values."""
        values = text.numbers(lambda label: number_of_unit(label, item.unit, self.decimal_comma))
        bad = np.flatnonzero(np.isnan(values) & (text.codes >= 0))
        if len(bad):
            label = text.labels[text.codes[bad[0]]]
            raise InputError(
                f"{file}: the column {item.column!r} holds {len(bad)} value(s) that are not numbers in the expected "
                f"unit ({item.unit or 'plain numbers'}), the first {label[:40]!r} in row {bad[0] + 1}"
            )
        return values

    @cached_property
    def _mark_numbers(self) -> list[float]:
        """The missing marks that are numbers, such as -99."""
        return [value for value in map(plain_number, self.missing) if value is not None]


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
