"""The report of a classifier."""

from implicitbias.plotting import (
    MarginReport,
    limit_figure,
    margin_certificate_sentence,
    margin_sentence,
    short,
)
from implicitbias.reports._certificate import settings_section
from implicitbias.reports._document import Badge, Document, Notes, Numbers, Row, Section, Table, Text
from implicitbias.reports._path import more
from implicitbias.reports._picture import picture_of

# Largest numbers of rows of the tables. The files beside the page have the rest.
_FEATURES, _ROWS = 5000, 1000
_TEXTS = frozenset({"feature", "class"})


def margin_document(report: MarginReport) -> Document:
    """Return the report of a classifier."""
    mark = Badge(
        f"classifier {'certified' if report.sound else 'NOT certified'}",
        "no linear classifier is better in this objective; this says nothing about the quality of predictions",
        report.sound,
    )
    settings = settings_section(report.facts, report.limit.certificate, "pesme2024mirror")
    return Document(
        f"Classifier of {report.title}",
        "margin",
        (("Target", False), (report.target, True)),
        mark,
        (_head(report), _picture(report), _coefficients(report), _support(report), settings),
    )


def _head(report: MarginReport) -> Section:
    n, d = report.limit.problem.shape
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
    return Section("", (Numbers(tuple(numbers)), *map(Text, said), Notes(report.notes)))


def _picture(report: MarginReport) -> Section:
    unit = "per standard deviation of a feature" if report.standardized else "in the units of the data"
    text = (
        f"Coefficients are {unit}. The margin of a row is the difference between the scores of its own and of the "
        "nearest other class, scaled so that the classifier has the margin 1 (dashed)."
        if len(report.classes) > 2
        else f"Coefficients are {unit}; a positive one speaks for {report.classes[1]}. Margins are scaled so that the "
        "classifier has the margin 1 (dashed)."
    )
    figure = limit_figure(report.limit, report.classes)
    picture = picture_of(figure, "Coefficients and margins of the rows")
    return Section("Classifier", (Text(text, hint=True), picture))


def _coefficients(report: MarginReport) -> Section:
    # With several classes the figure shows the scaled coefficients, for which the table has no room.
    scaled = report.standardized and len(report.heads) == 1
    heads = ("feature", *report.heads, *(["per standard deviation"] if scaled else []))
    rows = []
    for j in report.used[:_FEATURES]:
        texts = [report.names[j], *(short(float(value)) for value in report.coefficients[:, j])]
        texts += [short(float(value)) for value in report.fitted[:, j]] if scaled else []
        rows.append(Row(tuple(texts)))
    texts = ["intercept", *(short(float(value)) for value in report.intercepts), *([""] if scaled else [])]
    rows.append(Row(tuple(texts), "sum"))
    hint = "In the units of the data. The coefficients of features that are not in the table are 0."
    table = Table(heads, tuple(rows), _TEXTS)
    left = more(len(report.used) - _FEATURES, "margin.csv")
    return Section("Coefficients", (Text(hint, hint=True), table, *left))


def _support(report: MarginReport) -> Section:
    rows = tuple(
        Row(
            (
                str(report.rows[i]), report.classes[report.own[i]], short(float(report.margins[i])),
                short(float(report.weights[i])),
            )
        )
        for i in report.support[:_ROWS]
    )  # fmt: skip
    hint = (
        "The rows that determine the classifier. The weights are their multipliers divided by the sum of all. Rows are "
        "counted from 1 after the header."
    )
    table = Table(("row", "class", "margin", "weight"), rows, _TEXTS)
    left = more(len(report.support) - _ROWS, "rows.csv")
    return Section("Support vectors", (Text(hint, hint=True), table, *left))
