"""The file of a table, and shell lines that clean it."""

import json
import shlex
from pathlib import Path
from typing import NamedTuple

# The name that pandas gives to a column without a name.
UNNAMED = "Unnamed: 0"
_ENDINGS = (
    ".gz",
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".parquet",
    ".pq",
    ".npz",
    ".xlsx",
    ".xls",
    ".ods",
    ".json",
)


class Source(NamedTuple):
    """A file as the user wrote it, and the expression with which pandas reads it ("" if pandas cannot read it)."""

    file: Path
    load: str

    def line(self, steps: str) -> str:
        """Return a shell line that reads the file, applies `steps` to the frame and saves it beside the original."""
        if not self.load:
            return f"change it in Python and save it with numpy.savez({text_literal(str(self.file))}, ...)"
        new = str(self.file.with_name(f"{stem(self.file)}-clean"))
        if "parquet" in self.load:
            save = f".to_parquet({text_literal(new + '.parquet')})"
        else:
            save = f".to_csv({text_literal(new + '.csv')}, index=False)"
        return f"type python -c {shlex.quote(f'import pandas; {self.load}{steps}{save}')}"


def text_literal(value: str | list[str]) -> str:
    """Return a string or a list of strings as Python source with double quotes, for use in single quotes in a shell."""
    return json.dumps(value, ensure_ascii=False)


def stem(file: Path) -> str:
    """Return the name of a file without its known endings, for instance `data` for `data.csv.gz`."""
    name = file.name
    while Path(name).suffix.lower() in _ENDINGS and Path(name).stem:
        name = Path(name).stem
    return name


def some(names: list[str], most: int = 5) -> str:
    """Return the first names and the number of the others as text."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
