"""The output of `implicitbias path`: tables on a terminal, records in a pipe."""

from collections.abc import Iterator
from typing import Any

from implicitbias.cli._terminal import carried, console, on_terminal, record, say, table
from implicitbias.plotting import (
    HELD_OUT_MEANING,
    PathReport,
    certificate_sentence,
    chosen_sentence,
    middle,
    short,
)

# Numbers of rows before and after the gap in the table of a long path.
_FIRST, _LAST = 20, 12
_COEFFICIENTS = 20
# Largest number of names in a cell, and of lines for one name; smallest width of a column of names.
_NAMES, _LINES, _NARROWEST = 3, 3, 20
_LEAVES = "leaves "
# What the numbers of the certificate of a path mean.
_MEANING = {
    "gap": "the relative duality gap of the end",
    "worst_saddle": "the largest relative gradient of a feature that a saddle should have fitted",
    "stationarity": "the largest relative correlation of a feature with the residual at the end",
    "dual_feasibility": "the largest excess of a dual variable over its bound at the end",
    "dual_rounding": "the largest relative rounding error of a dual variable at the end",
}


def print_report(report: PathReport, last: str) -> None:
    """Print the jumps, the status and the certificate of the path, the result of cross-validation, and a last line."""
    if on_terminal():
        _print_tables(report, last)
    else:
        _print_records(report, last)


def certificate_lines(report: PathReport) -> list[str]:
    """Return the verdict of the certificate; if it does not hold, also every number that is too large, and advice."""
    certificate = report.path.certificate
    if certificate.holds:
        gap = "" if certificate.gap is None else f"relative duality gap {short(certificate.gap)}, "
        numbers = f"{gap}at most {certificate.tolerance:.0e} is accepted"
        return [f"{certificate_sentence(report)} ({numbers})"]
    lines = [f"DOES NOT HOLD. {certificate_sentence(report)}"]
    for name, value, bound in certificate.failures:
        meaning = _MEANING.get(name, "a residual")
        lines.append(f"  {name}, {meaning}, is {value:.0e}; at most {bound:.0e} is accepted.")
    advice = "leave out one of two columns that say almost the same"
    if not report.standardized:
        advice += ", or leave out --no-standardize"
    lines.append(
        "  The usual cause are columns that almost depend on each other or have very different scales; "
        + advice
        + "."
    )
    return lines


def _heading(report: PathReport) -> str:
    n, d = report.path.problem.shape
    return f": target {report.target}, {n} rows, {d} features"


def _print_records(report: PathReport, last: str) -> None:
    """Print every jump and every chosen coefficient as one line, with whole names and all digits."""
    path, validated = report.path, report.validation is not None
    say(report.title + _heading(report))
    for note in report.notes:
        say(f"note: {note}")
    validation = ["held_out_error", "chosen"] if validated else []
    record(["jump", "time", "loss", "r2", "active", *validation, "enters", "leaves"])
    for k in range(len(path.times)):
        numbers = [float(values[k]) for values in (path.times, path.losses, report.r2)]
        held_out = report.held_out_error(k)
        errors = ["" if held_out is None else held_out, int(k == report.row)] if validated else []
        record([k, *numbers, len(path.active_sets[k]), *errors, *map(", ".join, report.changes(k))])
    if validated:
        units = ["in the units of the data", *(["per standard deviation"] if report.standardized else [])]
        record(["chosen coefficient", *units], begin="# ")
        record(["intercept", float(report.intercepts[report.row])], begin="# ")
        for name, values in _chosen(report):
            record([name, *values], begin="# ")
        say(chosen_sentence(report))
        say(HELD_OUT_MEANING)
    for line in (path.status.value, *certificate_lines(report), last):
        say(line)


def _print_tables(report: PathReport, last: str) -> None:
    from rich.text import Text

    screen = console()
    heading = Text.assemble((carried(report.title), "bold"), carried(_heading(report)))
    screen.print(heading, soft_wrap=True)
    for note in report.notes:
        screen.print(Text(carried(f"note: {note}"), style="yellow"))
    screen.print(_jump_table(report, screen.width))
    if report.validation is not None:
        screen.print(_coefficient_table(report, screen.width))
        screen.print(Text(carried(chosen_sentence(report))))
    path = report.path
    screen.print(Text(path.status.value, style="" if path.status.ok else "bold red"))
    for line in certificate_lines(report):
        screen.print(Text(carried(line), style="" if path.certificate.holds else "bold red"))
    screen.print(carried(last), markup=False, soft_wrap=True)


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


def _jump_table(report: PathReport, width: int) -> Any:
    rows = list(_shown(report))
    numbers = _numbers(report, rows)
    while _room(numbers, width) < _NARROWEST and len(numbers) > 2:
        # A narrow terminal shows names rather than all numbers. The jump and its time are the first columns.
        del numbers[list(numbers)[2]]
    room = _room(numbers, width)
    shown = table()
    for title in numbers:
        shown.add_column(title, justify="right", no_wrap=True)
    columns = _change_columns(report, rows, room)
    for title, (most, _) in columns.items():
        shown.add_column(title, max_width=most, overflow="fold")
    for i, k in enumerate(rows):
        cells = [column[i] for column in numbers.values()] + [cells[i] for _, cells in columns.values()]
        chosen = report.validation is not None and k == report.row
        shown.add_row(*_texts(cells), style="bold green" if chosen else "")
    hidden = len(report.path.times) - sum(k is not None for k in rows)
    if hidden:
        shown.caption = (
            f"{hidden} jumps in the middle are left out here; --out DIR writes all of them to path.csv"
        )
    return shown


def _texts(cells: list[str]) -> list[Any]:
    """Return cells that rich shows as they are, although they may hold brackets."""
    from rich.text import Text

    return [Text(cell) for cell in cells]


def _numbers(report: PathReport, rows: list[int | None]) -> dict[str, list[str]]:
    """Return {title: cells} of the columns of numbers."""
    path = report.path

    def column(text: Any) -> list[str]:
        return [carried("⋮" if k is None else text(k)) for k in rows]

    chosen = None if report.validation is None else report.row
    return {
        "jump": column(lambda k: f"→ {k}" if k == chosen else str(k)),
        "slow time": column(lambda k: short(float(path.times[k]))),
        "loss": column(lambda k: short(float(path.losses[k]))),
        carried("R²"): column(lambda k: short(float(report.r2[k]))),
        "active": column(lambda k: str(len(path.active_sets[k]))),
    }


def _room(numbers: dict[str, list[str]], width: int) -> int:
    """Return the width that is left for names. One cell of space follows each column."""
    return width - sum(max(len(title), *map(len, cells)) + 1 for title, cells in numbers.items()) - 1


def _change_columns(
    report: PathReport, rows: list[int | None], room: int
) -> dict[str, tuple[int, list[str]]]:
    """Return {title: (width, cells)} of the features that enter and leave.

    There are two columns if all names fit into them, and otherwise one column of changes.
    """
    from rich.cells import cell_len

    changes = [([], []) if k is None else report.changes(k) for k in rows]
    sides = [[[carried(name) for name in names] for names in side] for side in zip(*changes, strict=True)]
    longest = [max((cell_len(name) for names in side for name in names), default=0) for side in sides]
    widths = [max(length, len(title)) for length, title in zip(longest, ("enters", "leaves"), strict=True)]
    if sum(widths) + 1 <= room:
        return {
            title: (most, [_listed(names) for names in side])
            for title, most, side in zip(("enters", "leaves"), widths, sides, strict=True)
        }
    entered, left = sides
    # A sign does not tell two names apart.
    bare = {name[1:] for names in entered for name in names} | {name for names in left for name in names}
    shown = distinct(bare, _LINES * room - len(_LEAVES))
    both = [
        [name[0] + shown[name[1:]] for name in now] + [_LEAVES + shown[name] for name in gone]
        for now, gone in zip(entered, left, strict=True)
    ]
    return {"change": (room, list(map(_listed, both)))}


def _listed(names: list[str]) -> str:
    """Return the first names, one a line, and the number of the others."""
    lines = names[:_NAMES]
    if len(names) > _NAMES:
        lines = [*lines, f"and {len(names) - _NAMES} more"]
    return "\n".join(lines)


def distinct(names: set[str], most: int) -> dict[str, str]:
    """Return {name: shortened name}: at most `most` letters, but whole if two names would look the same."""
    shortened = {name: carried(middle(name, most)) for name in names}
    counts: dict[str, int] = {}
    for text in shortened.values():
        counts[text] = counts.get(text, 0) + 1
    return {name: text if counts[text] == 1 else name for name, text in shortened.items()}


def _chosen(report: PathReport) -> list[tuple[str, list[float]]]:
    """Return the names of the chosen coefficients and their values, largest first."""
    fit = report.path.coefficients_sparse[[report.row]].toarray().ravel()
    original = report.coefficients[[report.row]].toarray().ravel()
    order = sorted(report.path.active_sets[report.row].tolist(), key=lambda i: -abs(fit[i]))
    return [
        (report.names[i], [float(original[i]), *([float(fit[i])] if report.standardized else [])])
        for i in order
    ]


def _coefficient_table(report: PathReport, width: int) -> Any:
    """Return a table of the chosen coefficients, largest first."""
    chosen = _chosen(report)
    shown = table("Chosen coefficients")
    shown.add_column("feature", overflow="fold")
    shown.add_column("in the units of the data", justify="right")
    if report.standardized:
        shown.add_column("per standard deviation", justify="right")
    shown.add_row(*_texts(["intercept", carried(short(float(report.intercepts[report.row])))]))
    room = max(width - 49, 16)
    names = distinct({carried(name) for name, _ in chosen[:_COEFFICIENTS]}, _LINES * room)
    for name, values in chosen[:_COEFFICIENTS]:
        shown.add_row(*_texts([names[carried(name)], *(carried(short(value)) for value in values)]))
    if len(chosen) > _COEFFICIENTS:
        hidden = len(chosen) - _COEFFICIENTS
        shown.caption = f"{hidden} smaller ones are left out here; --out DIR writes all of them to path.csv"
    return shown
