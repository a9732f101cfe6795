"""The command `implicitbias path`: it reads a table, fits the path, and prints and writes the report."""

import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

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
from implicitbias.cli._terminal import check_output

# If standard error is not a terminal, progress is written only after this number of seconds.
_PATIENCE = 3.0
_NO_GLYPH = (
    "path.png lacks some characters of names, because the font of matplotlib has none for them; report.html shows all "
    "names"
)


def run_path(
    data: Path,
    targets: list[str],
    out: Path | None,
    choice: Choice,
    as_json: bool = False,
) -> bool:
    """Read, fit, print and write; return whether the path is complete and its certificate holds.

    Raises:
        InputError: the options or the file cannot be used; nothing is written.
    """
    check_options(choice)
    if len(targets) > 1:
        raise InputError(f"--target is given {len(targets)} times ({some(targets)}); one target is expected")

    def retry(cleaning: Cleaning, target: str) -> str:
        line = typed(data, target, choice._replace(cleaning=cleaning), out)
        return f"{line} --json" if as_json else line

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
    from implicitbias.cli._path_json import path_record
    from implicitbias.cli._path_print import print_report
    from implicitbias.cli._tables import print_json

    with progress_bar(table.title, _PATIENCE) as progress:
        report = fit_table(table, choice, progress)
    lacking = place is not None and _write(place, lambda part: write_files(report, part))
    try:
        if lacking:
            print(f"implicitbias: {_NO_GLYPH}", file=sys.stderr)
        if as_json:
            print_json(path_record(report, out))
        elif out is not None:
            print_report(report, f"Results: {out} ({', '.join(FILES)})")
        else:
            line = command_line(table, choice, usual_folder(table))
            print_report(report, f"Write {', '.join(FILES)} with: {line}")
        check_output("" if out is None else f"the results in {out} are complete")
    except KeyboardInterrupt:
        sys.exit(130)  # the files are written already
    return report.path.status.ok and report.path.certificate.holds


def _write(place: ResultFolder, write: Callable[[Path], None]) -> bool:
    """Write the results; return whether the figure lacks characters of names."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        place.fill(write)
    return any("Glyph" in str(warning.message) for warning in caught)
