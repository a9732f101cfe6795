"""Options of `implicitbias run` for sweeps."""

from pathlib import Path
from typing import Annotated

import typer

Grid = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=RANGE",
        help="Values of a setting: alpha=1e-4:1e2:log25, noise=0:1:lin11, depth=2:4, or lam=1e-3,1e-4. Repeat it for "
        "more settings.",
    ),
]
Seeds = Annotated[int | None, typer.Option(metavar="N", help="Run each point with the seeds 0, ..., N - 1.")]
Jobs = Annotated[int, typer.Option(metavar="N", help="Processes; -1 for one on each core.")]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786; `local` starts a cluster here."
    ),
]
Retries = Annotated[int, typer.Option(metavar="N", min=0, help="Attempts after a run that failed.")]
TimeLimit = Annotated[float | None, typer.Option(metavar="SECONDS", help="The time that one run may take.")]
MemoryLimit = Annotated[
    float | None, typer.Option(metavar="MIB", help="The memory that the process of a run may use.")
]
Outdated = Annotated[
    str, typer.Option(metavar="keep|replace", help="What happens to stored runs of another version.")
]
Parquet = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the runs of the sweep to this Parquet file too, one row a run."),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
