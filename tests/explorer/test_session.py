"""Test that a page shows the newest settings, and that faults become words."""

from collections.abc import Callable
from typing import Any

import numpy as np

from implicitbias import InputError
from implicitbias.explorer._exploration import Exploration
from implicitbias.explorer._picture import Axes, Curve, Picture, Role
from implicitbias.explorer._session import Session
from implicitbias.explorer._setting import Setting
from implicitbias.explorer._worker import Worker


def draw(*, x: int) -> Picture:
    if x == 7:
        raise InputError("seven has no picture")
    if x == 8:
        raise ZeroDivisionError("a fault")
    return Picture(((Curve("x", np.array([float(x)]), np.array([float(x)]), Role.FLOW),),), (("x", str(x)),))


EXPLORATION = Exploration("one", "One", "", (Setting("x", "x", 0, 9, 1, 0),), (Axes("", "", ""),), draw)


class HeldWorker(Worker):
    """A worker that computes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], object]] = []

    def ask(self, exploration: Exploration, numbers: Any, done: Callable[[Any], object]) -> None:
        self.held.append(lambda: done(self.answer(exploration, numbers)))


class Log:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []

    def draw(self, version: int, picture: Picture) -> None:
        self.lines.append((version, picture.facts[0][1]))

    def say(self, version: int, kind: str, text: str) -> None:
        self.lines.append((version, f"{kind}: {text}"))


def session() -> tuple[Session, HeldWorker, Log]:
    worker, log = HeldWorker(), Log()
    return Session(EXPLORATION, worker, log, lambda action: action()), worker, log


def test_settings_that_were_left_are_not_computed() -> None:
    page, worker, log = session()
    for version in range(1, 6):
        page.ask(version, [version])
    assert len(worker.held) == 1
    worker.held.pop()()
    assert len(worker.held) == 1
    worker.held.pop()()
    assert not worker.held
    assert [line for line in log.lines if not line[1].startswith("wait")] == [(1, "1"), (5, "5")]
    worker.stop()


def test_the_page_says_that_it_compiles_only_the_first_time() -> None:
    page, worker, log = session()
    page.ask(1, [3])
    assert log.lines[0][1].startswith("wait: Compiling")
    worker.held.pop()()
    page.ask(2, [4])
    worker.held.pop()()
    assert log.lines[1:] == [(1, "3"), (2, "4")]
    worker.stop()


def test_a_page_goes_on_after_an_error() -> None:
    page, worker, log = session()
    for version, number in enumerate([7, 8, 70, 5]):
        page.ask(version, [number])
        if worker.held:
            worker.held.pop()()
    texts = [text for _, text in log.lines if not text.startswith("wait")]
    assert texts[0] == "error: seven has no picture"
    assert "ZeroDivisionError: a fault" in texts[1]
    assert texts[2] == "error: x is 70, a number from 0 to 9 is expected"
    assert texts[3] == "5"
    worker.stop()


def test_the_thread_computes_and_programs_are_compiled_ahead() -> None:
    worker, answers = Worker(), []
    worker.compile_ahead([EXPLORATION])
    worker.ask(EXPLORATION, [2], answers.append)
    worker.ask(EXPLORATION, [7], answers.append)
    worker.ask(EXPLORATION, [3], lambda answer: (answers.append(answer), worker._jobs.put(None)))
    worker._threads[0].join(10.0)
    assert [getattr(answer, "facts", answer) for answer in answers] == [
        (("x", "2"),),
        "seven has no picture",
        (("x", "3"),),
    ]
    worker.stop()
    assert worker.is_ready(EXPLORATION, [0])
