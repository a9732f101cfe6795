"""The output of `implicitbias path` on the terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from implicitbias.plotting import PathReport, certificate_sentence, chosen_sentence, middle, short

# Numbers of rows before and after the gap in the table of a long path.
_FIRST, _LAST = 20, 12
_COEFFICIENTS = 20
_NUMBERS_WIDTH = 48


def print_report(report: PathReport) -> None:
    """Print the jumps, the status and the certificate of the path, and the result of cross-validation."""
    console = Console()
    path = report.path
    n, d = path.problem.shape
    console.print(
        Text.assemble((report.title, "bold"), f": target {report.target}, {n} rows, {d} features"),
        soft_wrap=True,
    )
    for note in report.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print(_jump_table(report, console.width))
    if report.validation is not None:
        console.print(_coefficient_table(report, console.width))
        console.print(Text(chosen_sentence(report)))
    certificate = path.certificate
    console.print(Text(path.status.value, style="" if path.status.ok else "bold red"))
    tolerance = f"tolerance {certificate.tolerance:.0e}"
    numbers = tolerance if certificate.gap is None else f"gap {certificate.gap:.0e}, {tolerance}"
    style = "" if certificate.holds else "bold red"
    said = f"{certificate_sentence(report)} ({numbers})"
    console.print(Text(said if certificate.holds else f"DOES NOT HOLD. {said}", style=style))


def _shown(report: PathReport) -> Iterator[int | None]:
    """Yield the rows of the table, and None in place of rows that are left out."""
    rows = len(report.path.times)
    if rows <= _FIRST + _LAST + 1:
        yield from range(rows)
        return
    chosen = report.row
    yield from range(_FIRST)
    if report.validation is not None and _FIRST <= chosen < rows - _LAST:
        if chosen > _FIRST:
            yield None
        yield chosen
        if chosen < rows - _LAST - 1:
            yield None
    else:
        yield None
    yield from range(rows - _LAST, rows)


def _jump_table(report: PathReport, width: int) -> Table:
    path = report.path
    table = _table("")
    for title in ("jump", "slow time", "loss", "R²", "active"):
        table.add_column(title, justify="right", no_wrap=True)
    room = max(width - _NUMBERS_WIDTH, 20)
    shown = [report.changes(k) for k in _shown(report) if k is not None]
    longest = [max((len(name) for row in shown for name in row[side]), default=0) + 1 for side in (0, 1)]
    first = min(max(longest[0], len("enters")), max(3 * room // 5, room - longest[1]))
    widths = first, room - first
    for title, most in zip(("enters", "leaves"), widths, strict=True):
        table.add_column(title, max_width=most)
    for k in _shown(report):
        if k is None:
            table.add_row("⋮", *["⋮"] * 4, "", "")
            continue
        numbers = (short(float(v[k])) for v in (path.times, path.losses, report.r2))
        chosen = report.validation is not None and k == report.row
        cells = (Text(_listed(names, most)) for names, most in zip(report.changes(k), widths, strict=True))
        mark = f"→ {k}" if chosen else str(k)
        table.add_row(
            mark, *numbers, str(len(path.active_sets[k])), *cells, style="bold green" if chosen else ""
        )
    hidden = len(path.times) - sum(k is not None for k in _shown(report))
    if hidden:
        table.caption = (
            f"{hidden} jumps in the middle are left out here; --out DIR writes all of them to path.csv"
        )
    return table


def _table(title: str) -> Table:
    return Table(
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=title or None,
        title_justify="left", title_style="bold", caption_justify="left",
    )  # fmt: skip


def _listed(names: list[str], room: int) -> str:
    """Return the first names, each shortened to `room` characters, and the number of the others."""
    most = 3
    text = ", ".join(middle(name, room - 1) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _coefficient_table(report: PathReport, width: int) -> Table:
    """Return a table of the chosen coefficients, largest first."""
    fit = report.path.coefficients_sparse[[report.row]].toarray().ravel()
    original = report.coefficients[[report.row]].toarray().ravel()
    order = sorted(report.path.active_sets[report.row].tolist(), key=lambda i: -abs(fit[i]))
    table = _table("Chosen coefficients")
    table.add_column("feature", overflow="fold")
    table.add_column("in the units of the data", justify="right")
    if report.standardized:
        table.add_column("per standard deviation", justify="right")
    table.add_row(Text("intercept", style="dim"), short(float(report.intercepts[report.row])))
    for i in order[:_COEFFICIENTS]:
        cells = [short(float(original[i])), *([short(float(fit[i]))] if report.standardized else [])]
        table.add_row(Text(middle(report.names[i], max(width - 56, 16))), *cells)
    if len(order) > _COEFFICIENTS:
        hidden = len(order) - _COEFFICIENTS
        table.caption = f"{hidden} smaller ones are left out here; --out DIR writes all of them to path.csv"
    return table
