"""The options that say how a table is read and scaled, for every command that reads one."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="CSV, TSV (also .gz, .bz2, .xz), Parquet, Feather, NPY or NPZ file; - is CSV from standard input.",
    ),
]
Target = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="The column to predict.")]
Drop = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Leave a column out.")]
OneHot = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Convert categories to columns of 0 and 1; the first category is the reference.",
    ),
]
Parse = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Read numbers with percent or currency signs, thousands separators or (parentheses), and clock times.",
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(metavar="MARK", help="A text or number that stands for a missing value, such as ? or -99."),
]
Impute = Annotated[
    str | None,
    typer.Option(metavar="mean|median", help="Replace missing values by the mean or median of their column."),
]
DropMissing = Annotated[bool, typer.Option("--drop-missing", help="Leave out rows with missing values.")]
DecimalComma = Annotated[bool, typer.Option("--decimal-comma", help="Numbers have a decimal comma.")]
Encoding = Annotated[
    str, typer.Option(metavar="NAME", help="Encoding of the text, such as windows-1252; UTF-8 if not given.")
]
SkipLines = Annotated[int, typer.Option(metavar="N", help="Skip the first N lines of the text.")]
NoHeader = Annotated[
    bool, typer.Option("--no-header", help="The text has no header; columns are called x0, x1, ...")
]
RowNames = Annotated[
    bool,
    typer.Option(
        "--row-names",
        help="The first column holds row names, and the header has no name for it (as R writes).",
    ),
]
Standardize = Annotated[
    bool, typer.Option("--standardize/--no-standardize", help="Scale features to unit standard deviation.")
]
Intercept = Annotated[bool, typer.Option("--intercept/--no-intercept", help="Fit an intercept.")]
