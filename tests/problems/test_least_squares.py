"""Tests of `LeastSquares`: its values, its accepted input, and the error messages for other input."""

import pickle

import numpy as np
import pandas as pd
import pytest

import implicitbias as ib

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
Y = np.array([1.0, 2.0, 4.0])


# Oracle: by hand.
def test_loss_gradient_and_residual() -> None:
    problem = ib.LeastSquares(X, Y)
    assert problem.shape == (3, 2)
    assert problem.residual([1, 0]).tolist() == [0, -1, -1]
    assert problem.loss([1, 0]) == 2 / 6
    np.testing.assert_allclose(problem.gradient([1, 0]), [8 / 3, 10 / 3], rtol=1e-15)
    np.testing.assert_allclose(problem.column_norms, np.sqrt([35, 56]), rtol=1e-15)


# Oracle: central differences; exact for a quadratic up to rounding 1e-16 / step.
def test_the_gradient_is_the_slope_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((7, 4)), rng.standard_normal(7))
    w, step = rng.standard_normal(4), 1e-3
    slope = [(problem.loss(w + step * e) - problem.loss(w - step * e)) / (2 * step) for e in np.eye(4)]
    np.testing.assert_allclose(problem.gradient(w), slope, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (X.tolist(), Y.tolist()),
        (X.astype(np.float32), Y.astype(np.float16)),
        (X.astype(int), Y.astype(np.uint8)),
        (X.astype(object), Y.astype(object)),
        (np.asfortranarray(X), Y[::-1][::-1]),
        (pd.DataFrame(X), pd.Series(Y)),
        (pd.DataFrame(X, dtype="Float64"), pd.Series(Y, dtype="Int64")),
        (np.asmatrix(X) if hasattr(np, "asmatrix") else X, Y),
    ],
    ids=["lists", "float32", "integers", "objects", "Fortran", "pandas", "pandas nullable", "matrix"],
)
def test_what_is_taken(X: object, y: object) -> None:
    problem = ib.LeastSquares(X, y)
    assert problem.X.dtype == problem.y.dtype == np.float64
    assert type(problem.X) is np.ndarray
    np.testing.assert_array_equal(problem.X, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(problem.y, [1, 2, 4])


def test_booleans_are_zeros_and_ones() -> None:
    problem = ib.LeastSquares(X > 3, Y > 1)
    np.testing.assert_array_equal(problem.X, [[0, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(problem.y, [0, 1, 1])


def test_data_are_copied_and_read_only() -> None:
    mine = X.copy()
    problem = ib.LeastSquares(mine, Y)
    mine[:] = 0
    assert problem.X[0, 0] == 1
    for array in (problem.X, problem.y, problem.column_norms):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_names_come_from_a_data_frame_only() -> None:
    assert ib.LeastSquares(pd.DataFrame(X, columns=["a", "b"]), Y).feature_names == ("a", "b")
    assert ib.LeastSquares(X, Y).feature_names is None


def test_it_pickles() -> None:
    copy = pickle.loads(pickle.dumps(ib.LeastSquares(X, Y)))
    np.testing.assert_array_equal(copy.X, X)
    assert copy.loss([0, 0]) == ib.LeastSquares(X, Y).loss([0, 0])


def _with(array: np.ndarray, value: object) -> np.ndarray:
    array = array.astype(object if isinstance(value, str) else array.dtype).copy()
    array[(1,) * array.ndim] = value
    return array


BAD = {
    # name: (X, y, what the message must say)
    "NaN in X": (_with(X, np.nan), Y, r"X holds 1 NaN.*\[1, 1\].*(impute|Drop)"),
    "inf in X": (_with(X, np.inf), Y, r"X holds 1 NaN or infinite"),
    "NaN in y": (X, _with(Y, np.nan), r"y holds 1 NaN.*\[1\]"),
    "-inf in y": (X, _with(Y, -np.inf), r"y holds 1 NaN or infinite"),
    "None in y": (X, [1.0, None, 2.0], r"y holds"),
    "pandas NA": (pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64")}), Y, r"X holds"),
    "one row": (X[:1], Y[:1], r"one row.*X\.reshape\(-1, 1\)"),
    "no rows": (X[:0], Y[:0], r"X is empty.*\(0, 2\)"),
    "no columns": (X[:, :0], Y, r"X is empty.*\(3, 0\)"),
    "nothing": ([], [], r"X "),
    "1-D X": (Y, Y, r"X has shape \(3,\).*X = X\.reshape\(-1, 1\)"),
    "3-D X": (X[None], Y, r"X has shape \(1, 3, 2\)"),
    "scalar X": (1.0, Y, r"X has shape \(\)"),
    "y as a column": (X, Y[:, None], r"y has shape \(3, 1\).*y = numpy\.ravel\(y\)"),
    "y as a frame": (X, pd.DataFrame({"t": Y}), r"y has shape \(3, 1\).*ravel"),
    "two targets": (X, X, r"y has shape \(3, 2\)"),
    "scalar y": (X, 1.0, r"y has shape \(\)"),
    "lengths": (X, [1.0, 2, 3, 4], r"3 rows and y has 4"),
    "transposed": (X.T, Y, r"2 rows and y has 3.*X = X\.T"),
    "text": (_with(X, "tall"), Y, r"X holds values that are not numbers"),
    "text array": (X, np.array(["a", "b", "c"]), r"y holds values that are not numbers"),
    "numbers as text": (X.astype(str), Y, r"X holds"),
    "numbers as text objects": (X.astype(str).astype(object), Y, r"X holds"),
    "text column": (pd.DataFrame({"a": Y, "city": ["x", "y", "z"]}), Y, r"not numbers: city.*OneHotEncoder"),
    "category": (pd.DataFrame({"a": pd.Categorical([1, 2, 1])}), Y, r"not numbers: a.*OneHotEncoder"),
    "dates": (X, np.array(["2020-01-01"] * 3, dtype="M8[D]"), r"y holds"),
    "durations": (X, np.array([1, 2, 3], dtype="m8[s]"), r"y holds"),
    "complex": (X + 1j, Y, r"X is complex.*X = X\.real"),
    "objects": (np.array([[object()] * 2] * 3), Y, r"X holds values that are not numbers"),
    "ragged": ([[1.0, 2.0], [3.0], [4.0, 5.0]], Y, r"X "),
    "masked": (np.ma.masked_greater(X, 4.0), Y, r"X .*mask"),
    "too large": (X * 1e150, Y, r"X holds magnitudes.*column\(s\) 0, 1.*X\[:, 0\] = X\[:, 0\] / abs"),
    "too small": (X, Y * 1e-150, r"y holds magnitudes.*y = y / abs\(y\)\.max\(\)"),
    "one small column": (X * [1, 1e-200], Y, r"X holds magnitudes"),
    "larger than float64": (X.astype(np.longdouble) * np.longdouble("1e400"), Y, r"X holds"),
    "None": (None, Y, r"X "),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_refused_in_words_that_help(case: str) -> None:
    bad_X, bad_y, words = BAD[case]
    with pytest.raises(ib.InputError, match=words) as caught:
        ib.LeastSquares(bad_X, bad_y)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ib.ImplicitBiasError)


@pytest.mark.parametrize(
    ("w", "words"), [([1.0], "w has 1 entries.*2 columns"), ([[1.0, 2.0]], "ravel"), ([1.0, np.nan], "NaN")]
)
@pytest.mark.parametrize("method", ["loss", "gradient", "residual"])
def test_bad_points_are_refused(method: str, w: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        getattr(ib.LeastSquares(X, Y), method)(w)


def test_the_limits_of_magnitude_still_work() -> None:
    for unit in (1e-135, 1e135):
        path = ib.saddle_path(ib.LeastSquares(X * unit, Y * unit))
        plain = ib.saddle_path(ib.LeastSquares(X, Y))
        np.testing.assert_allclose(path.coefficients, plain.coefficients, rtol=1e-11)
