"""`SaddlePathRegressor` against closed forms, other estimators and repeated rows."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LinearRegression

import implicitbias as ib


def _rows(n: int = 20, d: int = 40, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    X = 3.0 + rng.standard_normal((n, d))
    return X, 5.0 + X[:, :2] @ [2.0, -1.0] + 0.5 * rng.standard_normal(n)


X, Y = _rows()
WEIGHTS = np.random.default_rng(0).integers(0, 4, size=20)


class TestClosedForms:
    # Oracle: theory 1.9: on an orthogonal design, hard thresholding at level 1/t, here after centring.
    @pytest.mark.parametrize("t", [0.0, 0.4, 1.0, 3.0, 100.0, np.inf])
    def test_orthogonal_columns_are_hard_thresholded(self, t: float) -> None:
        rng = np.random.default_rng(3)
        table = rng.standard_normal((30, 8))
        basis = np.linalg.qr(table - table.mean(axis=0))[0] * np.sqrt(30)
        y = 4.0 + basis @ (3.0 * rng.standard_normal(8)) + rng.standard_normal(30)
        b = basis.T @ y / 30
        model = ib.SaddlePathRegressor(t=t).fit(basis + 7.0, y)
        expected = np.where(np.abs(b) * t >= 1.0, b, 0.0)
        np.testing.assert_allclose(model.coef_, expected, rtol=1e-11, atol=1e-13)
        assert model.intercept_ == pytest.approx(y.mean() - 7.0 * expected.sum(), rel=1e-11)
        assert model.n_jumps_ == np.count_nonzero(expected)
        assert model.t_ == t

    # Oracle: theory 1.9: the time average solves the Lasso with penalty 1/t where no coordinate returns to 0.
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
    @pytest.mark.parametrize("t", [4.0, 10.0])
    def test_the_time_average_is_the_lasso(self, t: float, weights: ndarray | None) -> None:
        rows, y = _rows(20, 8)
        model = ib.SaddlePathRegressor().fit(rows, y, weights)
        before = model.path_.coefficients[model.times_ <= t]
        assert np.all((before[:-1] == 0.0) | (before[1:] != 0.0))
        lasso = Lasso(alpha=1 / t, tol=1e-14, max_iter=10**6).fit(rows, y, weights)
        assert np.count_nonzero(lasso.coef_) > 1
        np.testing.assert_allclose(model.path_.time_average(t), lasso.coef_, rtol=1e-6, atol=1e-8)

    # Oracle: ordinary least squares, which is the only minimiser when n > d.
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("standardize", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_end_is_least_squares(self, fit_intercept: bool, standardize: bool, weighted: bool) -> None:
        rows, y = _rows(60, 10)
        weights = np.random.default_rng(1).uniform(0, 2, 60) if weighted else None
        model = ib.SaddlePathRegressor(fit_intercept=fit_intercept, standardize=standardize)
        model.fit(rows, y, weights)
        expected = LinearRegression(fit_intercept=fit_intercept).fit(rows, y, weights)
        np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-10)
        assert model.intercept_ == pytest.approx(expected.intercept_, rel=1e-10, abs=1e-12)
        np.testing.assert_allclose(model.predict(rows), expected.predict(rows), rtol=1e-12)

    # Oracle: least squares on equilibrated columns (scikit-learn's drops the small ones here: its `tol`).
    @pytest.mark.parametrize("standardize", [False, True])
    def test_columns_of_any_unit(self, standardize: bool) -> None:
        rows, y = _rows(60, 10)
        units = np.logspace(-6, 6, 10)
        model = ib.SaddlePathRegressor(standardize=standardize).fit(rows * units, y)
        expected = np.linalg.lstsq(np.column_stack([rows, np.ones(60)]), y)[0]
        np.testing.assert_allclose(model.coef_ * units, expected[:-1], rtol=1e-9)
        assert model.intercept_ == pytest.approx(expected[-1], rel=1e-9)

    # Oracle: the minimiser with d > n interpolates, and HiGHS inside `certify` proves its l1 norm least.
    def test_the_end_interpolates(self) -> None:
        model = ib.SaddlePathRegressor().fit(X, Y)
        np.testing.assert_allclose(model.predict(X), Y, rtol=1e-9)
        problem = ib.LeastSquares(X - X.mean(axis=0), Y - Y.mean())
        assert ib.certify(problem, model.coef_, ib.MinL1()).holds
        assert model.certificate_.holds


class TestWeights:
    # Oracle: repeated rows; the times too.
    @pytest.mark.parametrize("options", [{}, {"t": 1.5}, {"n_jumps": 4, "standardize": True}], ids=str)
    def test_whole_weights_repeat_rows(self, options: dict[str, Any]) -> None:
        weighted = ib.SaddlePathRegressor(**options).fit(X, Y, WEIGHTS)
        rows = np.repeat(np.arange(20), WEIGHTS)
        repeated = ib.SaddlePathRegressor(**options).fit(X[rows], Y[rows])
        np.testing.assert_allclose(weighted.times_, repeated.times_, rtol=1e-9)
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-8, atol=1e-11)
        assert weighted.intercept_ == pytest.approx(repeated.intercept_, rel=1e-9)
        assert weighted.t_ == pytest.approx(repeated.t_, rel=1e-9)

    # Oracle: the rows that are left.
    def test_weight_zero_leaves_rows_out(self) -> None:
        kept = WEIGHTS > 0
        weighted = ib.SaddlePathRegressor().fit(X, Y, kept.astype(int))
        part = ib.SaddlePathRegressor().fit(X[kept], Y[kept])
        np.testing.assert_allclose(weighted.coef_path_, part.coef_path_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(weighted.times_, part.times_, rtol=1e-10)


class TestReading:
    # Oracle: the path of the centred problem itself.
    def test_rows_of_the_path(self) -> None:
        path = ib.saddle_path(ib.LeastSquares(X - X.mean(axis=0), Y - Y.mean()))
        model = ib.SaddlePathRegressor().fit(X, Y)
        np.testing.assert_allclose(model.times_, path.times, rtol=1e-9)
        np.testing.assert_allclose(model.coef_path_, path.coefficients.T, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(model.intercept_path_, Y.mean() - X.mean(axis=0) @ model.coef_path_)
        assert model.coef_path_.shape == (40, path.n_jumps + 1)
        assert sparse.issparse(model.sparse_coef_path_)
        np.testing.assert_array_equal(model.sparse_coef_path_.toarray(), model.coef_path_)
        assert model.n_iter_ == model.n_jumps_ == path.n_jumps
        assert model.t_ == model.times_[-1]

    # Oracle: the whole path.
    @pytest.mark.parametrize("standardize", [False, True])
    def test_a_time_and_a_number_of_jumps_read_the_same_row(self, standardize: bool) -> None:
        whole = ib.SaddlePathRegressor(standardize=standardize).fit(X, Y)
        for k in (0, 1, 5, whole.n_jumps_):
            by_count = ib.SaddlePathRegressor(n_jumps=k, standardize=standardize).fit(X, Y)
            np.testing.assert_allclose(by_count.coef_, whole.coef_path_[:, k], rtol=1e-10, atol=1e-13)
            assert by_count.n_jumps_ == k
            assert by_count.t_ == whole.times_[k]
            t = whole.times_[k] * 1.0001
            by_time = ib.SaddlePathRegressor(t=t, standardize=standardize).fit(X, Y)
            np.testing.assert_array_equal(by_time.coef_, by_count.coef_)
            assert by_time.intercept_ == by_count.intercept_
            assert by_time.t_ == t

    def test_more_jumps_than_there_are_is_the_end(self) -> None:
        whole, more = ib.SaddlePathRegressor().fit(X, Y), ib.SaddlePathRegressor(n_jumps=10_000).fit(X, Y)
        np.testing.assert_array_equal(more.coef_, whole.coef_)
        assert more.n_jumps_ == whole.n_jumps_

    @pytest.mark.parametrize(
        "options",
        [{"t": 2}, {"n_jumps": np.int64(3)}, {"t": np.float32(2.0)}, {"fit_intercept": np.True_}],
        ids=str,
    )
    def test_numbers_of_any_type(self, options: dict[str, Any]) -> None:
        assert ib.SaddlePathRegressor(**options).fit(X, Y).certificate_.holds

    # Oracle: by hand.
    def test_a_constant_target_is_its_intercept(self) -> None:
        model = ib.SaddlePathRegressor().fit(X, np.full(20, 0.1))
        np.testing.assert_array_equal(model.coef_, 0.0)
        assert (model.intercept_, model.n_jumps_, model.t_) == (0.1, 0, 0.0)
        assert model.certificate_.holds

    def test_a_zero_path_before_the_first_jump(self) -> None:
        model = ib.SaddlePathRegressor(t=1e-6).fit(X, Y)
        np.testing.assert_array_equal(model.predict(X), np.full(20, model.intercept_))
        assert model.intercept_ == pytest.approx(Y.mean(), rel=1e-14)


class TestSparse:
    # Oracle: the same rows, dense.
    @pytest.mark.parametrize("options", [{}, {"standardize": True}, {"fit_intercept": False}], ids=str)
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
    def test_as_dense(self, options: dict[str, bool], weights: ndarray | None) -> None:
        rng = np.random.default_rng(5)
        table = np.where(rng.random((20, 60)) < 0.2, rng.standard_normal((20, 60)), 0.0)
        dense = ib.SaddlePathRegressor(**options).fit(table, Y, weights)
        for form in (sparse.csr_array, sparse.csc_matrix):
            thin = ib.SaddlePathRegressor(**options).fit(form(table), Y, weights)
            np.testing.assert_allclose(thin.times_, dense.times_, rtol=1e-9)
            np.testing.assert_allclose(thin.coef_, dense.coef_, rtol=1e-8, atol=1e-10)
            np.testing.assert_allclose(thin.predict(form(table)), dense.predict(table), rtol=1e-8, atol=1e-9)
            assert thin.certificate_.holds

    # Oracle: a dense table of that size would need 16 GB.
    def test_wide_rows_are_not_densified(self) -> None:
        rng = np.random.default_rng(6)
        wide = sparse.random_array((2000, 1_000_000), density=1e-5, format="csr", rng=rng)
        y = wide[:, :2000].sum(axis=1) + rng.standard_normal(2000)
        model = ib.SaddlePathRegressor(n_jumps=3).fit(wide, y)
        assert np.count_nonzero(model.coef_) == 3
        assert model.coef_.shape == (1_000_000,)


class TestProgress:
    # Oracle: the path itself.
    def test_each_jump_is_told(self) -> None:
        seen: list[ib.Jump] = []
        model = ib.SaddlePathRegressor(n_jumps=4, on_jump=seen.append).fit(X, Y)
        assert [jump.number for jump in seen] == [1, 2, 3, 4]
        np.testing.assert_array_equal([jump.time for jump in seen], model.times_[1:])
        losses = model.path_.losses
        np.testing.assert_allclose([jump.r2 for jump in seen], 1 - losses[1:] / losses[0], rtol=1e-14)

    def test_what_it_returns_does_not_stop_the_path(self) -> None:
        model = ib.SaddlePathRegressor(on_jump=lambda jump: True).fit(X, Y)
        assert model.n_jumps_ == ib.SaddlePathRegressor().fit(X, Y).n_jumps_


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"t": 1.0, "n_jumps": 2}, "both"),
            ({"t": -1.0}, "t is -1"),
            ({"t": np.nan}, "t is nan"),
            ({"t": "1"}, "t is '1'"),
            ({"n_jumps": 1.5}, "whole number"),
            ({"n_jumps": -2}, "n_jumps is -2"),
            ({"max_jumps": True}, "max_jumps is True"),
            ({"n_jumps": 5, "max_jumps": 3}, "raise max_jumps"),
            ({"fit_intercept": 1}, "fit_intercept is 1"),
            ({"standardize": "yes"}, "standardize is 'yes'"),
            ({"on_jump": "print"}, "on_jump is a str"),
        ],
        ids=str,
    )
    def test_bad_parameters(self, options: dict[str, Any], word: str) -> None:
        with pytest.raises(ib.InputError, match=word):
            ib.SaddlePathRegressor(**options).fit(X, Y)

    def test_a_path_that_ends_before_t_warns(self) -> None:
        with pytest.warns(ConvergenceWarning, match="max_jumps=2"):
            model = ib.SaddlePathRegressor(t=1e9, max_jumps=2).fit(X, Y)
        assert model.n_jumps_ == 2

    # Oracle: the row of the whole path.
    def test_a_path_that_is_cut_before_its_end_warns(self) -> None:
        with pytest.warns(
            ConvergenceWarning, match="max_jumps=3 jumps.*but its end is requested.*set n_jumps"
        ):
            model = ib.SaddlePathRegressor(max_jumps=3).fit(X, Y)
        whole = ib.SaddlePathRegressor().fit(X, Y)
        np.testing.assert_allclose(model.coef_, whole.coef_path_[:, 3], rtol=1e-10, atol=1e-13)
        # A number of jumps that was asked for, and a path that is short enough, are no reason to warn.
        ib.SaddlePathRegressor(n_jumps=3, max_jumps=3).fit(X, Y)
        assert ib.SaddlePathRegressor(max_jumps=whole.n_jumps_).fit(X, Y).n_jumps_ == whole.n_jumps_

    def test_a_path_that_reaches_t_does_not_warn(self) -> None:
        times = ib.SaddlePathRegressor().fit(X, Y).times_
        model = ib.SaddlePathRegressor(t=(times[2] + times[3]) / 2, max_jumps=2).fit(X, Y)
        assert model.n_jumps_ == 2

    # Oracle: twenty exponentials on [0, 1] are dependent to far below float64's digits: least squares on them is too.
    def test_what_is_not_proved_warns(self) -> None:
        x = np.linspace(0.0, 1.0, 30)
        rows, y = np.exp(np.outer(x, np.arange(20))), np.sin(5 * np.arange(30))
        assert np.linalg.matrix_rank(rows) < 20
        with pytest.warns(ConvergenceWarning, match="certificate does not hold.*Not proved"):
            model = ib.SaddlePathRegressor().fit(rows, y)
        assert not model.certificate_.holds
