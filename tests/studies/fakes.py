"""A study of no paper, to test what surrounds studies."""

import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure

from implicitbias._core.labelled import dataset
from implicitbias._core.progress import Progress
from implicitbias.studies import Assumption, Card, Claim, Outcome, Study, _registry

NAME = "fake-study"


def claim(point: str = "first", measured: float | str = 1.0, holds: bool = True) -> Claim:
    assumptions = (Assumption.checked("the sky is up", True), Assumption("nobody looks", "not checkable"))
    return Claim(point, "one is one", "nobody2020", assumptions, 1.0, measured, 0.5, holds)


class FakeStudy(Study):
    """Two points; `claims` and `at_second` say what happens there."""

    def __init__(self, claims: tuple[Claim, ...], at_second: Callable[[], object]) -> None:
        self.claims, self.at_second = claims, at_second

    def points(self) -> tuple[str, ...]:
        return ("first", "second")

    def run(self, point: str, progress: Progress) -> Outcome:
        progress(0.5, "half way")
        if point == "second":
            self.at_second()
            return Outcome((claim("second"),))
        data = dataset({"x": (("i",), np.arange(3.0))}, {"i": [1, 2, 3]}, {})
        return Outcome(self.claims, {"first-data": data}, {"first-picture": Figure(figsize=(1, 1))})

    def notes(self) -> str:
        return "Invented for a test."


def install(
    monkeypatch: pytest.MonkeyPatch,
    *claims: Claim,
    at_second: Callable[[], object] = lambda: None,
) -> None:
    """Make it the only study there is."""
    module = types.ModuleType("fake_study_module")
    module.STUDY = FakeStudy(claims or (claim(),), at_second)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    cards = (Card(NAME, "Nobody 2020", "that one is one", module.__name__),)
    monkeypatch.setattr(_registry, "_CARDS", cards)
