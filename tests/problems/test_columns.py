"""Tests of sparse, shifted and memory-mapped X: the same numbers as for a dense X, without conversion to dense."""

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from implicitbias._core.linear_maps import DenseMap, ShiftedMap, SparseMap


def _table(seed: int = 0) -> ndarray:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((7, 11)) * (rng.uniform(size=(7, 11)) < 0.4)
    X[:, 4] = 0.0  # an empty column in the middle, and one at the end
    X[:, -1] = 0.0
    return X


FORMATS = {
    "CSR": sparse.csr_array,
    "CSC": sparse.csc_array,
    "COO": sparse.coo_array,
    "matrix": sparse.csc_matrix,
    "float32": lambda X: sparse.csr_array(X.astype(np.float32).astype(float)).astype(np.float32),
}


# Oracle: the dense problem.
@pytest.mark.parametrize("kind", list(FORMATS))
def test_sparse_is_dense(kind: str) -> None:
    X, y, w = _table(), np.arange(7.0), np.linspace(-1, 1, 11)
    if kind == "float32":
        X = X.astype(np.float32).astype(float)
    dense, thin = ib.LeastSquares(X, y), ib.LeastSquares(FORMATS[kind](X), y)
    assert isinstance(thin.columns, SparseMap)
    assert isinstance(thin.X, sparse.csc_array)
    for one, other in [
        (thin.column_norms, dense.column_norms),
        (thin.gradient(w), dense.gradient(w)),
        (thin.residual(w), dense.residual(w)),
        (thin.predict(w), dense.predict(w)),
        (thin.columns.sizes(), dense.columns.sizes()),
        (thin.columns.take(np.array([3, 4])), X[:, [3, 4]]),
        (thin.columns.rmatvec(np.stack([y, y**2])), np.stack([y, y**2]) @ X),
    ]:
        assert type(one) is ndarray
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)
    assert thin.loss(w) == pytest.approx(dense.loss(w), rel=1e-14)


# Oracle: the same difference as a dense matrix.
def test_shifted_columns_are_a_difference() -> None:
    X, rows, shift = _table(1), np.linspace(0.5, 2.0, 7), np.linspace(-3, 3, 11)
    formed, shifted = (
        DenseMap(X - np.outer(rows, shift)),
        ShiftedMap(sparse.csr_array(X), rows, shift),
    )
    v, w = np.arange(7.0), np.arange(11.0)
    np.testing.assert_allclose(shifted.matvec(w), formed.matvec(w), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(shifted.rmatvec(v), formed.rmatvec(v), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(shifted.take(np.array([1, 4])), formed.take(np.array([1, 4])), rtol=1e-14)
    np.testing.assert_allclose(shifted.norms, formed.norms, rtol=1e-13)


# For a full column that is close to its shift, the textbook formula of the norm would lose all digits.
def test_the_norm_of_a_nearly_constant_column() -> None:
    column = 1e8 + np.array([0.0, 1.0, 2.0])
    shifted = ShiftedMap(sparse.csc_array(column[:, None]), np.ones(3), np.array([1e8 + 1]))
    assert shifted.norms.tolist() == [np.sqrt(2)]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_memory_maps_are_not_copied(tmp_path: Path, order: str, kind: type) -> None:
    X, y = _table(2).astype(kind), np.arange(7.0)
    file = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", kind, X.shape, fortran_order=order == "F")
    file[:] = X
    file.flush()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    problem, dense = ib.LeastSquares(mapped, y), ib.LeastSquares(X.astype(float), y)
    assert np.shares_memory(problem.X, mapped)
    for one, other in [
        (problem.column_norms, dense.column_norms),
        (problem.gradient(np.ones(11)), dense.gradient(np.ones(11))),
        (problem.gradient(np.eye(11)[3]), dense.gradient(np.eye(11)[3])),
    ]:
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-13 if kind is np.float64 else 1e-6, atol=1e-13)


def test_a_sparse_problem_is_a_value() -> None:
    X = sparse.csr_array(_table())
    problem = ib.LeastSquares(X, np.arange(7.0))
    X.data[:] = 0.0
    assert problem.X.max() > 0.0
    with pytest.raises(ValueError, match="read-only"):
        problem.X.data[0] = 1.0


def _wrong(value: float, kind: type = float) -> sparse.csr_array:
    X = _table().astype(kind)
    X[1, 2] = value
    return sparse.csr_array(X)


BAD = {
    "NaN": (lambda: _wrong(np.nan), r"X holds NaN or infinite values, the first at \[1, 2\]"),
    "inf": (lambda: _wrong(-np.inf), r"X holds NaN or infinite values, the first at \[1, 2\]"),
    "complex": (lambda: _wrong(1j, complex), "complex128"),
    "too large": (lambda: _wrong(1e200), r"column\(s\) 2"),
    "too small": (
        lambda: sparse.csr_array(_table() * np.where(np.arange(11) == 2, 1e-300, 1.0)),
        r"column\(s\) 2",
    ),
    "rows": (lambda: sparse.csr_array(_table()[:5]), "5 rows and y has 7"),
    "one row": (lambda: sparse.csr_array(_table()[:1]), "1 rows and y has 7"),
    "1-D": (lambda: sparse.coo_array(np.arange(7.0)), "1 dimension"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_bad_sparse_data_are_refused(case: str) -> None:
    make, words = BAD[case]
    with pytest.raises(ib.InputError, match=words):
        ib.LeastSquares(make(), np.arange(7.0))


@pytest.mark.parametrize(
    ("X", "rows", "shift", "words"),
    [
        (_table(), np.ones(7), np.zeros(11), "scipy.sparse matrix is expected"),
        (sparse.csr_array(_table()), np.ones(6), np.zeros(11), r"\(7, 11\), rows has 6"),
        (sparse.csr_array(_table()), np.ones(7), np.full(11, np.nan), "shift holds 11 NaN"),
    ],
    ids=["dense", "lengths", "NaN"],
)
def test_bad_shifts_are_refused(X: object, rows: ndarray, shift: ndarray, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ShiftedMap(X, rows, shift)


def test_mirror_flows_say_that_they_want_dense_data() -> None:
    problem = ib.LeastSquares(sparse.csr_array(_table()), np.arange(7.0))
    with pytest.raises(ib.InputError, match=r"only with a dense X.*X\.toarray\(\)"):
        ib.simulate(ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=1e-3)), np.zeros(11), t1=1.0)


# Oracle: the same flow with a dense X. With a sparse X, the flow uses conjugate gradients.
@pytest.mark.parametrize("kind", ["squared", "logistic"])
def test_gradient_flows_take_sparse_data(kind: str) -> None:
    def end(X: object) -> np.ndarray:
        problem = (
            ib.LeastSquares(X, np.arange(7.0))
            if kind == "squared"
            else ib.Classification(X, np.array([1, 1, -1, 1, -1, -1, 1]))
        )
        flow = ib.GradientFlow(problem, weight_decay=0.1)
        return ib.simulate(flow, np.zeros(11), t1=3.0, rtol=1e-8).final

    np.testing.assert_allclose(end(sparse.csr_array(_table())), end(_table()), rtol=1e-6, atol=1e-8)


# 200 + 200 is 144 in uint8: SciPy adds duplicate entries in the type of the matrix.
def test_duplicate_entries_of_small_integers_do_not_overflow() -> None:
    data = np.array([200, 200, 1], dtype=np.uint8)
    X = sparse.coo_array((data, ([0, 0, 1], [0, 0, 1])), shape=(2, 2))
    assert ib.LeastSquares(X, [1.0, 2.0]).X.toarray().tolist() == [[400.0, 0.0], [0.0, 1.0]]
