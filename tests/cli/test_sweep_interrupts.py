"""Ctrl-C that is typed in a real terminal while a sweep runs: once finishes the runs in flight, twice stops."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import implicitbias as ib
from tests.cli._command import WITH_FAKE_STUDY, with_all_paths
from tests.studies.fakes import NAME

TAKE_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
CONTROL_C = b"\x03"
SECONDS = 60.0


class Terminal:
    """A terminal in which one sweep runs."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.main, beside = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL + WITH_FAKE_STUDY, "run", NAME, *words],
            stdin=beside, stdout=beside, stderr=beside, cwd=folder, start_new_session=True,
            env=with_all_paths(COLUMNS="100", TERM="xterm"),
        )  # fmt: skip
        os.close(beside)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(SECONDS)
        os.close(self.main)

    def read_until(self, words: str | None) -> None:
        """Read until the words are on the screen; None for all that comes."""
        end = time.monotonic() + SECONDS
        while words is None or words not in self.text:
            assert time.monotonic() < end, self.text
            if not select.select([self.main], [], [], 0.1)[0]:
                continue
            try:
                new = os.read(self.main, 2**16)
            except OSError:  # Linux says so when no process has the terminal any more
                new = b""
            if not new:
                assert words is None, self.text
                break
            self.text += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", new.decode(errors="replace"))

    def type_control_c(self) -> None:
        os.write(self.main, CONTROL_C)

    def status(self) -> int:
        self.read_until(None)
        return self.process.wait(SECONDS)


# Both processes are still loading Python when Ctrl-C comes, which the terminal sends to them too.
def test_once_finishes_the_runs_in_flight_of_all_processes(tmp_path: Path) -> None:
    words = ("--grid", "wait=0.3", "--seeds", "6", "--jobs", "2", "--out", "s")
    with Terminal(tmp_path, *words) as terminal:
        terminal.read_until("seed=1")
        terminal.type_control_c()
        assert terminal.status() == 130
    assert "interrupted: finishing 2 runs; press Ctrl-C again to stop at once" in terminal.text
    assert "2 of 6 runs, interrupted" in terminal.text
    assert "2 of 6 runs are done, 4 were not begun" in terminal.text
    assert "type the same command to go on" in terminal.text
    # No process prints what Python prints for an exception.
    assert "Traceback" not in terminal.text
    assert ib.studies.open(tmp_path / "s").seen.sel(seed=[0, 1]).values.ravel().tolist() == [0, 1]


def test_twice_stops_at_once(tmp_path: Path) -> None:
    with Terminal(tmp_path, "--grid", "wait=0,300", "--out", "s") as terminal:
        terminal.read_until("1 of 2 runs")
        terminal.type_control_c()
        terminal.read_until("finishing 1 run; press Ctrl-C again to stop at once")
        terminal.type_control_c()
        assert terminal.status() == 130
    assert "stopped; the runs that had ended are kept in s; type the same command to go on" in terminal.text
    assert "Traceback" not in terminal.text
    assert ib.studies.open(tmp_path / "s").seen.sel(wait=0.0).values == [0]
