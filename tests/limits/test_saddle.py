"""`ib.certify(problem, w, ib.Saddle())`: critical points of the loss of a diagonal network."""

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib


def _data(seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((6, 12)), rng.standard_normal(6)


# Oracle: the path: each of its points is a saddle of the network, what lies between two of them is none.
@pytest.mark.parametrize("seed", range(3))
def test_saddles_of_a_path(seed: int) -> None:
    X, y = _data(seed)
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    for w in path.coefficients:
        assert ib.certify(problem, w, ib.Saddle()).holds
    for before, after in zip(path.coefficients[:-1], path.coefficients[1:], strict=True):
        assert not ib.certify(problem, (before + after) / 2, ib.Saddle()).holds


# Oracle: the gradient of L(u * v) in (u, v) at |u| = |v|, by its formula: 0 exactly at the saddles.
@pytest.mark.parametrize("seed", range(3))
def test_critical_points_of_the_network(seed: int) -> None:
    X, y = _data(seed)
    problem = ib.LeastSquares(X, y)
    rng = np.random.default_rng(seed)
    for size in range(5):
        # Least squares on any support is a saddle, even where no path of the network visits it.
        support = rng.permutation(12)[:size]
        w = np.zeros(12)
        w[support] = np.linalg.lstsq(X[:, support], y, rcond=None)[0]
        for point, is_saddle in ((w, True), (1.01 * w, size == 0)):
            root = np.sqrt(np.abs(point))
            gradient = -X.T @ (y - X @ point) / 6
            network = np.concatenate([np.sign(point) * root * gradient, root * gradient])
            assert (np.max(np.abs(network)) < 1e-12) == is_saddle
            assert ib.certify(problem, point, ib.Saddle()).holds == is_saddle


# Oracle: by hand: the support alone counts, whatever the gradient off it.
def test_residual_by_hand() -> None:
    problem = ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0])
    certificate = ib.certify(problem, [1.0, 0.0], ib.Saddle())
    # x_1^T r = 4, ||x_1|| = 2, scale = sqrt(17) + 2.
    np.testing.assert_allclose(
        certificate.residuals["support_gradient"], 4 / (2 * (np.sqrt(17) + 2)), rtol=1e-14
    )
    assert certificate.gap is None
    assert "support_gradient is" in certificate.sentence
    # An entry that is 0 up to rounding counts as 0, one of a thousandth does not.
    assert ib.certify(problem, [2.0, 1e-12], ib.Saddle()).holds
    assert not ib.certify(problem, [2.0, 1e-3], ib.Saddle()).holds
    # Shares are relative to the largest entry, so that a point of small norm is judged like any other.
    assert not ib.certify(problem, [1e-12, 0.0], ib.Saddle()).holds


@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_units_do_not_matter(unit: float) -> None:
    X, y = _data(0)
    w = ib.saddle_path(ib.LeastSquares(X, y)).coefficients[2]
    problem = ib.LeastSquares(X, unit * y)
    assert ib.certify(problem, unit * w, ib.Saddle()).holds
    assert not ib.certify(problem, 1.0001 * unit * w, ib.Saddle()).holds


def test_entries_of_a_matrix() -> None:
    problem = ib.LeastSquares.entries([0, 0, 1], [0, 1, 1], [1.0, 2.0, 3.0], (2, 2))
    assert ib.certify(problem, [[1.0, 0.0], [0.0, 3.0]], ib.Saddle()).holds
    assert ib.certify(problem, [[0.0, 0.0], [7.0, 0.0]], ib.Saddle()).holds  # never observed: no gradient
    assert not ib.certify(problem, [[2.0, 0.0], [0.0, 3.0]], ib.Saddle()).holds


def test_zeros() -> None:
    assert ib.certify(ib.LeastSquares(np.eye(2), [0.0, 0.0]), [0.0, 0.0], ib.Saddle()).holds
    assert ib.certify(ib.LeastSquares(np.zeros((2, 2)), [1.0, 0.0]), [1.0, 2.0], ib.Saddle()).holds


def test_bad_input() -> None:
    problem = ib.LeastSquares(np.eye(2), [1.0, 2.0])
    with pytest.raises(ib.InputError, match="point holds 1 NaN"):
        ib.certify(problem, [np.nan, 0.0], ib.Saddle())
    with pytest.raises(ib.InputError, match="Classification, Saddle expects a least-squares problem"):
        ib.certify(ib.Classification(np.eye(2), [0, 1]), [0.0, 0.0], ib.Saddle())
