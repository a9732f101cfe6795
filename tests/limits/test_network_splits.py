"""The split among dependent columns that each network takes: one network, one answer; against conic solvers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import implicitbias as ib
from tests.oracles.designs import dependent_columns
from tests.oracles.entropy import split_by_cone, split_by_dual, split_by_power_cone

# The objectives are flat at their minima: a conic solver gives half of the digits.
HALF = 2e-5
PRINTED = ib.LeastSquares([[1, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]], (4, 0.5, 0))


def same(first: ib.SaddlePath, second: ib.SaddlePath, speed: float = 1.0) -> None:
    """Equal paths, of which the first is `speed` times as fast."""
    assert_allclose(first.times * speed, second.times, rtol=1e-12)
    assert_allclose(first.coefficients, second.coefficients, rtol=1e-10, atol=1e-12)
    assert first.status is second.status


# Oracle: fractions by hand (theory 1.5).
def test_the_printed_example_has_one_answer_whatever_the_name() -> None:
    one, zero = np.ones(4), np.zeros(4)
    default = ib.saddle_path(PRINTED)
    assert_allclose(default.coefficients[-1], [1.265625, 0.765625, 0.984375, 0.984375], rtol=1e-12)
    assert default.status is ib.Status.NOT_UNIQUE
    for G, direction in [
        (ib.HadamardProduct(), (np.sqrt(2) * one, zero)),
        (ib.HadamardProduct(), (zero, -3 * one)),
        (ib.HadamardProduct(), (2 * one, one)),
        (ib.DeepDiagonal(2), (one, zero)),
        (ib.SquareDifference(), (one, one)),
        (ib.SquareDifference(), (0.3 * one, -2 * one)),
    ]:
        speed = 2.0 if isinstance(G, ib.SquareDifference) else 1.0
        same(ib.saddle_path(PRINTED, growth_times=G.growth_times(direction)), default, speed)


# Law: u * v = p^2 - q^2 with p = (u + v) / 2, q = (u - v) / 2, so that directions of either name are those of the
# other; both clocks run in ln(1/alpha), and the second at twice the speed.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
@pytest.mark.parametrize("pretrained", [False, True])
def test_two_names_of_one_network_give_one_path(kind: str, pretrained: bool) -> None:
    not_unique = 0
    for seed in range(10):
        X, y = dependent_columns(kind, seed)
        rng = np.random.default_rng(seed)
        u, v = rng.uniform(0.5, 2.0, (2, X.shape[1])) * rng.choice([-1.0, 1.0], (2, X.shape[1]))
        start = rng.choice([-1.5, 0.0, 0.5, 2.0], X.shape[1]) if pretrained else None
        problem = ib.LeastSquares(X, y)
        product, deep, squares = (
            ib.saddle_path(problem, start=start, growth_times=G.growth_times(direction))
            for G, direction in [
                (ib.HadamardProduct(), (u, v)),
                (ib.DeepDiagonal(2), (v, u)),
                (ib.SquareDifference(), ((u + v) / 2, (u - v) / 2)),
            ]
        )
        same(deep, product)
        same(squares, product, 2.0)
        not_unique += int(np.sum(~product.unique))
    assert not_unique >= 5


# Oracle: a dual Newton and Clarabel's exponential cone with the weights m = (u +- v)^2 / 4 of unequal directions.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
def test_unequal_directions_weigh_the_entropy(kind: str) -> None:
    not_unique = 0
    for seed in range(10):
        X, y = dependent_columns(kind, seed)
        rng = np.random.default_rng(seed)
        u, v = rng.uniform(0.2, 3.0, (2, X.shape[1]))
        path = ib.saddle_path(ib.LeastSquares(X, y), growth_times=ib.HadamardProduct().growth_times((u, v)))
        w = path.coefficients[-1]
        free = np.flatnonzero(w).tolist()
        if path.unique[-1] or not free:
            continue
        weights = np.where(w > 0.0, (u + v) ** 2, (u - v) ** 2) / 4
        assert_allclose(w, split_by_dual(X, X @ w, np.sign(w), free, weights), rtol=0, atol=1e-8)
        assert_allclose(w, split_by_cone(X, X @ w, np.sign(w), free, weights), rtol=0, atol=HALF)
        not_unique += 1
    assert not_unique >= 3


# Oracle: Clarabel's power cone: the largest sum |w_i|^(2/D) from zero, with a linear part from a start.
@pytest.mark.parametrize("kind", ["duplicated", "one-hot", "signs"])
@pytest.mark.parametrize("depth", [3, 4, 6])
@pytest.mark.parametrize("pretrained", [False, True])
def test_deep_networks_maximise_a_sum_of_powers(kind: str, depth: int, pretrained: bool) -> None:
    not_unique = 0
    for seed in range(12):
        X, y = dependent_columns(kind, seed)
        rng, d = np.random.default_rng(seed), X.shape[1]
        start = rng.choice([-1.5, 0.0, 0.5, 2.0], d) if pretrained else np.zeros(d)
        # One direction for all coordinates, so that their times tie.
        direction = tuple(np.full(d, size) for size in rng.uniform(0.5, 2.0, depth))
        growth = ib.DeepDiagonal(depth).growth_times(direction)
        path = ib.saddle_path(ib.LeastSquares(X, y), start=start, growth_times=growth)
        assert path.certificate.holds, path.certificate.sentence
        w = path.coefficients[-1]
        free = np.flatnonzero(w).tolist()
        if path.unique[-1] or not free:
            continue
        other = split_by_power_cone(X, X @ w, np.sign(w), free, depth, start)
        # Directions in which only a very large or very small coordinate curves are flat: compare relative to the size.
        assert_allclose(w, other, rtol=0, atol=HALF * max(1.0, float(np.max(np.abs(w)))))
        not_unique += 1
    assert not_unique >= 3


# Oracle: by hand: equal columns share equally, and opposite ones with opposite signs, in any symmetric network.
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_equal_columns_share_equally(depth: int) -> None:
    x, direction = np.array([1.0, -1.0, 2.0]), (*np.ones((depth - 1, 4)), np.zeros(4))
    problem = ib.LeastSquares(np.column_stack([x, x, -x, x]), 4 * x)
    path = ib.saddle_path(problem, growth_times=ib.DeepDiagonal(depth).growth_times(direction))
    assert_allclose(path.coefficients[-1], [1, 1, -1, 1], rtol=1e-13)
    assert path.status is ib.Status.NOT_UNIQUE


# Oracle: the problem's own symmetry under a change of unit of y.
@pytest.mark.parametrize("unit", [1e-120, 1e-14, 1e14, 1e120])
def test_the_deep_split_does_not_depend_on_the_unit(unit: float) -> None:
    growth = ib.DeepDiagonal(3).growth_times((np.ones(4), np.ones(4), np.zeros(4)))
    path = ib.saddle_path(PRINTED, growth_times=growth)
    other = ib.saddle_path(ib.LeastSquares(PRINTED.X, unit * PRINTED.y), growth_times=growth)
    assert other.status is ib.Status.NOT_UNIQUE
    assert_allclose(other.coefficients[-1], unit * path.coefficients[-1], rtol=1e-11)


def test_a_plain_pair_names_no_network() -> None:
    plus, minus = ib.HadamardProduct().growth_times((np.ones(4), np.zeros(4)))
    path = ib.saddle_path(PRINTED, growth_times=(plus, minus))
    assert path.status is ib.Status.NOT_RESOLVED
    assert path.growth.split is None
    assert path.growth.label == "slow time"


def test_the_end_is_certified_with_the_growth_itself() -> None:
    growth = ib.DeepDiagonal(3).growth_times((np.ones(4), np.full(4, 0.5), np.ones(4)))
    path = ib.saddle_path(PRINTED, growth_times=growth)
    assert path.growth_times is growth
    for value in (growth, tuple(growth)):
        assert ib.certify(PRINTED, path.coefficients[-1], ib.MinL1(growth_times=value)).holds
    assert path.to_dataset().attrs["time_unit"] == "slow time: flow time / alpha^-1"
