"""The estimators among scikit-learn's tools."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray
from sklearn.base import clone, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import implicitbias as ib

ESTIMATORS = [ib.SaddlePathRegressor, ib.SaddlePathRegressorCV]


# One of the checks has sorted rows, of which the folds of the cross-validated regressor rightly warn.
@pytest.mark.filterwarnings("ignore:the folds are blocks of consecutive rows")
@parametrize_with_checks(
    [
        ib.SaddlePathRegressor(),
        ib.SaddlePathRegressor(n_jumps=3, standardize=True),
        ib.SaddlePathRegressorCV(),
    ]
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def _rows(n: int = 40, d: int = 60) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d])
    X = 2.0 + rng.standard_normal((n, d))
    return X, 1.0 + X[:, :3] @ [2.0, -1.0, 1.0] + 0.3 * rng.standard_normal(n)


X, Y = _rows()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_kind_and_score(kind: Any) -> None:
    model = kind().fit(X, Y)
    assert is_regressor(model)
    # Oracle: R^2 by hand.
    residual = Y - X @ model.coef_ - model.intercept_
    assert model.score(X, Y) == pytest.approx(
        1 - residual @ residual / np.sum((Y - Y.mean()) ** 2), abs=1e-12
    )


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_pickles_and_clones(kind: Any) -> None:
    model = kind(standardize=True).fit(X, Y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    np.testing.assert_array_equal(copy.coef_path_, model.coef_path_)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "coef_")
    np.testing.assert_array_equal(fresh.fit(X, Y).coef_, model.coef_)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_data_frames(kind: Any) -> None:
    frame = pd.DataFrame(X, columns=[f"gene {i}" for i in range(60)])
    model = kind().fit(frame, pd.Series(Y))
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert model.path_.feature_names == tuple(frame.columns)
    np.testing.assert_allclose(model.predict(frame), kind().fit(X, Y).predict(X), rtol=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"gene 0": "gene A"}))


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_pipelines_keep_the_names_of_columns(kind: Any) -> None:
    frame = pd.DataFrame(X[:, :4], columns=list("abcd"))
    steps = StandardScaler(), PolynomialFeatures(2, include_bias=False), kind()
    model = make_pipeline(*steps).set_output(transform="pandas").fit(frame, Y)
    assert model[-1].path_.feature_names[:5] == ("a", "b", "c", "d", "a^2")
    assert model.score(frame, Y) > 0.9


# Oracle: what standardising is: the scaler in front of the regressor.
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_standardize_is_a_scaler_in_front(kind: Any) -> None:
    # Not for folds: a scaler in front sees all rows, `standardize` each fold's own.
    scaled = X * np.logspace(-2, 2, 60)
    if kind is ib.SaddlePathRegressor:
        model = kind(n_jumps=10, standardize=True).fit(scaled, Y)
        piped = make_pipeline(StandardScaler(), kind(n_jumps=10)).fit(scaled, Y)
        np.testing.assert_allclose(model.predict(scaled), piped.predict(scaled), rtol=1e-10)
        np.testing.assert_allclose(model.times_, piped[-1].times_, rtol=1e-10)
    else:
        model = kind(standardize=True).fit(scaled, Y)
        np.testing.assert_allclose(
            model.predict(scaled), kind(standardize=True).fit(X, Y).predict(X), rtol=1e-9
        )


def test_grid_search_over_time_and_jobs() -> None:
    grid = {"t": [0.5, 1.0, 2.0, 4.0]}
    alone, together = (
        GridSearchCV(ib.SaddlePathRegressor(), grid, n_jobs=jobs).fit(X, Y) for jobs in (None, 2)
    )
    assert alone.best_params_ == together.best_params_
    np.testing.assert_array_equal(alone.best_estimator_.coef_, together.best_estimator_.coef_)
    # Oracle: the same folds, by hand, in negative R^2.
    scores = [cross_val_score(ib.SaddlePathRegressor(t=t), X, Y).mean() for t in grid["t"]]
    np.testing.assert_allclose(alone.cv_results_["mean_test_score"], scores, rtol=1e-12)


def test_grid_search_passes_weights() -> None:
    weights = np.random.default_rng(0).integers(1, 4, size=40)
    search = GridSearchCV(ib.SaddlePathRegressor(), {"n_jumps": [1, 2, 3]}).fit(X, Y, sample_weight=weights)
    expected = ib.SaddlePathRegressor(**search.best_params_).fit(X, Y, weights)
    np.testing.assert_array_equal(search.best_estimator_.coef_, expected.coef_)
