"""Tests of the kernels of dual Newton steps, and of their corrections."""

import numpy as np
from scipy import sparse

import implicitbias as ib
from implicitbias.limits._dual_problem import Secants, factorized

RNG = np.random.default_rng(3)


# Oracle: the product of matrices; a rough one is computed in float32 without columns of small shares.
def test_rough_kernels_have_a_few_digits() -> None:
    X = RNG.standard_normal((20, 500)) * np.exp(RNG.standard_normal(500))
    weights = np.exp(20.0 * RNG.standard_normal(500))
    exact = (X * weights) @ X.T
    size = np.max(np.abs(exact))
    linear_map = ib.LeastSquares(X, np.zeros(20)).linear_map
    np.testing.assert_allclose(linear_map.gram(weights), exact, rtol=0, atol=1e-13 * size)
    np.testing.assert_allclose(linear_map.gram(weights, rough=True), exact, rtol=0, atol=1e-3 * size)
    sparse_map = ib.LeastSquares(sparse.csc_array(X), np.zeros(20)).linear_map
    np.testing.assert_allclose(sparse_map.gram(weights, rough=True), exact, rtol=0, atol=1e-13 * size)


# Oracle: the update of Broyden, Fletcher, Goldfarb and Shanno as a product of matrices.
def test_secants_are_bfgs_updates() -> None:
    root = RNG.standard_normal((5, 5))
    kernel, other = root @ root.T + np.eye(5), np.diag([1.0, 2.0, 3.0, 4.0, 5.0])
    solve = factorized(kernel)
    assert solve is not None
    secants, H, unit = Secants(solve), np.linalg.inv(kernel), np.eye(5)
    for move in RNG.standard_normal((3, 5)):
        change = other @ move
        secants = secants.after(move, change)
        right = unit - np.outer(change, move) / (move @ change)
        H = right.T @ H @ right + np.outer(move, move) / (move @ change)
        np.testing.assert_allclose(secants.step(change), move, rtol=1e-10)
    np.testing.assert_allclose([secants.step(row) for row in unit], H, rtol=1e-9, atol=1e-12)
    assert secants.after(np.ones(5), -np.ones(5)) is secants
