"""The full quadratic form: values, inverse, bad input, and its mirror flow in closed form."""

from typing import Any

import numpy as np
import pytest
from scipy import linalg

import implicitbias as ib

A = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]])


# Oracle: NumPy.
def test_values() -> None:
    phi, w = ib.QuadraticForm(A), np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(phi.value(w), w @ A @ w / 2, rtol=1e-15)
    np.testing.assert_allclose(phi.mirror(w), A @ w, rtol=1e-15)
    np.testing.assert_allclose(phi.inverse_mirror(w), np.linalg.solve(A, w), rtol=1e-14)
    np.testing.assert_allclose(phi.hessian_product(w, [1.0, 0.0, 0.0]), A[0])
    np.testing.assert_allclose(phi.inverse_hessian_product(w, A[0]), [1.0, 0.0, 0.0], atol=1e-15)


# Oracle: with condition number 1e10, the error of the solve must not exceed that of the matrix.
def test_an_ill_conditioned_form() -> None:
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    phi = ib.QuadraticForm((Q * np.geomspace(1.0, 1e10, 6)) @ Q.T)
    w = rng.standard_normal(6)
    np.testing.assert_allclose(phi.inverse_mirror(phi.mirror(w)), w, rtol=1e-5)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.ones((2, 3)), "square matrix"),
        ([[1.0, 2.0], [0.0, 1.0]], r"not symmetric.*type A = \(A \+ A\.T\) / 2"),
        ([[1.0, 2.0], [2.0, 1.0]], "eigenvalues from -1 to 3, positive ones"),
        (np.zeros((2, 2)), "positive ones"),
        ([[np.nan, 0.0], [0.0, 1.0]], "NaN"),
        ([1.0, 2.0], "2 dimension"),
        ([["a"]], "not numbers"),
    ],
)
def test_bad_matrices_are_refused(matrix: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.QuadraticForm(matrix)


# Oracle: dw/dt = -A^-1 X^T (X w - y) / n is linear, and the matrix exponential solves it.
@pytest.mark.parametrize("n", [2, 3, 6])
def test_its_mirror_flow(n: int) -> None:
    rng = np.random.default_rng(n)
    X, y, start = rng.standard_normal((n, 3)), rng.standard_normal(n), rng.standard_normal(3)
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.QuadraticForm(A))
    times = np.array([0.1, 1.0, 5.0])
    trajectory = ib.simulate(flow, start, t1=5.0, rtol=1e-8)
    M, b = -np.linalg.solve(A, X.T @ X / n), np.linalg.solve(A, X.T @ y / n)
    whole = np.block([[M, b[:, None]], [np.zeros((1, 4))]])
    for t in times:
        expected = (linalg.expm(t * whole) @ np.append(start, 1.0))[:3]
        np.testing.assert_allclose(trajectory.state(t), expected, rtol=2e-6, atol=2e-7)
        np.testing.assert_allclose(trajectory.dual(t), A @ trajectory.state(t), rtol=1e-9, atol=1e-12)


# Oracle: the flow from 0 ends at the interpolant of least w^T A w, which is computed from its optimality conditions.
def test_its_end_minimises_the_form() -> None:
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((2, 3)), rng.standard_normal(2)
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.QuadraticForm(A))
    w = ib.simulate(flow, np.zeros(3), t1=1e3, rtol=1e-8).final
    inverse = np.linalg.inv(A)
    np.testing.assert_allclose(w, inverse @ X.T @ np.linalg.solve(X @ inverse @ X.T, y), rtol=1e-6)


# Oracle: the same flow with a separable potential, for which the kernel is computed in another way.
def test_a_diagonal_form_is_a_scaled_squared_norm() -> None:
    rng = np.random.default_rng(3)
    problem = ib.LeastSquares(rng.standard_normal((4, 9)), rng.standard_normal(4))
    ends = [
        ib.simulate(ib.MirrorFlow(problem, phi), np.zeros(9), t1=4.0, rtol=1e-8).final
        for phi in (ib.QuadraticForm(3 * np.eye(9)), 3 * ib.SquaredNorm(), 3 * ib.QuadraticForm(np.eye(9)))
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    np.testing.assert_allclose(ends[0], ends[2], rtol=1e-12)


def test_a_form_for_another_number_of_columns_is_refused() -> None:
    with pytest.raises(ib.InputError, match="A has 3 entries, but X has 2 columns"):
        ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 2.0]), ib.QuadraticForm(A))


# The eigenvalues are positive, but 1 / 1e-320 is infinite in float64.
def test_a_matrix_whose_inverse_overflows_is_rejected() -> None:
    with pytest.raises(ib.InputError, match="reciprocals exceed float64"):
        ib.QuadraticForm(1e-320 * np.eye(2))
