"""The report of a saddle path as one HTML page, which needs neither the network nor another file."""

import json
from html import escape
from importlib.resources import files

from implicitbias.plotting._html import badge_html, cells, header, page, settings, table_html, tiles, verdict
from implicitbias.plotting._path_charts import (
    Drawing,
    coefficient_chart,
    draw,
    hover_data,
    r2_chart,
    validation_chart,
)
from implicitbias.plotting._path_report import PathReport
from implicitbias.plotting._path_words import (
    HELD_OUT_MEANING,
    badge,
    certificate_sentence,
    chosen_sentence,
    held_out_r2,
)
from implicitbias.plotting._text import short

# Largest numbers of jumps and features in the tables, and of names in a cell. The files beside the page have the rest.
_JUMPS, _FEATURES, _NAMES_IN_A_CELL = 1500, 5000, 12


def path_page(report: PathReport) -> str:
    """Return the whole page as text."""
    drawing = draw(report)
    script = (files("implicitbias.plotting") / "_path_page.js").read_text(encoding="utf-8")
    # "</" could end the script element early. JSON allows "<\/" for the same text.
    data = json.dumps(hover_data(drawing), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    data = data.replace("<!--", "<\\u0021--")
    title = f"Saddle path of {escape(report.title)}"
    body = f"{_head(report, title)}{_charts(drawing)}{_coefficients(report)}{_jumps(report)}{_facts(report)}"
    scripts = f'<script type="application/json" id="path-data">{data}</script>\n<script>\n{script}</script>\n'
    return page(title, "path", body, scripts)


def _head(report: PathReport, title: str) -> str:
    path = report.path
    n, d = path.problem.shape
    holds = path.certificate.holds and path.status.ok
    meaning = "each saddle is optimal under its signs; this says nothing about the quality of predictions"
    mark = badge_html(badge(report), meaning, holds)
    numbers = [
        ("rows", f"{n}"),
        ("features", f"{d}"),
        ("ever active", f"{len(report.used)}"),
        ("jumps", f"{path.n_jumps}"),
    ]
    if report.validation is None:
        numbers.append(("R² at the end, rows of the fit", short(float(report.r2[-1]))))
    else:
        numbers.append(("R² at the choice, held-out rows", short(held_out_r2(report))))
        numbers.append(("R² at the choice, rows of the fit", short(float(report.r2[report.row]))))
    said = [path.status.value, certificate_sentence(report)]
    if report.validation is not None:
        said.insert(0, chosen_sentence(report))
    return header(title, report.target, mark) + tiles(numbers) + verdict(said, report.notes)


def _slow_time(report: PathReport) -> str:
    """Return a sentence that says what slow time is."""
    unit = report.path.growth.unit
    if unit is None:
        return "Slow time is in the unit of the growth times."
    return f"Slow time is training time divided by {unit.replace('alpha', 'α')}, where α is the scale of the start."


def _charts(drawing: Drawing) -> str:
    used, drawn = len(drawing.report.used), len(drawing.lines)
    more = (
        f" The chart shows the {drawn} features with the largest coefficients; {used - drawn} more are active at some "
        "time."
        if used > drawn
        else ""
    )
    return (
        "<section><h2>The path</h2>"
        '<p class="hint">A diagonal network that is trained from a vanishing start stays near saddles of its loss and '
        f"jumps from one saddle to the next. {_slow_time(drawing.report)} Point at a line to see its name and values."
        f"{more}</p>"
        f"{coefficient_chart(drawing)}{r2_chart(drawing)}{validation_chart(drawing)}</section>\n"
    )


def _coefficients(report: PathReport) -> str:
    """Return the table of all features that are active at some saddle, sorted by size at the chosen saddle."""
    row, last = report.row, report.path.n_jumps
    fit = report.path.coefficients_sparse
    chosen, end = (fit[[k]].toarray().ravel() for k in (row, last))
    original, original_end = (report.coefficients[[k]].toarray().ravel() for k in (row, last))
    entry = _first_rows(report)
    order = sorted(report.used.tolist(), key=lambda i: (-abs(chosen[i]), -abs(end[i]), entry[i]))
    chose = report.validation is not None
    heads = ["feature", "coefficient", *(["per standard deviation"] if report.standardized else [])]
    heads += [*(["at the end"] if chose else []), "enters at jump", "slow time"]
    rows = []
    for i in order[:_FEATURES]:
        texts = [short(original[i])]
        texts += [short(chosen[i])] if report.standardized else []
        texts += [short(original_end[i])] if chose else []
        texts += [str(entry[i]), short(float(report.path.times[entry[i]]))]
        state = "" if chosen[i] else ' class="off"'
        rows.append(
            f'<tr data-i="{i}"{state}><th scope="row">{escape(report.names[i])}</th>{cells(texts)}</tr>'
        )
    intercepts = [short(float(report.intercepts[row])), *([""] if report.standardized else [])]
    intercepts += [short(float(report.intercepts[last]))] if chose else []
    rows.append(f'<tr class="sum"><th scope="row">intercept</th>{cells([*intercepts, "", ""])}</tr>')
    where = (
        f"at the chosen slow time {short(report.validation.chosen)}"
        if report.validation
        else "at the end of the path"
    )
    left = len(order) - _FEATURES
    more = f'<p class="hint">{left} more are in path.csv.</p>' if left > 0 else ""
    return (
        f'<section><h2>Coefficients</h2><p class="hint">Coefficients {where}, in the units of the data. The table has '
        f"the {len(order)} features that are active at some saddle, as have path.csv and path.nc; the coefficients "
        "of the others are always 0.</p>"
        f"{table_html(heads, rows)}{more}</section>\n"
    )


def _first_rows(report: PathReport) -> dict[int, int]:
    """Return {feature: the first row at which it is active}."""
    first: dict[int, int] = {}
    for row, active in enumerate(report.path.active_sets):
        for i in active.tolist():
            first.setdefault(i, row)
    return first


def _jumps(report: PathReport) -> str:
    path = report.path
    heads = ["jump", "slow time", "loss", "R²", "active", "intercept"]
    heads += ["held-out error"] if report.validation else []
    heads += ["enters", "leaves"]
    rows = []
    for k in range(min(len(path.times), _JUMPS)):
        numbers = [short(float(v[k])) for v in (path.times, path.losses, report.r2)]
        numbers += [str(len(path.active_sets[k])), short(float(report.intercepts[k]))]
        if report.validation is not None:
            error = report.held_out_error(k)
            numbers.append("" if error is None else short(error))
        names = "".join(f'<td class="text">{_names(part)}</td>' for part in report.changes(k))
        chosen = ' class="chosen"' if report.validation is not None and k == report.row else ""
        rows.append(f'<tr{chosen} data-k="{k}"><th scope="row">{k}</th>{cells(numbers)}{names}</tr>')
    left = len(path.times) - _JUMPS
    more = f'<p class="hint">{left} more are in path.csv.</p>' if left > 0 else ""
    hint = "R² is that of the rows of the fit."
    if report.validation is not None:
        hint += f" {HELD_OUT_MEANING}"
    return f'<section><h2>Jumps</h2><p class="hint">{hint}</p>{table_html(heads, rows)}{more}</section>\n'


def _names(names: list[str]) -> str:
    shown = escape(", ".join(names[:_NAMES_IN_A_CELL]))
    return shown if len(names) <= _NAMES_IN_A_CELL else f"{shown} and {len(names) - _NAMES_IN_A_CELL} more"


def _facts(report: PathReport) -> str:
    return settings(report.facts, report.path.certificate, "Pesme and Flammarion 2023, arXiv 2304.00488")
