"""Held-out errors as step functions of slow time, against numbers by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import ErrorCurve


def curve(valid_until: float = np.inf) -> ErrorCurve:
    """Three folds of weights 1, 1 and 2. The means are 8, 3, 2, 2 and 2.5."""
    errors = np.array([[8.0, 8, 8], [2, 4, 3], [1, 3, 2], [0, 4, 2], [2, 4, 2]])
    return ErrorCurve(np.array([0.0, 1, 2, 4, 8]), errors, np.array([1.0, 1, 2]), valid_until)


# Oracle: by hand; shares 1/4, 1/4, 1/2.
def test_means_and_their_standard_errors() -> None:
    assert curve().mean.tolist() == [8.0, 3.0, 2.0, 2.0, 2.5]
    # In row 1 the squares of the distances from the mean are 1, 1 and 0, so that the spread is 1/2, over 3 - 1 folds.
    expected = np.sqrt(np.array([0.0, 0.5, 0.5, 2.0, 0.75]) / 2)
    np.testing.assert_allclose(curve().standard_error, expected, rtol=1e-15)
    np.testing.assert_allclose(curve().r2, [0.0, 0.625, 0.75, 0.75, 0.6875], rtol=1e-15)


# Oracle: NumPy's standard deviation over the square root of the number of folds.
def test_folds_of_equal_weight() -> None:
    errors = np.random.default_rng(0).uniform(1, 2, (4, 7))
    equal = ErrorCurve(np.arange(4.0), errors, np.full(7, 5.0))
    np.testing.assert_allclose(equal.standard_error, errors.std(axis=1, ddof=1) / np.sqrt(7), rtol=1e-13)


@pytest.mark.parametrize(
    ("t", "mean"), [(0.0, 8.0), (0.999, 8.0), (1.0, 3.0), (3.9, 2.0), (8.0, 2.5), (1e9, 2.5)]
)
def test_it_is_right_continuous(t: float, mean: float) -> None:
    assert curve().at(t).mean == mean
    assert curve().at(t).standard_error == curve().standard_error[curve().row(t)]


def test_choices() -> None:
    assert curve().best() == 2.0
    assert curve().within_one_standard_error() == 2.0  # 3 is above 2 + 0.5
    wide = ErrorCurve(curve().times, curve().errors * [1.0, 3.0, 1.0], curve().weights)
    # The means are 12, 5, 3.5, 4 and 4.5. The errors of the folds at the least one are 1, 9 and 2.
    assert wide.best() == 2.0
    limit = 3.5 + np.sqrt((2.5**2 / 4 + 5.5**2 / 4 + 1.5**2 / 2) / 2)
    assert 5.0 < limit < 12.0
    assert wide.within_one_standard_error() == 1.0


@pytest.mark.parametrize(
    ("start", "end", "least"),
    [
        (0.0, 1.0, 8.0),
        (0.5, 1.0, 8.0),
        (0.5, 1.001, 3.0),
        (1.0, 2.0, 3.0),
        (4.0, np.inf, 2.0),
        (9.0, 10.0, 2.5),
    ],
)
def test_the_least_error_of_an_interval_without_its_end(start: float, end: float, least: float) -> None:
    assert curve().least(start, end) == least


def test_where_it_is_unknown() -> None:
    short = curve(valid_until=9.0)
    assert short.at(8.9).mean == 2.5
    for t in (9.0, -1.0, np.nan):
        with pytest.raises(ib.InputError, match=r"known on \[0, 9\)"):
            short.at(t)
    with pytest.raises(ib.InputError, match="end is 1"):
        short.least(1.0, 1.0)


def test_a_single_fold_has_no_standard_error() -> None:
    single = ErrorCurve(np.array([0.0, 1.0]), np.array([[4.0], [2.0]]), np.array([3.0]))
    assert np.isnan(single.standard_error).all()
    assert single.best() == 1.0
    with pytest.raises(ib.InputError, match="a single fold"):
        single.within_one_standard_error()


def test_errors_of_zero_explain_nothing() -> None:
    still = ErrorCurve(np.array([0.0]), np.array([[0.0, 0.0]]), np.array([1.0, 1.0]))
    assert still.r2.tolist() == [0.0]


@pytest.mark.parametrize(
    ("times", "errors", "weights", "words"),
    [
        (np.array([0.0]), np.ones((1, 0)), np.ones(0), "at least one"),
        (np.array([1.0]), np.ones((1, 2)), np.ones(2), "ascend from 0"),
        (np.array([0.0, 0.0]), np.ones((2, 2)), np.ones(2), "ascend from 0"),
        (np.array([0.0]), np.ones((1, 2)), np.array([1.0, 0.0]), "a positive weight"),
    ],
)
def test_what_is_no_curve(times: ndarray, errors: ndarray, weights: ndarray, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ErrorCurve(times, errors, weights)


def test_shapes_that_disagree() -> None:
    fields = SimpleNamespace(times=np.array([0.0, 1.0]), errors=np.ones((1, 2)), weights=np.ones(2))
    with pytest.raises(ib.InputError, match=r"errors has shape \(1, 2\)"):
        ErrorCurve.__post_init__(fields)  # the tests check the types of arguments, so that this is not built
