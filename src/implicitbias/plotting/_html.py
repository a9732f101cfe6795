"""What the HTML reports of all commands have in common: the page, tiles, tables, and the settings at the end."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from implicitbias._core.certificate import Certificate

# Columns of text, which are aligned at the left.
_TEXTS = {"feature", "enters", "leaves", "class", "predicted", "measured", "verdict"}


def page(title: str, command: str, body: str, scripts: str = "") -> str:
    """Return a whole page with the common style.

    Args:
        title: the title, in which HTML is escaped already.
        command: the command that writes the page, by which an earlier result is recognised.
        body: the sections.
        scripts: elements after the sections.
    """
    style = (files("implicitbias.plotting") / "_page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="implicitbias {command}">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}"
        f"</main>\n{scripts}</body>\n</html>\n"
    )


def badge_html(text: str, meaning: str, holds: bool) -> str:
    """Return a mark that is green or red, with its meaning under the pointer."""
    return f'<span class="badge {"good" if holds else "bad"}" title="{meaning}">{text}</span>'


def header(title: str, target: str, badge: str) -> str:
    """Return the title with the target and the mark."""
    return f"<header><h1>{title}</h1><p>Target <b>{escape(target)}</b> {badge}</p></header>\n"


def tiles(numbers: list[tuple[str, str]]) -> str:
    """Return the numbers (name, value) at the top of a page."""
    inside = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers)
    return f'<dl class="tiles">{inside}</dl>\n'


def verdict(sentences: list[str], notes: tuple[str, ...]) -> str:
    """Return the sentences about the result, and the notes."""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    listed = f'<ul class="notes">{items}</ul>' if items else ""
    return f'<section class="verdict">{text}{listed}</section>\n'


def cells(texts: list[str]) -> str:
    """Return the cells of a row."""
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def table_html(heads: list[str], rows: list[str], kind: str = "") -> str:
    """Return a table that scrolls; the rows are HTML.

    Args:
        heads: the titles of the columns.
        rows: the rows.
        kind: "words" for a table of sentences, whose cells stand below one another on a narrow page.
    """
    titles = "".join(
        f'<th scope="col"{" class=text" if head in _TEXTS else ""}>{escape(head)}</th>' for head in heads
    )
    return (
        f'<div class="scroll{" " + kind if kind else ""}" tabindex="0"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def settings(facts: Mapping[str, str], certificate: Certificate, theory: str) -> str:
    """Return the section of data and settings, with the numbers of the certificate."""
    numbers = {} if certificate.gap is None else {"gap": certificate.gap}
    numbers |= certificate.residuals
    told = (
        f"{'holds' if certificate.holds else 'DOES NOT HOLD'}, tolerance {certificate.tolerance:.0e}: "
        + ", ".join(f"{name} {value:.1e}" for name, value in numbers.items())
    )
    every = {**facts, "certificate": told, "theory": theory}
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in every.items())
    return f'<section><h2>Data and settings</h2><dl class="facts">{items}</dl></section>\n'
