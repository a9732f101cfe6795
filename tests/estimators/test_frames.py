"""One answer and one message for the same numbers in arrays, frames of three libraries and sparse formats.

Fitted numbers are equal to the last digit. Predictions may differ by rounding, because BLAS adds the products of a row
in an order that depends on how the table lies in memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy import ndarray
from scipy import sparse
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import implicitbias as ib
from implicitbias.estimators import prepare

NAMES = ("age", "bmi", "s1", "s2", "smokes")
_RNG = np.random.default_rng(0)
# Whole numbers, and a column of truth values at the end, so that every container holds exactly these numbers.
X = np.column_stack([_RNG.integers(-9, 9, (40, 4)), _RNG.integers(0, 2, 40)]).astype(np.float64)
Y = X @ [2.0, -1.0, 0.0, 0.0, 3.0] + _RNG.integers(-3, 3, 40)
WEIGHTS = _RNG.integers(0, 3, 40)


def _pandas(dtype: str, last: str) -> pd.DataFrame:
    kinds = dict.fromkeys(NAMES[:-1], dtype) | {NAMES[-1]: last}
    return pd.DataFrame(X.astype(np.int64), columns=list(NAMES)).astype(kinds)


def _mixed() -> pd.DataFrame:
    frame = pd.DataFrame(X, columns=list(NAMES))
    kinds = {"age": "Int8", "bmi": "float32", "s1": "Float64", "s2": "int16", "smokes": "boolean"}
    return frame.astype(kinds)


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas float64": lambda: pd.DataFrame(X, columns=list(NAMES)),
    "pandas float32": lambda: _pandas("float32", "float32"),
    "pandas int64 and bool": lambda: _pandas("int64", "bool"),
    "pandas Int64 and boolean": lambda: _pandas("Int64", "boolean"),
    "pandas Float32": lambda: _pandas("Float32", "Float32"),
    "pandas of Arrow": lambda: _pandas("int32[pyarrow]", "bool[pyarrow]"),
    "pandas mixed": _mixed,
    "pandas with another index": lambda: pd.DataFrame(X, columns=list(NAMES), index=np.arange(40)[::-1] * 3),
    "polars Float64": lambda: pl.DataFrame(X, schema=list(NAMES)),
    "polars whole numbers and Boolean": lambda: pl.DataFrame(
        {name: X[:, j].astype(np.int16 if j < 4 else np.bool_) for j, name in enumerate(NAMES)}
    ),
    "polars Decimal": lambda: pl.DataFrame(X, schema=list(NAMES)).cast(pl.Decimal(10, 2)),
    "pyarrow": lambda: pa.table({name: X[:, j] for j, name in enumerate(NAMES)}),
    "pyarrow whole numbers and bool": lambda: pa.table(
        {name: X[:, j].astype(np.int32 if j < 4 else np.bool_) for j, name in enumerate(NAMES)}
    ),
    "pyarrow in chunks": lambda: pa.concat_tables(
        [pa.table({name: part[:, j] for j, name in enumerate(NAMES)}) for part in np.array_split(X, 3)]
    ),
}
COLUMNS: dict[str, Callable[[ndarray], Any]] = {
    "list": lambda values: values.tolist(),
    "pandas": lambda values: pd.Series(values, index=np.arange(len(values))[::-1]),
    "pandas Int64": lambda values: pd.Series(values.astype(np.int64), dtype="Int64"),
    "polars": lambda values: pl.Series("y", values),
    "pyarrow": pa.array,
    "pyarrow in chunks": lambda values: pa.chunked_array(np.array_split(values, 3)),
}
every_frame = pytest.mark.parametrize("frame", FRAMES)
ESTIMATORS = {
    "regressor": lambda: ib.SaddlePathRegressor(n_jumps=3, standardize=True),
    "cross-validated": lambda: ib.SaddlePathRegressorCV(cv=4),
}


# Oracle: the array of the same numbers.
@every_frame
def test_least_squares_and_prepare(frame: str) -> None:
    problem = ib.LeastSquares(FRAMES[frame](), Y)
    np.testing.assert_array_equal(problem.X, X)
    assert problem.feature_names == NAMES
    assert problem.fingerprint() == ib.LeastSquares(X, Y, feature_names=NAMES).fingerprint()
    prepared, plain = (prepare(rows, Y, WEIGHTS, standardize=True) for rows in (FRAMES[frame](), X))
    np.testing.assert_array_equal(prepared.problem.X, plain.problem.X)
    assert prepared.problem.feature_names == NAMES


@every_frame
def test_other_problems(frame: str) -> None:
    labels = np.where(np.median(Y) < Y, "yes", "no")
    problem = ib.Classification(FRAMES[frame](), labels)
    np.testing.assert_array_equal(problem.X, X)
    assert problem.feature_names == NAMES
    model = ib.Problem(lambda w, rows: rows @ w, FRAMES[frame](), Y)
    np.testing.assert_array_equal(model.X, X)


@every_frame
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_estimators(frame: str, kind: str) -> None:
    rows = FRAMES[frame]()
    model, plain = ESTIMATORS[kind]().fit(rows, Y, WEIGHTS), ESTIMATORS[kind]().fit(X, Y, WEIGHTS)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    np.testing.assert_array_equal(model.times_, plain.times_)
    assert (model.intercept_, model.t_) == (plain.intercept_, plain.t_)
    assert model.feature_names_in_.tolist() == list(NAMES)
    assert model.path_.feature_names == NAMES
    np.testing.assert_allclose(model.predict(rows), plain.predict(X), rtol=1e-13)
    assert model.score(rows, Y) == pytest.approx(plain.score(X, Y), rel=1e-13)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_targets_and_weights_are_columns_too(column: str, kind: str) -> None:
    make = COLUMNS[column]
    rows = FRAMES["polars Float64"]()
    model = ESTIMATORS[kind]().fit(rows, make(Y), make(WEIGHTS.astype(np.float64)))
    np.testing.assert_array_equal(model.coef_, ESTIMATORS[kind]().fit(X, Y, WEIGHTS).coef_)
    assert model.score(rows, make(Y)) == model.score(rows, Y)
    np.testing.assert_array_equal(ib.LeastSquares(X, make(Y)).y, Y)


@pytest.mark.parametrize("frame", ["pandas mixed", "polars Float64", "pyarrow"])
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_tools_of_scikit_learn(frame: str, kind: str) -> None:
    rows, model = FRAMES[frame](), ESTIMATORS[kind]()
    scores = [cross_val_score(model, table, Y) for table in (rows, X)]
    np.testing.assert_allclose(*scores, rtol=1e-12)
    found, plain = (GridSearchCV(model, {"standardize": [False, True]}).fit(table, Y) for table in (rows, X))
    assert found.best_params_ == plain.best_params_
    np.testing.assert_array_equal(found.best_estimator_.coef_, plain.best_estimator_.coef_)
    assert found.best_estimator_.feature_names_in_.tolist() == list(NAMES)
    piped, plain = (make_pipeline(StandardScaler(), model).fit(table, Y) for table in (rows, X))
    np.testing.assert_allclose(piped.predict(rows), plain.predict(X), rtol=1e-10)


class TestNames:
    # Oracle: what scikit-learn says for a pandas frame.
    @pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
    def test_predict_compares_them(self, library: str) -> None:
        make = {
            "pandas": lambda names: pd.DataFrame(X, columns=names),
            "polars": lambda names: pl.DataFrame(X, schema=names),
            "pyarrow": lambda names: pa.table({name: X[:, j] for j, name in enumerate(names)}),
        }[library]
        model = ib.SaddlePathRegressor().fit(make(list(NAMES)), Y)
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(make([*NAMES[:-1], "smoker"]))
        with pytest.raises(ValueError, match="same order"):
            model.predict(make(list(NAMES[::-1])))
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            model.predict(X)

    def test_numbers_as_labels_are_no_names_for_scikit_learn(self) -> None:
        model = ib.SaddlePathRegressor().fit(pd.DataFrame(X), Y)
        assert not hasattr(model, "feature_names_in_")
        assert ib.LeastSquares(pd.DataFrame(X), Y).feature_names == ("0", "1", "2", "3", "4")


MISSING = {
    "pandas": lambda: pd.DataFrame({"a": [1.0, None, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 4.0]}),
    "pandas Int64": lambda: pd.DataFrame({"a": pd.array([1, None, 3, 4], dtype="Int64"), "b": [1, 2, 3, 4]}),
    "polars": lambda: pl.DataFrame({"a": [1, None, 3, 4], "b": [1, 2, 3, 4]}),
    "pyarrow": lambda: pa.table({"a": [1, None, 3, 4], "b": [1, 2, 3, 4]}),
}
TEXT = {
    "pandas": lambda: pd.DataFrame({"a": [1, 2, 3, 4], "city": ["x", "y", "z", "x"]}),
    "polars": lambda: pl.DataFrame({"a": [1, 2, 3, 4], "city": ["x", "y", "z", "x"]}),
    "pyarrow": lambda: pa.table({"a": [1, 2, 3, 4], "city": ["x", "y", "z", "x"]}),
}
USES: dict[str, Callable[[Any], Any]] = {
    "LeastSquares": lambda rows: ib.LeastSquares(rows, [1.0, 2.0, 3.0, 5.0]),
    "prepare": lambda rows: prepare(rows, [1.0, 2.0, 3.0, 5.0]),
    "regressor": lambda rows: ib.SaddlePathRegressor().fit(rows, [1.0, 2.0, 3.0, 5.0]),
    "cross-validated": lambda rows: ib.SaddlePathRegressorCV(cv=2).fit(rows, [1.0, 2.0, 3.0, 5.0]),
}


@pytest.mark.parametrize("use", USES)
class TestRefusals:
    @pytest.mark.parametrize("library", MISSING)
    def test_missing_values(self, use: str, library: str) -> None:
        with pytest.raises(ib.InputError, match=r"X holds 1 missing or NaN values, .* columns: a \(1\)"):
            USES[use](MISSING[library]())

    @pytest.mark.parametrize("library", TEXT)
    def test_text(self, use: str, library: str) -> None:
        with pytest.raises(ib.InputError, match=r"X has columns that are not numbers: city;.*'x'"):
            USES[use](TEXT[library]())

    def test_a_lazy_frame(self, use: str) -> None:
        with pytest.raises(ib.InputError, match=r"type X = X.collect\(\)"):
            USES[use](TEXT["polars"]().lazy())


def test_missing_targets_are_refused() -> None:
    for y in (pl.Series([1, None, 3, 4]), pd.Series([1, None, 3, 4], dtype="Int64")):
        with pytest.raises(ib.InputError, match="y has 1 missing values"):
            ib.SaddlePathRegressor().fit(np.eye(4), y)


SPARSE = [
    getattr(sparse, f"{name}_{kind}")
    for name in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for kind in ("array", "matrix")
]


# Oracle: the dense array of the same numbers; the two forms differ by rounding.
@pytest.mark.parametrize("form", SPARSE, ids=lambda form: form.__name__)
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_sparse_formats(form: Any, kind: str) -> None:
    thin = form(X)
    problem = ib.LeastSquares(thin, Y)
    np.testing.assert_array_equal(problem.X.toarray(), X)
    model, plain = ESTIMATORS[kind]().fit(thin, Y, WEIGHTS), ESTIMATORS[kind]().fit(X, Y, WEIGHTS)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-9, atol=1e-12)
    assert model.t_ == pytest.approx(plain.t_, rel=1e-9)
    np.testing.assert_allclose(model.predict(thin), plain.predict(X), rtol=1e-9)


def test_a_frame_of_sparse_columns_stays_sparse() -> None:
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csc_array(X), columns=list(NAMES))
    model, plain = ib.SaddlePathRegressor().fit(frame, Y), ib.SaddlePathRegressor().fit(X, Y)
    assert model.path_.feature_names == NAMES
    assert sparse.issparse(model.path_.problem.linear_map.plain.X)
    np.testing.assert_allclose(model.coef_, plain.coef_, rtol=1e-9)
    np.testing.assert_array_equal(ib.LeastSquares(frame, Y).X, X)


# Oracle: repeated rows of the same container.
@pytest.mark.parametrize("frame", ["pandas mixed", "polars Float64"])
def test_whole_weights_repeat_rows(frame: str) -> None:
    rows, repeat = FRAMES[frame](), np.repeat(np.arange(40), WEIGHTS)
    repeated = rows.iloc[repeat] if isinstance(rows, pd.DataFrame) else rows[repeat]
    weighted = ib.SaddlePathRegressor().fit(rows, Y, pl.Series(WEIGHTS))
    expected = ib.SaddlePathRegressor().fit(repeated, Y[repeat])
    np.testing.assert_allclose(weighted.coef_path_, expected.coef_path_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weighted.times_, expected.times_, rtol=1e-9)
