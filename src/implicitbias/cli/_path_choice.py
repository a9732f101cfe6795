"""The options of `implicitbias path`: how a table is fitted and where results go.

They are checked before modules are imported that take long to load.
"""

import shlex
from pathlib import Path
from typing import NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Table, typed_path
from implicitbias.cli._table_command import TableCommand
from implicitbias.cli._table_words import option_words

PATH = TableCommand("path", ("path.csv", "path.png", "report.html"), "path.png")
RULES = ("best", "1se")


class Choice(NamedTuple):
    """The options for the fit of a table.

    Attributes:
        standardize: whether features are divided by their standard deviations.
        fit_intercept: whether an intercept is fitted.
        folds: the number of folds of cross-validation; None for no cross-validation.
        seed: the seed with which rows are shuffled before they are divided into folds; None for blocks of rows.
        groups: the column whose equal values stay in one fold; None for no groups.
        rule: the rule that chooses a time from the held-out errors, "best" or "1se".
        cleaning: how the table is read.
    """

    standardize: bool = True
    fit_intercept: bool = True
    folds: int | None = None
    seed: int | None = None
    groups: str | None = None
    rule: str = "best"
    cleaning: Cleaning = Cleaning()


def check_options(choice: Choice) -> None:
    """Raise an `InputError` if an option of cross-validation is unknown, or is given without --cv."""
    if choice.rule not in RULES:
        raise InputError(f"--rule is {choice.rule!r}, best or 1se is expected; type --rule best")
    if choice.seed is not None and not 0 <= choice.seed < 2**32:
        raise InputError(
            f"--seed is {choice.seed}, a number from 0 to {2**32 - 1} is expected; type --seed 0"
        )
    if choice.folds is None:
        given = [
            words
            for words, is_given in (
                (["--shuffle"], choice.seed is not None),
                (option_words("--groups", choice.groups or ""), choice.groups is not None),
                (["--rule", choice.rule], choice.rule != "best"),
            )
            if is_given
        ]
        if given:
            option = given[0][0].partition("=")[0]
            raise InputError(
                f"{option} is given without cross-validation; type --cv 5 {shlex.join(given[0])}"
            )


def check_folds(table: Table, folds: int | None) -> None:
    """Raise an `InputError` if the number of folds leaves too few rows."""
    if folds is None:
        return
    n = len(table.y)
    if folds < 2:
        raise InputError(f"--cv is {folds}, at least 2 folds are expected; type --cv 5")
    if n - -(-n // folds) < 2:
        raise InputError(f"--cv {folds} leaves fewer than two of {n} rows to fit; leave --cv out")
    if folds > n:
        raise InputError(
            f"--cv is {folds}, but {table.file} has {n} rows, and each fold needs a row; type --cv {min(5, n)}"
        )


def command_line(table: Table, choice: Choice, out: Path | None = None) -> str:
    """Return the command that gives the same result."""
    return typed(Path(table.file if out else table.file.name), table.target, choice, out)


def typed(file: Path, target: str, choice: Choice, out: Path | None) -> str:
    """Return the command with these options."""
    words = PATH.words(file, target, choice.cleaning, choice.standardize, choice.fit_intercept)
    words += [] if choice.folds is None else ["--cv", str(choice.folds)]
    words += [] if choice.seed is None else ["--shuffle", "--seed", str(choice.seed)]
    words += [] if choice.groups is None else option_words("--groups", choice.groups)
    words += [] if choice.rule == "best" else ["--rule", choice.rule]
    words += [] if out is None else ["--out", typed_path(out)]
    return shlex.join(words)
