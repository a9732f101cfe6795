"""`ib.interpolant` of losses of margins on inseparable data, by the conditions of optimality and by SciPy."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import minimize

import implicitbias as ib

N, D, RANK = 30, 6, 3
_rng = np.random.default_rng(61)
X = _rng.standard_normal((N, RANK)) @ _rng.standard_normal((RANK, D))
SIGNS = np.where(X @ _rng.standard_normal(D) + 4.0 * _rng.standard_normal(N) > 0.0, 1, -1)
CLASSES = _rng.integers(0, 3, N)
START = _rng.standard_normal(D)
PROBLEMS = {
    "logistic": ib.Classification(X, SIGNS),
    "exponential": ib.Classification(X, SIGNS, "exponential"),
    "cross_entropy": ib.Classification(X, CLASSES, "cross_entropy"),
}


def _rest(points: ndarray) -> ndarray:
    """Return the part of columns that is orthogonal to all rows of X."""
    rows = np.linalg.svd(X)[2][:RANK]
    return points - rows.T @ (rows @ points)


# The problem is convex: a point is optimal if the gradient of the loss is 0 and the change of the mirror map is a
# combination of the rows. Both are computed from the data here.
@pytest.mark.parametrize("moved", [False, True], ids=["centre", "start"])
@pytest.mark.parametrize("loss", PROBLEMS)
def test_conditions_of_optimality(loss: str, moved: bool) -> None:
    problem, phi = PROBLEMS[loss], ib.HyperbolicEntropy(0.1)
    shape = problem.predictor_shape
    start = np.broadcast_to(START.reshape(-1, *[1] * (len(shape) - 1)), shape) if moved else np.zeros(shape)
    limit = ib.interpolant(problem, phi, start)
    assert limit.certificate.holds, str(limit.certificate)
    w = limit.point
    weights = _weights(problem, w)
    assert np.max(np.abs(X.T @ weights)) < 1e-12 * np.sum(np.abs(X))
    change = phi.mirror(w.ravel()).reshape(shape) - phi.mirror(start.ravel()).reshape(shape)
    np.testing.assert_allclose(_rest(change), 0.0, atol=1e-9)
    np.testing.assert_allclose(X.T @ limit.multipliers, change, atol=1e-9)
    if loss == "cross_entropy":
        np.testing.assert_allclose(np.sum(limit.multipliers, axis=1), 0.0, atol=1e-12)
        np.testing.assert_allclose(np.sum(change, axis=1), 0.0, atol=1e-9)
    criterion = ib.MinBregman(phi, start)
    assert ib.certify(problem, w, criterion).holds
    aside = _rest(_rng.standard_normal(D)).reshape(-1, *[1] * (len(shape) - 1))
    assert not ib.certify(problem, w + 1e-3 * aside, criterion).holds  # another minimiser of the loss
    assert not ib.certify(problem, 1.001 * w, criterion).holds  # no minimiser of the loss


def _weights(problem: Any, w: ndarray) -> ndarray:
    """Return the derivatives of the loss in the predictions, by central differences of the formula of the loss."""
    scores = X @ w

    def losses(scores: ndarray) -> ndarray:
        if scores.ndim == 2:
            return np.log(np.sum(np.exp(scores), axis=1)) - scores[np.arange(N), CLASSES]
        margins = SIGNS * scores
        return np.exp(-margins) if problem.loss_name == "exponential" else np.log1p(np.exp(-margins))

    # Complex steps have no cancellation.
    if scores.ndim == 1:
        return np.imag(losses(scores + 1e-30j)) / 1e-30
    parts = [np.imag(losses(scores + 1e-30j * np.eye(3)[c])) / 1e-30 for c in range(3)]
    return np.stack(parts, axis=1)


# Oracle: SciPy's minimiser of the loss with a tiny multiple of the squared norm has the same predictions and tends to
# the minimiser of least norm.
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_least_norm(loss: str) -> None:
    basis = np.linalg.svd(X)[2][:RANK].T
    margins = SIGNS[:, None] * (X @ basis)

    def value(c: ndarray) -> tuple[float, ndarray]:
        m = margins @ c
        if loss == "exponential":
            return float(np.sum(np.exp(-m))), -margins.T @ np.exp(-m)
        return float(np.sum(np.logaddexp(0.0, -m))), -margins.T @ (1.0 / (1.0 + np.exp(m)))

    best = minimize(value, np.zeros(RANK), jac=True, method="BFGS", options={"gtol": 1e-10}).x
    limit = ib.interpolant(PROBLEMS[loss], ib.SquaredNorm())
    np.testing.assert_allclose(limit.point, basis @ best, atol=1e-7)


def test_matrices_with_a_spectral_potential() -> None:
    matrices, phi = X.reshape(N, 2, 3), ib.Spectral(ib.HyperbolicEntropy(0.1))
    problem = ib.Classification(matrices, SIGNS)
    limit = ib.interpolant(problem, phi)
    assert limit.certificate.holds, str(limit.certificate)
    np.testing.assert_allclose(
        X.T @ _weights(problem, limit.point.ravel()), 0.0, atol=1e-12 * np.sum(np.abs(X))
    )
    np.testing.assert_allclose(_rest(phi.mirror(limit.point).ravel()), 0.0, atol=1e-9)


# Row 0 has a margin so large that its weight underflows; the other rows are inseparable and span the plane.
def test_a_row_of_tiny_weight() -> None:
    rows = [[1e5, 0.0], [1.0, 0.3], [1.0, -0.1], [-0.5, 0.2], [0.0, -1.0], [0.2, 1.0], [-0.1, -0.9]]
    problem = ib.Classification(rows, [1, 1, 1, 1, 1, 1, -1])
    limit = ib.interpolant(problem, ib.SquaredNorm())
    assert limit.certificate.holds
    assert problem.margins(limit.point)[0] > 1e4


# Separable data; data that a classifier separates weakly only; and rows that are all independent.
@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([[1.0, 2.0], [2.0, 1.0], [-1.0, -1.0]], [1, 1, -1]),
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [1, 1, -1, -1]),
        ([[1.0, 2.0], [2.0, 1.0]], [1, -1]),
    ],
)
def test_losses_without_a_minimiser_are_refused(rows: Any, labels: Any) -> None:
    with pytest.raises(ib.InputError, match=r"ib\.max_margin\(problem, potential\)"):
        ib.interpolant(ib.Classification(rows, labels), ib.SquaredNorm())


def test_data_without_features() -> None:
    limit = ib.interpolant(ib.Classification(np.zeros((3, 2)), [1, 1, -1]), ib.SquaredNorm(), [1.0, 2.0])
    np.testing.assert_array_equal(limit.point, [1.0, 2.0])
