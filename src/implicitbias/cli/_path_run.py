"""The command `implicitbias path`: it reads a table, fits the path, and prints and writes the report."""

import shlex
import sys
from pathlib import Path

from rich.console import Console

from implicitbias._core.errors import InputError
from implicitbias._core.folders import ResultFolder
from implicitbias._core.tables import STANDARD_INPUT, Cleaning, read_table, some
from implicitbias.cli._path_choice import (
    FILES,
    Choice,
    check_folds,
    check_options,
    command_line,
    foreign_files,
    typed,
    usual_folder,
)
from implicitbias.cli._progress import progress_bar

# If standard error is not a terminal, progress is written only after this number of seconds.
_PATIENCE = 3.0


def run_path(
    data: Path,
    targets: list[str],
    out: Path | None,
    choice: Choice,
) -> bool:
    """Read, fit, print and write; return whether the path is complete and its certificate holds.

    Raises:
        InputError: the options or the file cannot be used; nothing is written.
    """
    check_options(choice)
    if len(targets) > 1:
        raise InputError(f"--target is given {len(targets)} times ({some(targets)}); one target is expected")

    def retry(cleaning: Cleaning, target: str) -> str:
        return typed(data, target, choice._replace(cleaning=cleaning), out)

    target = targets[0] if targets else ""
    table = read_table(data, target, choice.cleaning, groups=choice.groups or "", retry=retry)
    check_folds(table, choice.folds)
    place = None
    if out is not None:
        place = ResultFolder(out, foreign_files, f"type --out {shlex.quote(f'{out}-path')}")
        if place.check() == data.resolve().parent and data != STANDARD_INPUT:
            raise InputError(f"{data} lies in {out}, which would be replaced; choose another --out DIR")
    # These imports take seconds, so bad input is refused before them.
    from implicitbias.cli._path_files import write_files
    from implicitbias.cli._path_job import fit_table
    from implicitbias.cli._path_print import print_report

    with progress_bar(table.title, _PATIENCE) as progress:
        report = fit_table(table, choice, progress)
    if place is not None:
        place.fill(lambda part: write_files(report, part))
    if out is not None:
        last = f"Results: {out} ({', '.join(FILES)})"
    else:
        last = f"Write {', '.join(FILES)} with: {command_line(table, choice, usual_folder(table))}"
    try:
        print_report(report)
        Console().print(last, highlight=False, markup=False, soft_wrap=True)
    except KeyboardInterrupt:
        sys.exit(130)  # the files are written already
    return report.path.status.ok and report.path.certificate.holds
