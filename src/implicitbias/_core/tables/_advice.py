"""What to do with a column of text, by what its cells look like."""

from collections.abc import Sequence
from typing import NamedTuple

from implicitbias._core.tables._cells import common_unit, is_date, parsed_number, plain_number
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
    marks = [label for label in counts if not _is_number(label)]
    known = all(mark.lower() in _MARKS for mark in marks)
    few = sum(counts[mark] for mark in marks) < sum(counts.values()) / 2 and len(marks) <= _MOST_MARKS
    if marks and not (known or few):
        return None
    read = _reading(name, [label for label in counts if label not in marks], decimal_comma)
    if read is None or not marks:
        return read
    shown = some([repr(mark) for mark in marks], 3)
    return Advice(
        read.more.adding(Cleaning(missing=tuple(marks))), (*read.aims, ("to treat {} as missing", shown))
    )


def _is_number(label: str) -> bool:
    """Return whether a text is a number of any kind."""
    return parsed_number(label) is not None or parsed_number(label, decimal_comma=True) is not None


def _reading(name: str, labels: Sequence[str], decimal_comma: bool) -> Advice | None:
    """Return what makes every label a number, or None if nothing does."""
    parse = ("to parse the numbers of {}", name)
    comma = ("to read decimal commas", "")
    if all(plain_number(label, decimal_comma) is not None for label in labels):
        return Advice(Cleaning(), ())
    if common_unit(labels, decimal_comma) is not None:
        return Advice(Cleaning(parse=(name,)), (parse,))
    if all(plain_number(label, decimal_comma=True) is not None for label in labels):
        return Advice(Cleaning(decimal_comma=True), (comma,))
    if common_unit(labels, decimal_comma=True) is not None:
        return Advice(Cleaning(parse=(name,), decimal_comma=True), (parse, comma))
    return None


def column_advice(name: str, text: TextColumn, decimal_comma: bool) -> Advice:
    """Return what to do with a column of text that is to be a feature."""
    numeric = numeric_advice(name, text, decimal_comma)
    if numeric is not None:
        return numeric
    counts = text.counts()
    known = sum(counts.values())
    if all(map(is_date, counts)):
        why = "dates"
    elif sum(count for label, count in counts.items() if _is_number(label)) > known / 2:
        why = "numbers of different units, or with other texts among them"
    elif len(counts) == 1:
        why = "the same text in every row"
    elif len(counts) <= min(_MOST_CATEGORIES, _CATEGORIES * known):
        return Advice(
            Cleaning(one_hot=(name,)), (("to convert the categories of {} to columns of 0 and 1", name),)
        )
    else:
        why = "names or free text"
    return Advice(Cleaning(drop=(name,)), (("to leave out {}", f"{name} ({why})"),))


def joined(advices: Sequence[Advice]) -> tuple[Cleaning, str]:
    """Return the request with all advices, and what it does in words."""
    more = Cleaning()
    aims: dict[str, list[str]] = {}
    for advice in advices:
        more = more.adding(advice.more)
        for phrase, shown in advice.aims:
            aims.setdefault(phrase, []).append(shown)
    return more, " and ".join(
        phrase.format(some(list(dict.fromkeys(shown)), 4)) for phrase, shown in aims.items()
    )
