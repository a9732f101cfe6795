"""Centring, scaling and weighting, and the way back."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy import ndarray
from scipy import sparse
from sklearn.preprocessing import StandardScaler

import implicitbias as ib
from implicitbias._core.linear_maps import ShiftedMap
from implicitbias.estimators import prepare


def _rows(n: int = 12, d: int = 5, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng([n, d, seed])
    return 3.0 + rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-2, 2, d), 7.0 + rng.standard_normal(n)


X, Y = _rows()
WEIGHTS = np.array([1, 2, 0, 3, 1, 1, 0, 2, 1, 4, 1, 1])


class TestPlain:
    # Oracle: scikit-learn's scaler.
    @pytest.mark.parametrize("standardize", [False, True])
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    def test_offsets_and_scales(
        self, fit_intercept: bool, standardize: bool, weights: ndarray | None
    ) -> None:
        scaler = StandardScaler(with_mean=fit_intercept, with_std=standardize)
        expected = scaler.fit(X, sample_weight=weights).transform(X)
        share = np.ones(12) if weights is None else weights / np.sum(weights) * np.sum(weights > 0)
        expected = (np.sqrt(share)[:, None] * expected)[share > 0]
        prepared = prepare(X, Y, weights, fit_intercept=fit_intercept, standardize=standardize)
        np.testing.assert_allclose(prepared.problem.X, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(prepared.x_offset, scaler.mean_ if fit_intercept else 0.0, rtol=1e-13)
        np.testing.assert_allclose(prepared.x_scale, scaler.scale_ if standardize else 1.0, rtol=1e-13)
        mean = np.average(Y, weights=weights) if fit_intercept else 0.0
        assert prepared.y_offset == pytest.approx(mean, rel=1e-14)
        np.testing.assert_allclose(
            prepared.problem.y, (np.sqrt(share) * (Y - mean))[share > 0], rtol=1e-12, atol=1e-14
        )

    # Oracle: by hand: what need not change does not.
    def test_without_centring_and_scaling_nothing_changes(self) -> None:
        prepared = prepare(X, Y, fit_intercept=False)
        np.testing.assert_array_equal(prepared.problem.X, X)
        np.testing.assert_array_equal(prepared.problem.y, Y)

    def test_what_is_given_stays_as_it_is(self) -> None:
        rows, targets = X.copy(), Y.copy()
        prepare(rows, targets, WEIGHTS, standardize=True)
        np.testing.assert_array_equal(rows, X)
        np.testing.assert_array_equal(targets, Y)

    # Oracle: the loss of the caller's rows at the caller's coefficients.
    @pytest.mark.parametrize("standardize", [False, True])
    def test_the_loss_is_the_weighted_mean(self, standardize: bool) -> None:
        prepared = prepare(X, Y, WEIGHTS, standardize=standardize)
        w = np.random.default_rng(1).standard_normal(5)
        coefficients, intercept = prepared.original_units(w)
        squares = (Y - X @ coefficients - intercept) ** 2
        loss = np.average(squares, weights=WEIGHTS) / 2
        assert prepared.problem.loss(w) == pytest.approx(loss, rel=1e-11)

    # Oracle: one row at a time.
    def test_tables_of_coefficients(self) -> None:
        prepared = prepare(X, Y, standardize=True)
        table = np.random.default_rng(1).standard_normal((3, 5))
        coefficients, intercepts = prepared.original_units(table)
        for k in range(3):
            row, intercept = prepared.original_units(table[k])
            np.testing.assert_allclose(coefficients[k], row, rtol=1e-14)
            assert intercepts[k] == pytest.approx(intercept, rel=1e-12)

    # Oracle: the same table, dense.
    def test_sparse_tables_stay_sparse(self) -> None:
        path = ib.saddle_path(prepare(X, Y, standardize=True).problem)
        prepared = prepare(X, Y, standardize=True)
        coefficients, intercepts = prepared.original_units(path.coefficients_sparse)
        dense, expected = prepared.original_units(path.coefficients)
        np.testing.assert_array_equal(coefficients.toarray(), dense)
        np.testing.assert_allclose(intercepts, expected, rtol=1e-12)

    def test_names_of_columns_reach_the_problem(self) -> None:
        frame = pd.DataFrame(X, columns=list("abcde"))
        for options in ({}, {"fit_intercept": False}, {"standardize": True}):
            assert prepare(frame, Y, **options).problem.feature_names == tuple("abcde")
        assert prepare(X, Y, feature_names=tuple("abcde")).problem.feature_names == tuple("abcde")
        assert prepare(X, Y).problem.feature_names is None


class TestConstantColumns:
    # Oracle: by hand: 0.1 has no exact mean, and the column is constant all the same.
    @pytest.mark.parametrize("standardize", [False, True])
    def test_they_become_zero_and_keep_their_scale(self, standardize: bool) -> None:
        rows = np.column_stack([X, np.full(12, 0.1), np.full(12, 1e9)])
        prepared = prepare(rows, Y, standardize=standardize)
        np.testing.assert_array_equal(prepared.problem.X[:, 5:], 0.0)
        np.testing.assert_array_equal(prepared.x_scale[5:], 1.0)
        np.testing.assert_allclose(prepared.x_offset[5:], [0.1, 1e9], rtol=1e-15)

    def test_without_an_intercept_they_stay(self) -> None:
        rows = np.column_stack([X, np.full(12, 0.1)])
        prepared = prepare(rows, Y, fit_intercept=False, standardize=True)
        np.testing.assert_array_equal(prepared.problem.X[:, 5], 0.1)

    # Oracle: by hand: two rows of weight are equal in column 0.
    def test_constant_on_the_rows_that_count(self) -> None:
        prepared = prepare([[1.0, 0.0], [1.0, 1.0], [5.0, 0.0]], [0.0, 1.0, 2.0], [1.0, 1.0, 0.0])
        assert prepared.problem.X.tolist() == [[0.0, -0.5], [0.0, 0.5]]

    def test_a_constant_target_becomes_zero(self) -> None:
        prepared = prepare(X, np.full(12, 0.1), WEIGHTS)
        np.testing.assert_array_equal(prepared.problem.y, 0.0)
        assert prepared.y_offset == pytest.approx(0.1, rel=1e-15)

    # Oracle: by hand: values of 8 digits that differ in the last one are data, not rounding.
    def test_a_small_spread_on_a_large_mean_is_data(self) -> None:
        prepared = prepare([[1e8], [1e8 + 1], [1e8 + 2]], [1.0, 2.0, 4.0], standardize=True)
        np.testing.assert_allclose(prepared.problem.X[:, 0], np.array([-1, 0, 1]) * np.sqrt(1.5), rtol=1e-15)


class TestWeights:
    # Oracle: rows repeated as often as they weigh.
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("standardize", [False, True])
    def test_whole_weights_repeat_rows(self, fit_intercept: bool, standardize: bool) -> None:
        rows, targets = _rows(12, 30)
        options = {"fit_intercept": fit_intercept, "standardize": standardize}
        weighted = ib.saddle_path(prepare(rows, targets, WEIGHTS, **options).problem)
        repeat = np.repeat(np.arange(12), WEIGHTS)
        repeated = ib.saddle_path(prepare(rows[repeat], targets[repeat], **options).problem)
        np.testing.assert_allclose(weighted.times, repeated.times, rtol=1e-9)
        np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(weighted.losses, repeated.losses, rtol=1e-8, atol=1e-16)

    # Oracle: the same rows without those of weight 0.
    def test_rows_of_weight_zero_are_left_out(self) -> None:
        kept = WEIGHTS > 0
        whole = prepare(X, Y, WEIGHTS, standardize=True)
        part = prepare(X[kept], Y[kept], WEIGHTS[kept], standardize=True)
        np.testing.assert_allclose(whole.problem.X, part.problem.X, rtol=0, atol=1e-15)
        np.testing.assert_allclose(whole.problem.y, part.problem.y, rtol=0, atol=1e-15)

    # Oracle: weights count relative to each other; a power of two changes no bit.
    @pytest.mark.parametrize("factor", [2.0**-900, 2.0, 2.0**900])
    def test_their_unit_does_not_count(self, factor: float) -> None:
        whole, scaled = prepare(X, Y, WEIGHTS), prepare(X, Y, factor * WEIGHTS)
        np.testing.assert_array_equal(whole.problem.X, scaled.problem.X)

    @pytest.mark.parametrize("weights", [3.0, np.full(12, 3.0), pd.Series(np.full(12, 2))])
    def test_equal_weights_are_none(self, weights: object) -> None:
        np.testing.assert_array_equal(prepare(X, Y, weights).problem.X, prepare(X, Y).problem.X)

    @pytest.mark.parametrize(
        ("weights", "word"),
        [
            (np.ones(3), "3 entries"),
            (-np.ones(12), "negative"),
            (np.full(12, np.nan), "NaN"),
            (np.zeros(12), "0 row"),
            (np.eye(12)[0], "1 row"),
            (np.ones((12, 2)), "shape"),
        ],
        ids=["length", "negative", "nan", "zero", "one row", "table"],
    )
    def test_bad_weights_are_refused(self, weights: ndarray, word: str) -> None:
        with pytest.raises(ib.InputError, match=word):
            prepare(X, Y, weights)


def test_bad_rows_are_refused_as_everywhere() -> None:
    with pytest.raises(ib.InputError, match="NaN"):
        prepare([[1.0], [np.nan]], [1.0, 2.0])
    with pytest.raises(ib.InputError, match="must agree"):
        prepare(X, Y[:-1])


def _sparse_rows(seed: int = 0) -> tuple[ndarray, ndarray]:
    """(12, 8) with zeros, a full column of large mean, a constant one, an empty one and one row's own."""
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((12, 8)) < 0.3, rng.standard_normal((12, 8)), 0.0)
    table[:, 4] = 1e6 + rng.standard_normal(12)
    table[:, 5], table[:, 6], table[:, 7] = 0.1, 0.0, np.eye(12)[3]
    return table, rng.standard_normal(12)


class TestSparse:
    # Oracle: the same rows, dense.
    @pytest.mark.parametrize("standardize", [False, True])
    @pytest.mark.parametrize("fit_intercept", [False, True])
    @pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
    @pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
    def test_as_dense(
        self, form: Any, weights: ndarray | None, fit_intercept: bool, standardize: bool
    ) -> None:
        table, targets = _sparse_rows()
        options = {"fit_intercept": fit_intercept, "standardize": standardize}
        dense = prepare(table, targets, weights, **options)
        thin = prepare(form(table), targets, weights, **options)
        rows = thin.problem.linear_map.take(np.arange(8))
        np.testing.assert_allclose(rows, dense.problem.X, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(rows[:, 6], 0.0)
        np.testing.assert_array_equal(thin.problem.y, dense.problem.y)
        np.testing.assert_allclose(thin.x_offset, dense.x_offset, rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(thin.x_scale, dense.x_scale, rtol=1e-9)
        assert thin.y_offset == dense.y_offset

    # Oracle: what is stored.
    def test_nothing_is_densified(self) -> None:
        thin = sparse.random_array((1000, 200_000), density=1e-5, rng=np.random.default_rng(0))
        prepared = prepare(thin, np.arange(1000.0), np.arange(1000), standardize=True)
        assert isinstance(prepared.problem.linear_map, ShiftedMap)
        assert prepared.problem.linear_map.plain.X.nnz <= thin.nnz
        plain = prepare(thin, np.arange(1000.0), fit_intercept=False, standardize=True)
        assert plain.problem.X.nnz == thin.nnz

    # Oracle: by hand: stored zeros are zeros, and a column that only holds those is constant.
    def test_stored_zeros_are_zeros(self) -> None:
        stored = sparse.csc_array(np.ones((3, 2)))
        stored.data[:3], stored.data[3:] = 0.0, [0.0, 0.0, 3.0]
        prepared = prepare(stored, [1.0, 2.0, 3.0], standardize=True)
        expected = [[0, -(0.5**0.5)], [0, -(0.5**0.5)], [0, 2**0.5]]
        np.testing.assert_allclose(prepared.problem.linear_map.take(np.arange(2)), expected, rtol=1e-15)
        assert stored.data.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0, 3.0]

    def test_what_is_not_finite_is_refused(self) -> None:
        table, targets = _sparse_rows()
        table[2, 1] = np.inf
        with pytest.raises(ib.InputError, match="NaN or infinite"):
            prepare(sparse.csr_array(table), targets)


def test_a_weight_too_small_to_count_is_none() -> None:
    X, y = np.random.default_rng(0).standard_normal((5, 3)), np.arange(5.0)
    tiny = prepare(X, y, [1.0, 1.0, 1.0, 1.0, 1e-310])
    np.testing.assert_array_equal(tiny.problem.X, prepare(X, y, [1, 1, 1, 1, 0]).problem.X)
    with pytest.raises(ib.InputError, match=r"1 row\(s\) have a weight above zero, at least two"):
        prepare(X, y, [1e300, 1e-300, 0, 0, 0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fit_intercept": "no"}, "fit_intercept is 'no'"),
        ({"feature_names": ("a",)}, "1 names, but X has 3 columns"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        prepare(np.eye(3), [1.0, 2.0, 3.0], **arguments)
    with pytest.raises(ib.InputError, match="rows are already centred"):
        prepare(ShiftedMap(sparse.csc_array(np.eye(3)), np.ones(3), np.zeros(3)), [1.0, 2.0, 3.0])
