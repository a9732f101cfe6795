"""The seeds in a report are those of the generators that the run made."""

from typing import Any

import pytest

import implicitbias as ib
from implicitbias.studies._seeds import generator, noted_seeds
from tests.studies.fakes import NAME, FakeStudy, install


def test_seeds_are_noted_once_and_numbers_are_those_of_numpy() -> None:
    import numpy as np

    with noted_seeds() as outer:
        first = generator(3).standard_normal(2)
        with noted_seeds() as inner:
            generator([1, 2])
        generator(3)
    generator(7)
    assert (outer, inner) == (["3"], ["[1, 2]"])
    np.testing.assert_array_equal(first, np.random.default_rng(3).standard_normal(2))


def test_the_report_names_the_seeds_of_each_point(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, 1.0, at_second=lambda: generator(5))
    compute = FakeStudy.compute

    def drawn(self: FakeStudy, point: str, progress: Any) -> Any:
        if point == "first":
            generator(11)
            generator([0, 4])
        return compute(self, point, progress)

    monkeypatch.setattr(FakeStudy, "compute", drawn)
    result = ib.studies.run(NAME)
    assert _facts(result)["seeds"] == "11, [0, 4] (first); 5 (second)"
    monkeypatch.setattr(FakeStudy, "compute", compute)
    monkeypatch.undo()
    install(monkeypatch, 1.0)
    assert _facts(ib.studies.run(NAME))["seeds"] == "none: nothing is random"


def _facts(result: ib.studies.StudyResult) -> dict[str, str]:
    (facts,) = (
        part.facts
        for section in ib.studies.document(result).sections
        for part in section.parts
        if hasattr(part, "facts")
    )
    return dict(facts)
