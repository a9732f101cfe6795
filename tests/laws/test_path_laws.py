"""Laws of the path: symmetries of the problem are symmetries of the answer, unique or not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator

import implicitbias as ib
from tests.oracles.designs import FAMILIES, Design

# Column scales 1e-6 ... 1e6 and near-ties have condition numbers up to 1e14: their paths move by more than rounding
# when sums run in another order. They are certified design by design in tests/limits.
TAME = [name for name in FAMILIES if "near-ties" not in name and "scales" not in name]
# Twice as many examples would take twice as long; every family is met several times.
few = settings(max_examples=30)

seeds = st.integers(0, 10_000)
families = st.sampled_from(TAME)


def _design(family: str, seed: int) -> tuple[Design, Generator]:
    rng = np.random.default_rng(seed)
    return Design(family, seed, *FAMILIES[family](rng)), rng


def _path(X: np.ndarray, y: np.ndarray) -> ib.SaddlePath:
    return ib.saddle_path(ib.LeastSquares(X, y))


def _assert_same(path: ib.SaddlePath, times: np.ndarray, coefficients: np.ndarray, status: ib.Status) -> None:
    """Rounding of sums in another order, amplified by condition numbers of random designs (1e5, rarely more)."""
    assert len(path.times) == len(times)
    np.testing.assert_allclose(path.times, times, rtol=1e-8)
    np.testing.assert_allclose(
        path.coefficients, coefficients, rtol=0, atol=1e-7 * (np.max(np.abs(coefficients)) or 1)
    )
    assert path.status is status


# Law: columns in another order: the same path, its coordinates in that order.
@few
@given(family=families, seed=seeds)
def test_permuted_columns_permute_the_path(family: str, seed: int) -> None:
    design, rng = _design(family, seed)
    plain, order = _path(design.X, design.y), rng.permutation(design.X.shape[1])
    path = _path(design.X[:, order], design.y)
    _assert_same(path, plain.times, plain.coefficients[:, order], plain.status)
    np.testing.assert_array_equal(path.unique, plain.unique)
    np.testing.assert_array_equal(path.strictly_complementary, plain.strictly_complementary)
    rank = np.argsort(order)
    assert [b.tolist() for b in path.equicorrelation_sets] == [
        sorted(rank[b].tolist()) for b in plain.equicorrelation_sets
    ]


# Law: columns with the other sign: coefficients with the other sign.
@few
@given(family=families, seed=seeds)
def test_flipped_columns_flip_the_path(family: str, seed: int) -> None:
    design, rng = _design(family, seed)
    plain, signs = _path(design.X, design.y), rng.choice([-1.0, 1.0], size=design.X.shape[1])
    path = _path(design.X * signs, design.y)
    _assert_same(path, plain.times, plain.coefficients * signs, plain.status)
    np.testing.assert_allclose(path.dual, plain.dual * signs, atol=1e-8)


# Law: y -> c y: coefficients times c, times divided by |c|.
@few
@given(
    family=families,
    seed=seeds,
    exponent=st.integers(-120, 120),
    sign=st.sampled_from([-1.0, 1.0]),
    power=st.booleans(),
)
def test_scaled_targets_scale_the_path(
    family: str, seed: int, exponent: int, sign: float, power: bool
) -> None:
    design, _ = _design(family, seed)
    c = sign * (2.0**exponent if power else 10.0**exponent)
    plain, path = _path(design.X, design.y), _path(design.X, c * design.y)
    _assert_same(path, plain.times / abs(c), plain.coefficients * c, plain.status)


# Law: X -> c X: coefficients divided by c, times divided by |c|.
@few
@given(family=families, seed=seeds, exponent=st.integers(-120, 120))
def test_scaled_data_scale_the_path(family: str, seed: int, exponent: int) -> None:
    design, _ = _design(family, seed)
    c = 10.0**exponent
    plain, path = _path(design.X, design.y), _path(c * design.X, design.y)
    _assert_same(path, plain.times / c, plain.coefficients / c, plain.status)


# Law: L is a mean over rows, so every row twice is the same problem; and rows may come in any order.
@few
@given(family=families, seed=seeds, times=st.integers(2, 3))
def test_repeated_and_reordered_rows_change_nothing(family: str, seed: int, times: int) -> None:
    design, rng = _design(family, seed)
    rows = rng.permutation(np.tile(np.arange(len(design.y)), times))
    plain, path = _path(design.X, design.y), _path(design.X[rows], design.y[rows])
    _assert_same(path, plain.times, plain.coefficients, plain.status)
    np.testing.assert_allclose(path.losses, plain.losses, rtol=1e-8, atol=1e-12 * plain.losses[0])


# Law: the loss sees X^T X and X^T y only: rotated rows change nothing. (Exact ties become near-ties: not here.)
@few
@given(family=st.sampled_from(["wide", "tall"]), seed=seeds)
def test_rotated_rows_change_nothing(family: str, seed: int) -> None:
    design, rng = _design(family, seed)
    rotation = np.linalg.qr(rng.standard_normal((len(design.y),) * 2))[0]
    plain, path = _path(design.X, design.y), _path(rotation @ design.X, rotation @ design.y)
    _assert_same(path, plain.times, plain.coefficients, plain.status)


# Law: a path stopped at a saddle and started again from it is not the old path (s is reset), but its first row is.
@few
@given(family=families, seed=seeds)
def test_a_saddle_is_its_own_refit(family: str, seed: int) -> None:
    design, _ = _design(family, seed)
    plain = _path(design.X, design.y)
    again = ib.saddle_path(plain.problem, start=plain.coefficients[-1])
    np.testing.assert_allclose(
        again.coefficients[-1], plain.coefficients[-1], atol=1e-7 * (1 + np.max(np.abs(plain.coefficients)))
    )
    assert again.n_jumps <= 1


# Law (theory 1.5): the dual stays in its box, the loss falls, times grow; every saddle satisfies its KKT conditions.
@few
@given(family=families, seed=seeds)
def test_every_saddle_is_optimal_under_its_signs(family: str, seed: int) -> None:
    design, _ = _design(family, seed)
    path = _path(design.X, design.y)
    X, norms = design.X, np.linalg.norm(design.X, axis=0)
    scale = np.linalg.norm(design.y) + np.max(np.abs(path.coefficients) @ norms)
    assert np.all(np.diff(path.losses) < 0.0)
    assert np.all(np.diff(path.times) > 0.0)
    for k, (w, s) in enumerate(zip(path.coefficients, path.nu @ X, strict=True)):
        rounding = 1e-13 * scale * (1.0 + path.times[k] * norms)
        assert np.all(np.abs(s) <= 1.0 + rounding)
        correlation = X.T @ path.problem.residual(w)
        boundary = path.equicorrelation_sets[k]
        assert set(np.flatnonzero(w)) <= set(boundary.tolist())
        assert np.all(np.abs(correlation[w != 0.0]) <= 1e-11 * scale * norms[w != 0.0])
        assert np.all((correlation * np.sign(s))[boundary] <= 1e-11 * scale * norms[boundary])
        assert np.all(w * s >= 0.0)
