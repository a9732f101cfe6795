"""The options of `implicitbias margin` that say which classifier is computed and where results go."""

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder for margin.csv, rows.csv, margin.png, report.html and the store."
    ),
]
Horizon = Annotated[
    str,
    typer.Option(
        metavar="GAUGE",
        help="The gauge of the margin: l1 uses few features, l2 is that of a support vector machine, linf uses all "
        "features alike; a number p >= 1 is the l_p norm.",
    ),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--C", metavar="NUMBER", help="Price of a violated margin, for classes that no plane separates."
    ),
]  # fmt: skip
