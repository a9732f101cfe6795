"""Everything that the room offers explains itself: an example that runs, the paper it comes from."""

import doctest
import inspect

import pytest

import implicitbias as ib
from tests.architecture.test_docstrings import DOCTEST_FLAGS, bibliography_keys, section

# What a gauge returns is shown by the examples of gauges.
RETURNED = {"Cone", "ConeKind", "ConicForm", "Face"}

OFFERED = [
    "Cone",
    "ConeKind",
    "ConicForm",
    "Ellipsoid",
    "Face",
    "FromOracle",
    "Gauge",
    "L1",
    "L2",
    "LInf",
    "Lp",
    "Nuclear",
    "Polar",
    "Schatten",
    "Spectral",
    "TwoSidedL1",
    "Weighted",
    "WeightedL1",
]


def test_snapshot() -> None:
    assert sorted(ib.gauges.__all__) == OFFERED


@pytest.mark.parametrize("name", OFFERED)
def test_docstrings(name: str) -> None:
    thing = getattr(ib.gauges, name)
    text = inspect.getdoc(thing) or ""
    assert text
    if name in RETURNED:
        return
    assert any(key in section(text, "Reference") for key in bibliography_keys())
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples
    assert doctest.DocTestRunner(optionflags=DOCTEST_FLAGS).run(example).failed == 0
