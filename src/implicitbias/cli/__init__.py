"""The command line: `implicitbias list`, `run`, `report` and `path`. typer and rich enter here and nowhere else."""

from implicitbias.cli._app import main as main
