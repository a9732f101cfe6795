"""`ib.MaxMarginClassifier` against scikit-learn's checks and SVMs, and cvxpy."""

from typing import Any

import cvxpy as cp
import numpy as np
import pandas as pd
import pytest
from numpy import ndarray
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import implicitbias as ib

# Checks whose data no linear classifier separates: random labels, and all of iris for the tag of positive data. Hard
# margins refuse these data.
INSEPARABLE = [
    "check_classifier_data_not_an_array",
    "check_classifiers_train",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimators_dtypes",
    "check_estimators_nan_inf",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_positive_only_tag_during_fit",
    "check_supervised_y_2d",
]


def _expected(estimator: Any) -> dict[str, str]:
    reason = "its data are not separable, which hard margins refuse"
    return dict.fromkeys(INSEPARABLE, reason) if np.isinf(estimator.C) else {}


@parametrize_with_checks(
    [
        ib.MaxMarginClassifier(horizon="l1", C=10.0),
        ib.MaxMarginClassifier(horizon="l2", C=1.0, multi_class="ovr"),
        ib.MaxMarginClassifier(),
    ],
    expected_failed_checks=_expected,
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def _soft(X: ndarray, y: ndarray, gauge: Any, C: float) -> float:
    """The least gauge plus C times the violations, by cvxpy, for labels -1 and 1."""
    w, b = cp.Variable(X.shape[1]), cp.Variable()
    problem = cp.Problem(cp.Minimize(gauge(w) + C * cp.sum(cp.pos(1.0 - cp.multiply(y, X @ w + b)))))
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value)


# Oracle: cvxpy.
@pytest.mark.parametrize(
    ("horizon", "formula"),
    [("l1", cp.norm1), ("l2", cp.norm2), ("linf", cp.norm_inf), (3, lambda w: cp.pnorm(w, 3))],
)
@pytest.mark.parametrize("C", [0.1, 10.0])
def test_soft_margins(horizon: Any, formula: Any, C: float) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 4)), rng.choice([-1, 1], 40)
    model = ib.MaxMarginClassifier(horizon=horizon, C=C).fit(X, y)
    assert model.certificate_.holds
    np.testing.assert_allclose(model.limits_.value, _soft(X, y, formula, C), rtol=1e-6)
    margins = y * model.decision_function(X)
    outside = np.setdiff1d(np.arange(40), model.support_)
    assert np.all(margins[outside] >= 1.0 - 1e-5)
    assert np.all(model.limits_.multipliers <= C * (1.0 + 1e-9))


def test_hard_margins_on_real_data() -> None:
    X, y = load_wine(return_X_y=True)
    model = make_pipeline(StandardScaler(), ib.MaxMarginClassifier(horizon="l1")).fit(X, y)
    assert model.score(X, y) == 1.0
    last = model[-1]
    assert is_classifier(last)
    assert last.certificate_.holds
    assert last.coef_.shape == (3, 13)
    assert last.decision_function(StandardScaler().fit_transform(X)).shape == (178, 3)
    each = make_pipeline(StandardScaler(), ib.MaxMarginClassifier(horizon="l2", multi_class="ovr")).fit(X, y)
    assert each.score(X, y) == 1.0
    assert each[-1].margin_.shape == (3,)
    svm = SVC(kernel="linear", C=1e8, tol=1e-9).fit(StandardScaler().fit_transform(X), y == 1)
    np.testing.assert_allclose(each[-1].coef_[1], svm.coef_[0], rtol=1e-4, atol=1e-6)


def test_inseparable_data_are_refused() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ib.InfeasibleError, match="no linear classifier separates"):
        ib.MaxMarginClassifier(horizon="l2").fit(X[50:], y[50:])
    assert ib.MaxMarginClassifier(horizon="l2", C=10.0).fit(X[50:], y[50:]).score(X[50:], y[50:]) > 0.9


def test_grid_search_over_horizons_and_frames() -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = X.iloc[:120, :8], np.where(y[:120] == 1, "benign", "malignant")
    grid = {"maxmarginclassifier__horizon": ["l1", "l2", 3], "maxmarginclassifier__C": [1.0]}
    search = GridSearchCV(make_pipeline(StandardScaler(), ib.MaxMarginClassifier()), grid, cv=2).fit(X, y)
    assert search.best_score_ > 0.85
    X = (X - X.mean()) / X.std()  # the conic solver needs features of similar sizes
    model = ib.MaxMarginClassifier(C=1.0).fit(X, y)
    assert list(model.feature_names_in_) == list(X.columns)
    assert set(model.predict(X)) <= {"benign", "malignant"}
    other = ib.MaxMarginClassifier(C=1.0).fit(sparse.csr_array(X.to_numpy()), y)
    np.testing.assert_allclose(other.coef_, model.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"C": 0.0}, "C is 0"),
        ({"C": "1"}, "C is '1'"),
        ({"C": np.nan}, "C is nan"),
        ({"multi_class": "all"}, "multi_class is 'all'"),
        ({"fit_intercept": 1}, "fit_intercept is 1"),
        ({"horizon": "l9"}, "horizon is 'l9'"),
    ],
)
def test_parameters_that_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.MaxMarginClassifier(**settings).fit(pd.DataFrame({"a": [1.0, 2.0, 3.0]}), [0, 1, 1])


# Beyond the largest multiplier of hard margins, the soft margin is the hard one; below 1 / sum of the polars of the
# rows, no weight pays. The price of 1e300 says "hard margins" in other libraries.
@pytest.mark.parametrize("horizon", ["l1", "l2", 3])
def test_extreme_prices(horizon: Any) -> None:
    X, y = load_wine(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    hard = ib.MaxMarginClassifier(horizon=horizon).fit(X, y)
    for C in (1e9, 1e12, 1e300):
        soft = ib.MaxMarginClassifier(horizon=horizon, C=C).fit(X, y)
        assert soft.certificate_.holds
        np.testing.assert_allclose(soft.coef_, hard.coef_, atol=1e-9)
    for C in (1e-12, 1e-300):
        none = ib.MaxMarginClassifier(horizon=horizon, C=C).fit(X, y)
        assert none.certificate_.holds
        assert not none.coef_.any()
        # Oracle: without weights, the best score is constant and says the most frequent class.
        assert set(none.predict(X)) == {np.bincount(y).argmax()}


# scikit-learn's issue 18606: three points whose margin is tied, on which SVC with a large C returns a worse line.
# By hand: x1 + x2 = 1/2 has the distance sqrt(2)/4 from all three points, and l1, l2 and linf share it by symmetry.
@pytest.mark.parametrize("horizon", ["l1", "l2", "linf", 3])
def test_the_three_points_of_scikit_learn_18606(horizon: Any) -> None:
    X, y = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 1])
    for C in (np.inf, 1e10):
        model = ib.MaxMarginClassifier(horizon=horizon, C=C).fit(X, y)
        np.testing.assert_allclose([*model.coef_[0], *model.intercept_], [2.0, 2.0, -1.0], atol=1e-8)
        np.testing.assert_allclose(model.decision_function(X), [-1.0, 1.0, 1.0], atol=1e-8)
        assert model.certificate_.holds
        assert model.support_.tolist() == [0, 1, 2]
