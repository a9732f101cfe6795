"""Progress bars on standard error, or plain lines if standard error is not a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from implicitbias._core.progress import Progress as Report
from implicitbias._core.progress import silent
from implicitbias.cli._terminal import carried

_SECONDS_BETWEEN_LINES = 5.0
# So many runs of a sweep have a bar of their own.
_MOST_BARS = 8
# Settings that take more letters are cut.
_LETTERS = 44


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
    with _bars(_console()) as bars:
        yield Bar(bars, title).report


@contextmanager
def sweep_bars(title: str, quiet: bool = False, console: Any = None) -> Iterator[Any]:
    """Yield the `ib.studies.Watch` of a sweep: a bar for the sweep, and one below it for each run that is under way.

    Args:
        title: the name of the sweep.
        quiet: whether nothing is shown but the answer to Ctrl-C.
        console: the terminal of rich; by default standard error, with plain lines if it is no terminal.
    """
    from implicitbias.studies import Watch

    def say(runs: int) -> None:
        print(_interrupted(runs), file=sys.stderr, flush=True)

    if quiet:
        yield Watch(interrupted=say)
        return
    if console is None and not sys.stderr.isatty():
        yield Watch(_lines(title, 0.0), interrupted=say)
        return
    with _bars(console or _console()) as bars:
        main = Bar(bars, title)
        main.report(0.0, "")
        yield Watch(
            main.report,
            RunBars(bars).show,
            # The line stays above the bars, which have no room for it on a narrow terminal.
            lambda runs: bars.console.print(_interrupted(runs), markup=False, highlight=False),
        )


def _interrupted(runs: int) -> str:
    finished = "1 run" if runs == 1 else f"{runs} runs"
    return f"implicitbias: interrupted: finishing {finished}; press Ctrl-C again to stop at once"


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)


def _bars(console: Any) -> Any:
    """Return the bars of rich: title, bar, text, and the time since each began."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


class Bar:
    """One bar among those of rich, which begins at once.

    Args:
        bars: the bars.
        title: the text before the bar.
    """

    def __init__(self, bars: Any, title: str) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=1.0, title=carried(title))

    def report(self, fraction: float, text: str) -> None:
        """Move the bar."""
        self._bars.update(self._task, completed=fraction, description=carried(text))


class RunBars:
    """The bars of the runs of a sweep that are under way: one for each of the first ones, and the number of the others.

    A bar of a run that does not tell how far it is moves back and forth.
    """

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: list[Any] = []
        self._titles: list[str] = []

    def show(self, runs: list[Any]) -> None:
        """Show the runs, which are `ib.studies.UnderWay`."""
        shown = runs[:_MOST_BARS]
        while len(self._tasks) < len(shown):
            self._tasks.append(self._bars.add_task("", total=None, title=""))
            self._titles.append("")
        while len(self._tasks) > len(shown):
            self._bars.remove_task(self._tasks.pop())
            self._titles.pop()
        for place, (task, run) in enumerate(zip(self._tasks, shown, strict=True)):
            more = len(runs) - len(shown) if place + 1 == len(shown) else 0
            words = [f"{run.fraction:.0%}"] if run.fraction is not None else []
            words += [run.text] if run.text else []
            words += [f"and {more} more runs"] if more else []
            title = _cut(", ".join(f"{name}={value}" for name, value in run.settings.items()))
            if title != self._titles[place]:
                self._titles[place] = title
                self._bars.reset(task)  # its clock begins anew
            self._bars.update(
                task,
                title=f"  {carried(title)}",
                description=carried(", ".join(words)),
                total=None if run.fraction is None else 1.0,
                completed=run.fraction or 0.0,
            )


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


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
