"""A document as Markdown, with the figures as pictures in files beside it."""

from functools import singledispatch
from typing import Any

from implicitbias._core.claim import Claim
from implicitbias.reports._document import (
    Claims,
    Code,
    Document,
    Facts,
    Notes,
    Numbers,
    Picture,
    Section,
    Table,
    Text,
)


def markdown(document: Document) -> str:
    """Return the whole document as Markdown."""
    about = " ".join(f"**{text}**" if strong else text for text, strong in document.about)
    badge = "" if document.badge is None else f" ({document.badge.text})"
    lines = [f"# {document.title}", "", f"{about}{badge}", ""]
    for section in document.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""] if section.title else []
    for part in section.parts:
        lines += [*part_lines(part), ""]
    return lines


@singledispatch
def part_lines(part: Any) -> list[str]:
    """Return the lines of a part of a section."""
    raise TypeError(f"a document holds a {type(part).__name__}, which has no Markdown")


@part_lines.register
def _(part: Text) -> list[str]:
    return [part.text]


@part_lines.register
def _(part: Notes) -> list[str]:
    return [f"- {sentence}" for sentence in part.sentences]


@part_lines.register
def _(part: Numbers) -> list[str]:
    return _table(("", ""), list(part.pairs))


@part_lines.register
def _(part: Facts) -> list[str]:
    return [f"- {name}: {value}" for name, value in part.facts.items()]


@part_lines.register
def _(part: Code) -> list[str]:
    return [f"```{part.language}", part.code, "```"]


@part_lines.register
def _(part: Table) -> list[str]:
    return _table(part.heads, [row.cells for row in part.rows])


@part_lines.register
def _(part: Claims) -> list[str]:
    heads = ("holds", "setting", "claim", "predicted", "measured")
    lines = _table(heads, [_claim(claim) for claim in part.claims])
    told = dict.fromkeys(
        f"- {claim.point}: {a.text}; {a.state} ({a.evidence})"
        for claim in part.claims
        for a in claim.assumptions
    )
    return [*lines, "", "Assumptions:", "", *told] if told else lines


def _claim(claim: Claim) -> tuple[str, ...]:
    mark = claim.verdict if claim.supported else f"**{claim.verdict}**"
    return mark, claim.point, claim.statement, claim.expected, claim.measured_text


@part_lines.register
def _(part: Picture) -> list[str]:
    pictures = [name for name in part.files if name.endswith(".png")]
    return [f"![{part.caption}]({name})" for name in pictures] or [f"Figure: {part.description}"]


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return a table; a vertical bar in a cell would end it, so it is written with a backslash."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
