"""The options of `implicitbias margin`, checked before modules are imported that take long to load."""

import math
import shlex
from pathlib import Path
from typing import NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Table, typed_path
from implicitbias.cli._table_command import TableCommand

MARGIN = TableCommand("margin", ("margin.csv", "rows.csv", "margin.png", "report.html"), "margin.png")
_NAMED = {"l1": "l1 norm", "l2": "l2 norm", "linf": "l-infinity norm"}
# Up to this number of classes none is too many. More than half as many classes as rows, or more than the largest
# number, come from a numeric target.
_FEW, _MOST = 10, 100


class MarginChoice(NamedTuple):
    """The options for the classifier of a table.

    Attributes:
        horizon: the gauge as the user typed it: "l1", "l2", "linf" or a number.
        C: the price of a violation; infinity for hard margins.
        standardize: whether features are divided by their standard deviations.
        fit_intercept: whether there is a free intercept.
        cleaning: how the table is read.
    """

    horizon: str = "l1"
    C: float = math.inf
    standardize: bool = True
    fit_intercept: bool = True
    cleaning: Cleaning = Cleaning()

    @property
    def gauge(self) -> str | float:
        """The horizon as `ib.max_margin` takes it.

        Raises:
            InputError: it is not a name and not a number of at least 1.
        """
        if self.horizon in _NAMED:
            return self.horizon
        try:
            p = float(self.horizon)
        except ValueError:
            p = math.nan
        if not p >= 1.0:
            raise InputError(
                f"--horizon is {self.horizon!r}, l1, l2, linf or a number p >= 1 for the l_p norm is expected; type "
                "--horizon l1"
            )
        return "linf" if math.isinf(p) else p

    @property
    def gauge_name(self) -> str:
        """The gauge in words."""
        gauge = self.gauge
        return _NAMED[gauge] if isinstance(gauge, str) else f"l_{gauge:g} norm"

    def check(self) -> None:
        """Raise an `InputError` if an option has a wrong value."""
        _ = self.gauge
        if not self.C > 0.0:
            raise InputError(
                f"--C is {self.C:g}, a positive number is expected; type --C 1, or leave it out for hard margins"
            )


def check_classes(table: Table) -> None:
    """Raise an `InputError` if the target looks like numbers to predict and not like classes."""
    k, n = len(table.classes), len(table.y)
    if k > _FEW and (k > _MOST or k > n / 2):
        line = shlex.join(["implicitbias", "path", typed_path(table.file), "--target", table.target])
        raise InputError(
            f"{table.file}: the target {table.target!r} has {k} different values in {n} rows, a column of classes is "
            f"expected; choose another target, or to predict a number, type {line}"
        )


def typed(file: Path, target: str, choice: MarginChoice, out: Path | None) -> str:
    """Return the command with these options."""
    words = MARGIN.words(file, target, choice.cleaning, choice.standardize, choice.fit_intercept)
    words += ["--horizon", choice.horizon]
    words += [] if math.isinf(choice.C) else ["--C", f"{choice.C:g}"]
    words += [] if out is None else ["--out", typed_path(out)]
    return shlex.join(words)


def command_line(table: Table, choice: MarginChoice, out: Path | None = None) -> str:
    """Return the command that gives the same result."""
    return typed(Path(table.file if out else table.file.name), table.target, choice, out)
