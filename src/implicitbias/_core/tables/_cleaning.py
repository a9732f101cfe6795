"""What the user asks to be done to a table, and faults of a table together with the request that cures them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from implicitbias._core.errors import InputError

IMPUTATIONS = ("mean", "median")


@dataclass(frozen=True)
class Cleaning:
    """What the user asks to be done to a table before it is used. The default asks for nothing.

    Attributes:
        drop: columns to leave out.
        one_hot: columns of categories, which become columns of 0 and 1. The first category in sorted order is the
            reference and gets no column, so that the columns are linearly independent beside an intercept.
        parse: columns whose numbers carry percent signs, currency signs, thousands separators, accounting parentheses
            for negative numbers, or are clock times, which become hours.
        missing: texts or numbers that stand for a missing value, in every column.
        impute: "mean" or "median" replaces missing values of features by that statistic of their column, and missing
            categories by the most frequent one; None replaces nothing.
        drop_missing: whether to leave out rows in which a value is (still) missing.
        decimal_comma: whether numbers have a decimal comma, and points separate their thousands.
        encoding: the encoding of a text file, as Python names it; "" for UTF-8, and UTF-16 with a byte order mark.
        skip_lines: number of lines before the header of a text file.
        no_header: whether a text file has no header; its columns are then named x0, x1, ...
        row_names: whether the header of a text file has no name for the first column, as R writes row names.

    Raises:
        InputError: `impute` is another word, or `skip_lines` is negative.

    Examples:
        >>> from implicitbias._core.tables import Cleaning
        >>> Cleaning(drop=("name",)).adding(Cleaning(drop=("date",), drop_missing=True)).drop
        ('name', 'date')
    """

    drop: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    parse: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    impute: str | None = None
    drop_missing: bool = False
    decimal_comma: bool = False
    encoding: str = ""
    skip_lines: int = 0
    no_header: bool = False
    row_names: bool = False

    def __post_init__(self) -> None:
        if self.impute is not None and self.impute not in IMPUTATIONS:
            raise InputError(f"impute is {self.impute!r}, 'mean' or 'median' is expected")
        if self.skip_lines < 0:
            raise InputError(f"the number of lines to skip is {self.skip_lines}, at least 0 is expected")

    def adding(self, more: "Cleaning") -> "Cleaning":
        """Return both requests as one.

        Tuples are joined without repetition, other values of `more` win if asked, and columns that `more` leaves out
        are neither converted nor parsed.
        """
        merged: dict[str, Any] = {
            name: (*getattr(self, name), *value) if isinstance(value, tuple) else value
            for name, value in more.asked().items()
        }
        joined = replace(self, **merged)
        return replace(
            joined,
            drop=tuple(dict.fromkeys(joined.drop)),
            one_hot=tuple(name for name in dict.fromkeys(joined.one_hot) if name not in more.drop),
            parse=tuple(name for name in dict.fromkeys(joined.parse) if name not in more.drop),
            missing=tuple(dict.fromkeys(joined.missing)),
        )

    def asked(self) -> dict[str, Any]:
        """Return the requests that differ from the default, by name."""
        defaults = Cleaning()
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != getattr(defaults, field.name)
        }


# Returns the line to type for a changed request and a target.
Retry = Callable[[Cleaning, str], str]


def python_line(cleaning: Cleaning, target: str) -> str:
    """Return the line to type for callers in Python."""
    asked = ", ".join(f"{name}={value!r}" for name, value in cleaning.asked().items())
    return f"read_table(file, {target!r}, Cleaning({asked}))"


class Fault(Exception):
    """A fault of a table that a changed request cures.

    Attributes:
        told: what was found and where, without a full stop.
        aim: what the changed request does, beginning with "to".
        more: what is to be asked in addition.
        target: the changed name of the target, if the columns get other names.
        withdrawn: names of the requests that are no longer to be asked.
    """

    def __init__(
        self,
        told: str,
        aim: str,
        more: Cleaning = Cleaning(),
        *,
        target: str | None = None,
        withdrawn: tuple[str, ...] = (),
    ) -> None:
        super().__init__(told)
        self.told = told
        self.aim = aim
        self.more = more
        self.target = target
        self.withdrawn = withdrawn

    def cured(self, cleaning: Cleaning) -> Cleaning:
        """Return the changed request."""
        defaults: dict[str, Any] = {name: getattr(Cleaning(), name) for name in self.withdrawn}
        return replace(cleaning, **defaults).adding(self.more)
