"""The command `implicitbias path`: it reads a table, fits the path, and prints and writes the report."""

import sys
from pathlib import Path

from implicitbias._core.tables import Cleaning, read_table
from implicitbias.cli._path_choice import PATH, Choice, check_folds, check_options, command_line, typed
from implicitbias.cli._progress import progress_bar
from implicitbias.cli._table_command import PATIENCE, one_target
from implicitbias.cli._terminal import check_output


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
    target = one_target(targets)

    def retry(cleaning: Cleaning, target: str) -> str:
        line = typed(data, target, choice._replace(cleaning=cleaning), out)
        return f"{line} --json" if as_json else line

    table = read_table(data, target, choice.cleaning, groups=choice.groups or "", retry=retry)
    check_folds(table, choice.folds)
    place = PATH.place(out, data)
    # These imports take seconds, so bad input is refused before them.
    from implicitbias.cli._table_results import earlier, identity, tell_earlier, write_result

    settings = identity(table, command_line(table, choice))
    if out is not None and not as_json and (found := earlier(PATH, out, settings)) is not None:
        return tell_earlier(PATH, out, found)
    from implicitbias.cli._path_files import path_result
    from implicitbias.cli._path_job import fit_table
    from implicitbias.cli._path_json import path_record
    from implicitbias.cli._path_print import print_report
    from implicitbias.cli._tables import print_json

    with progress_bar(table.title, PATIENCE) as progress:
        report = fit_table(table, choice, progress)
    if place is not None:
        PATH.write(place, lambda part: write_result(PATH, path_result(report, table.recipe), part, settings))
    try:
        if as_json:
            print_json(path_record(report, out))
        else:
            line = command_line(table, choice, PATH.usual_folder(table))
            print_report(report, PATH.last_line(out, line))
        check_output("" if out is None else f"the results in {out} are complete")
    except KeyboardInterrupt:
        sys.exit(130)  # the files are written already
    return report.path.status.ok and report.path.certificate.holds
