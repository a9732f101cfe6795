"""The options of `implicitbias path` that say how the path is fitted and where results go."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder for path.csv, path.png, report.html and the store.")
]
Folds = Annotated[
    int | None, typer.Option(metavar="K", help="Choose a time on the path by K-fold cross-validation.")
]
Shuffle = Annotated[
    bool, typer.Option("--shuffle", help="Shuffle the rows before they are divided into folds.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="The seed of --shuffle, 0 by default.")]
Groups = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Keep rows with equal values of COLUMN in one fold.")
]
Rule = Annotated[
    str,
    typer.Option(
        metavar="RULE",
        help="best: the time of least held-out error; 1se: the earliest time within one standard error of it.",
    ),
]
