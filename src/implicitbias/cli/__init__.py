"""The command line: `implicitbias list`, `run`, `report` and `path`. Only this folder imports typer and rich."""

from implicitbias.cli._app import main as main
