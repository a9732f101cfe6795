"""The content of a file as columns of numbers and columns of text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Integer
from numpy import ndarray

from implicitbias._core.tables._matrix import column


@dataclass(frozen=True, eq=False)
class TextColumn:
    """A column of n texts, stored as numbers of its different texts.

    Attributes:
        codes: (n,) place of each text in `labels`, or -1 if the value is missing.
        labels: the different texts, without blanks at their ends.
    """

    codes: Integer[ndarray, " n"]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[Any], missing: frozenset[str]) -> "TextColumn":
        """Return the column of these values; None, blanks and the given marks are missing."""
        places: dict[str, int] = {}
        codes = []
        for value in values:
            text = "" if value is None else str(value).strip()
            codes.append(-1 if not text or text in missing else places.setdefault(text, len(places)))
        return cls(np.array(codes, dtype=np.int64), tuple(places))

    @classmethod
    def of_coded(
        cls, codes: Integer[ndarray, " n"], labels: Iterable[str], missing: frozenset[str]
    ) -> "TextColumn":
        """Return the column of coded texts, whose labels may have blanks at their ends or be missing marks."""
        own = cls.of(labels, missing)
        return cls(np.append(own.codes, -1)[codes], own.labels)

    def counts(self) -> dict[str, int]:
        """Return how often each label occurs."""
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def numbers(self, read: Callable[[str], float | None]) -> Float64[ndarray, " n"]:
        """Return the number of each text, NaN where it is missing or `read` returns None."""
        values = [read(label) for label in self.labels]
        found = np.array([np.nan if value is None else value for value in values] + [np.nan])
        return found[self.codes]


@dataclass(frozen=True, eq=False)
class Grid:
    """What a file holds.

    Attributes:
        names: the k columns.
        values: (n, k) float64, or a scipy.sparse.csc_array; NaN in columns of text and where values are missing.
        texts: the columns of text by name.
        layout: format and separator, in words.
        truths: names of the columns of true and false.
        notes: sentences about decisions that the user did not make.
        numbered: whether the target may be given by the number of its column, from 0.
    """

    names: tuple[str, ...]
    values: Any
    texts: Mapping[str, TextColumn]
    layout: str
    truths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    numbered: bool = False

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.values.shape[0])

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each column."""
        return {name: j for j, name in enumerate(self.names)}

    def column(self, name: str) -> Float64[ndarray, " n"]:
        """Return the numbers of a column."""
        return column(self.values, self.places[name])

    def categories(self, name: str, missing: Iterable[str]) -> TextColumn:
        """Return a column as categories; numbers become their shortest texts, and the given marks are missing."""
        if name in self.texts:
            return self.texts[name]
        labels = [None if np.isnan(value) else _label(value) for value in self.column(name).tolist()]
        return TextColumn.of(labels, frozenset(missing))


def _label(value: float) -> str:
    """Return the text of a number that names a category: whole numbers have no decimal point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
