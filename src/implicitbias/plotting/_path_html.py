"""The report of a saddle path as one HTML page, which needs neither the network nor another file."""

import json
from html import escape
from importlib.resources import files

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
    room = files("implicitbias.plotting")
    style, script = ((room / f"_path_page.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    # "</" could end the script element early. JSON allows "<\/" for the same text.
    data = json.dumps(hover_data(drawing), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    data = data.replace("<!--", "<\\u0021--")
    title = f"Saddle path of {escape(report.title)}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="implicitbias path">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"{_head(report, title)}{_charts(drawing)}{_coefficients(report)}{_jumps(report)}{_facts(report)}"
        f'</main>\n<script type="application/json" id="path-data">{data}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _head(report: PathReport, title: str) -> str:
    path = report.path
    n, d = path.problem.shape
    holds = path.certificate.holds and path.status.ok
    meaning = "each saddle is optimal under its signs; this says nothing about the quality of predictions"
    mark = f'<span class="badge {"good" if holds else "bad"}" title="{meaning}">{badge(report)}</span>'
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
    tiles = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers)
    said = [path.status.value, certificate_sentence(report)]
    if report.validation is not None:
        said.insert(0, chosen_sentence(report))
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in said)
    items = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    notes = f'<ul class="notes">{items}</ul>' if items else ""
    return (
        f"<header><h1>{title}</h1><p>Target <b>{escape(report.target)}</b> {mark}</p></header>\n"
        f'<dl class="tiles">{tiles}</dl>\n<section class="verdict">{text}{notes}</section>\n'
    )


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
        cells = [short(original[i])]
        cells += [short(chosen[i])] if report.standardized else []
        cells += [short(original_end[i])] if chose else []
        cells += [str(entry[i]), short(float(report.path.times[entry[i]]))]
        state = "" if chosen[i] else ' class="off"'
        rows.append(
            f'<tr data-i="{i}"{state}><th scope="row">{escape(report.names[i])}</th>{_cells(cells)}</tr>'
        )
    intercepts = [short(float(report.intercepts[row])), *([""] if report.standardized else [])]
    intercepts += [short(float(report.intercepts[last]))] if chose else []
    rows.append(f'<tr class="sum"><th scope="row">intercept</th>{_cells([*intercepts, "", ""])}</tr>')
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
        f"{_table(heads, rows)}{more}</section>\n"
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
        rows.append(f'<tr{chosen} data-k="{k}"><th scope="row">{k}</th>{_cells(numbers)}{names}</tr>')
    left = len(path.times) - _JUMPS
    more = f'<p class="hint">{left} more are in path.csv.</p>' if left > 0 else ""
    hint = "R² is that of the rows of the fit."
    if report.validation is not None:
        hint += f" {HELD_OUT_MEANING}"
    return f'<section><h2>Jumps</h2><p class="hint">{hint}</p>{_table(heads, rows)}{more}</section>\n'


def _names(names: list[str]) -> str:
    shown = escape(", ".join(names[:_NAMES_IN_A_CELL]))
    return shown if len(names) <= _NAMES_IN_A_CELL else f"{shown} and {len(names) - _NAMES_IN_A_CELL} more"


def _cells(texts: list[str]) -> str:
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def _table(heads: list[str], rows: list[str]) -> str:
    words = {"feature", "enters", "leaves"}
    cells = "".join(f'<th scope="col"{" class=text" if head in words else ""}>{head}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _facts(report: PathReport) -> str:
    certificate = report.path.certificate
    facts = dict(report.facts)
    numbers = {} if certificate.gap is None else {"gap": certificate.gap}
    numbers |= certificate.residuals
    facts["certificate"] = (
        f"{'holds' if certificate.holds else 'DOES NOT HOLD'}, tolerance {certificate.tolerance:.0e}: "
        + ", ".join(f"{name} {value:.1e}" for name, value in numbers.items())
    )
    facts["theory"] = "Pesme and Flammarion 2023, arXiv 2304.00488"
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f'<section><h2>Data and settings</h2><dl class="facts">{items}</dl></section>\n'
