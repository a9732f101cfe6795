"""What to do with a column of text, by what its cells look like."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from implicitbias._core.tables._cells import has_thousands, is_date, parsed_number, plain_number
from implicitbias._core.tables._cleaning import Cleaning
from implicitbias._core.tables._grid import TextColumn
from implicitbias._core.tables._words import some

# A text column holds categories if it has at most this many different texts, and at most this share of its rows.
_MOST_CATEGORIES, _CATEGORIES = 100, 0.5
# A column of numbers may have this many different texts that stand for missing values.
_MOST_MARKS = 8
_MARKS = frozenset(
    {"?", "-", "--", "---", ".", "..", "*", "**", "x", "missing", "unknown", "not available", "nil"}
)


class Advice(NamedTuple):
    """What to ask for, and its purposes: a phrase with a place {} for columns or texts, and what stands there."""

    more: Cleaning
    aims: tuple[tuple[str, str], ...]


def numeric_advice(name: str, text: TextColumn, decimal_comma: bool) -> Advice | None:
    """Return how the column becomes one of numbers, or None if most of it is text."""
    counts = text.counts()
    total, labels = int(counts.sum()), dict(zip(text.labels, counts.tolist(), strict=True))
    bad = [label for label in labels if plain_number(label, decimal_comma) is None]
    marks = [
        label
        for label in bad
        if parsed_number(label, decimal_comma) is None and plain_number(label, decimal_comma=True) is None
        and parsed_number(label, decimal_comma=True) is None
    ]  # fmt: skip
    known = all(mark.lower() in _MARKS for mark in marks)
    few = sum(labels[mark] for mark in marks) < total / 2 and len(marks) <= _MOST_MARKS
    if marks and not (known or few):
        return None
    rest = [label for label in labels if label not in marks]
    read = _reading(name, rest, decimal_comma)
    if read is None or not marks:
        return read
    shown = some([repr(mark) for mark in marks], 3)
    return Advice(
        read.more.adding(Cleaning(missing=tuple(marks))), (*read.aims, ("to treat {} as missing", shown))
    )


def _reading(name: str, labels: Sequence[str], decimal_comma: bool) -> Advice | None:
    """Return what makes every label a number, or None if nothing does."""
    bad = [label for label in labels if plain_number(label, decimal_comma) is None]
    if not bad:
        return Advice(Cleaning(), ())
    parse = ("to parse the numbers of {}", name)
    comma = ("to read decimal commas", "")
    if common_unit(labels, decimal_comma) is not None:
        return Advice(Cleaning(parse=(name,)), (parse,))
    if all(plain_number(label, decimal_comma=True) is not None for label in labels):
        return Advice(Cleaning(decimal_comma=True), (comma,))
    if common_unit(labels, decimal_comma=True) is not None:
        return Advice(Cleaning(parse=(name,), decimal_comma=True), (parse, comma))
    return None


def common_unit(labels: Sequence[str], decimal_comma: bool) -> str | None:
    """Return the unit of all labels, or None if some are not numbers or the units differ.

    A plain zero has any unit, and plain numbers go with currency signs.
    """
    units = set()
    for label in labels:
        parsed = parsed_number(label, decimal_comma)
        if parsed is None:
            return None
        if parsed.unit or parsed.value != 0.0:
            units.add(parsed.unit)
    named = units - {""}
    if len(named) > 1 or (named & {"percent", "clock"} and "" in units):
        return None
    return next(iter(named), "")


def column_advice(name: str, text: TextColumn, decimal_comma: bool) -> Advice:
    """Return what to do with a column of text that is to be a feature."""
    numeric = numeric_advice(name, text, decimal_comma)
    if numeric is not None:
        return numeric
    known = int(np.count_nonzero(text.codes >= 0))
    if all(is_date(label) for label in text.labels):
        return Advice(Cleaning(drop=(name,)), (("to leave out {}", f"{name} (dates)"),))
    if _numeric_cells(text) > known / 2:
        return Advice(
            Cleaning(drop=(name,)),
            (("to leave out {}", f"{name} (numbers of different units, or with other texts among them)"),),
        )
    if len(text.labels) == 1:
        return Advice(Cleaning(drop=(name,)), (("to leave out {}", f"{name} (the same text in every row)"),))
    if len(text.labels) <= min(_MOST_CATEGORIES, _CATEGORIES * known):
        return Advice(
            Cleaning(one_hot=(name,)), (("to convert the categories of {} to columns of 0 and 1", name),)
        )
    return Advice(Cleaning(drop=(name,)), (("to leave out {}", f"{name} (names or free text)"),))


def _numeric_cells(text: TextColumn) -> int:
    """Return the number of cells that are numbers of any kind."""
    numeric = [
        parsed_number(label) is not None or parsed_number(label, decimal_comma=True) is not None
        for label in text.labels
    ]
    return int(text.counts()[np.array(numeric, dtype=bool)].sum())


def joined(advices: Sequence[Advice], cleaning: Cleaning) -> tuple[Cleaning, str]:
    """Return the request with all advices, and what it does in words."""
    aims: dict[str, list[str]] = {}
    for advice in advices:
        cleaning = cleaning.adding(advice.more)
        for phrase, column in advice.aims:
            aims.setdefault(phrase, []).append(column)
    return cleaning, " and ".join(
        phrase.format(some(list(dict.fromkeys(names)), 4)) for phrase, names in aims.items()
    )


def is_ambiguous(text: TextColumn) -> bool:
    """Return whether commas may separate thousands or decimals in every text that is not a plain number."""
    bad = [label for label in text.labels if plain_number(label) is None]
    return bool(bad) and all(map(has_thousands, bad))
