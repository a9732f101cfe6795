"""Progress of sweeps: one bar for the sweep and one for each run, plain lines in a file, and nothing if quiet."""

import io
import re
import time

import pytest
from rich.console import Console

import implicitbias as ib
from implicitbias.cli._progress import sweep_bars


def slow_half(x: int) -> float:
    for _ in range(3):
        ib.studies.tell_progress(0.5, "half way")
        time.sleep(0.15)
    if x == 1:
        raise ValueError("no half")
    return x / 2


def seen(jobs: int) -> str:
    """What a terminal shows while three runs are computed."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    with sweep_bars("halves", console=screen) as watch:
        result = ib.studies.sweep(
            slow_half, {"x": [0, 1, 2]}, jobs=jobs, progress=watch.progress, running=watch.running
        )
    assert result.values == [0.0, None, 1.0]
    return screen.file.getvalue()


@pytest.mark.parametrize("jobs", [1, 2])
def test_runs_have_bars_below_that_of_the_sweep(jobs: int) -> None:
    shown = seen(jobs)
    assert re.search(r"halves\s+━*.*2 of 3 runs, 1 failed", shown)
    assert re.search(r"  x=0 .*50%, half way", shown)
    assert re.search(r"  x=2 .*50%, half way", shown)
    # Two processes have two bars at the same time.
    assert bool(re.search(r"x=0 [^\n\r]*\n *x=1 ", shown)) == (jobs == 2)


def test_a_file_gets_plain_lines_and_quiet_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        with sweep_bars("halves", quiet=quiet) as watch:
            ib.studies.sweep(lambda x: x / 2, {"x": [0, 1]}, progress=watch.progress, running=watch.running)
        out, err = capsys.readouterr()
        assert out == ""
        assert (err.splitlines()[-1] == "halves 100% 2 of 2 runs") if not quiet else err == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_ctrl_c_is_answered_in_a_file_and_if_quiet(quiet: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with sweep_bars("halves", quiet=quiet) as watch:
        watch.interrupted(1)
    told = "implicitbias: interrupted: finishing 1 run; press Ctrl-C again to stop at once\n"
    assert capsys.readouterr() == ("", told)


def test_many_runs_share_the_last_bar_and_brackets_are_no_markup() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    runs = [ib.studies.UnderWay({"word": f"[red]{i}"}, None, "", 2.0 * i) for i in range(11)]
    with sweep_bars("many", console=screen) as watch:
        watch.running(runs)
        time.sleep(0.5)
        watch.running(runs[:1])
    shown = screen.file.getvalue()
    assert "word=[red]7" in shown
    assert "and 3 more runs" in shown
    assert "word=[red]8" not in shown
