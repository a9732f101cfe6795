"""Tests of `LeastSquares.entries`, the matrix completion problem."""

import pickle

import numpy as np
import pytest

import implicitbias as ib

ROWS, COLS, VALUES = [0, 1, 2, 0], [1, 0, 1, 1], [1.0, -2.0, 0.5, 3.0]
W = np.arange(6.0).reshape(3, 2)


# Oracle: a loop over the entries; (0, 1) is listed twice and counts twice.
def test_loss_gradient_and_predictions() -> None:
    problem = ib.LeastSquares.entries(ROWS, COLS, VALUES, (3, 2))
    loss, gradient = 0.0, np.zeros((3, 2))
    for r, c, value in zip(ROWS, COLS, VALUES, strict=True):
        loss += (W[r, c] - value) ** 2 / 8
        gradient[r, c] += (W[r, c] - value) / 4
    assert problem.loss(W) == pytest.approx(loss, rel=1e-15)
    np.testing.assert_allclose(problem.gradient(W), gradient, rtol=1e-15)
    assert problem.predict(W).tolist() == [1.0, 2.0, 5.0, 1.0]
    assert problem.predictor_shape == (3, 2)
    assert repr(problem) == "LeastSquares.entries(n=4, shape=(3, 2))"


# Oracle: dense least squares whose rows pick one entry each.
def test_it_is_least_squares_in_the_entries() -> None:
    picks = np.zeros((4, 6))
    picks[np.arange(4), np.ravel_multi_index((ROWS, COLS), (3, 2))] = 1.0
    dense, sparse = ib.LeastSquares(picks, VALUES), ib.LeastSquares.entries(ROWS, COLS, VALUES, (3, 2))
    assert sparse.loss(W) == pytest.approx(dense.loss(W.ravel()), rel=1e-15)
    np.testing.assert_allclose(sparse.gradient(W).ravel(), dense.gradient(W.ravel()), rtol=1e-15)


def test_arrays_are_copied_and_read_only() -> None:
    mine = np.array(ROWS, dtype=np.int8)
    problem = ib.LeastSquares.entries(mine, COLS, VALUES, [np.int64(3), 2])
    mine[:] = 0
    copy = pickle.loads(pickle.dumps(problem))
    assert problem.rows.tolist() == copy.rows.tolist() == ROWS
    for array in (
        problem.rows,
        problem.cols,
        problem.values,
        copy.rows,
        problem.gradient(W),
        problem.predict(W),
    ):
        assert type(array) is np.ndarray
        assert not array.flags.writeable


BAD = {
    "row out of range": (
        [0, 3],
        [0, 1],
        [1.0, 2.0],
        (3, 2),
        r"rows lies in \[0, 3\], .*0 to 2 .*shape\[0\] = 3",
    ),
    "column out of range": (
        [0, 1],
        [0, 5],
        [1.0, 2.0],
        (3, 2),
        r"cols lies in \[0, 5\].*0 to 1.*shape\[1\] = 2",
    ),
    "from 1": ([1, 3], [0, 1], [1.0, 2.0], (3, 2), r"type rows = rows - 1"),
    "negative": ([0, -1], [0, 1], [1.0, 2.0], (3, 2), r"rows lies in \[-1, 0\]"),
    "floats": (
        [0.0, 1.0],
        [0, 1],
        [1.0, 2.0],
        (3, 2),
        r"rows is an array of float64, integers.*astype\(int\)",
    ),
    "booleans": ([True, False], [0, 1], [1.0, 2.0], (3, 2), r"rows is an array of bool"),
    "text": (["a", "b"], [0, 1], [1.0, 2.0], (3, 2), r"rows is an array of <U1"),
    "lengths": ([0, 1, 2], [0, 1], [1.0, 2.0], (3, 2), r"rows has shape \(3,\) and values has 2"),
    "matrix": ([[0, 1]], [0, 1], [1.0, 2.0], (3, 2), r"rows has shape \(1, 2\)"),
    "ragged": ([[0], [1, 2]], [0, 1], [1.0, 2.0], (3, 2), r"rows is not an array of indices"),
    "masked": (np.ma.masked_equal([0, 1], 1), [0, 1], [1.0, 2.0], (3, 2), r"rows is a masked array"),
    "none": ([], [], [], (3, 2), r"values is empty"),
    "NaN": ([0, 1], [0, 1], [1.0, np.nan], (3, 2), r"values holds 1 NaN"),
    "extreme": ([0, 1], [0, 1], [1.0, 1e200], (3, 2), r"values holds magnitudes"),
    "one size": ([0, 1], [0, 1], [1.0, 2.0], 3, r"shape is 3, a pair of whole numbers.*shape=\(20, 20\)"),
    "three sizes": ([0, 1], [0, 1], [1.0, 2.0], (3, 2, 1), r"shape is \(3, 2, 1\), a pair"),
    "float size": ([0, 1], [0, 1], [1.0, 2.0], (3.0, 2), r"shape is \(3\.0, 2\)"),
    "text size": ([0, 1], [0, 1], [1.0, 2.0], "32", r"shape is '32'"),
    "zero size": ([0, 1], [0, 1], [1.0, 2.0], (0, 2), r"two positive sizes"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_in_words_that_help(case: str) -> None:
    rows, cols, values, shape, words = BAD[case]
    with pytest.raises(ib.InputError, match=words):
        ib.LeastSquares.entries(rows, cols, values, shape)


@pytest.mark.parametrize(
    ("w", "words"),
    [
        (W.T, r"shape \(2, 3\), \(3, 2\) is expected; type params = params\.T"),
        (W[:2], r"shape \(2, 2\)"),
        (W.ravel(), r"2 dimension"),
        (W * np.nan, "NaN"),
    ],
)
def test_bad_points_are_refused(w: np.ndarray, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.LeastSquares.entries(ROWS, COLS, VALUES, (3, 2)).loss(w)


def test_a_fit_that_overflows_is_refused() -> None:
    problem = ib.LeastSquares.entries([0], [0], [1.0], (1, 1))
    with pytest.raises(ib.InputError, match="loss is inf in 1 of 1 rows"):
        problem.loss([[1e200]])
