"""`ib.MaxMarginClassifier(standardize=True)` against a pipeline with scikit-learn's scaler."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import implicitbias as ib


# Oracle: the scaler and the plain classifier. Both scale by the standard deviation with the divisor n.
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("C", [np.inf, 1.0])
@pytest.mark.parametrize("several", [False, True])
def test_it_is_a_pipeline_with_a_scaler(intercept: bool, C: float, several: bool) -> None:
    X, y = load_iris(return_X_y=True)
    rows = np.arange(150) if several and np.isfinite(C) else np.flatnonzero(y != 2)
    X, y = X[rows] * np.array([1e3, 1.0, 1e-3, 1.0]), y[rows]
    if several and np.isinf(C):
        X, y = X[[0, 60, 80, 20]], np.array([0, 1, 2, 0])
    model = ib.MaxMarginClassifier(horizon="l2", C=C, fit_intercept=intercept, standardize=True).fit(X, y)
    inner = ib.MaxMarginClassifier(horizon="l2", C=C, fit_intercept=intercept)
    scaler = StandardScaler(with_mean=intercept)
    pipeline = make_pipeline(scaler, inner).fit(X, y)
    accuracy = (
        1e-7 if np.isinf(C) else 1e-3
    )  # a point is known to the root of its relative gap, 1e-6 for soft margins
    np.testing.assert_allclose(model.decision_function(X), pipeline.decision_function(X), atol=accuracy)
    assert model.margin_ == pytest.approx(inner.margin_, rel=1e-8 if np.isinf(C) else 1e-5)
    np.testing.assert_allclose(model.coef_ * scaler.scale_, inner.coef_, atol=accuracy)


def test_sparse_rows_are_scaled_and_not_centred() -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[:100] * (X[:100] > 0.5), y[:100]
    dense = ib.MaxMarginClassifier(horizon="l2", standardize=True).fit(X, y)
    thin = ib.MaxMarginClassifier(horizon="l2", standardize=True).fit(sparse.csr_array(X), y)
    assert thin.margin_ == pytest.approx(dense.margin_, rel=1e-9)
    np.testing.assert_allclose(thin.coef_, dense.coef_, atol=1e-6)
    np.testing.assert_allclose(thin.intercept_, dense.intercept_, atol=1e-6)


# A constant column has no standard deviation. A column of mean 1e6 would lose digits if it was not centred.
def test_constant_and_shifted_columns() -> None:
    data = load_breast_cancer(as_frame=True)
    frame = data.data.iloc[:, :8].assign(same=3.7)
    shifted = frame.assign(**{"mean radius": frame["mean radius"] + 1e6})
    y = data.target_names[data.target]
    model = ib.MaxMarginClassifier(horizon="l1", C=1.0, standardize=True).fit(frame, y)
    moved = ib.MaxMarginClassifier(horizon="l1", C=1.0, standardize=True).fit(shifted, y)
    assert model.coef_[0, -1] == 0.0
    np.testing.assert_allclose(moved.coef_, model.coef_, rtol=1e-4, atol=1e-6)
    assert model.limits_.problem.feature_names == tuple(frame.columns)


def test_the_flag_is_checked() -> None:
    with pytest.raises(ib.InputError, match="standardize is 1, True or False is expected"):
        ib.MaxMarginClassifier(standardize=1).fit(np.eye(2), [0, 1])


def test_a_nullable_frame() -> None:
    frame = pd.DataFrame({"a": pd.array([1, 2, 3, 4], dtype="Int64")})
    model = ib.MaxMarginClassifier(standardize=True).fit(frame, [0, 0, 1, 1])
    assert (model.predict(frame) == [0, 0, 1, 1]).all()
    assert model.coef_[0, 0] == pytest.approx(2.0)


# Squares of such numbers leave float64. Oracle: the classifier of the same rows in another unit.
@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
@pytest.mark.parametrize("thin", [False, True])
def test_columns_of_extreme_scale(size: float, thin: bool) -> None:
    X, y = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [3.0, 1.0]]), [0, 1, 1, 1]
    rows = X * np.array([size, 1.0])
    plain = ib.MaxMarginClassifier(standardize=True).fit(sparse.csr_array(X) if thin else X, y)
    model = ib.MaxMarginClassifier(standardize=True).fit(sparse.csr_array(rows) if thin else rows, y)
    np.testing.assert_allclose(model.coef_[0] * [size, 1.0], plain.coef_[0], rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, plain.intercept_, rtol=1e-9)
    assert model.predict(rows).tolist() == y
