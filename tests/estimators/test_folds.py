"""The folds of cross-validation: groups with and without metadata routing, shuffled rows, and sorted rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from numpy import ndarray
from sklearn.datasets import load_iris
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeaveOneOut, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import implicitbias as ib
from implicitbias.estimators import splitter

_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((36, 8))
GROUPS = _RNG.integers(0, 6, 36)
Y = X[:, :2] @ [2.0, -1.0] + 0.5 * _RNG.standard_normal(36) + 0.3 * GROUPS
WEIGHTS = _RNG.integers(1, 4, 36)


def by_hand(folds: int = 3) -> list[tuple[ndarray, ndarray]]:
    return list(GroupKFold(folds).split(X, Y, GROUPS))


class TestGroups:
    # Oracle: scikit-learn's own split, given as indices.
    @pytest.mark.parametrize("routing", [False, True])
    def test_they_reach_the_splitter(self, routing: bool) -> None:
        expected = ib.SaddlePathRegressorCV(cv=by_hand()).fit(X, Y, WEIGHTS)
        with sklearn.config_context(enable_metadata_routing=routing):
            model = ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(X, Y, WEIGHTS, groups=GROUPS)
        np.testing.assert_array_equal(model.mse_path_, expected.mse_path_)
        assert model.t_ == expected.t_

    # Oracle: the same estimator outside of the pipeline.
    def test_a_pipeline_with_routing(self) -> None:
        expected = ib.SaddlePathRegressorCV(cv=by_hand()).fit(StandardScaler().fit_transform(X), Y, WEIGHTS)
        with sklearn.config_context(enable_metadata_routing=True):
            model = ib.SaddlePathRegressorCV(cv=GroupKFold(3)).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=False)
            piped = make_pipeline(scaler, model).fit(X, Y, groups=GROUPS, sample_weight=WEIGHTS)
        np.testing.assert_allclose(piped[-1].mse_path_, expected.mse_path_, rtol=1e-12)

    def test_a_pipeline_without_routing(self) -> None:
        expected = ib.SaddlePathRegressorCV(cv=by_hand()).fit(StandardScaler().fit_transform(X), Y)
        piped = make_pipeline(StandardScaler(), ib.SaddlePathRegressorCV(cv=GroupKFold(3)))
        piped.fit(X, Y, saddlepathregressorcv__groups=GROUPS)
        np.testing.assert_allclose(piped[-1].mse_path_, expected.mse_path_, rtol=1e-12)

    # Oracle: each outer fold by hand.
    def test_a_search_with_routing(self) -> None:
        with sklearn.config_context(enable_metadata_routing=True):
            model = ib.SaddlePathRegressorCV(cv=GroupKFold(2)).set_fit_request(sample_weight=False)
            search = GridSearchCV(model, {"rule": ["best", "1se"]}, cv=GroupKFold(3)).fit(X, Y, groups=GROUPS)
        for k, rule in enumerate(["best", "1se"]):
            scores = []
            for train, test in by_hand():
                inner = ib.SaddlePathRegressorCV(cv=GroupKFold(2), rule=rule)
                inner.fit(X[train], Y[train], groups=GROUPS[train])
                scores.append(inner.score(X[test], Y[test]))
            np.testing.assert_allclose(search.cv_results_["mean_test_score"][k], np.mean(scores), rtol=1e-12)

    def test_weights_need_a_request_with_routing(self) -> None:
        with sklearn.config_context(enable_metadata_routing=True):
            piped = make_pipeline(ib.SaddlePathRegressorCV(cv=3))
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                piped.fit(X, Y, sample_weight=WEIGHTS)

    # Oracle: the array of the same labels.
    @pytest.mark.parametrize(
        "column",
        [
            lambda labels: labels.tolist(),
            pd.Series,
            lambda labels: pd.Series(labels, dtype="category"),
            lambda labels: pl.Series(labels).cast(pl.Categorical),
            lambda labels: pa.chunked_array([labels]),
        ],
        ids=["list", "pandas", "pandas category", "polars category", "pyarrow"],
    )
    def test_they_may_be_texts_in_any_column(self, column: Callable[[ndarray], Any]) -> None:
        labels = np.array(list("abcdef"))[GROUPS]
        model = ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(X, Y, groups=column(labels))
        expected = ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(X, Y, groups=GROUPS)
        np.testing.assert_array_equal(model.mse_path_, expected.mse_path_)

    def test_each_row_needs_one(self) -> None:
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(X, Y, groups=GROUPS[:-1])

    @pytest.mark.parametrize("cv", [None, 4, by_hand()], ids=["none", "number", "indices"])
    def test_folds_that_would_ignore_them(self, cv: Any) -> None:
        words = r"makes folds without groups; type cv=GroupKFold\(\d\)"
        with pytest.raises(ib.InputError, match=words):
            ib.SaddlePathRegressorCV(cv=cv).fit(X, Y, groups=GROUPS)

    def test_a_splitter_that_ignores_them_says_so(self) -> None:
        with pytest.warns(UserWarning, match="groups parameter is ignored by KFold"):
            ib.SaddlePathRegressorCV(cv=KFold(3)).fit(X, Y, groups=GROUPS)
        routed = sklearn.config_context(enable_metadata_routing=True)
        with routed, pytest.raises(TypeError, match="groups"):
            ib.SaddlePathRegressorCV(cv=KFold(3)).fit(X, Y, groups=GROUPS)

    def test_a_splitter_that_needs_them_says_so(self) -> None:
        with pytest.raises(ValueError, match="'groups' parameter should not be None"):
            ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(X, Y)


# Oracle: the parameters of scikit-learn's splitters.
@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (splitter(4), KFold(4)),
        (splitter(4, seed=2), KFold(4, shuffle=True, random_state=2)),
        (splitter(3, grouped=True), GroupKFold(3)),
        (splitter(3, seed=0, grouped=True), GroupKFold(3, shuffle=True, random_state=0)),
    ],
    ids=str,
)
def test_splitters(made: Any, expected: Any) -> None:
    assert type(made) is type(expected)
    assert vars(made) == vars(expected)


def iris() -> tuple[ndarray, ndarray]:
    """Three kinds of flowers, one after the other; the target is the width of the petals."""
    data = load_iris().data
    return data[:, :3], data[:, 3]


ORDERS: dict[str, Callable[[ndarray], ndarray]] = {
    "ascending": np.argsort,
    "descending": lambda y: np.argsort(-y),
    "classes": lambda _: np.r_[50:100, 0:50, 100:150],
}


class TestSortedRows:
    def test_iris_by_class(self) -> None:
        rows, y = iris()
        with pytest.warns(
            UserWarning, match=r"seem to be sorted.*type cv=KFold\(5, shuffle=True, random_state=0\)"
        ):
            sorted_rows = ib.SaddlePathRegressorCV(rule="1se").fit(rows, y)
        # The line of the message mends it: no warning, and a held-out error that is not a matter of the order.
        shuffled = ib.SaddlePathRegressorCV(cv=KFold(5, shuffle=True, random_state=0)).fit(rows, y)
        assert np.min(shuffled.cv_curve_.mean) < np.min(sorted_rows.cv_curve_.mean)

    # Two blocks of the order "classes" are the next test.
    @pytest.mark.parametrize(
        ("folds", "order"),
        [(k, name) for k in (2, 3, 10, KFold(7)) for name in ORDERS if (k, name) != (2, "classes")],
        ids=str,
    )
    def test_orders_and_numbers_of_folds(self, folds: Any, order: str) -> None:
        rows, y = iris()
        rank = ORDERS[order](y)
        with pytest.warns(UserWarning, match="seem to be sorted"):
            ib.SaddlePathRegressorCV(cv=folds).fit(rows[rank], y[rank])

    # Oracle: the share of the variance between two halves that hold different mixtures of classes, by NumPy. It is
    # below a tenth, so that there is no warning; warnings are errors here.
    def test_blocks_that_explain_little(self) -> None:
        rows, y = iris()
        rank = ORDERS["classes"](y)
        means = [np.mean(half) for half in np.split(y[rank], 2)]
        assert 0.05 < np.var(means) / np.var(y) < 0.1
        ib.SaddlePathRegressorCV(cv=2).fit(rows[rank], y[rank])

    # Oracle: random orders, in which a warning is a false alarm; warnings are errors here.
    def test_random_orders(self) -> None:
        rng = np.random.default_rng(3)
        rows, y = iris()
        for folds in (2, 5, 10):
            for _ in range(5):
                order = rng.permutation(len(y))
                ib.SaddlePathRegressorCV(cv=folds, max_jumps=20).fit(rows[order], y[order])

    @pytest.mark.parametrize(
        "cv",
        [LeaveOneOut(), TimeSeriesSplit(4), KFold(5, shuffle=True, random_state=1)],
        ids=["one row", "time series", "shuffled"],
    )
    def test_folds_that_were_chosen_with_the_order_in_mind(self, cv: Any) -> None:
        rows, y = iris()
        ib.SaddlePathRegressorCV(cv=cv).fit(rows[::5], y[::5])

    def test_groups_one_after_the_other(self) -> None:
        rows, y = iris()
        groups = np.repeat(np.arange(3), 50)
        ib.SaddlePathRegressorCV(cv=GroupKFold(3)).fit(rows, y, groups=groups)
