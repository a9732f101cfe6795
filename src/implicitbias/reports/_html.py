"""A document as one HTML page, which needs neither the network nor another file."""

import json
import re
from base64 import b64encode
from functools import singledispatch
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from implicitbias._core.claim import Assumption, Claim
from implicitbias.plotting import Panel
from implicitbias.reports._document import (
    Badge,
    Claims,
    Code,
    Document,
    Facts,
    Notes,
    Numbers,
    Picture,
    Row,
    Scrubber,
    Section,
    Sweep,
    Table,
    Text,
)

_TEXT, _HINT = ' class="text"', ' class="hint"'


class Drawings:
    """What the parts of a page share: its Bokeh figures, which elements show by number, and the titles of sections."""

    def __init__(self, titles: frozenset[str] = frozenset()) -> None:
        self.figures: list[Any] = []
        self.titles = titles

    def add(self, figures: list[Any]) -> list[int]:
        """Add figures, and return their numbers."""
        first = len(self.figures)
        self.figures += figures
        return list(range(first, len(self.figures)))


def html(document: Document) -> str:
    """Return the whole page as text. It is readable without scripts, except for its figures."""
    drawings = Drawings(frozenset(section.title for section in document.sections if section.title))
    about = " ".join(f"<b>{escape(text)}</b>" if strong else escape(text) for text, strong in document.about)
    mark = "" if document.badge is None else _badge(document.badge)
    title = escape(document.title)
    body = "".join(_section(section, drawings) for section in document.sections)
    style = base_style() + _resource("_page.css")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="implicitbias {document.command}">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n<main>\n<header><h1>{title}</h1><p>{about} {mark}</p></header>\n{body}</main>\n"
        f"{_scripts(drawings)}</body>\n</html>\n"
    )


def base_style() -> str:
    """Return the style that all pages share: colours for the light and the dark style, type, tiles and tips."""
    return _resource("_base.css")


def _resource(name: str) -> str:
    return (files("implicitbias.reports") / name).read_text(encoding="utf-8")


def _scripts(drawings: Drawings) -> str:
    """Return the script of the page, and with figures their data and the library that draws them."""
    script = f'<script type="text/javascript">\n{_resource("_page.js")}</script>\n'
    if not drawings.figures:
        return script
    from bokeh.resources import Resources

    from implicitbias.reports._bokeh_figures import document_of

    content, names = document_of(drawings.figures)
    data = _json({"document": content, "roots": names})
    # Only the part of BokehJS that draws figures travels with the page, without its widgets and typesetting.
    library = "\n".join(Resources("inline", components=["bokeh"], minified=True).js_raw)
    return (
        f'<script type="application/json" id="figures">{data}</script>\n'
        f'<script type="text/javascript">{library}</script>\n{script}'
    )


def _json(value: Any) -> str:
    """Return JSON for a script element, which the texts "</" and "<!--" would change; so each "<" is escaped."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _badge(badge: Badge) -> str:
    kind = "good" if badge.good else "bad"
    return f'<span class="badge {kind}" title="{escape(badge.meaning)}">{escape(badge.text)}</span>'


def _section(section: Section, drawings: Drawings) -> str:
    title = f'<h2 id="{_anchor(section.title)}">{escape(section.title)}</h2>' if section.title else ""
    return f"<section>{title}{''.join(part_html(part, drawings) for part in section.parts)}</section>\n"


def _anchor(title: str) -> str:
    """Return the name of a section in addresses, which has no spaces."""
    return escape(re.sub(r"\s+", "-", title))


@singledispatch
def part_html(part: Any, drawings: Drawings) -> str:
    """Return a part of a section as HTML."""
    raise TypeError(f"a document holds a {type(part).__name__}, which has no HTML")


@part_html.register
def _(part: Text, drawings: Drawings) -> str:
    return f"<p{_HINT if part.hint else ''}>{escape(part.text)}</p>"


@part_html.register
def _(part: Notes, drawings: Drawings) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in part.sentences)
    return f'<ul class="notes">{items}</ul>' if items else ""


@part_html.register
def _(part: Numbers, drawings: Drawings) -> str:
    inside = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in part.pairs
    )
    return f'<dl class="tiles">{inside}</dl>\n'


@part_html.register
def _(part: Facts, drawings: Drawings) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in part.facts.items())
    return f'<dl class="facts">{items}</dl>\n'


@part_html.register
def _(part: Code, drawings: Drawings) -> str:
    return f'<pre tabindex="0" class="code {part.language}"><code>{escape(part.code)}</code></pre>\n'


@part_html.register
def _(part: Table, drawings: Drawings) -> str:
    rows = "".join(_row(part, row, drawings.titles) for row in part.rows)
    return _table(part.heads, rows, part.texts, "scroll words" if part.sentences else "scroll")


def _table(heads: tuple[str, ...], rows: str, texts: frozenset[str], kind: str) -> str:
    titles = "".join(f'<th scope="col"{_TEXT if head in texts else ""}>{escape(head)}</th>' for head in heads)
    return (
        f'<div class="{kind}" tabindex="0" role="region" aria-label="table"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(table: Table, row: Row, titles: frozenset[str]) -> str:
    fails = row.kind == "fails"
    attributes = f' class="{row.kind}"' if row.kind and not fails else ""
    attributes += f' data-key="{escape(row.key)}"' if row.key else ""
    texts = [escape(text) for text in row.cells]
    if row.cells[0] in titles:
        texts[0] = f'<a href="#{_anchor(row.cells[0])}">{texts[0]}</a>'
    if fails:
        texts[-1] = f'<span class="badge bad">{texts[-1]}</span>'
    cells = "".join(
        f"<td{_TEXT if head in table.texts else ''}{_of(head) if table.sentences else ''}>{text}</td>"
        for head, text in zip(table.heads[1:], texts[1:], strict=True)
    )
    return f'<tr{attributes}><th scope="row">{texts[0]}</th>{cells}</tr>'


def _of(head: str) -> str:
    """Return the attribute from which a narrow page says of which column a cell is."""
    return f' data-head="{escape(head)}"'


@part_html.register
def _(part: Claims, drawings: Drawings) -> str:
    heads = ("claim", "predicted", "measured", "verdict")
    rows = "".join(_claim(claim) for claim in part.claims)
    shown = _table(heads, rows, frozenset({"predicted", "measured", "verdict"}), "scroll words claims")
    if not part.folded:
        return shown
    failed = sum(not claim.supported for claim in part.claims)
    counted = "1 claim" if len(part.claims) == 1 else f"{len(part.claims)} claims"
    verdict = Badge(f"{failed} fail" if failed else "all hold", "open to see them", failed == 0)
    start = "<details open" if failed else "<details"
    return f'{start} class="folded"><summary>{counted} {_badge(verdict)}</summary>{shown}</details>\n'


def _claim(claim: Claim) -> str:
    verdict = {"yes": "holds", "NO": "does not hold"}.get(claim.verdict, claim.verdict)
    mark = _badge(Badge(verdict, f"the reference is {claim.reference}", claim.supported))
    items = "".join(f"<li>{_assumption(assumption)}</li>" for assumption in claim.assumptions)
    assumed = (
        f"<details><summary>{len(claim.assumptions)} assumption{'s' if len(claim.assumptions) > 1 else ''}</summary>"
        f"<ul>{items}</ul></details>"
        if items
        else ""
    )
    return (
        f'<tr><th scope="row">{escape(claim.statement)}<span class="reference">{escape(claim.reference)}</span>'
        f"{assumed}</th><td{_TEXT}{_of('predicted')}>{escape(claim.expected)}</td>"
        f"<td{_TEXT}{_of('measured')}>{escape(claim.measured_text)}</td><td{_TEXT}>{mark}</td></tr>"
    )


def _assumption(assumption: Assumption) -> str:
    kind = ' class="fails"' if assumption.fails else ""
    return f"<span{kind}>{escape(assumption.text)}; {assumption.state} ({escape(assumption.evidence)})</span>"


@part_html.register
def _(part: Picture, drawings: Drawings) -> str:
    caption = f"<figcaption>{escape(part.caption)}</figcaption>"
    links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in part.files)
    told = f'<p class="hint">For papers: {links}</p>' if links else ""
    if part.chart is None:
        image = b64encode(part.image).decode("ascii")
        shown = f'<img class="picture" alt="{escape(part.description)}" src="data:image/png;base64,{image}">'
        return f'<figure class="chart">{caption}{shown}{told}</figure>\n'
    from implicitbias.reports._bokeh_figures import figures_of_chart

    numbers = iter(drawings.add(figures_of_chart(part.chart, part.scrubber is not None)))
    rows = "".join(
        f'<div class="panels">{"".join(_panel(panel, next(numbers), part) for panel in row)}</div>'
        for row in part.chart.rows
    )
    slider = "" if part.scrubber is None else _scrubber(part.scrubber)
    slider += "" if part.sweep is None else _sweep(part.sweep)
    return f'<figure class="chart">{caption}{rows}{slider}{told}</figure>\n'


def _panel(panel: Panel, number: int, picture: Picture) -> str:
    title = f'<p class="title">{escape(panel.title)}</p>' if panel.title else ""
    label = f"{panel.title or picture.description}: {panel.y.label} against {panel.x.label}"
    return (
        f'<div class="panel{" square" if panel.square else ""}">{title}{_legend(panel, number)}'
        f'<div class="drawing" data-figure="{number}" role="img" aria-label="{escape(label)}"></div></div>'
    )


def _legend(panel: Panel, number: int) -> str:
    """Return a button for each named line or set of points, which hides and shows it."""
    named: dict[str, str] = {}
    marks: list[Any] = sorted(panel.marks, key=_palette_place)
    for mark in marks:
        if mark.look:
            named.setdefault(mark.name, f"{mark.look} {_class(mark.colour)}")
    if len(named) < 2:
        return ""
    items = "".join(
        f'<button type="button" aria-pressed="true" data-of="{number}" data-name="{escape(name)}">'
        f'<i class="{kind}"></i>{escape(name)}</button>'
        for name, kind in named.items()
    )
    return f'<div class="legend" role="group" aria-label="Show or hide lines">{items}</div>'


def _palette_place(mark: Any) -> str:
    """Return what sorts marks by their colours, as the most important lines have the first ones."""
    return mark.colour if re.fullmatch(r"c\d", mark.colour) else "z"


def _class(colour: str) -> str:
    return "ink" if colour.startswith("#") else colour


def _scrubber(scrubber: Scrubber) -> str:
    """Return a slider with the sentence about the point at which it stands."""
    data = _json({"places": scrubber.places, "sentences": scrubber.sentences})
    start, last = scrubber.start, len(scrubber.places) - 1
    return (
        f'<div class="scrubber"><label>{escape(scrubber.name)} <input type="range" min="0" max="{last}" '
        f'value="{start}" step="1"></label><output aria-live="polite">{escape(scrubber.sentences[start])}</output>'
        f'<script type="application/json">{data}</script></div>'
    )


def _sweep(sweep: Sweep) -> str:
    """Return a slider for each setting of a sweep, and the numbers of the run that they choose."""
    from implicitbias.reports._bokeh_figures import packed

    axes = [{"name": name, "texts": texts} for name, texts in sweep.axes]
    short = {name: packed(values) for name, values in sweep.curves.items()}
    curves = {
        name: {
            "bits": 8 * values.itemsize,
            "values": b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode("ascii"),
        }
        for name, values in short.items()
    }
    data = _json({"axes": axes, "curves": curves, "numbers": sweep.numbers, "start": sweep.start})
    sliders = "".join(
        f'<label><span>{escape(name)}</span><input type="range" min="0" max="{len(texts) - 1}" step="1" '
        f'value="{start}"><output>{escape(texts[start])}</output></label>'
        for (name, texts), start in zip(sweep.axes, sweep.start, strict=True)
    )
    point = int(np.ravel_multi_index(sweep.start, tuple(len(texts) for _, texts in sweep.axes)))
    numbers = "".join(
        f'<div><dt>{escape(name)}</dt><dd data-name="{escape(name)}">{escape(texts[point])}</dd></div>'
        for name, texts in sweep.numbers.items()
    )
    return (
        f'<div class="sweep" role="group" aria-label="Settings of the run">{sliders}<dl class="tiles" '
        f'aria-live="polite">{numbers}</dl><script type="application/json">{data}</script></div>'
    )
