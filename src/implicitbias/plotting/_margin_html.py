"""The report of a classifier as one HTML page, which needs neither the network nor another file."""

from base64 import b64encode
from html import escape

from implicitbias.plotting._html import (
    badge_html,
    cells,
    header,
    page,
    settings,
    table_html,
    tiles,
    verdict,
)
from implicitbias.plotting._limits import limit_figure
from implicitbias.plotting._margin_report import MarginReport, margin_certificate_sentence, margin_sentence
from implicitbias.plotting._style import png
from implicitbias.plotting._text import short

# Largest numbers of rows of the tables. The files beside the page have the rest.
_FEATURES, _ROWS = 5000, 1000
_THEORY = "Pesme, Dragomir and Flammarion 2024, arXiv 2406.12763"


def margin_page(report: MarginReport) -> str:
    """Return the whole page as text."""
    title = f"Classifier of {escape(report.title)}"
    body = f"{_head(report, title)}{_figure(report)}{_coefficients(report)}{_support(report)}"
    return page(title, "margin", f"{body}{settings(report.facts, report.limit.certificate, _THEORY)}")


def _head(report: MarginReport, title: str) -> str:
    n, d = report.limit.problem.shape
    meaning = (
        "no linear classifier is better in this objective; this says nothing about the quality of predictions"
    )
    mark = badge_html(f"classifier {'certified' if report.sound else 'NOT certified'}", meaning, report.sound)
    numbers = [
        ("rows", str(n)),
        ("classes", str(len(report.classes))),
        ("features", str(d)),
        ("features used", str(len(report.used))),
        ("support vectors", str(len(report.support))),
        (f"margin, {report.horizon}", short(report.margin)),
        *([] if report.hard else [("misclassified rows", str(report.misclassified))]),
    ]
    said = [margin_sentence(report), report.limit.status.value, margin_certificate_sentence(report)]
    return header(title, report.target, mark) + tiles(numbers) + verdict(said, report.notes)


def _figure(report: MarginReport) -> str:
    picture = b64encode(png(limit_figure(report.limit, report.classes))).decode("ascii")
    unit = "per standard deviation of a feature" if report.standardized else "in the units of the data"
    text = (
        f"Coefficients are {unit}. The margin of a row is the difference between the scores of its own and of the "
        "nearest other class, scaled so that the classifier has the margin 1 (dashed)."
        if len(report.classes) > 2
        else f"Coefficients are {unit}; a positive one speaks for {report.classes[1]}. Margins are scaled so that the "
        "classifier has the margin 1 (dashed)."
    )
    return (
        f'<section><h2>Classifier</h2><p class="hint">{escape(text)}</p>'
        f'<img class="picture" alt="coefficients and margins of the rows" src="data:image/png;base64,{picture}">'
        "</section>\n"
    )


def _coefficients(report: MarginReport) -> str:
    # With several classes the figure shows the scaled coefficients, for which the table has no room.
    scaled = report.standardized and len(report.heads) == 1
    heads = ["feature", *report.heads, *(["per standard deviation"] if scaled else [])]
    rows = []
    for j in report.used[:_FEATURES]:
        texts = [short(float(value)) for value in report.coefficients[:, j]]
        texts += [short(float(value)) for value in report.fitted[:, j]] if scaled else []
        rows.append(f'<tr><th scope="row">{escape(report.names[j])}</th>{cells(texts)}</tr>')
    texts = [*(short(float(value)) for value in report.intercepts), *([""] if scaled else [])]
    rows.append(f'<tr class="sum"><th scope="row">intercept</th>{cells(texts)}</tr>')
    left = len(report.used) - _FEATURES
    more = f'<p class="hint">{left} more are in margin.csv.</p>' if left > 0 else ""
    return (
        '<section><h2>Coefficients</h2><p class="hint">In the units of the data. The coefficients of features that are '
        f"not in the table are 0.</p>{table_html(heads, rows)}{more}</section>\n"
    )


def _support(report: MarginReport) -> str:
    rows = [
        f'<tr><th scope="row">{report.rows[i]}</th><td class="text">{escape(report.classes[report.own[i]])}</td>'
        f"{cells([short(float(report.margins[i])), short(float(report.weights[i]))])}</tr>"
        for i in report.support[:_ROWS]
    ]
    left = len(report.support) - _ROWS
    more = f'<p class="hint">{left} more are in rows.csv.</p>' if left > 0 else ""
    return (
        '<section><h2>Support vectors</h2><p class="hint">The rows that determine the classifier. The weights are '
        "their multipliers divided by the sum of all. Rows are counted from 1 after the header.</p>"
        f"{table_html(['row', 'class', 'margin', 'weight'], rows)}{more}</section>\n"
    )
