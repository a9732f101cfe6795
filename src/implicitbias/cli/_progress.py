"""A progress bar on standard error, or plain lines if standard error is not a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from implicitbias._core.progress import Progress as Report
from implicitbias._core.progress import silent

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_bar(title: str, patience: float = 0.0, quiet: bool = False) -> Iterator[Report]:
    """Yield a function of (fraction, text) that shows progress, or nothing if `quiet`.

    Plain lines begin after `patience` seconds.
    """
    if quiet:
        yield silent
        return
    if not sys.stderr.isatty():
        yield _lines(title, patience)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("[bold]{task.fields[title]}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)


def _lines(title: str, patience: float) -> Report:
    begin = time.monotonic()
    last = -_SECONDS_BETWEEN_LINES

    def report(fraction: float, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - begin >= patience and (now - last >= _SECONDS_BETWEEN_LINES or fraction >= 1.0):
            last = now
            print(f"{title} {fraction:4.0%} {text}", file=sys.stderr, flush=True)

    return report
