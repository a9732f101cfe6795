"""Tests of certificates: the verdict is derived from the numbers, and certificates are frozen and can be pickled."""

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

import implicitbias as ib

GOOD = ib.Certificate("the point is optimal", 1e-17, {"stationarity": 2e-16}, 1e-9)


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        GOOD.gap = 0.0
    with pytest.raises(AttributeError):
        GOOD.holds = False
    with pytest.raises(TypeError):
        GOOD.residuals["stationarity"] = 0.0


# Oracle: the comparison by hand.
@pytest.mark.parametrize(
    ("gap", "residual", "bound", "expected"),
    [
        (1e-9, 1e-9, None, True),  # at the bounds
        (None, 1e-9, None, True),
        (1.1e-9, 0.0, None, False),
        (0.0, 1.1e-9, None, False),
        (0.0, 1e-7, 1e-6, True),
        (0.0, 1e-5, 1e-6, False),
        (np.nan, 0.0, None, False),
        (0.0, np.nan, None, False),
        (0.0, np.inf, 1e-6, False),
    ],
)
def test_the_verdict_follows_from_the_numbers(
    gap: float | None, residual: float, bound: float | None, expected: bool
) -> None:
    tolerances = {} if bound is None else {"r": bound}
    certificate = ib.Certificate("it is so", gap, {"r": residual, "other": 0.0}, 1e-9, tolerances)
    assert certificate.holds is expected
    assert certificate.sentence.startswith("Proved: it is so." if expected else "Not proved: it is so; ")


def test_no_verdict_can_be_passed_in() -> None:
    with pytest.raises(TypeError):
        ib.Certificate("it is so", 0.0, {}, 1e-9, holds=True)
    with pytest.raises(ib.InputError, match="computed from numbers"):
        ib.Certificate("it is so", True, {}, 1e-9)
    with pytest.raises(ib.InputError, match="optimal is False"):
        ib.Certificate("it is so", 0.0, {"optimal": False}, 1e-9)


def test_a_bound_belongs_to_a_residual() -> None:
    with pytest.raises(ib.InputError, match="'b', which is not a residual; the residuals are a"):
        ib.Certificate("it is so", 0.0, {"a": 0.0}, 1e-9, {"b": 1.0})


def test_the_callers_dictionary_is_copied() -> None:
    mine = {"stationarity": 1.0}
    certificate = ib.Certificate("it is so", 0.0, mine, 1e-9)
    mine["stationarity"] = 0.0
    assert certificate.residuals["stationarity"] == 1.0


def test_a_numpy_gap_becomes_a_python_one() -> None:
    assert type(ib.Certificate("it is so", np.float64(0.5), {}, 1e-9).gap) is float


def test_it_pickles() -> None:
    copy = pickle.loads(pickle.dumps(GOOD))
    for field in dataclasses.fields(GOOD):
        assert getattr(copy, field.name) == getattr(GOOD, field.name)
    assert copy.fingerprint() == GOOD.fingerprint()


def test_it_reads_as_text() -> None:
    text = str(GOOD)
    assert text.startswith("Proved: the point is optimal.")
    assert "stationarity 2.0e-16 (at most 1e-09)" in text
    worse = dataclasses.replace(GOOD, residuals={"stationarity": 0.5}, note="Look again.")
    assert worse.sentence == (
        "Not proved: the point is optimal; stationarity is 5e-01, at most 1e-09 is accepted. Look again."
    )


@pytest.mark.parametrize(
    ("gap", "residuals", "tolerance", "message"),
    [
        (None, {"r": -5.0}, 1e-9, "r is -5, a number >= 0 is expected"),
        (-1.0, {}, 1e-9, "gap is -1, a number >= 0 is expected"),
        (None, {}, 1e-9, "has no numbers"),
        (None, {"r": 5.0}, np.inf, "the bound of tolerance is infinite"),
        (None, {"r": 5.0}, -1.0, "tolerance is -1, a number >= 0 is expected"),
    ],
)
def test_numbers_that_prove_nothing_are_rejected(
    gap: Any, residuals: Any, tolerance: float, message: str
) -> None:
    with pytest.raises(ib.InputError, match=message):
        ib.Certificate("a statement", gap, residuals, tolerance)


# The run-time type checks of the tests reject these first; callers do not have them.
def test_what_is_no_number_is_rejected() -> None:
    for value in (np.False_, np.array(False), True, "0"):
        record = ib.Certificate("a statement", None, {"r": 0.0}, 1e-9)
        object.__setattr__(record, "residuals", {"r": value})
        with pytest.raises(ib.InputError, match="a number is expected"):
            record.__post_init__()
