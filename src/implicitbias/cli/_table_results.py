"""What the commands that fit a table keep in their store, and how a repeated command finds it again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Table
from implicitbias.cli._table_command import TableCommand
from implicitbias.cli._terminal import carried, on_terminal
from implicitbias.reports import Document, html


class TableResult(NamedTuple):
    """The results of a command in the forms in which they are written.

    Attributes:
        data: all numbers as an `xarray.Dataset`, for the store.
        tables: {file: pandas DataFrame}.
        picture: the figure as PNG.
        document: the report as a document of sections.
    """

    data: Any
    tables: dict[str, Any]
    picture: bytes
    document: Document


def write_result(command: TableCommand, result: TableResult, folder: Path, settings: dict[str, Any]) -> None:
    """Write the store, the tables as CSV, the figure and the page of a command into an existing folder.

    Args:
        command: the command.
        result: its results.
        folder: the folder.
        settings: what identifies the results in the store.
    """
    from implicitbias import studies

    studies.keep_run(folder, command.name, settings, result.data)
    for name, rows in result.tables.items():
        rows.to_csv(folder / name, index=False)
    (folder / command.picture).write_bytes(result.picture)
    (folder / "report.html").write_text(html(result.document), encoding="utf-8")


def identity(table: Table, command: str) -> dict[str, Any]:
    """Return the settings under which the results of a command are stored: the data and what was typed."""
    return {"data": table.digest, "command": command}


def common_texts(
    target: str, facts: Mapping[str, str], summary: Sequence[str], sound: bool
) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return the stored variables that do not depend on the command.

    Args:
        target: the name of the target.
        facts: {name: value} of data, options and versions.
        summary: the sentences that the command prints about its result.
        sound: whether the exit status is 0.
    """
    return {
        "target": ((), target),
        "facts": ((), json.dumps(dict(facts))),
        "summary": ((), "\n".join(summary)),
        "sound": ((), sound),
    }


def earlier(command: TableCommand, out: Path, settings: dict[str, Any]) -> Any:
    """Return the stored results of the same command, data and version as an `xarray.Dataset`; None if there are none.

    They are computed again if a file is missing or damaged, and also for other programs: records in a pipe and JSON
    documents always have all numbers.
    """
    from implicitbias import studies

    if not on_terminal() or not all((out / name).is_file() for name in command.files):
        return None
    try:
        return studies.stored_run(out, command.name, settings)
    except (InputError, OSError):  # another process may replace the folder just now
        return None


def tell_earlier(command: TableCommand, out: Path, data: Any) -> bool:
    """Print what an earlier run of the same command has found, and return whether its exit status was 0."""
    told = "The same command has computed this result already; nothing was computed again."
    for line in (told, *str(data["summary"].item()).split("\n"), command.last_line(out, "")):
        print(carried(line))
    return bool(data["sound"].item())
