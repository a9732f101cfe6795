"""What the commands that fit a table have in common: their folder of results and the words of their options."""

import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.folders import ResultFolder
from implicitbias._core.tables import STANDARD_INPUT, Cleaning, Table, some, stem, typed_path
from implicitbias.cli._table_words import cleaning_words, option_words

# If standard error is not a terminal, progress is written only after this number of seconds.
PATIENCE = 3.0


class TableCommand(NamedTuple):
    """A command that fits a table and writes a folder of results.

    Attributes:
        name: the name of the command.
        files: the files that it writes for people, a report.html among them.
        picture: the figure among them.
        stored: whether it also writes its numbers into a store, which `ib.studies.open` reads.
    """

    name: str
    files: tuple[str, ...]
    picture: str
    stored: bool = True

    def usual_folder(self, table: Table) -> Path:
        """Return the folder that is suggested for the results."""
        return Path(f"{stem(table.file)}-{self.name}")

    def foreign_files(self, folder: Path) -> list[str]:
        """Return the files in a folder that no earlier result of the command wrote; all if it holds no report."""
        inside = sorted(path.name for path in folder.iterdir())
        foreign = [name for name in inside if name not in (*self.files, *self._store_files())]
        return foreign or ([] if self.is_report(folder) else inside)

    def _store_files(self) -> tuple[str, ...]:
        from implicitbias import studies

        return studies.STORE_FILES if self.stored else ()

    def is_report(self, folder: Path) -> bool:
        """Return whether a folder holds a report that this command has written."""
        try:
            with (folder / "report.html").open(encoding="utf-8") as page:
                return f'name="generator" content="implicitbias {self.name}"' in page.read(1000)
        except (OSError, ValueError):
            return False  # the page is missing or is not text, so this command did not write the folder

    def place(self, out: Path | None, data: Path) -> ResultFolder | None:
        """Return the folder of the results after a check that it can be written; None if nothing is to be written."""
        if out is None:
            return None
        place = ResultFolder(out, self.foreign_files, f"type --out {shlex.quote(f'{out}-{self.name}')}")
        if place.check() == data.resolve().parent and data != STANDARD_INPUT:
            raise InputError(f"{data} lies in {out}, which would be replaced; choose another --out DIR")
        return place

    def write(self, place: ResultFolder, write: Callable[[Path], None]) -> None:
        """Write the results, and say so if the figure lacks characters of names."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            place.fill(write)
        if any("Glyph" in str(warning.message) for warning in caught):
            print(
                f"implicitbias: {self.picture} lacks some characters of names, because the font of matplotlib has none "
                "for them; report.html shows all names",
                file=sys.stderr,
            )

    def words(
        self, file: Path, target: str, cleaning: Cleaning, standardize: bool, intercept: bool
    ) -> list[str]:
        """Return the command with the options that all such commands have."""
        words = ["implicitbias", self.name, typed_path(file), *option_words("--target", target)]
        words += cleaning_words(cleaning)
        words += [] if standardize else ["--no-standardize"]
        return words if intercept else [*words, "--no-intercept"]

    def last_line(self, out: Path | None, line: str) -> str:
        """Return the last line of the output: where the results are, or the command that writes them."""
        listed = ", ".join(self.files)
        if out is None:
            return f"Write {listed} with: {line}"
        how = f'; to read the numbers, type ib.studies.open("{out}") in Python' if self.stored else ""
        return f"Results: {out} ({listed}){how}"


def one_target(targets: list[str]) -> str:
    """Return the only target, or "" if none is given."""
    if len(targets) > 1:
        raise InputError(f"--target is given {len(targets)} times ({some(targets)}); one target is expected")
    return targets[0] if targets else ""
