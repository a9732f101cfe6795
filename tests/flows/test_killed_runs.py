"""Test with real processes that killed runs lose at most one part, and that no half-written file is read."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from implicitbias._core.archive import FileKind, read_archive
from tests.flows._runs import content, run

KILLS = 20
NAME, RTOL = "Gauss-Newton", 1e-10
KIND = FileKind("kind", 1, "thing")

# Each part is saved and takes a while, and a line of the output says when it has ended.
SIMULATE = f"""
import sys, time
from implicitbias.flows import _checkpoint
from tests.flows._runs import run, size
_checkpoint._RARELY = _checkpoint._SECONDS = 0.0
kept = []
def observe(t, state):
    kept.append(t)
    return size(t, state)
def progress(fraction, text):
    print(fraction, flush=True)
    time.sleep(0.15)
run({NAME!r}, rtol={RTOL}, observe={{"size": observe}}, checkpoint=sys.argv[1], progress=progress)
print("done", len(kept), flush=True)
"""
# Files of 4 MB are written one after another; every entry of a file is the same number.
WRITE = """
import sys
from itertools import count
from pathlib import Path
import numpy as np
from implicitbias._core.archive import FileKind, write_archive
for number in count():
    array = np.full(500_000, float(number))
    write_archive(Path(sys.argv[1]), FileKind("kind", 1, "thing"), {}, {"x": array}, compressed=False)
    print(number, flush=True)
"""


def started(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start Python code that can import the package and the tests."""
    paths = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )


def killed_after(child: subprocess.Popen[str], seconds: float) -> list[str]:
    """Kill a process this long after its first line, or let it end before; return its lines."""
    with child:
        assert child.stdout is not None
        first = child.stdout.readline().strip()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        return [first, *child.stdout.read().splitlines()]


def fraction_in(lines: list[str]) -> float:
    """Return the last fraction that a process has printed completely, and 1 if it has ended."""
    numbers = [1.0 if line.startswith("done") else float(line) for line in lines if line.strip()]
    return numbers[-1] if numbers else 0.0


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    path, moments = tmp_path / "run.npz", random.Random(0)
    reached, ended = 0.0, 0
    for _ in range(KILLS):
        lines = killed_after(started(SIMULATE, str(path)), moments.uniform(0.0, 0.5))
        # The first part after a kill is one that had not ended before it.
        assert fraction_in(lines[:1]) > reached
        reached = fraction_in(lines)
        ended += lines[0].startswith("done")
    assert ended == 0, "the run is too short for so many kills"
    child = started(SIMULATE, str(path))
    output = child.communicate()[0].splitlines()
    assert child.returncode == 0
    whole = run(NAME, rtol=RTOL)
    # The last process has not computed again what the killed ones had computed.
    assert int(output[-1].split()[1]) < len(whole.times) / 2
    trajectory = run(NAME, rtol=RTOL, checkpoint=path)
    assert content(trajectory) == content(whole)


def test_a_kill_loses_at_most_one_part(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    lines = killed_after(started(SIMULATE, str(path)), 0.4)
    again = killed_after(started(SIMULATE, str(path)), 0.0)
    assert fraction_in(again[:1]) > fraction_in(lines)


def test_a_running_process_keeps_others_out_and_a_killed_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    with started(SIMULATE, str(path)) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(ValueError, match="another run uses the checkpoint"):
            run(NAME, rtol=RTOL, checkpoint=path)
        child.kill()
    assert run(NAME, rtol=RTOL, checkpoint=path).status.ok


@pytest.mark.slow
def test_a_kill_while_a_file_is_written_leaves_a_complete_one(tmp_path: Path) -> None:
    path, moments, halves = tmp_path / "thing.npz", random.Random(0), 0
    for _ in range(KILLS):
        lines = killed_after(started(WRITE, str(path)), moments.uniform(0.0, 0.1))
        _, arrays = read_archive(path, KIND)
        assert len(np.unique(arrays["x"])) == 1
        assert arrays["x"][0] >= float(lines[-1] or lines[-2])
        halves += len(list(tmp_path.glob("*.part")))
        for part in tmp_path.glob("*.part"):
            part.unlink()
    assert halves, "no kill has met a file that was being written"
