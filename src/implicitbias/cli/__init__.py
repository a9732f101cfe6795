"""The command line of `implicitbias`. Only this folder imports typer and rich."""

from implicitbias.cli._app import main as main
