"""What `ib.max_margin` says of data that no classifier separates, and of arguments that are wrong."""

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.problems._inseparable import exact_combination

g = ib.gauges
HORIZONS: list[Any] = ["l1", "l2", "linf", 3, g.Ellipsoid(np.diag([1.0, 2.0, 3.0])), g.Polar(g.L1())]


def _refused(X: Any, y: Any, horizon: Any = "l2", bias: bool = False) -> ib.InfeasibleError:
    problem = ib.Classification(X, y)
    with pytest.raises(ib.InfeasibleError, match="no linear classifier separates") as caught:
        ib.max_margin(problem, horizon, bias)
    error = caught.value
    assert error.certificate.holds
    q = error.combination
    assert np.all(q >= 0.0)
    np.testing.assert_allclose(np.sum(q), 1.0, rtol=1e-12)
    signed = problem.y[:, None] * problem.X
    np.testing.assert_allclose(q @ signed, 0.0, atol=1e-12 * np.max(np.abs(signed)))
    if bias:
        assert abs(q @ problem.y) <= 1e-12
    return error


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("bias", [False, True])
def test_random_labels(horizon: Any, bias: bool) -> None:
    rng = np.random.default_rng(0)
    error = _refused(rng.standard_normal((40, 3)), np.where(rng.uniform(size=40) < 0.5, 1, 0), horizon, bias)
    again = pickle.loads(pickle.dumps(error))
    np.testing.assert_array_equal(again.combination, error.combination)
    assert "y[" in str(again)


@pytest.mark.parametrize("bias", [False, True])
def test_duplicate_points_with_opposite_labels(bias: bool) -> None:
    error = _refused([[1.0, 0.1], [0.3, 2.0], [1.0, 0.1]], [1, 1, -1], bias=bias)
    np.testing.assert_allclose(error.combination, [0.5, 0.0, 0.5])
    assert "exact arithmetic" in error.certificate.sentence


def test_a_row_of_zeros() -> None:
    error = _refused([[0.0, 0.0], [1.0, 2.0]], [1, -1])
    np.testing.assert_allclose(error.combination, [1.0, 0.0], atol=1e-12)


def test_an_intercept_separates_what_nothing_else_does() -> None:
    X, y = [[1.0], [2.0]], [0, 1]
    assert _refused(X, y).combination is not None
    limit = ib.max_margin(ib.Classification(X, y), "l2", bias=True)
    np.testing.assert_allclose([limit.point[0], limit.bias], [2.0, -3.0], rtol=1e-12)


def test_constant_and_zero_columns() -> None:
    rng = np.random.default_rng(1)
    X = np.hstack([rng.standard_normal((20, 3)), np.ones((20, 1)), np.zeros((20, 1))])
    y = np.sign(X @ [1.0, -1.0, 0.5, 0.3, 0.0])
    for horizon in ("l1", "l2", "linf"):
        assert ib.max_margin(ib.Classification(X, y), horizon).certificate.holds


# The data differ from an inseparable set by one unit of rounding: they are not called inseparable.
def test_nearly_inseparable_data_are_not_called_inseparable() -> None:
    x = np.array([1.0, 0.1])
    limit = ib.max_margin(ib.Classification([x, x * (1.0 + 1e-15), [1.0, 3.0]], [1, -1, -1]), "l2")
    assert limit.certificate.holds or limit.status is ib.Status.NOT_CERTIFIED


def test_infinite_weights_can_make_data_inseparable() -> None:
    problem = ib.Classification([[1.0, 1.0], [1.0, 2.0]], [1, -1])
    with pytest.raises(ib.InfeasibleError) as caught:
        ib.max_margin(problem, g.TwoSidedL1([1.0, 1.0], [1.0, np.inf]))
    assert caught.value.certificate.holds


# Oracle: by hand.
def test_exact_combinations() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert exact_combination(rows) == [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    assert exact_combination(np.array([[1.0, 0.0], [-1.0, 2.0**-60]])) is None
    assert exact_combination(np.array([[0.1, 0.2], [0.1, 0.2]])) is None
    assert exact_combination(np.array([[0.1, 0.2], [-0.1, -0.2]])) == [Fraction(1, 2)] * 2


@pytest.mark.parametrize(
    ("horizon", "words"),
    [
        ("l4", '"l1", "l2", "linf"'),
        (0.5, "p is 0.5, a number >= 1"),
        (-1, "p is -1"),
        (np.nan, "p is nan"),
        (True, "horizon is True"),
        (None, "horizon is None"),
        (ib.gauges.L1, "horizon is"),
        (g.WeightedL1([1.0, 2.0, 3.0]), "w has shape"),
        (g.Nuclear(), "w has shape"),
    ],
)
def test_horizons_that_are_refused(horizon: Any, words: str) -> None:
    problem = ib.Classification([[1.0, 0.0], [0.0, 1.0]], [1, -1])
    with pytest.raises(ib.InputError, match=words):
        ib.max_margin(problem, horizon)


def test_other_arguments_that_are_refused() -> None:
    problem = ib.Classification([[1.0, 0.0], [0.0, 1.0]], [1, -1])
    with pytest.raises(ib.InputError, match=r"bias is 0\.5"):
        ib.max_margin(problem, "l2", bias=0.5)
    with pytest.raises(ib.InputError, match="problem is a LeastSquares"):
        ib.max_margin(ib.LeastSquares([[1.0], [2.0]], [1.0, 2.0]), "l2")
    with pytest.raises(ib.InputError, match="point has 3 entries"):
        ib.certify(problem, [1.0, 2.0, 3.0], ib.MaxMargin("l2"))
    with pytest.raises(ib.InputError, match="1 different label"):
        ib.Classification([[1.0], [2.0]], [1, 1])
    for unit in (1e-150, 1e150):
        with pytest.raises(ib.InputError, match="change the unit"):
            ib.Classification([[unit], [-unit]], [1, -1])
