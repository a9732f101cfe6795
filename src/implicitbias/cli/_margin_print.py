"""The output of `implicitbias margin`: tables on a terminal, records in a pipe."""

from typing import Any

from implicitbias.cli._margin_job import Inseparable
from implicitbias.cli._path_print import distinct
from implicitbias.cli._terminal import carried, console, on_terminal, record, say, table
from implicitbias.plotting import MarginReport, margin_certificate_sentence, margin_sentence, short

_COEFFICIENTS, _SUPPORT, _TERMS = 20, 12, 20
_LETTERS = 60


def print_margin(report: MarginReport, last: str) -> None:
    """Print the coefficients, the support vectors, the margin, the certificate, and a last line."""
    (_print_tables if on_terminal() else _print_records)(report, last)


def print_proof(proof: Inseparable) -> None:
    """Print the terms of the convex combination that proves that the classes are not separable."""
    heads = ("row", "class", "against", "weight")
    if not on_terminal():
        record(heads)
        for term in proof.witnesses:
            record(term)
        say(f"{proof.certificate.sentence}")
        return
    console().print("A convex combination of these signed rows is 0:")
    shown = table()
    for head in heads:
        shown.add_column(head, justify="left" if head in ("class", "against") else "right", overflow="fold")
    for term in proof.witnesses[:_TERMS]:
        shown.add_row(*_texts([str(term.row), term.label, term.against, short(term.weight)]))
    if len(proof.witnesses) > _TERMS:
        shown.caption = f"{len(proof.witnesses) - _TERMS} more are left out here; --json prints all"
    console().print(shown)
    console().print(carried(proof.certificate.sentence), markup=False)


def _heading(report: MarginReport) -> str:
    n, d = report.limit.problem.shape
    classes = ", ".join(report.classes[:6]) + (", ..." if len(report.classes) > 6 else "")
    return f": target {report.target}, {n} rows, {d} features, {len(report.classes)} classes ({classes})"


def _heads(report: MarginReport) -> list[str]:
    """Return the titles of the columns of coefficients, in the units of the data and then of the problem."""
    scaled = "per standard deviation"
    if len(report.heads) == 1:
        return ["coefficient", *([scaled] if report.standardized else [])]
    return [*report.heads, *(f"{name} {scaled}" for name in report.heads if report.standardized)]


def _print_records(report: MarginReport, last: str) -> None:
    """Print every coefficient that is not 0 and every support vector as one line, with all digits."""
    say(report.title + _heading(report))
    for note in report.notes:
        say(f"note: {note}")
    record(["feature", *_heads(report)])
    scaled = [""] * (len(report.heads) * report.standardized)
    record(["(intercept)", *report.intercepts.tolist(), *scaled])
    for j in report.used:
        fitted = report.fitted[:, j].tolist() if report.standardized else []
        record([report.names[j], *report.coefficients[:, j].tolist(), *fitted])
    record(["support vector", "class", "margin", "weight"], begin="# ")
    for i in report.support:
        numbers = float(report.margins[i]), float(report.weights[i])
        record([int(report.rows[i]), report.classes[report.own[i]], *numbers], begin="# ")
    for line in (
        margin_sentence(report),
        report.limit.status.value,
        margin_certificate_sentence(report),
        last,
    ):
        say(line)


def _print_tables(report: MarginReport, last: str) -> None:
    from rich.text import Text

    screen = console()
    screen.print(Text.assemble((carried(report.title), "bold"), carried(_heading(report))), soft_wrap=True)
    for note in report.notes:
        screen.print(Text(carried(f"note: {note}"), style="yellow"))
    screen.print(_coefficient_table(report))
    screen.print(_support_table(report))
    screen.print(Text(carried(margin_sentence(report))))
    bad = "" if report.sound else "bold red"
    screen.print(Text(report.limit.status.value, style=bad))
    screen.print(Text(carried(margin_certificate_sentence(report)), style=bad))
    screen.print(carried(last), markup=False, soft_wrap=True)


def _texts(cells: list[str]) -> list[Any]:
    """Return cells that rich shows as they are, although they may hold brackets."""
    from rich.text import Text

    return [Text(carried(cell)) for cell in cells]


def _coefficient_table(report: MarginReport) -> Any:
    """Return a table of the largest coefficients. With several classes it has those in the units of the data only."""
    two = len(report.heads) == 1
    heads = _heads(report) if two else list(report.heads)
    shown = table("Coefficients in the units of the data" if not two else "Coefficients")
    shown.add_column("feature", overflow="fold")
    for head in heads:
        shown.add_column(_texts([head])[0], justify="right", overflow="fold")
    padding = [""] * (len(heads) - len(report.heads))
    shown.add_row(*_texts(["(intercept)", *map(short, report.intercepts.tolist()), *padding]))
    chosen = report.used[:_COEFFICIENTS]
    names = distinct({report.names[j] for j in chosen}, _LETTERS)
    for j in chosen:
        values = report.coefficients[:, j].tolist()
        values += report.fitted[:, j].tolist() if two and report.standardized else []
        shown.add_row(*_texts([names[report.names[j]], *map(short, values)]))
    if len(report.used) > len(chosen):
        hidden = len(report.used) - len(chosen)
        shown.caption = f"{hidden} smaller ones are left out here; --out DIR writes all of them to margin.csv"
    return shown


def _support_table(report: MarginReport) -> Any:
    shown = table("Support vectors")
    for head in ("row", "class", "margin", "weight"):
        shown.add_column(head, justify="left" if head == "class" else "right", overflow="fold")
    for i in report.support[:_SUPPORT]:
        numbers = short(float(report.margins[i])), short(float(report.weights[i]))
        shown.add_row(*_texts([str(report.rows[i]), report.classes[report.own[i]], *numbers]))
    if len(report.support) > _SUPPORT:
        hidden = len(report.support) - _SUPPORT
        shown.caption = f"{hidden} more are left out here; --out DIR writes all of them to rows.csv"
    return shown
