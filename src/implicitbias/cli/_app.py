"""The commands. The exit status is 0 on success, 1 if a claim or a certificate fails, 2 on bad input or if output
cannot be written, and 130 if the user interrupts.
"""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from implicitbias import __version__
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias.cli import _margin_options as margin_options
from implicitbias.cli import _path_options as path_options
from implicitbias.cli import _sweep_options as sweep_options
from implicitbias.cli import _table_options as table_options
from implicitbias.cli._interrupts import kept_interrupts
from implicitbias.cli._terminal import check_output, guarded_streams

app = typer.Typer(
    help="Where does training end up, and how does it get there? Predict, simulate, certify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help does not load rich, which halves its time
)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"implicitbias {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Handle the options that need no command."""


_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for other programs.")]


@app.command("list")
def list_studies(as_json: _Json = False) -> None:
    """List the studies: papers that `implicitbias run` reproduces."""
    from implicitbias import studies
    from implicitbias.cli._tables import print_cards

    print_cards(studies.list(), as_json)


@app.command("run")
def run_studies(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY", help="Studies; the first point of each one if none is named."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for claims, data and pictures; if no study is named, results."
        ),
    ] = None,
    points: Annotated[
        list[str] | None,
        typer.Option("--point", metavar="NAME", help="Run this point of the study only; may be repeated."),
    ] = None,
    as_json: _Json = False,
    grid: sweep_options.Grid = None,
    seeds: sweep_options.Seeds = None,
    jobs: sweep_options.Jobs = 1,
    scheduler: sweep_options.Scheduler = None,
    retries: sweep_options.Retries = 0,
    time_limit: sweep_options.TimeLimit = None,
    memory_limit: sweep_options.MemoryLimit = None,
    outdated: sweep_options.Outdated = "keep",
    parquet: sweep_options.Parquet = None,
    quiet: sweep_options.Quiet = False,
) -> None:
    """Run studies, print their claims, and exit with status 1 if one does not hold.

    A study that is named runs at all its points, of which some take minutes. Without a name, each study runs at its
    first point, which takes three to ten minutes in all, and one page about all is written to results/report.html.

    With --grid, one study is run at all points of a grid of its settings, and the results are stored; the same command
    goes on after an interrupt or a crash.
    """
    from implicitbias.cli._study_run import run_named
    from implicitbias.cli._sweep_run import SweepOptions, run_sweep_of

    asked = SweepOptions(
        grid or [], seeds, jobs, scheduler, retries, time_limit, memory_limit, outdated, parquet
    )
    if grid:
        if as_json:
            raise InputError("--json is not for sweeps; read the store with ib.studies.open in Python")
        if points:
            raise InputError(
                "--point names a point of a study, and --grid has its own; leave one of them out"
            )
        if not run_sweep_of(names or [], out, asked, quiet):
            raise typer.Exit(1)
        return
    if asked.asked():
        raise InputError(
            f"{asked.asked()[0]} is for sweeps; name a grid too, such as --grid alpha=1e-4:1e2:log25"
        )

    if not run_named(names or [], points, out, as_json=as_json, quiet=quiet):
        raise typer.Exit(1)


@app.command("report")
def report_on_results(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The results of one study, the --out folder of several, or a stored sweep."
        ),
    ],
    as_json: _Json = False,
) -> None:
    """Judge stored results of studies again.

    The claims are computed from the stored data, without predicting paths or simulating flows. The command prints the
    table of claims and writes nothing. For the folder of a sweep, it writes report.html into it, a page with sliders
    for the settings.
    """
    from implicitbias import studies

    if studies.is_store(folder):
        from implicitbias.cli._sweep_run import report_on_store

        if as_json:
            raise InputError("--json is not for sweeps; read the store with ib.studies.open in Python")
        report_on_store(folder)
        return
    from implicitbias.cli._tables import print_json, print_result, result_record

    results: list[studies.StudyResult] = []
    readable = True
    for place in studies.find_results(folder):
        try:
            result = studies.judge(place)
        except InputError as error:  # the other results are judged nevertheless
            typer.echo(f"implicitbias: {error}", err=True)
            readable = False
            continue
        if not as_json:
            last = f"Judged again from the data in {place}; nothing was written."
            print_result(result, last, first=not results)
        results.append(result)
    if as_json:
        print_json([result_record(result) for result in results])
    if not (readable and all(result.ok for result in results)):
        raise typer.Exit(1 if readable else 2)


@app.command("path")
def path_of_a_table(
    data: table_options.Data,
    target: table_options.Target = None,
    out: path_options.Out = None,
    standardize: table_options.Standardize = True,
    intercept: table_options.Intercept = True,
    cv: path_options.Folds = None,
    shuffle: path_options.Shuffle = False,
    seed: path_options.Seed = None,
    groups: path_options.Groups = None,
    rule: path_options.Rule = "best",
    drop: table_options.Drop = None,
    one_hot: table_options.OneHot = None,
    parse: table_options.Parse = None,
    missing: table_options.Missing = None,
    impute: table_options.Impute = None,
    drop_missing: table_options.DropMissing = False,
    decimal_comma: table_options.DecimalComma = False,
    encoding: table_options.Encoding = "",
    skip_lines: table_options.SkipLines = 0,
    no_header: table_options.NoHeader = False,
    row_names: table_options.RowNames = False,
    as_json: _Json = False,
) -> None:
    """Print the certified saddle path of a table.

    The path says which features enter, in which order and with which coefficients. The command prints a summary. With
    --out it writes files and a report.
    """
    try:
        from implicitbias.cli._path_choice import Choice
        from implicitbias.cli._path_run import run_path
        from implicitbias.cli._table_words import cleaning_of

        if seed is not None and not shuffle:
            raise InputError(f"--seed is given without --shuffle; type --shuffle --seed {seed}")
        cleaning = cleaning_of(
            drop, one_hot, parse, missing, impute, drop_missing, decimal_comma, encoding, skip_lines, no_header,
            row_names,
        )  # fmt: skip
        choice = Choice(standardize, intercept, cv, (seed or 0) if shuffle else None, groups, rule, cleaning)
        sound = run_path(data, list(target or ()), out, choice, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("implicitbias: interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None
    if not sound:
        raise typer.Exit(1)


@app.command("margin")
def classifier_of_a_table(
    data: table_options.Data,
    target: table_options.Target = None,
    horizon: margin_options.Horizon = "l1",
    price: margin_options.Price = None,
    out: margin_options.Out = None,
    standardize: table_options.Standardize = True,
    intercept: table_options.Intercept = True,
    drop: table_options.Drop = None,
    one_hot: table_options.OneHot = None,
    parse: table_options.Parse = None,
    missing: table_options.Missing = None,
    impute: table_options.Impute = None,
    drop_missing: table_options.DropMissing = False,
    decimal_comma: table_options.DecimalComma = False,
    encoding: table_options.Encoding = "",
    skip_lines: table_options.SkipLines = 0,
    no_header: table_options.NoHeader = False,
    row_names: table_options.RowNames = False,
    as_json: _Json = False,
) -> None:
    """Print the certified linear classifier of largest margin of a table.

    The target is a column of classes. If no line separates them, the command prints the rows that prove it.
    """
    try:
        from implicitbias.cli._margin_choice import MarginChoice
        from implicitbias.cli._margin_run import run_margin
        from implicitbias.cli._table_words import cleaning_of

        cleaning = cleaning_of(
            drop, one_hot, parse, missing, impute, drop_missing, decimal_comma, encoding, skip_lines, no_header,
            row_names,
        )  # fmt: skip
        choice = MarginChoice(horizon, math.inf if price is None else price, standardize, intercept, cleaning)
        sound = run_margin(data, list(target or ()), out, choice, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("implicitbias: interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None
    if not sound:
        raise typer.Exit(1)


@app.command("forecast")
def forecast_of_a_model(
    function: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="A function that returns a dict of problem, params, weight_decay, test and learning_rate; MODULE may "
            "be a Python file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for forecast.npz, curve.csv, forecast.json, forecast.png and report.html.",
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Forecast when a model generalises after it has fitted its training data, and to which error."""
    from implicitbias.cli._forecast_run import run_forecast

    try:
        run_forecast(function, out, as_json=as_json)
    except KeyboardInterrupt:
        typer.echo("implicitbias: interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None


@app.command("predict")
def predict_new_rows(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The results of implicitbias path --out DIR, or margin --out DIR."
        ),
    ],
    data: table_options.Data,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the predictions to this CSV file.")
    ] = None,
    jump: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="Use the saddle after this jump; else the chosen one, or the last one."
        ),
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Compare with the target column, which DATA must then have.")
    ] = False,
    missing: table_options.Missing = None,
    encoding: table_options.Encoding = "",
    skip_lines: table_options.SkipLines = 0,
    no_header: table_options.NoHeader = False,
    row_names: table_options.RowNames = False,
) -> None:
    """Predict the target of new rows from a path or a classifier that was written with --out.

    Columns are found by their names, and the features are made as for the fit: the same categories, parsed numbers and
    imputed values.
    """
    from implicitbias._core.tables import Cleaning
    from implicitbias.cli._predict import run_predict

    cleaning = Cleaning(
        missing=tuple(missing or ()), encoding=encoding, skip_lines=skip_lines, no_header=no_header, row_names=row_names
    )  # fmt: skip
    run_predict(folder, data, out=out, jump=jump, score=score, cleaning=cleaning)


@app.command("explore")
def explore(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="The page to open; the first one if none is named.")
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", help="The port; 0 takes any free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Open a local page with sliders, on which predictions and simulations follow the settings.

    Pages: saddle-to-saddle, deep-diagonal, separable, grokking-diagonal, early-late-sparse. The address has a secret
    token and works on this machine only. Ctrl-C ends the program.
    """
    from implicitbias.cli._explore_run import run_explorer

    run_explorer(study, port, browser=not no_browser)


def main() -> None:
    """Run the command line: the console script `implicitbias`."""
    with guarded_streams(), kept_interrupts():
        status = _status()
    sys.exit(status)


def _status() -> int | str | None:
    """Return the exit status of the command that the user typed."""
    status: int | str | None = 0
    try:
        try:
            app(prog_name="implicitbias")
        except SystemExit as done:
            status = done.code
        check_output()
    except ImplicitBiasError as error:
        print(f"implicitbias: {error}", file=sys.stderr)
        return 2
    return status
