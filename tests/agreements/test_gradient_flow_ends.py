"""Where gradient flow with weight decay ends, against solvers of the convex problem that it solves: theory 0.8."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso

import implicitbias as ib
from tests.oracles.shrinkage import least_nuclear

LAM = 0.1
# exp(-rate t) with rates of about LAM times the gap of strict complementarity; the tests check the end's own residual.
END, RTOL = 1000.0, 1e-8
_rng = np.random.default_rng(11)
X = _rng.standard_normal((5, 7))
Y = X @ np.array([1.5, -2.0, 0, 0, 0, 0, 0]) + 0.1 * _rng.standard_normal(5)


# Oracle: scikit-learn's Lasso, 1/(2n) ||X w - y||^2 + penalty ||w||_1: the same normalisation as ours.
@pytest.mark.parametrize("name", ["u * v", "u^2 - v^2"])
def test_diagonal_networks_end_at_the_lasso(name: str) -> None:
    G: Any = ib.HadamardProduct() if name == "u * v" else ib.SquareDifference()
    theta = (np.full(7, 0.5), np.zeros(7)) if name == "u * v" else (np.full(7, 0.5), np.full(7, 0.5))
    penalty = LAM if name == "u * v" else LAM / 2
    flow = ib.GradientFlow(ib.LeastSquares(X, Y).reparametrize(G), LAM)
    found = G(ib.simulate(flow, theta, t1=END, rtol=RTOL).final)
    expected = Lasso(alpha=penalty, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, Y).coef_
    assert 0 < np.count_nonzero(expected) < 7
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    # KKT of the Lasso, by hand: the oracle and the end meet it.
    gradient = X.T @ (X @ found - Y) / 5
    assert np.max(np.abs(gradient)) <= penalty * (1 + 1e-6)


_ROWS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 0])
_COLS = np.array([0, 1, 1, 2, 2, 0, 0, 2, 0])


# Oracle: FISTA with shrunk singular values, to 1e-13. The entry (0, 0) is observed twice.
def test_a_matrix_product_ends_at_the_least_nuclear_norm() -> None:
    values = np.random.default_rng(12).standard_normal(9)
    values[-1] = values[0]
    expected = least_nuclear(_ROWS, _COLS, values, (4, 3), 0.03)
    problem = ib.LeastSquares.entries(_ROWS, _COLS, values, (4, 3)).reparametrize(ib.MatrixProduct())
    rng = np.random.default_rng(13)
    start = (rng.standard_normal((4, 3)), rng.standard_normal((3, 3)))
    trajectory = ib.simulate(ib.GradientFlow(problem, 0.03), start, t1=1e5, rtol=1e-7)
    np.testing.assert_allclose(ib.MatrixProduct()(trajectory.final), expected, rtol=0, atol=1e-7)
    assert np.linalg.matrix_rank(expected, tol=1e-6) >= 1


# Oracle: the same over symmetric matrices, at lam / 2; targets need not be symmetric.
def test_a_matrix_difference_ends_at_the_least_nuclear_norm() -> None:
    rows, cols = np.array([0, 0, 1, 2, 2, 1]), np.array([0, 1, 0, 2, 1, 1])
    values = np.array([1.0, -2.0, -1.0, 0.5, 1.5, -1.2])
    expected = least_nuclear(rows, cols, values, (3, 3), 0.03, symmetric=True)
    problem = ib.LeastSquares.entries(rows, cols, values, (3, 3)).reparametrize(ib.MatrixDifference())
    rng = np.random.default_rng(14)
    start = (rng.standard_normal((3, 3)), rng.standard_normal((3, 3)))
    trajectory = ib.simulate(ib.GradientFlow(problem, 0.06), start, t1=1e5, rtol=1e-7)
    np.testing.assert_allclose(ib.MatrixDifference()(trajectory.final), expected, rtol=0, atol=1e-7)
