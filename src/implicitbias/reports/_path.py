"""The report of a saddle path."""

from implicitbias.plotting import (
    HELD_OUT_MEANING,
    PathReport,
    badge,
    certificate_sentence,
    chosen_sentence,
    held_out_r2,
    path_chart,
    short,
)
from implicitbias.reports._certificate import settings_section
from implicitbias.reports._document import (
    Badge,
    Document,
    Notes,
    Numbers,
    Part,
    Picture,
    Row,
    Scrubber,
    Section,
    Table,
    Text,
)

# Largest numbers of jumps and features in the tables, and of names in a cell. The files beside the page have the rest.
_JUMPS, _FEATURES, _NAMES_IN_A_CELL = 1500, 5000, 12
_DRAWN, _TOLD = 400, 3
_TEXTS = frozenset({"feature", "enters", "leaves"})


def path_document(report: PathReport) -> Document:
    """Return the report of a path, with its choice of a saddle if it was cross-validated."""
    path = report.path
    mark = Badge(
        badge(report),
        "each saddle is optimal under its signs; this says nothing about the quality of predictions",
        path.certificate.holds and path.status.ok,
    )
    settings = settings_section(report.facts, path.certificate, "pesme2023saddle")
    return Document(
        f"Saddle path of {report.title}",
        "path",
        (("Target", False), (report.target, True)),
        mark,
        (_head(report), _picture(report), _coefficients(report), _jumps(report), settings),
    )


def _head(report: PathReport) -> Section:
    path = report.path
    n, d = path.problem.shape
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
    said = [] if report.validation is None else [chosen_sentence(report)]
    said += [path.status.value, certificate_sentence(report)]
    return Section("", (Numbers(tuple(numbers)), *map(Text, said), Notes(report.notes)))


def _slow_time(report: PathReport) -> str:
    """Return a sentence that says what slow time is."""
    unit = report.path.growth.unit
    if unit is None:
        return "Slow time is in the unit of the growth times."
    return f"Slow time is training time divided by {unit.replace('alpha', 'α')}, where α is the scale of the start."


def _picture(report: PathReport) -> Section:
    used = len(report.used)
    more = (
        f" The figure shows the {_DRAWN} features with the largest coefficients; {used - _DRAWN} more are active at "
        "some time."
        if used > _DRAWN
        else ""
    )
    hint = (
        "A diagonal network that is trained from a vanishing start stays near saddles of its loss and jumps from one "
        f"saddle to the next. {_slow_time(report)} Point at a line to see its name and values, or move the slider to "
        f"go from saddle to saddle.{more}"
    )
    told = f"The path has {report.path.n_jumps} jumps; the tables below name the features and the times."
    picture = Picture(
        "Coefficients and fit against slow time", told, path_chart(report), scrubber=_scrubber(report)
    )
    return Section("The path", (Text(hint, hint=True), picture))


def _scrubber(report: PathReport) -> Scrubber:
    """Return the slider over the saddles, with the fit and the largest coefficients of each."""
    table = report.coefficients.tocsr()
    scale = report.path.coefficients_sparse
    sentences = []
    for k in range(min(len(report.path.times), _JUMPS)):
        ends = slice(scale.indptr[k], scale.indptr[k + 1])
        order = abs(scale.data[ends]).argsort(kind="stable")[::-1][:_TOLD]
        largest = [int(i) for i in scale.indices[ends][order]]
        row = table[[k]].toarray().ravel()
        named = ", ".join(f"{report.names[i]} {short(float(row[i]))}" for i in largest)
        sentences.append(
            f"After jump {k}, from slow time {short(float(report.path.times[k]))} on: R² {short(float(report.r2[k]))}, "
            f"{ends.stop - ends.start} active" + (f"; largest coefficients: {named}" if named else "")
        )
    places = tuple(float(t) for t in report.path.times[: len(sentences)])
    return Scrubber("Saddle", places, tuple(sentences), min(report.row, len(sentences) - 1))


def _coefficients(report: PathReport) -> Section:
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
        texts = [report.names[i], short(original[i])]
        texts += [short(chosen[i])] if report.standardized else []
        texts += [short(original_end[i])] if chose else []
        texts += [str(entry[i]), short(float(report.path.times[entry[i]]))]
        rows.append(Row(tuple(texts), "" if chosen[i] else "off", str(i)))
    intercepts = ["intercept", short(float(report.intercepts[row])), *([""] if report.standardized else [])]
    intercepts += [short(float(report.intercepts[last]))] if chose else []
    rows.append(Row((*intercepts, "", ""), "sum"))
    where = (
        f"at the chosen slow time {short(report.validation.chosen)}"
        if report.validation
        else "at the end of the path"
    )
    hint = (
        f"Coefficients {where}, in the units of the data. The table has the {len(order)} features that are active at "
        "some saddle, as have path.csv and the store; the coefficients of the others are always 0."
    )
    table = Table(tuple(heads), tuple(rows), _TEXTS)
    return Section("Coefficients", (Text(hint, hint=True), table, *more(len(order) - _FEATURES, "path.csv")))


def more(left: int, file: str) -> tuple[Part, ...]:
    """Return the sentence about the rows that a table leaves out."""
    return (Text(f"{left} more are in {file}.", hint=True),) if left > 0 else ()


def _first_rows(report: PathReport) -> dict[int, int]:
    """Return {feature: the first row at which it is active}."""
    first: dict[int, int] = {}
    for row, active in enumerate(report.path.active_sets):
        for i in active.tolist():
            first.setdefault(i, row)
    return first


def _jumps(report: PathReport) -> Section:
    path = report.path
    heads = ["jump", "slow time", "loss", "R²", "active", "intercept"]
    heads += ["held-out error"] if report.validation else []
    heads += ["enters", "leaves"]
    rows = []
    for k in range(min(len(path.times), _JUMPS)):
        texts = [str(k), *(short(float(values[k])) for values in (path.times, path.losses, report.r2))]
        texts += [str(len(path.active_sets[k])), short(float(report.intercepts[k]))]
        if report.validation is not None:
            error = report.held_out_error(k)
            texts.append("" if error is None else short(error))
        texts += [_names(part) for part in report.changes(k)]
        rows.append(Row(tuple(texts), "chosen" if report.validation is not None and k == report.row else ""))
    hint = "R² is that of the rows of the fit."
    if report.validation is not None:
        hint += f" {HELD_OUT_MEANING}"
    table = Table(tuple(heads), tuple(rows), _TEXTS)
    return Section("Jumps", (Text(hint, hint=True), table, *more(len(path.times) - _JUMPS, "path.csv")))


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_IN_A_CELL])
    return shown if len(names) <= _NAMES_IN_A_CELL else f"{shown} and {len(names) - _NAMES_IN_A_CELL} more"
