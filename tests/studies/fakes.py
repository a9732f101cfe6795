"""A study of no paper, to test what surrounds studies."""

import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.studies import Assumption, Card, Claim, Study, _registry, close

NAME = "fake-study"


class FakeStudy(Study):
    """Two points; `measured` are the numbers of the first one, each of which is claimed to be 1."""

    def __init__(self, measured: tuple[float, ...], statement: str, at_second: Callable[[], object]) -> None:
        self.measured, self.statement, self.at_second = measured, statement, at_second

    def points(self) -> tuple[str, ...]:
        return ("first", "second")

    def compute(self, point: str, progress: Progress) -> Any:
        progress(0.5, "half way")
        if point == "second":
            self.at_second()
        numbers = np.array(self.measured) if point == "first" else np.ones(1)
        variables = {"x": (("i",), np.arange(3.0)), "measured": (("claim",), numbers)}
        return dataset(variables, {"i": [1, 2, 3]}, {"statement": self.statement, "word": "one"})

    def claims(self, point: str, dataset: Any) -> list[Claim]:
        rules = (
            Assumption.checked("the sky is up", dataset["x"].values[1], at_most=1.0),
            Assumption.not_checkable("nobody looks", "looking would change it"),
        )
        statement = str(dataset.attrs["statement"])
        numbers = [
            close(point, statement, "nobody2020", (1.0, x, 0.5), *rules) for x in dataset["measured"].values
        ]
        return [*numbers, Claim(point, "the word is one", "nobody2020", (), "one", dataset.attrs["word"])]

    def settings(self) -> dict[str, Any]:
        return {"wait": 0.0, "seed": 0}

    def measure(self, settings: dict[str, Any]) -> Any:
        begin = time.monotonic()
        while time.monotonic() - begin < settings["wait"]:
            time.sleep(0.01)
        return {"seen": settings["seed"]}

    def figures(self, point: str, dataset: Any) -> dict[str, Any]:
        from matplotlib.figure import Figure  # workers of sweeps, which load this module, need none

        return {"first-picture": Figure(figsize=(1, 1))} if point == "first" else {}

    def notes(self) -> str:
        return "Invented for a test."


def install(
    monkeypatch: pytest.MonkeyPatch,
    *measured: float,
    statement: str = "one is one",
    at_second: Callable[[], object] = lambda: None,
) -> None:
    """Make it the only study there is."""
    module = types.ModuleType("fake_study_module")
    module.STUDY = FakeStudy(measured or (1.0,), statement, at_second)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    cards = (Card(NAME, "Nobody 2020", "that one is one", module.__name__),)
    monkeypatch.setattr(_registry, "_CARDS", cards)
