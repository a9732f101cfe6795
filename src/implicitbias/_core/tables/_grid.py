"""The content of a file as columns of numbers and columns of text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Integer
from numpy import ndarray


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

    def counts(self) -> Integer[ndarray, " k"]:
        """Return how often each label occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.labels))

    def numbers(self, read: Callable[[str], float | None]) -> Float64[ndarray, " n"]:
        """Return the number of each text, NaN where it is missing or `read` returns None."""
        values = [read(label) for label in self.labels]
        found = np.array([np.nan if value is None else value for value in values] + [np.nan])
        return found[self.codes]

    def rows(self, kept: ndarray) -> "TextColumn":
        """Return some of the rows."""
        return TextColumn(self.codes[kept], self.labels)


@dataclass(frozen=True, eq=False)
class Grid:
    """What a file holds.

    Attributes:
        names: the k columns.
        values: (n, k) float64, or a scipy.sparse.csc_array; NaN in columns of text and where values are missing.
        texts: the columns of text by place.
        truths: names of the columns of true and false.
        layout: format and separator, in words.
        notes: sentences about decisions that the user did not make.
    """

    names: tuple[str, ...]
    values: Any
    texts: Mapping[int, TextColumn]
    layout: str
    truths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of rows."""
        return int(self.values.shape[0])


def number_label(value: float) -> str:
    """Return the text of a number that names a category: whole numbers have no decimal point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
