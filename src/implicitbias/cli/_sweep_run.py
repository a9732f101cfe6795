"""`implicitbias run STUDY --grid`: run a sweep, and print what became of it."""

from pathlib import Path
from typing import NamedTuple

import typer

from implicitbias._core.errors import InputError
from implicitbias._core.whole_files import written_whole
from implicitbias.cli._progress import sweep_bars
from implicitbias.cli._terminal import on_terminal

_SHOWN = 5


class SweepOptions(NamedTuple):
    """What the user typed about a sweep; see the options of the command."""

    grid: list[str]
    seeds: int | None
    jobs: int
    scheduler: str | None
    retries: int
    time_limit: float | None
    memory_limit: float | None
    outdated: str
    parquet: Path | None

    def asked(self) -> list[str]:
        """Return the options that only a sweep has and that were typed."""
        given = {
            "--seeds": self.seeds is not None,
            "--jobs": self.jobs != 1,
            "--scheduler": self.scheduler is not None,
            "--retries": self.retries != 0,
            "--time-limit": self.time_limit is not None,
            "--memory-limit": self.memory_limit is not None,
            "--parquet": self.parquet is not None,
        }
        return [name for name, typed in given.items() if typed]


def run_sweep_of(names: list[str], out: Path | None, options: SweepOptions, quiet: bool) -> bool:
    """Run the sweep of one study, print a summary, and return whether no run failed.

    Raises:
        InputError: not exactly one study is named, or an option is wrong.
    """
    from implicitbias import studies

    if len(names) != 1:
        raise InputError(
            "a sweep needs the name of one study: implicitbias run grokking-diagonal --grid alpha=0.1,1,10"
        )
    if options.jobs < -1 or options.jobs == 0:
        raise InputError(
            f"--jobs is {options.jobs}, a number of processes such as 2 is expected, or -1 for all cores"
        )
    (name,) = names
    folder = out or Path(f"{name}-sweep")
    memory = None if options.memory_limit is None else options.memory_limit * 2**20
    try:
        with sweep_bars(name, quiet=quiet) as watch:
            result = studies.run_grid(
                name,
                studies.parsed_axes(options.grid),
                folder,
                seeds=options.seeds,
                place=studies.Place(options.jobs, options.scheduler),
                limits=studies.Limits(options.retries, options.time_limit, memory),
                outdated=options.outdated,
                watch=watch,
            )
    except KeyboardInterrupt:
        typer.echo(
            f"implicitbias: stopped; the runs that had ended are kept in {folder}; type the same command to go on",
            err=True,
        )
        raise typer.Exit(130) from None
    typer.echo(f"{name}: {result}")
    for failure in result.failures[:_SHOWN]:
        settings = ", ".join(f"{key}={value!r}" for key, value in failure.settings.items())
        typer.echo(f"  {settings}: {failure.reason}")
    if len(result.failures) > _SHOWN:
        typer.echo(
            f"  and {len(result.failures) - _SHOWN} more, which the variable `error` of the store names"
        )
    typer.echo(f'Results: {folder}; to read them, type ib.studies.open("{folder}") in Python')
    if options.parquet is not None:
        typer.echo(f"Table: {studies.to_parquet(folder, options.parquet, name)}")
    if result.unfinished:
        typer.echo(
            "implicitbias: interrupted; type the same command to go on with the runs that are missing",
            err=True,
        )
        raise typer.Exit(130)
    return not result.failures


def report_on_store(folder: Path) -> None:
    """Write a page with the runs of a stored sweep, report.html, into its folder; `path` and `margin` have written it.

    Raises:
        InputError: the store is damaged or holds nothing to show, or the page cannot be written.
    """
    from implicitbias import studies
    from implicitbias.cli._margin_choice import MARGIN
    from implicitbias.cli._path_choice import PATH
    from implicitbias.reports import html, sweep_document

    page = folder / "report.html"
    if PATH.is_report(folder) or MARGIN.is_report(folder):
        typer.echo(f"Report: {page}")
        return
    document = sweep_document(studies.open(folder), folder.resolve().name)
    try:
        with written_whole(page) as part:
            part.write_text(html(document), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write {page} ({error.strerror}); copy the store to a folder that you may write"
        ) from None
    if on_terminal():
        from implicitbias.cli._terminal_document import print_document

        print_document(document, folder)
    typer.echo(f"Report: {page}")
