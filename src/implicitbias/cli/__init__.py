"""The command line: `implicitbias list` and `implicitbias run`. typer and rich enter here and nowhere else."""

from implicitbias.cli._app import main as main
