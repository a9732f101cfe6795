"""Certificates are values: frozen, picklable, readable."""

import dataclasses
import pickle

import numpy as np
import pytest

import implicitbias as ib

GOOD = ib.Certificate(True, 1e-17, {"stationarity": 2e-16}, 1e-9, "the point is optimal")


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.holds = False
    with pytest.raises(TypeError):
        GOOD.residuals["stationarity"] = 0.0


def test_the_callers_dictionary_is_copied() -> None:
    mine = {"stationarity": 1.0}
    certificate = ib.Certificate(False, 0.0, mine, 1e-9, "")
    mine["stationarity"] = 0.0
    assert certificate.residuals["stationarity"] == 1.0


def test_a_numpy_gap_becomes_a_python_one() -> None:
    assert type(ib.Certificate(True, np.float64(0.5), {}, 1e-9, "").gap) is float


def test_it_pickles() -> None:
    copy = pickle.loads(pickle.dumps(GOOD))
    for field in dataclasses.fields(GOOD):
        assert getattr(copy, field.name) == getattr(GOOD, field.name)


def test_it_reads_as_text() -> None:
    text = str(GOOD)
    assert text.startswith("holds: the point is optimal")
    assert "stationarity 2.0e-16" in text
    assert str(dataclasses.replace(GOOD, holds=False)).startswith("DOES NOT HOLD")
