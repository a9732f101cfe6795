"""Tests of `Classification` with matrices as rows: values, flows, predictors, limits and rejected input."""

import pickle
from typing import Any

import numpy as np
import pytest

import implicitbias as ib

RNG = np.random.default_rng(0)
X = RNG.standard_normal((6, 3, 4))
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
W = RNG.standard_normal((3, 4))
FLAT = X.reshape(6, 12)


# Oracle: the problem of the flattened matrices.
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_it_is_the_problem_of_the_entries(loss: str) -> None:
    problem, flat = ib.Classification(X, SIGNS, loss=loss), ib.Classification(FLAT, SIGNS, loss=loss)
    w = W.ravel()
    np.testing.assert_allclose(problem.loss(W), flat.loss(w), rtol=1e-14)
    np.testing.assert_allclose(problem.gradient(W), flat.gradient(w).reshape(3, 4), rtol=1e-13)
    np.testing.assert_allclose(problem.margins(W), flat.margins(w), rtol=1e-13)
    np.testing.assert_allclose(problem.predict(W), flat.predict(w), rtol=1e-13)
    np.testing.assert_allclose(problem.log_of_loss(W), flat.log_of_loss(w), rtol=1e-13)
    np.testing.assert_allclose(problem.row_weights(W), flat.row_weights(w), rtol=1e-12)
    direction = problem.descent_direction(W)
    np.testing.assert_allclose(direction, flat.descent_direction(w).reshape(3, 4), rtol=1e-12)
    slope = problem.gradient(W)
    np.testing.assert_allclose(
        direction / np.linalg.norm(direction), -slope / np.linalg.norm(slope), rtol=1e-10
    )
    assert problem.shape == (6, 3, 4)
    assert problem.predictor_shape == (3, 4)
    assert repr(problem) == f"Classification(n=6, shape=(3, 4), loss={loss!r})"


def test_it_is_a_frozen_value() -> None:
    mine = X.copy()
    problem = ib.Classification(mine, SIGNS)
    mine[:] = 0.0
    np.testing.assert_array_equal(problem.X, X)
    assert not problem.X.flags.writeable
    copy = pickle.loads(pickle.dumps(problem))
    assert copy.fingerprint() == problem.fingerprint() == ib.Classification(X, SIGNS).fingerprint()
    assert ib.Classification(FLAT, SIGNS).fingerprint() != problem.fingerprint()


# Oracle: the Jacobian and the kernel of the flattened problem, and the flows of its flattened parameters.
def test_predictors_and_factorisations() -> None:
    problem = ib.Classification(X, SIGNS)
    predictor = ib.predictors.of(problem)
    np.testing.assert_allclose(predictor.jacobian(W).dense(), FLAT, rtol=1e-14)
    np.testing.assert_allclose(predictor.predict(W, X[:2]), FLAT[:2] @ W.ravel(), rtol=1e-13)
    np.testing.assert_allclose(predictor.tangent_kernel(W), FLAT @ FLAT.T, rtol=1e-12)
    factors = problem.reparametrize(ib.MatrixProduct())
    U, V = RNG.standard_normal((3, 2)), RNG.standard_normal((4, 2))
    np.testing.assert_allclose(factors.loss((U, V)), problem.loss(U @ V.T), rtol=1e-13)
    trajectory = ib.simulate(ib.GradientFlow(factors), (U, V), t1=1.0)
    assert factors.loss(trajectory.final) < factors.loss((U, V))
    for G in (ib.HadamardProduct(), ib.SquareDifference()):
        theta = (W, np.ones((3, 4)))
        inner = problem.reparametrize(G)
        flat = ib.Classification(FLAT, SIGNS).reparametrize(G)
        ends = [
            ib.simulate(ib.GradientFlow(one), start, t1=2.0, rtol=1e-7).final
            for one, start in ((inner, theta), (flat, tuple(part.ravel() for part in theta)))
        ]
        np.testing.assert_allclose(ends[0][0].ravel(), ends[1][0], rtol=1e-4, atol=1e-5)


BAD: dict[str, tuple[Any, str]] = {
    "four dimensions": (lambda: ib.Classification(X[None], SIGNS), r"\(1, 6, 3, 4\)"),
    "rows": (lambda: ib.Classification(X[:4], SIGNS), "X has 4 matrices and y has 6 values"),
    "last axis": (
        lambda: ib.Classification(np.moveaxis(X, 0, -1), SIGNS),
        r"type X = numpy\.moveaxis\(X, -1, 0\)",
    ),
    "empty": (lambda: ib.Classification(np.zeros((6, 0, 4)), SIGNS), r"\(6, 0, 4\), at least two matrices"),
    "NaN": (lambda: ib.Classification(np.where(X > 1.5, np.nan, X), SIGNS), r"NaN.*at \[\d, \d, \d\]"),
    "extreme": (lambda: ib.Classification(X * 1e200, SIGNS), r"the first in X\[:, 0, 0\].*change the unit"),
    "cross-entropy": (
        lambda: ib.Classification(X, SIGNS, loss="cross_entropy"),
        r"reshape\(len\(X\), -1\), or loss='logistic'",
    ),
    "names": (lambda: ib.Classification(X, SIGNS, feature_names=["a"] * 12), "leave feature_names out"),
    "w of entries": (lambda: ib.Classification(X, SIGNS).loss(W.ravel()), r"shape \(12,\), 2 dim"),
    "w transposed": (
        lambda: ib.Classification(X, SIGNS).loss(W.T),
        r"\(4, 3\), \(3, 4\) is expected; type params",
    ),
    "complex": (lambda: ib.Classification(X * 1j, SIGNS), "complex"),
    "vector gauge": (
        lambda: ib.max_margin(ib.Classification(X, SIGNS), ib.gauges.WeightedL1(np.ones(12))),
        r"w has shape \(3, 4\), \(12,\) is expected",
    ),
    "new data": (
        lambda: ib.max_margin(ib.Classification(X, SIGNS), "l2").predict(X[:, :2]),
        r"X_new has matrices of shape \(2, 4\), \(3, 4\) is expected",
    ),
    "other inputs": (
        lambda: ib.predictors.of(ib.Classification(X, SIGNS)).predict(W, X[:, :2]),
        r"X2 has matrices of shape \(2, 4\)",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_in_words(case: str) -> None:
    make, words = BAD[case]
    with pytest.raises(ib.InputError, match=words):
        make()
