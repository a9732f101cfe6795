"""Among dependent columns the flow takes the split that the path returns: theory 1.5, at the saddles and at the end."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.agreements._flows import flow_from

ROWS, COLUMNS = 6, 7  # one shape for all kinds: JAX compiles once
KINDS = ("duplicated", "dependent", "one-hot", "signs")


def design(kind: str, seed: int) -> tuple[ib.LeastSquares, ndarray]:
    """A problem with dependent columns, and a pretrained start for it."""
    rng = np.random.default_rng([seed, len(kind)])
    y = rng.integers(-4, 5, ROWS).astype(float)
    if kind == "duplicated":
        X = rng.standard_normal((ROWS, 4))
        X = np.hstack([X, X[:, rng.integers(0, 4, 3)] * rng.choice([-1.0, 1.0], 3)])
    elif kind == "dependent":
        X = rng.integers(-2, 3, (ROWS, 3)).astype(float) @ rng.integers(-1, 2, (3, COLUMNS))
    elif kind == "one-hot":
        X = np.hstack([np.eye(k)[rng.integers(0, k, ROWS)] for k in (2, 3, 2)])
    else:
        X = np.tile(rng.choice([-1.0, 1.0], (ROWS // 2, COLUMNS)), (2, 1))
    return ib.LeastSquares(X, y), rng.choice([-1.5, 0.0, 0.5, 2.0], COLUMNS)


class Comparison(NamedTuple):
    """Rows of the path that are long enough to be seen: distances of the flow at two scales, and what they are."""

    coarse: ndarray
    fine: ndarray
    strict: ndarray
    unique: ndarray
    flipped: int


def compared(problem: ib.LeastSquares, start: ndarray | None) -> Comparison:
    """The flow at alpha = 1e-300 and 1e-1000 in the middle of each plateau."""
    path = ib.saddle_path(problem, start=start)
    end = 1.2 * float(path.times[-1]) + 0.5
    times = np.append((path.times[:-1] + path.times[1:]) / 2, end)
    # 300 units of flow time at 1e-1000 for the slowest mode of a plateau to die out.
    long = np.append(np.diff(path.times), 1.0) * 1000 * np.log(10.0) > 300.0
    errors = [
        np.max(np.abs(flow_from(problem, e, end, start=start).at(times) - path.coefficients), axis=1)
        / np.max(np.abs(path.coefficients))
        for e in (300, 1000)
    ]
    flipped = 0 if start is None else int(np.sum(start * path.coefficients[-1] < 0.0))
    return Comparison(
        errors[0][long], errors[1][long], path.strictly_complementary[long], path.unique[long], flipped
    )


def check(found: Comparison) -> None:
    # Strictly complementary: exponentially near; rtol = 1e-4 of the largest coordinate is what is left.
    np.testing.assert_allclose(found.fine[found.strict], 0.0, atol=2e-4)
    # Degenerate: 1 / ln(1/alpha), which falls by 0.3 from the one scale to the other.
    loose = ~found.strict
    assert np.all((found.fine[loose] < 0.4 * found.coarse[loose]) | (found.fine[loose] < 2e-4))
    assert np.all(found.fine < 0.02)


# Oracle: the simulated flow, whose only knowledge of a split is its own dynamics.
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pretrained", [False, True], ids=["from zero", "pretrained"])
def test_the_flow_takes_the_canonical_split(kind: str, pretrained: bool) -> None:
    not_unique = 0
    for seed in (0, 1, 2, 3, 15):  # at seed 15, the speed of an entry is a rounding error of 1e-303
        problem, start = design(kind, seed)
        found = compared(problem, start if pretrained else None)
        check(found)
        not_unique += int(np.sum(~found.unique))
    assert not_unique >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pretrained", [False, True], ids=["from zero", "pretrained"])
def test_the_flow_takes_the_canonical_split_on_many_designs(kind: str, pretrained: bool) -> None:
    not_unique = flipped = 0
    for seed in range(4, 44):
        problem, start = design(kind, seed)
        found = compared(problem, start if pretrained else None)
        check(found)
        not_unique += int(np.sum(~found.unique))
        flipped += found.flipped
    assert not_unique >= 20
    assert flipped >= 5 or not pretrained


# Oracle: exact fractions on paper (theory 1.5): argmin sum |w_i| ln |w_i| under the fit.
def test_the_printed_example() -> None:
    X = np.array([[1.0, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]])
    problem = ib.LeastSquares(X, np.array([4, 0.5, 0]))
    expected = [1.265625, 0.765625, 0.984375, 0.984375]
    np.testing.assert_allclose(ib.saddle_path(problem).coefficients[-1], expected, rtol=1e-12)
    final = flow_from(problem, 300, 20.0, rtol=1e-6).trajectory.final
    # The end is an interpolant: the split is settled by nu, exact to rtol in w.
    np.testing.assert_allclose(final, expected, rtol=1e-5)


# A naive answer, the least l2 norm among the least l1 norms, would be wrong by a tenth: the test can fail.
def test_the_split_is_not_the_even_one() -> None:
    x = np.array([1.0, -1.0, 2.0, 0.0, 1.0, 3.0])
    X = np.column_stack([x, x, np.roll(x, 1), np.roll(x, 2), np.roll(x, 3), np.roll(x, 4), -x])
    problem = ib.LeastSquares(X, 3 * x)
    start = np.array([2.0, 0.5, 0, 0, 0, 0, 0])
    path = ib.saddle_path(problem, start=start)
    np.testing.assert_allclose(path.coefficients[-1], [2.4, 0.6, 0, 0, 0, 0, 0], rtol=1e-10, atol=1e-12)
    final = flow_from(problem, 300, 5.0, start=start, rtol=1e-6).trajectory.final
    # Coordinate 6, -x, has s_6 = -1 and could take a share: it starts from 0 and has none while the others fit.
    np.testing.assert_allclose(final, path.coefficients[-1], rtol=0, atol=1e-5)
