"""`SaddlePathRegressorCV` against loops over folds that refit and score at each time."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GroupKFold, KFold, LeaveOneOut, ShuffleSplit
from sklearn.preprocessing import StandardScaler

import implicitbias as ib


def _rows(n: int = 24, d: int = 30, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    X = 1.0 + rng.standard_normal((n, d)) * rng.uniform(0.3, 3.0, d)
    return X, 5.0 + X[:, :3] @ [2.0, -1.0, 1.0] + rng.standard_normal(n)


X, Y = _rows()
WEIGHTS = np.random.default_rng(2).integers(0, 4, size=24)


def naive_errors(
    X: ndarray, y: ndarray, weights: ndarray | None, splits: Any, standardize: bool, times: ndarray
) -> ndarray:
    """(times, folds): each fold centred by hand, its path read and its held-out rows scored at each time."""
    w = np.ones(len(y)) if weights is None else weights
    table = []
    for train, test in splits:
        kept = train[w[train] > 0]
        scaler = StandardScaler(with_std=standardize).fit(X[kept], sample_weight=w[kept])
        mean = np.average(y[kept], weights=w[kept])
        root = np.sqrt(w[kept] * len(kept) / w[kept].sum())
        problem = ib.LeastSquares(root[:, None] * scaler.transform(X[kept]), root * (y[kept] - mean))
        path = ib.saddle_path(problem)
        held_out = scaler.transform(X[test])
        table.append(
            [mean_squared_error(y[test], held_out @ path.at(t) + mean, sample_weight=w[test]) for t in times]
        )
    return np.array(table).T


class TestErrors:
    # Oracle: the naive loop.
    @pytest.mark.parametrize("standardize", [False, True])
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
    def test_the_naive_loop(self, standardize: bool, weights: ndarray | None) -> None:
        model = ib.SaddlePathRegressorCV(cv=4, standardize=standardize).fit(X, Y, weights)
        splits = list(KFold(4).split(X))
        inside = model.cv_times_[:-1] + 0.5 * np.diff(model.cv_times_)
        expected = naive_errors(X, Y, weights, splits, standardize, inside)
        np.testing.assert_allclose(model.mse_path_[:-1], expected, rtol=1e-7)
        last = naive_errors(X, Y, weights, splits, standardize, model.cv_times_[-1:] * 2)
        np.testing.assert_allclose(model.mse_path_[-1:], last, rtol=1e-7)
        assert model.mse_path_.shape == (len(model.cv_times_), 4)
        assert model.cv_times_[0] == 0.0
        assert np.all(np.diff(model.cv_times_) > 0)

    # Oracle: scikit-learn's least squares, where each fold's path ends.
    def test_late_errors_are_those_of_least_squares(self) -> None:
        rows, y = _rows(60, 5)
        model = ib.SaddlePathRegressorCV(cv=KFold(3)).fit(rows, y)
        for fold, (train, test) in enumerate(KFold(3).split(rows)):
            peer = LinearRegression().fit(rows[train], y[train])
            expected = mean_squared_error(y[test], peer.predict(rows[test]))
            assert model.mse_path_[-1, fold] == pytest.approx(expected, rel=1e-9)

    # Oracle: by hand: before the first jump a fold predicts the mean of its rows.
    def test_early_errors_are_those_of_the_mean(self) -> None:
        model = ib.SaddlePathRegressorCV(cv=3).fit(X, Y)
        expected = [np.mean((Y[test] - Y[train].mean()) ** 2) for train, test in KFold(3).split(X)]
        np.testing.assert_allclose(model.mse_path_[0], expected, rtol=1e-12)


class TestChoice:
    # Oracle: the definitions, from the errors.
    @pytest.mark.parametrize("seed", range(4))
    def test_rules(self, seed: int) -> None:
        rows, y = _rows(24, 30, seed)
        best = ib.SaddlePathRegressorCV(cv=4).fit(rows, y)
        sparser = ib.SaddlePathRegressorCV(cv=4, rule="1se").fit(rows, y)
        mean = best.mse_path_.mean(axis=1)
        error = best.mse_path_.std(axis=1, ddof=1) / 2
        least = int(np.argmin(mean))
        assert best.t_ == best.cv_times_[least]
        assert sparser.t_ == best.cv_times_[mean <= mean[least] + error[least]][0]
        assert sparser.n_jumps_ <= best.n_jumps_

    # Oracle: the regressor at that time.
    @pytest.mark.parametrize("options", [{}, {"standardize": True}, {"fit_intercept": False}], ids=str)
    def test_the_refit_is_the_regressor_at_the_chosen_time(self, options: dict[str, bool]) -> None:
        model = ib.SaddlePathRegressorCV(**options).fit(X, Y, WEIGHTS)
        plain = ib.SaddlePathRegressor(t=model.t_, **options).fit(X, Y, WEIGHTS)
        np.testing.assert_array_equal(model.coef_, plain.coef_)
        np.testing.assert_array_equal(model.coef_path_[:, : plain.n_jumps_ + 1], plain.coef_path_)
        assert (model.intercept_, model.n_jumps_) == (plain.intercept_, plain.n_jumps_)
        assert model.certificate_.holds

    # Oracle: the regressor that follows the path to its end.
    def test_the_path_goes_on_beyond_the_choice(self) -> None:
        seen: list[ib.Jump] = []
        model = ib.SaddlePathRegressorCV(standardize=True, rule="1se", on_jump=seen.append).fit(X, Y, WEIGHTS)
        whole = ib.SaddlePathRegressor(standardize=True).fit(X, Y, WEIGHTS)
        np.testing.assert_array_equal(model.coef_path_, whole.coef_path_)
        np.testing.assert_array_equal(model.intercept_path_, whole.intercept_path_)
        assert model.n_jumps_ < model.path_.n_jumps == whole.n_jumps_
        assert [jump.number for jump in seen] == list(range(1, whole.n_jumps_ + 1))
        np.testing.assert_array_equal(model.coef_, whole.coef_path_[:, model.n_jumps_])
        assert whole.times_[model.n_jumps_] <= model.t_ < whole.times_[model.n_jumps_ + 1]

    # Oracle: the true support, from little noise.
    def test_a_sparse_truth_is_found(self) -> None:
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((60, 200))
        y = rows[:, :4] @ [3.0, -2.0, 2.0, 1.0] + 0.1 * rng.standard_normal(60)
        for rule in ("best", "1se"):
            model = ib.SaddlePathRegressorCV(rule=rule).fit(rows, y)
            assert np.flatnonzero(model.coef_).tolist() == [0, 1, 2, 3]

    def test_a_constant_target(self) -> None:
        model = ib.SaddlePathRegressorCV().fit(X, np.full(24, 3.0))
        assert (model.t_, model.intercept_, model.n_jumps_) == (0.0, 3.0, 0)
        np.testing.assert_array_equal(model.mse_path_, 0.0)


class TestFolds:
    # Oracle: one process.
    def test_jobs_change_nothing(self) -> None:
        alone, together = (ib.SaddlePathRegressorCV(n_jobs=jobs).fit(X, Y, WEIGHTS) for jobs in (None, 2))
        np.testing.assert_allclose(alone.mse_path_, together.mse_path_, rtol=1e-9)
        assert alone.t_ == pytest.approx(together.t_, rel=1e-12)

    # Oracle: the same rows given in another way.
    @pytest.mark.parametrize(
        "cv",
        [
            KFold(4),
            list(KFold(4).split(X)),
            [(np.isin(np.arange(24), train), test.tolist()) for train, test in KFold(4).split(X)],
        ],
        ids=["splitter", "indices", "masks"],
    )
    def test_ways_to_say_four_folds(self, cv: Any) -> None:
        model, plain = ib.SaddlePathRegressorCV(cv=cv).fit(X, Y), ib.SaddlePathRegressorCV(cv=4).fit(X, Y)
        np.testing.assert_array_equal(model.cv_times_, plain.cv_times_)
        np.testing.assert_array_equal(model.mse_path_, plain.mse_path_)

    def test_groups_come_as_an_iterable(self) -> None:
        groups = np.repeat(np.arange(6), 4)
        model = ib.SaddlePathRegressorCV(cv=GroupKFold(3).split(X, Y, groups)).fit(X, Y)
        assert model.mse_path_.shape[1] == 3

    @pytest.mark.parametrize(
        "cv", [LeaveOneOut(), ShuffleSplit(7, test_size=5, random_state=0)], ids=["loo", "ss"]
    )
    def test_other_splitters(self, cv: Any) -> None:
        model = ib.SaddlePathRegressorCV(cv=cv).fit(X, Y)
        assert model.mse_path_.shape[1] == cv.get_n_splits(X)

    # Oracle: repeated rows, each in the fold of its original.
    @pytest.mark.parametrize("rule", ["best", "1se"])
    def test_whole_weights_repeat_rows(self, rule: str) -> None:
        folds = np.arange(24) % 4
        repeat = np.repeat(np.arange(24), WEIGHTS)

        def splits(of: ndarray) -> list[tuple[ndarray, ndarray]]:
            return [(np.flatnonzero(of != k), np.flatnonzero(of == k)) for k in range(4)]

        weighted = ib.SaddlePathRegressorCV(cv=splits(folds), rule=rule).fit(X, Y, WEIGHTS)
        repeated = ib.SaddlePathRegressorCV(cv=splits(folds[repeat]), rule=rule).fit(X[repeat], Y[repeat])
        np.testing.assert_allclose(weighted.cv_times_, repeated.cv_times_, rtol=1e-8)
        np.testing.assert_allclose(weighted.mse_path_, repeated.mse_path_, rtol=1e-7)
        assert weighted.t_ == pytest.approx(repeated.t_, rel=1e-9)
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8, atol=1e-11)

    # Oracle: the folds that are left.
    def test_a_fold_of_weight_zero_is_left_out(self) -> None:
        weights = np.ones(24)
        weights[:6] = 0.0
        weighted = ib.SaddlePathRegressorCV(cv=4).fit(X, Y, weights)
        part = ib.SaddlePathRegressorCV(cv=3).fit(X[6:], Y[6:])
        np.testing.assert_allclose(weighted.mse_path_, part.mse_path_, rtol=1e-8)
        np.testing.assert_allclose(weighted.coef_, part.coef_, rtol=1e-9, atol=1e-12)

    # Oracle: the same rows, dense.
    @pytest.mark.parametrize("options", [{}, {"standardize": True}, {"fit_intercept": False}], ids=str)
    def test_sparse_rows(self, options: dict[str, bool]) -> None:
        rng = np.random.default_rng(5)
        table = np.where(rng.random((24, 50)) < 0.4, rng.standard_normal((24, 50)), 0.0)
        dense = ib.SaddlePathRegressorCV(**options).fit(table, Y, WEIGHTS)
        thin = ib.SaddlePathRegressorCV(**options).fit(sparse.csr_array(table), Y, WEIGHTS)
        assert thin.t_ == pytest.approx(dense.t_, rel=1e-9)
        np.testing.assert_allclose(thin.coef_, dense.coef_, rtol=1e-8, atol=1e-10)
        at = np.searchsorted(thin.cv_times_, dense.cv_times_ * (1 + 1e-9), side="right") - 1
        np.testing.assert_allclose(thin.mse_path_[at], dense.mse_path_, rtol=1e-7)

    # Oracle: the curve of whole paths, as far as every fold's path is known.
    def test_max_jumps_shortens_the_curve(self) -> None:
        whole = ib.SaddlePathRegressorCV(cv=4).fit(X, Y)
        short = ib.SaddlePathRegressorCV(cv=4, max_jumps=5).fit(X, Y)
        m = len(short.cv_times_)
        assert 5 < m < len(whole.cv_times_)
        np.testing.assert_allclose(short.cv_times_, whole.cv_times_[:m], rtol=1e-12)
        np.testing.assert_allclose(short.mse_path_, whole.mse_path_[:m], rtol=1e-9)
        assert short.t_ <= short.cv_times_[-1]
        # The path of all rows has as many jumps, but is never shorter than the choice needs.
        assert 5 <= short.path_.n_jumps < whole.path_.n_jumps
        assert short.path_.valid_until > short.t_

    # Oracle: the errors of whole paths, which decrease beyond the part that is known.
    def test_a_curve_that_ends_too_early_warns(self) -> None:
        rows = np.random.default_rng(0).standard_normal((60, 6))
        y = rows @ [4.0, 3.0, 2.0, 1.0, 0.0, 0.0]
        whole = ib.SaddlePathRegressorCV(cv=4).fit(rows, y)
        words = "max_jumps=2 jumps, and the held-out error is least at the last known time"
        with pytest.warns(ConvergenceWarning, match=words):
            short = ib.SaddlePathRegressorCV(cv=4, max_jumps=2).fit(rows, y)
        assert short.t_ == short.cv_times_[-1]
        assert whole.cv_curve_.mean.min() < short.cv_curve_.mean.min()


# Oracle: the attributes of which the curve consists.
def test_the_curve_is_public() -> None:
    model = ib.SaddlePathRegressorCV(cv=5).fit(X, Y)
    assert model.held_out_errors() is model.cv_curve_
    assert model.cv_curve_.times is model.cv_times_
    assert model.cv_curve_.errors is model.mse_path_
    assert model.cv_curve_.weights.tolist() == [5.0, 5.0, 5.0, 5.0, 4.0]
    assert model.cv_curve_.at(model.t_).mean == model.cv_curve_.mean.min()
    assert model.cv_curve_.valid_until == np.inf
    start = [np.sum((Y[test] - Y[train].mean()) ** 2) for train, test in KFold(5).split(X)]
    assert model.cv_curve_.r2.max() == pytest.approx(1 - model.cv_curve_.mean.min() * 24 / sum(start))


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"rule": "2se"}, "rule is '2se'"),
            ({"rule": None}, "rule is None"),
            ({"max_jumps": -1}, "max_jumps is -1"),
            ({"standardize": 0}, "standardize is 0"),
            ({"cv": []}, "gives 0 fold"),
            ({"cv": [(np.arange(12), np.arange(12, 24))], "rule": "1se"}, "gives 1 fold"),
        ],
        ids=["rule", "no rule", "jumps", "flag", "no folds", "one fold"],
    )
    def test_bad_parameters(self, options: dict[str, Any], word: str) -> None:
        with pytest.raises(ib.InputError, match=word):
            ib.SaddlePathRegressorCV(**options).fit(X, Y)

    def test_more_folds_than_rows(self) -> None:
        with pytest.raises(ValueError, match="n_splits=5"):
            ib.SaddlePathRegressorCV().fit(X[:3], Y[:3])

    # Oracle: twenty exponentials on [0, 1] are dependent to far below float64's digits.
    def test_folds_that_are_not_proved_warn(self) -> None:
        rows = np.exp(np.outer(np.linspace(0.0, 1.0, 40), np.arange(20)))
        with pytest.warns(ConvergenceWarning, match="of 4 folds are not certified"):
            model = ib.SaddlePathRegressorCV(cv=4, rule="1se").fit(rows, np.sin(5 * np.arange(40)))
        # The end of the path of all rows is not certified either, but the part that is used is.
        assert not model.path_.certificate.holds
        assert model.certificate_.holds


def test_names_of_columns() -> None:
    frame = pd.DataFrame(X, columns=[f"gene {i}" for i in range(30)])
    assert ib.SaddlePathRegressorCV().fit(frame, Y).path_.feature_names == tuple(frame.columns)


# Oracle: the same folds without the one that holds nothing out.
def test_a_fold_that_holds_nothing_out_does_not_count() -> None:
    halves = [(np.arange(12), np.arange(12, 24)), (np.arange(12, 24), np.arange(12))]
    empty = (np.arange(12), np.array([], dtype=int))
    model, plain = (ib.SaddlePathRegressorCV(cv=cv).fit(X, Y) for cv in ([*halves, empty], halves))
    assert model.t_ == plain.t_
    np.testing.assert_array_equal(model.mse_path_, plain.mse_path_)
    with pytest.raises(ib.InputError, match="gives 0 fold"):
        ib.SaddlePathRegressorCV(cv=[empty]).fit(X, Y)


def test_a_fold_too_small_to_fit_is_named() -> None:
    with pytest.raises(ib.InputError, match=r"cv=2 leaves 1 row\(s\) of positive weight to fit in fold 1"):
        ib.SaddlePathRegressorCV(cv=2).fit([[1.0], [2.0]], [3.0, 5.0])
    weights = np.zeros(24)
    weights[[0, 1]] = 1.0
    with pytest.raises(ib.InputError, match=r"leaves 0 row.*in fold 1"):
        ib.SaddlePathRegressorCV(cv=3).fit(X, Y, weights)
