"""A document of sections on a terminal; `reports` renders the same documents to HTML and Markdown."""

from functools import singledispatch
from pathlib import Path
from typing import Any

from implicitbias.cli._terminal import carried, console, table
from implicitbias.reports import (
    Claims,
    Code,
    Document,
    Facts,
    Notes,
    Numbers,
    Picture,
    Row,
    Section,
    Table,
    Text,
    cited_keys,
)

_STYLES = {"chosen": "bold green", "off": "dim", "sum": "bold"}


def print_document(document: Document, folder: Path | None = None) -> None:
    """Print a document.

    Args:
        document: the document.
        folder: the folder with its page and the files of its figures; None if they are not written.
    """
    screen = console()
    screen.print(_line(document.title, "bold"), *(_line(text) for text, _ in document.about))
    if document.badge is not None:
        screen.print(_line(f"{document.badge.text}.", "green" if document.badge.good else "bold red"))
    for section in document.sections:
        for shown in section_lines(section, folder):
            screen.print(shown)


def section_lines(section: Section, folder: Path | None) -> list[Any]:
    """Return what rich prints for a section: its title and its parts; nothing if it has no parts to show."""
    shown = [line for part in section.parts for line in part_lines(part, folder)]
    return [*([_line(f"\n{section.title}", "bold")] if section.title else []), *shown] if shown else []


def _line(text: str, style: str = "") -> Any:
    """Return a text that rich shows as it is, although it may hold brackets."""
    from rich.text import Text as RichText

    return RichText("\n" * text.startswith("\n") + carried(text.removeprefix("\n")), style)


@singledispatch
def part_lines(part: Any, folder: Path | None) -> list[Any]:
    """Return what rich prints for a part of a section."""
    raise TypeError(f"a document holds a {type(part).__name__}, which has no form on a terminal")


@part_lines.register
def _(part: Text, folder: Path | None) -> list[Any]:
    return [_line(part.text, "dim" if part.hint else "")]


@part_lines.register
def _(part: Notes, folder: Path | None) -> list[Any]:
    return [_line(f"note: {sentence}", "yellow") for sentence in part.sentences]


@part_lines.register
def _(part: Numbers, folder: Path | None) -> list[Any]:
    return [_line(" · ".join(f"{name} {value}" for name, value in part.pairs))]


@part_lines.register
def _(part: Facts, folder: Path | None) -> list[Any]:
    from rich.table import Table as RichTable

    shown = RichTable.grid(padding=(0, 2, 0, 0))
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in part.facts.items():
        shown.add_row(_line(name), _line(value))
    return [shown]


@part_lines.register
def _(part: Code, folder: Path | None) -> list[Any]:
    if part.language == "bibtex":
        where = "" if folder is None else f" (BibTeX in {folder / 'report.html'})"
        return [_line(", ".join(cited_keys(part.code)) + where)]
    return [_line(f"  {line}") for line in part.code.splitlines()]


@part_lines.register
def _(part: Table, folder: Path | None) -> list[Any]:
    shown = table()
    for place, head in enumerate(part.heads):
        text = place == 0 or head in part.texts
        shown.add_column(_line(head), justify="left" if text else "right", overflow="fold")
    for row in part.rows:
        shown.add_row(*_cells(row), style=_STYLES.get(row.kind, ""))
    return [shown]


def _cells(row: Row) -> list[Any]:
    cells = [_line(cell) for cell in row.cells]
    if row.kind == "fails":
        cells[-1].stylize("bold red")
    return cells


@part_lines.register
def _(part: Claims, folder: Path | None) -> list[Any]:
    shown = table()
    for head in ("holds", "claim", "predicted", "measured"):
        shown.add_column(
            head, justify="right" if head in ("predicted", "measured") else "left", overflow="fold"
        )
    for claim in part.claims:
        mark = _line(claim.verdict, "green" if claim.supported else "bold red")
        shown.add_row(mark, *map(_line, (claim.statement, claim.expected, claim.measured_text)))
    failing = dict.fromkeys(told for claim in part.claims for told in claim.failing)  # each once
    return [shown, *(_line(f"Assumption fails: {told}", "yellow") for told in failing)]


@part_lines.register
def _(part: Picture, folder: Path | None) -> list[Any]:
    if folder is None:
        return []
    files = [name for name in part.files if name.endswith(".png")] or ["report.html"]
    return [_line(f"Figure: {part.caption}: {folder / name}", "dim") for name in files]
