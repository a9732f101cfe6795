"""The command `implicitbias margin`: it reads a table, computes the classifier, and prints and writes the report."""

import sys
from pathlib import Path
from typing import NoReturn

from implicitbias._core.errors import InputError
from implicitbias._core.tables import Cleaning, Table, read_table
from implicitbias.cli._margin_choice import MARGIN, MarginChoice, check_classes, command_line, typed
from implicitbias.cli._progress import progress_bar
from implicitbias.cli._table_command import PATIENCE, one_target
from implicitbias.cli._terminal import check_output

_PRICE = 1.0  # a usual price of violations, if features are standardised


def run_margin(
    data: Path,
    targets: list[str],
    out: Path | None,
    choice: MarginChoice,
    as_json: bool = False,
) -> bool:
    """Read, fit, print and write; return whether the certificate of the classifier holds.

    Raises:
        InputError: the options or the file cannot be used, or no classifier separates the classes; nothing is written.
    """
    choice.check()
    target = one_target(targets)

    def line(wanted: MarginChoice, name: str) -> str:
        words = typed(data, name, wanted, out)
        return f"{words} --json" if as_json else words

    def retry(cleaning: Cleaning, name: str) -> str:
        return line(choice._replace(cleaning=cleaning), name)

    table = read_table(data, target, choice.cleaning, numeric_target=False, retry=retry)
    check_classes(table)
    place = MARGIN.place(out, data)
    # These imports take seconds, so bad input is refused before them.
    from implicitbias.cli._table_results import earlier, identity, tell_earlier, write_result

    settings = identity(table, command_line(table, choice))
    if out is not None and not as_json and (found := earlier(MARGIN, out, settings)) is not None:
        return tell_earlier(MARGIN, out, found)
    from implicitbias.cli._margin_files import margin_record, margin_result, proof_record
    from implicitbias.cli._margin_job import Inseparable, fit_classes
    from implicitbias.cli._margin_print import print_margin, print_proof
    from implicitbias.cli._tables import print_json

    with progress_bar(table.title, PATIENCE) as progress:
        progress(0.0, f"{len(table.classes)} classes, {choice.gauge_name}")
        report = fit_classes(table, choice)
        progress(1.0, "done")
    if isinstance(report, Inseparable):
        if as_json:
            print_json(proof_record(table.title, table.target, report))
        else:
            print_proof(report)
        soft = line(choice._replace(C=_PRICE), table.target)
        _refuse(table, len(report.witnesses), soft, intercept=choice.fit_intercept)
    if place is not None:
        MARGIN.write(
            place, lambda part: write_result(MARGIN, margin_result(report, table.recipe), part, settings)
        )
    try:
        if as_json:
            print_json(margin_record(report, out))
        else:
            suggested = command_line(table, choice, MARGIN.usual_folder(table))
            print_margin(report, MARGIN.last_line(out, suggested))
        check_output("" if out is None else f"the results in {out} are complete")
    except KeyboardInterrupt:
        sys.exit(130)  # the files are written already
    return report.sound


def _refuse(table: Table, terms: int, soft: str, *, intercept: bool) -> NoReturn:
    without = "" if intercept else " without an intercept"
    advice = "" if intercept else ", or leave out --no-intercept"
    raise InputError(
        f"{table.file}: no linear classifier{without} separates the classes of {table.target!r}: {terms} signed rows, "
        "which are printed, have a convex combination that is 0, so that not all margins can be positive. Rows may "
        f"be mislabelled; to allow violations at a price{advice}, type {soft}"
    )
