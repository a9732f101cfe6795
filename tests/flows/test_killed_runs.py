"""Test with real processes that killed runs lose at most one part, and that no half-written file is read."""

import random
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from implicitbias._core.archive import FileKind, read_archive, write_archive
from implicitbias.flows import _checkpoint
from tests.flows._runs import content, run, size
from tests.forks import PROCESSES

KILLS = 20
NAME, RTOL = "Gauss-Newton", 1e-10
KIND = FileKind("kind", 1, "thing")


def simulate_in_parts(path: Path, out: Connection) -> None:
    """Simulate and save each part, send its fraction and wait; at the end send the number of observed times."""
    _checkpoint._RARELY = _checkpoint._SECONDS = 0.0
    kept: list[float] = []

    def observe(t: float, state: Any) -> float:
        kept.append(t)
        return size(t, state)

    def progress(fraction: float, text: str) -> None:
        out.send(("part", fraction))
        time.sleep(0.15)

    run(NAME, rtol=RTOL, observe={"size": observe}, checkpoint=path, progress=progress)
    out.send(("end", len(kept)))


def write_files(path: Path, out: Connection) -> None:
    """Write files of 4 MB one after another, and send the number that all entries of a file are."""
    for number in count():
        array = np.full(500_000, float(number))
        write_archive(path, KIND, {}, {"x": array}, compressed=False)
        out.send(("file", number))


class Child:
    """A process that sends messages: a word and a number."""

    def __init__(self, task: Callable[[Path, Connection], None], path: Path) -> None:
        self._messages, out = PROCESSES.Pipe(duplex=False)
        self.process = PROCESSES.Process(target=task, args=(path, out))
        self.process.start()
        out.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.join()
        self._messages.close()

    def first(self) -> tuple[str, float]:
        """Wait for the next message."""
        return self._messages.recv()

    def others(self) -> list[tuple[str, float]]:
        """Wait for the end of the process, and return all messages that it has sent completely."""
        found = []
        try:
            while True:
                found.append(self._messages.recv())
        except (EOFError, OSError):  # the end, and the end amid a message
            self.process.join()
            return found


def killed_after(child: Child, seconds: float) -> list[tuple[str, float]]:
    """Kill a process this long after its first message, or let it end before; return its messages."""
    with child:
        first = child.first()
        time.sleep(seconds)
        child.process.kill()
        return [first, *child.others()]


def fraction_in(messages: list[tuple[str, float]]) -> float:
    """Return the last fraction that a process has sent, and 1 if it has ended."""
    word, number = messages[-1]
    return 1.0 if word == "end" else number


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_bit(tmp_path: Path) -> None:
    path, moments = tmp_path / "run.npz", random.Random(0)
    reached, ended = 0.0, 0
    for _ in range(KILLS):
        messages = killed_after(Child(simulate_in_parts, path), moments.uniform(0.0, 0.5))
        # The first part after a kill is one that had not ended before it.
        assert fraction_in(messages[:1]) > reached
        reached = fraction_in(messages)
        ended += messages[0][0] == "end"
    assert ended == 0, "the run is too short for so many kills"
    with Child(simulate_in_parts, path) as child:
        messages = child.others()
        assert child.process.exitcode == 0
    whole = run(NAME, rtol=RTOL)
    # The last process has not computed again what the killed ones had computed.
    assert messages[-1][0] == "end"
    assert messages[-1][1] < len(whole.times) / 2
    trajectory = run(NAME, rtol=RTOL, checkpoint=path)
    assert content(trajectory) == content(whole)


def test_a_kill_loses_at_most_one_part(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    messages = killed_after(Child(simulate_in_parts, path), 0.4)
    again = killed_after(Child(simulate_in_parts, path), 0.0)
    assert fraction_in(again[:1]) > fraction_in(messages)


def test_a_running_process_keeps_others_out_and_a_killed_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    with Child(simulate_in_parts, path) as child:
        child.first()
        with pytest.raises(ValueError, match="another run uses the checkpoint"):
            run(NAME, rtol=RTOL, checkpoint=path)
    assert run(NAME, rtol=RTOL, checkpoint=path).status.ok


@pytest.mark.slow
def test_a_kill_while_a_file_is_written_leaves_a_complete_one(tmp_path: Path) -> None:
    path, moments, halves = tmp_path / "thing.npz", random.Random(0), 0
    for _ in range(KILLS):
        messages = killed_after(Child(write_files, path), moments.uniform(0.0, 0.1))
        _, arrays = read_archive(path, KIND)
        assert len(np.unique(arrays["x"])) == 1
        assert arrays["x"][0] >= messages[-1][1]
        halves += len(list(tmp_path.glob("*.part")))
        for part in tmp_path.glob("*.part"):
            part.unlink()
    assert halves, "no kill has met a file that was being written"
