"""How a table is fitted and where results go; checked before anything heavy is loaded."""

import shlex
from pathlib import Path
from typing import NamedTuple

from implicitbias._core.errors import InputError
from implicitbias.cli._read_table import Table
from implicitbias.cli._source import stem

FILES = ("path.csv", "path.nc", "path.png", "report.html")


class Choice(NamedTuple):
    """How a table is fitted."""

    standardize: bool = True
    fit_intercept: bool = True
    folds: int | None = None


def check_folds(table: Table, folds: int | None) -> None:
    """Refuse a number of folds that leaves too few rows, before anything is computed."""
    if folds is None:
        return
    n = len(table.y)
    if folds < 2:
        raise InputError(f"--cv is {folds}, at least 2 folds are expected; type --cv 5")
    if n - -(-n // folds) < 2:
        raise InputError(f"--cv {folds} leaves fewer than two of {n} rows to fit; leave --cv out")
    if folds > n:
        raise InputError(
            f"--cv is {folds} and {table.file} has {n} rows; each fold needs a row: type --cv {min(5, n)}"
        )


def command_line(table: Table, choice: Choice, out: Path | None = None) -> str:
    """Return the line to type for the same result."""
    words = ["implicitbias", "path", str(table.file) if out else table.file.name, "--target", table.target]
    words += [] if choice.standardize else ["--no-standardize"]
    words += [] if choice.fit_intercept else ["--no-intercept"]
    words += [] if choice.folds is None else ["--cv", str(choice.folds)]
    words += [] if out is None else ["--out", str(out)]
    return shlex.join(words)


def usual_folder(table: Table) -> Path:
    """Return a folder to suggest for the results."""
    return Path(f"{stem(table.file)}-path")


def foreign_files(folder: Path) -> list[str]:
    """Return the names in a folder that are not of an earlier report: all of them where it is none."""
    inside = sorted(path.name for path in folder.iterdir())
    foreign = [name for name in inside if name not in FILES]
    return foreign or ([] if _is_report(folder) else inside)


def _is_report(folder: Path) -> bool:
    try:
        with (folder / "report.html").open(encoding="utf-8") as page:
            return 'name="generator" content="implicitbias path"' in page.read(1000)
    except (OSError, ValueError):  # no such page, or one that is not text: not ours, and therefore kept
        return False
