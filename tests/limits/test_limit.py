"""`SaddlePath.limit` is a `Limit`: point, value, dual, certificate, predictions."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import implicitbias as ib
from tests.oracles.lp import least_l1


def _problem(seed: int = 0) -> ib.LeastSquares:
    rng = np.random.default_rng(seed)
    return ib.LeastSquares(rng.standard_normal((6, 14)), rng.standard_normal(6))


# Oracle: a linear program for the value; the dual proves it: polar of X^T nu at most 1, <s, w> = ||w||_1.
@pytest.mark.parametrize("seed", range(3))
def test_the_limit_of_a_path(seed: int) -> None:
    problem = _problem(seed)
    path = ib.saddle_path(problem)
    limit = path.limit
    np.testing.assert_array_equal(limit.point, path.coefficients[-1])
    np.testing.assert_allclose(limit.value, least_l1(problem.X, problem.y)[0], rtol=1e-9)
    assert limit.dual is not None
    assert np.max(np.abs(limit.dual)) <= 1.0
    np.testing.assert_allclose(limit.dual @ limit.point, limit.value, rtol=1e-12)
    in_row_space = problem.X.T @ np.linalg.lstsq(problem.X.T, limit.dual, rcond=None)[0]
    np.testing.assert_allclose(in_row_space, limit.dual, atol=1e-9)
    assert limit.certificate is path.certificate
    assert limit.status is path.status
    assert limit.margin is None
    assert limit.bias is None
    assert limit is path.limit


# Oracle: a linear program with the signs of the start in the objective.
@pytest.mark.parametrize("seed", range(3))
def test_from_a_pretrained_start(seed: int) -> None:
    problem = _problem(seed)
    start = np.where(np.arange(14) % 4 == 0, np.random.default_rng(seed).standard_normal(14), 0.0)
    limit = ib.saddle_path(problem, start=start).limit
    q = np.sign(start)
    value, _ = least_l1(problem.X, problem.y, q)
    np.testing.assert_allclose(limit.value, value, rtol=1e-9, atol=1e-9)
    # The same number as a gauge: 1 - q and 1 + q are the weights of the two signs.
    gauge = ib.gauges.TwoSidedL1(1 - q, 1 + q)
    np.testing.assert_allclose(limit.value, gauge.value(limit.point), rtol=1e-12, atol=1e-12)
    assert ib.certify(problem, limit.point, ib.MinNorm(gauge)).holds


# Oracle: the gauge of the growth times.
def test_with_growth_times() -> None:
    problem, times = _problem(), (np.linspace(0.5, 2.0, 14), np.linspace(2.0, 1.0, 14))
    limit = ib.saddle_path(problem, growth_times=times).limit
    gauge = ib.gauges.TwoSidedL1(*times)
    np.testing.assert_allclose(limit.value, gauge.value(limit.point), rtol=1e-12)
    assert ib.certify(problem, limit.point, ib.MinNorm(gauge)).holds


@pytest.mark.parametrize("cut", [{"max_jumps": 2}, {"t_max": 1e-9}, {"on_jump": lambda jump: True}])
def test_a_cut_path_has_no_limit(cut: dict[str, Any]) -> None:
    path = ib.saddle_path(_problem(), **cut)
    with pytest.raises(ib.ImplicitBiasError, match=r"before its limit is reached.*without max_jumps"):
        path.limit  # noqa: B018


def test_predictions() -> None:
    problem = _problem()
    limit = ib.saddle_path(problem).limit
    new = np.random.default_rng(9).standard_normal((4, 14))
    expected = new @ limit.point
    for X_new in (new, pd.DataFrame(new), new.tolist()):
        np.testing.assert_allclose(limit.predict(X_new), expected, rtol=1e-14)
    np.testing.assert_allclose(limit.predict(sparse.csr_array(new)), expected, rtol=1e-14)
    np.testing.assert_allclose(limit.predict(problem.X), problem.predict(limit.point), rtol=1e-12)
    biased = ib.Limit(
        problem, limit.point, limit.value, limit.certificate, limit.status, margin=1.0, bias=2.5
    )
    np.testing.assert_array_equal(biased.predict(new), expected + 2.5)


@pytest.mark.parametrize(
    ("X_new", "words"),
    [
        (np.zeros((2, 3)), r"X_new has 3 columns, 14 are expected"),
        (np.zeros(14), r"X_new has shape \(14,\)"),
        (np.full((1, 14), np.nan), "X_new holds 14 NaN"),
        (sparse.csr_array(np.full((1, 14), np.inf)), "X_new is not a sparse matrix of finite numbers"),
        (sparse.csr_array(np.zeros((1, 3))), r"X_new has 3 columns"),
    ],
)
def test_bad_rows(X_new: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.saddle_path(_problem()).limit.predict(X_new)


def test_a_matrix_is_its_own_prediction() -> None:
    problem = ib.LeastSquares.entries([0], [0], [1.0], (2, 2))
    proof = ib.certify(problem, np.diag([1.0, 0.0]), ib.MinNorm(ib.gauges.Nuclear()))
    limit = ib.Limit(problem, np.diag([1.0, 0.0]), 1.0, proof, ib.Status.CONVERGED)
    with pytest.raises(ib.InputError, match=r"limit\.point\[rows, cols\]"):
        limit.predict([[0.0, 0.0]])


def test_a_limit_is_a_frozen_value() -> None:
    limit = ib.saddle_path(_problem()).limit
    with pytest.raises(AttributeError):
        limit.value = 0.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        limit.point[0] = 1.0
    assert limit.fingerprint() == ib.saddle_path(_problem()).limit.fingerprint()
    assert limit.fingerprint() != ib.saddle_path(_problem(1)).limit.fingerprint()
    twin = pickle.loads(pickle.dumps(limit))
    assert twin.fingerprint() == limit.fingerprint()
    assert "CONVERGED" in repr(limit)


def _same(one: ib.Limit, other: ib.Limit) -> None:
    assert one.fingerprint() == other.fingerprint()
    assert str(one.certificate) == str(other.certificate)
    assert not other.point.flags.writeable
    assert repr(one) == repr(other)


def test_a_saved_limit_is_the_same(tmp_path: Path) -> None:
    problem = _problem()
    limit = ib.saddle_path(problem).limit
    limit.save(tmp_path / "limit.npz")
    loaded = ib.Limit.load(tmp_path / "limit.npz")
    _same(limit, loaded)
    np.testing.assert_array_equal(loaded.predict(problem.X), limit.predict(problem.X))
    assert ib.certify(loaded.problem, loaded.point, ib.MinL1()).holds
    assert ib.Limit.load(tmp_path / "limit.npz", like=problem).problem is problem
    proof, status = limit.certificate, limit.status
    bare = ib.Limit(problem, limit.point, limit.value, proof, status, margin=0.1, bias=-2.0)
    bare.save(tmp_path / "bare.npz")
    _same(bare, ib.Limit.load(tmp_path / "bare.npz"))


def test_a_problem_that_is_not_written_along(tmp_path: Path) -> None:
    problem = ib.LeastSquares.entries([0], [0], [1.0], (2, 2))
    proof = ib.certify(problem, np.diag([1.0, 0.0]), ib.MinNorm(ib.gauges.Nuclear()))
    limit = ib.Limit(problem, np.diag([1.0, 0.0]), 1.0, proof, ib.Status.CONVERGED)
    file = tmp_path / "limit.npz"
    limit.save(file)
    _same(limit, ib.Limit.load(file, like=problem))
    with pytest.raises(
        ib.InputError, match=r"not hold the data of its problem.*ib\.Limit\.load\(.*like=problem\)"
    ):
        ib.Limit.load(file)
    with pytest.raises(ib.InputError, match=r"other data or feature names.*the limit was computed"):
        ib.Limit.load(file, like=_problem())
    with pytest.raises(ib.InputError, match="like is a str, the problem of the limit is expected"):
        ib.Limit.load(file, like="problem")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = ib.saddle_path(_problem())
    path.save(tmp_path / "path.npz")
    with pytest.raises(ib.InputError, match=r"holds implicitbias\.SaddlePath"):
        ib.Limit.load(tmp_path / "path.npz")
    with pytest.raises(ib.InputError, match="there is no file"):
        ib.Limit.load(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(ib.InputError, match="is not a saved limit, or is damaged"):
        ib.Limit.load(tmp_path / "text.npz")


def test_complex_rows_are_not_cast_to_real_ones() -> None:
    limit = ib.saddle_path(ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0])).limit
    with pytest.raises(ib.InputError, match="type complex128"):
        limit.predict(sparse.csr_array(np.full((1, 2), 1.0 + 1.0j)))


def test_equal_starts_have_equal_prints() -> None:
    assert ib.MinL1(start=[1, 0]).fingerprint() == ib.MinL1(start=[1.0, 0.0]).fingerprint()
    assert ib.MinL1(start=[1, 0]).fingerprint() != ib.MinL1(start=[1.0, 1e-300]).fingerprint()
