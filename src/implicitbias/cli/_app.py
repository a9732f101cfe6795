"""The commands. The exit status is 0 on success, 1 if a claim or a certificate fails, 2 on bad input and 130 if
the user interrupts.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from implicitbias import __version__
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias.cli import _table_options as table_options

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


@app.command("list")
def list_studies() -> None:
    """List the studies: papers that `implicitbias run` reproduces."""
    from implicitbias import studies
    from implicitbias.cli._tables import print_cards

    print_cards(studies.list())


@app.command("run")
def run_studies(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="STUDY", help="Studies; all if none is named.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for claims, data and pictures.")
    ] = None,
) -> None:
    """Run studies, print their claims, and exit with status 1 if one does not hold."""
    from implicitbias import studies

    # All names are checked first, so that a misspelt one fails before any study runs.
    cards = [studies.find(name) for name in names] if names else list(studies.list())
    from implicitbias.cli._progress import progress_bar
    from implicitbias.cli._tables import print_result

    held = True
    for card in cards:
        try:
            with progress_bar(card.name) as progress:
                result = studies.run(card.name, out=out, progress=progress)
        except KeyboardInterrupt:
            typer.echo(f"implicitbias: interrupted; nothing of {card.name} was written", err=True)
            raise typer.Exit(130) from None
        where = result.folder
        print_result(
            result, "" if where is None else f"Results: {where} (README.md, claims.json, *.nc, *.png)"
        )
        held = held and result.ok
    if not held:
        raise typer.Exit(1)


@app.command("report")
def report_on_results(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The results of one study, or the --out folder of several.")
    ],
) -> None:
    """Judge stored results of studies again.

    The claims are computed from the stored data, without predicting paths or simulating flows. The command prints the
    table of claims and writes nothing.
    """
    from implicitbias import studies
    from implicitbias.cli._tables import print_result

    held = readable = True
    for place in studies.find_results(folder):
        try:
            result = studies.judge(place)
        except InputError as error:  # the other results are judged nevertheless
            typer.echo(f"implicitbias: {error}", err=True)
            readable = False
            continue
        print_result(result, f"Judged again from the data in {place}; nothing was written.")
        held = held and result.ok
    if not (readable and held):
        raise typer.Exit(1 if readable else 2)


@app.command("path")
def path_of_a_table(
    data: table_options.Data,
    target: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="The column to predict.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for path.csv, path.nc, path.png and report.html."),
    ] = None,
    standardize: Annotated[
        bool,
        typer.Option("--standardize/--no-standardize", help="Scale features to unit standard deviation."),
    ] = True,
    intercept: Annotated[bool, typer.Option("--intercept/--no-intercept", help="Fit an intercept.")] = True,
    cv: Annotated[
        int | None, typer.Option(metavar="K", help="Choose a time on the path by K-fold cross-validation.")
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Shuffle the rows before they are divided into folds.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The seed of --shuffle, 0 by default.")
    ] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Keep rows with equal values of COLUMN in one fold.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="best: the time of least held-out error; 1se: the earliest time within one standard error of it.",
        ),
    ] = "best",
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
) -> None:
    """Print the certified saddle path of a table.

    The path says which features enter, in which order and with which coefficients. The command prints a summary. With
    --out it writes files and a report.
    """
    try:
        from implicitbias._core.tables import Cleaning
        from implicitbias.cli._path_choice import Choice
        from implicitbias.cli._path_run import run_path

        if seed is not None and not shuffle:
            raise InputError(f"--seed is given without --shuffle; type --shuffle --seed {seed}")
        cleaning = Cleaning(
            tuple(drop or ()), tuple(one_hot or ()), tuple(parse or ()), tuple(missing or ()), impute, drop_missing,
            decimal_comma, encoding, skip_lines, no_header, row_names,
        )  # fmt: skip
        choice = Choice(standardize, intercept, cv, (seed or 0) if shuffle else None, groups, rule, cleaning)
        sound = run_path(data, list(target or ()), out, choice)
    except KeyboardInterrupt:
        typer.echo("implicitbias: interrupted; nothing was written", err=True)
        raise typer.Exit(130) from None
    if not sound:
        raise typer.Exit(1)


def main() -> None:
    """Run the command line: the console script `implicitbias`."""
    try:
        app(prog_name="implicitbias")
    except ImplicitBiasError as error:
        print(f"implicitbias: {error}", file=sys.stderr)
        sys.exit(2)
