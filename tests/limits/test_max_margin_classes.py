"""`ib.max_margin` with several classes, against cvxpy."""

from pathlib import Path
from typing import Any

import cvxpy as cp
import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib

HORIZONS: dict[str, tuple[Any, Any]] = {
    "l1": ("l1", lambda W: cp.sum(cp.abs(W))),
    "l2": ("l2", lambda W: cp.norm(W, "fro")),
    "linf": ("linf", lambda W: cp.max(cp.abs(W))),
    "l3": (3, lambda W: cp.pnorm(cp.vec(W, order="C"), 3)),
}


def _data(k: int = 3, n: int = 24, d: int = 5) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(k)
    X = rng.standard_normal((n, d))
    y = np.argmax(X @ rng.standard_normal((d, k)) + 0.1 * np.arange(k), axis=1)
    return X, np.array(["ant", "bee", "cow", "dog"])[y]


def _expected(X: ndarray, y: ndarray, gauge: Any, bias: bool) -> float:
    W, b = cp.Variable((X.shape[1], y.max() + 1)), cp.Variable((1, y.max() + 1))
    scores = X @ W + (np.ones((len(X), 1)) @ b if bias else 0.0)
    pairs = [(i, c) for i in range(len(X)) for c in range(y.max() + 1) if c != y[i]]
    problem = cp.Problem(cp.Minimize(gauge(W)), [scores[i, y[i]] - scores[i, c] >= 1.0 for i, c in pairs])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value)


@pytest.mark.parametrize("name", HORIZONS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_pair_of_classes_has_the_margin(name: str, bias: bool, k: int) -> None:
    horizon, formula = HORIZONS[name]
    X, y = _data(k)
    problem = ib.Classification(X, y, loss="cross_entropy")
    limit = ib.max_margin(problem, horizon, bias)
    assert limit.certificate.holds, str(limit.certificate)
    np.testing.assert_allclose(limit.value, _expected(X, problem.y, formula, bias), rtol=1e-6)
    scores = limit.predict(sparse.csr_array(X))
    own = scores[np.arange(len(y)), problem.y]
    scores = np.where(np.eye(k, dtype=bool)[problem.y], -np.inf, scores)
    np.testing.assert_allclose(np.min(own - np.max(scores, axis=1)), 1.0, rtol=1e-9)
    q = limit.multipliers
    assert q.shape == (len(y), k)
    assert np.all(q >= 0.0)
    assert not q[np.arange(len(y)), problem.y].any()
    np.testing.assert_allclose(np.sum(q), limit.value, rtol=1e-9)
    if bias:
        np.testing.assert_allclose(np.sum(limit.bias), 0.0, atol=1e-12)
        np.testing.assert_allclose(q.sum(axis=0), [q[problem.y == c].sum() for c in range(k)], rtol=1e-8)
    assert ib.certify(problem, 3.0 * limit.point, ib.MaxMargin(horizon, bias)).holds
    assert not ib.certify(
        problem, limit.point + 0.1 * limit.value * np.eye(5)[:, :k], ib.MaxMargin(horizon, bias)
    ).holds


# Oracle: by symmetry of the l2 norm, w = (-v, v) / 2 with the two-class solution v.
def test_two_classes_agree_with_the_logistic_loss() -> None:
    X, y = _data(2)
    two = ib.max_margin(ib.Classification(X, y), "l2")
    many = ib.max_margin(ib.Classification(X, y, loss="cross_entropy"), "l2")
    np.testing.assert_allclose(many.point, np.stack([-two.point, two.point], axis=1) / 2.0, atol=1e-9)


def test_inseparable_classes() -> None:
    X, y = _data(3)
    y = np.roll(y, 5)
    with pytest.raises(ib.InfeasibleError, match="against class") as caught:
        ib.max_margin(ib.Classification(X, y, loss="cross_entropy"), "l1")
    q = caught.value.combination
    own = ib.Classification(X, y, loss="cross_entropy").y
    table = np.eye(3)[own] * q.sum(axis=1, keepdims=True) - q
    np.testing.assert_allclose(X.T @ table, 0.0, atol=1e-12)
    assert caught.value.certificate.holds


def test_saved_with_its_intercepts(tmp_path: Path) -> None:
    problem = ib.Classification(*_data(3), loss="cross_entropy")
    limit = ib.max_margin(problem, "l2", bias=True)
    limit.save(tmp_path / "limit.npz")
    np.testing.assert_array_equal(ib.Limit.load(tmp_path / "limit.npz", like=problem).bias, limit.bias)


# Oracle: NumPy's closed forms.
def test_the_cross_entropy_problem() -> None:
    X, y = _data(3)
    problem = ib.Classification(X, y, loss="cross_entropy")
    W = np.random.default_rng(0).standard_normal((5, 3))
    scores = X @ W
    own = scores[np.arange(24), problem.y]
    np.testing.assert_allclose(problem.loss(W), np.mean(np.log(np.exp(scores).sum(axis=1)) - own), rtol=1e-12)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        problem.gradient(W), X.T @ (probabilities - np.eye(3)[problem.y]) / 24, rtol=1e-10
    )
    np.testing.assert_allclose(problem.predict(W), scores, rtol=1e-12)
    others = np.where(np.eye(3, dtype=bool)[problem.y], -np.inf, scores)
    np.testing.assert_allclose(problem.margins(W), own - others.max(axis=1), rtol=1e-12)
    assert problem.classes == ("ant", "bee", "cow")
    with pytest.raises(ib.InputError, match=r"\(5, 3\) is expected"):
        problem.margins(W.T)
    with pytest.raises(ib.InputError, match="X is sparse"):
        ib.Classification(sparse.csr_array(X), y, loss="cross_entropy").loss(W)
    with pytest.raises(ib.InputError, match="one class only"):
        ib.Classification(X, np.ones(24), loss="cross_entropy")
