"""Many rows are replaced by a triangular factor: the path is the same, and its proof is computed from all rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy import sparse

import implicitbias as ib
from implicitbias._core.linear_maps import ShiftedMap
from implicitbias.limits import _predict_path, _row_compression
from tests.oracles.designs import designs


def plain_path(monkeypatch: pytest.MonkeyPatch, problem: ib.LeastSquares, **options: Any) -> ib.SaddlePath:
    """Return the path that is computed with all rows."""
    with monkeypatch.context() as patch:
        patch.setattr(_predict_path, "compressed", lambda *_, **__: None)
        return ib.saddle_path(problem, **options)


def compress_always(patch: pytest.MonkeyPatch) -> list[int]:
    """Let every problem with more rows than columns be compressed; the list that is returned counts them."""
    calls: list[int] = []
    original = _row_compression.compressed

    def counted(*arguments: Any, **named: Any) -> Any:
        small = original(*arguments, **named)
        if small is not None:
            calls.append(small.shape[0])
        return small

    patch.setattr(_row_compression, "_ENTRIES", 0)
    patch.setattr(_row_compression, "_ROWS", 1.0)
    patch.setattr(_predict_path, "compressed", counted)
    return calls


def check_same(found: ib.SaddlePath, plain: ib.SaddlePath) -> None:
    np.testing.assert_allclose(found.times, plain.times, rtol=1e-10)
    size = np.max(np.abs(plain.coefficients), initial=1e-300)
    np.testing.assert_allclose(found.coefficients, plain.coefficients, rtol=0, atol=1e-9 * size)
    np.testing.assert_allclose(found.losses, plain.losses, rtol=1e-10, atol=1e-13 * plain.losses[0])
    np.testing.assert_allclose(
        found.nu, plain.nu, rtol=0, atol=1e-10 * np.max(np.abs(plain.nu), initial=1e-300)
    )
    assert [set(places) for places in found.equicorrelation_sets] == [
        set(places) for places in plain.equicorrelation_sets
    ]
    np.testing.assert_array_equal(found.unique, plain.unique)
    np.testing.assert_array_equal(found.strictly_complementary, plain.strictly_complementary)
    assert found.status is plain.status
    assert found.certificate.holds == plain.certificate.holds


# Oracle: the walk with all rows.
def test_tall_designs_of_all_families(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = compress_always(monkeypatch)
    compared = 0
    for design in designs(220):
        problem = ib.LeastSquares(design.X, design.y)
        before = len(calls)
        # Columns whose scales differ by many orders of magnitude have no digits left that could be compared.
        if design.X.shape[0] < design.X.shape[1] + 1 or design.family.startswith("column scales"):
            continue
        found = ib.saddle_path(problem)
        if len(calls) == before:
            continue
        check_same(found, plain_path(monkeypatch, problem))
        compared += 1
    assert compared >= 40


def one_hot(n: int, variables: int, levels: int, seed: int) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    X = np.hstack([np.eye(levels)[rng.integers(0, levels, n)] for _ in range(variables)])
    w = np.where(rng.random(X.shape[1]) < 0.3, rng.standard_normal(X.shape[1]), 0.0)
    return X, X @ w + rng.standard_normal(n)


STORES: dict[str, Callable[[ndarray], Any]] = {
    "dense": lambda X: X - X.mean(axis=0),
    "rows": lambda X: np.ascontiguousarray(X - X.mean(axis=0)),
    "shifted": lambda X: ShiftedMap(sparse.csc_array(X), np.ones(len(X)), X.mean(axis=0)),
    "sparse": sparse.csr_array,
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("pretrained", [False, True])
def test_every_storage_of_a_one_hot_table(
    store: str, pretrained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = compress_always(monkeypatch)
    X, y = one_hot(300, 6, 5, seed=1)
    problem = ib.LeastSquares(STORES[store](X), y - y.mean())
    start = np.where(np.arange(30) % 7 == 0, 0.5, 0.0) if pretrained else None
    found = ib.saddle_path(problem, start=start)
    assert calls == [31]
    check_same(found, plain_path(monkeypatch, problem, start=start))
    assert np.isnan(found.nu).sum() == 0


def test_blocks_of_rows_give_the_same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    compress_always(monkeypatch)
    X, y = one_hot(500, 3, 4, seed=2)
    problem = ib.LeastSquares(X, y)
    whole = ib.saddle_path(problem)
    monkeypatch.setattr(_row_compression, "_BLOCK", 1)  # the smallest block has eight rows for each column
    monkeypatch.setattr(_row_compression, "_SADDLES", 3)
    check_same(ib.saddle_path(problem), whole)


# Oracle: NumPy on all rows.
def test_the_proof_is_about_all_rows() -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4000, 12))
    y = X @ rng.standard_normal(12) + rng.standard_normal(4000)
    path = ib.saddle_path(ib.LeastSquares(X, y))
    fits = path.coefficients @ X.T
    residuals = y - fits
    np.testing.assert_allclose(path.losses, np.mean(residuals**2, axis=1) / 2, rtol=1e-12)
    nu = np.cumsum(np.diff(path.times)[:, None] * residuals[:-1] / len(y), axis=0)
    np.testing.assert_allclose(path.nu[1:], nu, rtol=1e-9, atol=1e-14)
    worst = 0.0
    for row, active in enumerate(path.active_sets):
        gradient = np.abs(residuals[row] @ X[:, active]) / np.linalg.norm(X[:, active], axis=0)
        worst = max(worst, float(np.max(gradient, initial=0.0)))
    scale = np.linalg.norm(y) + np.abs(path.coefficients[-1]) @ np.linalg.norm(X, axis=0)
    assert path.certificate.residuals["worst_saddle"] <= 10 * worst / np.linalg.norm(y) + 1e-18
    assert path.certificate.residuals["worst_saddle"] >= 0.1 * worst / scale


def test_a_wrong_path_has_a_wrong_proof() -> None:
    X, y = one_hot(400, 2, 3, seed=4)
    problem = ib.LeastSquares(X, y)
    path = ib.saddle_path(problem)
    table = path.coefficients_sparse.copy()
    table.data = table.data * 1.01
    found = _row_compression.proofs(problem, path.growth, table, path.times, list(path.equicorrelation_sets))
    assert found.violations.max() > 1e-4


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((100, 90), {}),  # few more rows than columns
        ((300, 20), {}),  # few entries
        ((3000, 200), {"max_jumps": 3}),
        ((3000, 1000), {"t_max": 1e-3}),
    ],
)
def test_what_is_not_worth_it(
    shape: tuple[int, int], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    original = _row_compression._triangular_factor
    monkeypatch.setattr(_row_compression, "_triangular_factor", lambda *a: made.append(a) or original(*a))
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    ib.saddle_path(ib.LeastSquares(X, X[:, 0] + rng.standard_normal(shape[0])), **options)
    assert not made


@pytest.mark.parametrize("unit", [1e-139, 1e139])
def test_numbers_near_the_ends_of_the_range(unit: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 20))
    y = X[:, 0] + rng.standard_normal(2000)
    plain = ib.saddle_path(ib.LeastSquares(X, y))
    path = ib.saddle_path(ib.LeastSquares(X * unit, y))
    np.testing.assert_allclose(path.coefficients * unit, plain.coefficients, rtol=1e-8, atol=1e-10)


def scaled_integers(seed: int) -> tuple[ndarray, ndarray]:
    """Return integers in columns of sizes 1e-4 ... 1e4, and a target in their span: late residuals are tiny."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (25, 8)) * 10.0 ** rng.integers(-4, 5, 8)
    return X, X @ rng.standard_normal(8)


# Oracle: the walk with all rows. Residuals computed from X and w have the rounding errors of y, which are then as large
# as the residuals themselves.
def test_inaccurate_dual_variables_are_computed_from_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = compress_always(monkeypatch)
    again, original = [], _predict_path._repeated
    monkeypatch.setattr(
        _predict_path, "_repeated", lambda *taken: again.append(len(calls)) or original(*taken)
    )
    for seed in range(20):
        problem = ib.LeastSquares(*scaled_integers(seed))
        found, plain = ib.saddle_path(problem), plain_path(monkeypatch, problem)
        assert found.certificate.holds == plain.certificate.holds
        np.testing.assert_allclose(found.times, plain.times, rtol=1e-6)
        np.testing.assert_allclose(found.nu @ problem.X, plain.nu @ problem.X, rtol=0, atol=1e-6)
    assert len(calls) == 20
    assert 3 <= len(again) < 20


def test_a_repeated_walk_stops_where_the_first_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    compress_always(monkeypatch)
    monkeypatch.setattr(_row_compression, "_OFF", -1.0)
    problem = ib.LeastSquares(*scaled_integers(0))
    seen: list[int] = []
    path = ib.saddle_path(problem, on_jump=lambda jump: seen.append(jump.number) or jump.number == 3)
    assert path.status is ib.Status.STOPPED_BY_CALLER
    assert path.n_jumps == 3
    assert seen == [1, 2, 3]
    t_max = (path.times[2] + path.times[3]) / 2
    for options in ({"max_jumps": 2}, {"t_max": float(t_max)}):
        path = ib.saddle_path(problem, **options)
        assert path.n_jumps == 2
        check_same(path, plain_path(monkeypatch, problem, **options))
