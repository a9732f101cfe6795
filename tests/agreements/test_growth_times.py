"""Predicted paths with growth times against simulated flows of the networks that have them, and against fractions."""

from fractions import Fraction
from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.optimize import linprog

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.diagnostics import plateau_middles
from implicitbias.parametrizations import Diagonal
from tests.oracles.exact import floats
from tests.oracles.growth import exact_growth_path


def generic(seed: int, n: int = 4, d: int = 6) -> ib.LeastSquares:
    rng = np.random.default_rng(seed)
    return ib.LeastSquares(rng.standard_normal((n, d)), rng.standard_normal(n))


def layers(depth: int, seed: int, d: int = 6) -> tuple[ndarray, ...]:
    rng = np.random.default_rng([depth, seed])
    return tuple(rng.uniform(0.5, 1.5, (depth, d)) * rng.choice([-1.0, 1.0], (depth, d)))


def predicted(problem: ib.LeastSquares, G: Diagonal, direction: Any) -> ib.SaddlePath:
    return ib.saddle_path(problem, growth_times=G.growth_times(direction))


def simulated(problem: ib.LeastSquares, G: Diagonal, start: Any, times: ndarray, rtol: float) -> ndarray:
    """(m, d) w at flow times."""
    trajectory = ib.simulate(ib.GradientFlow(problem.reparametrize(G)), start, times=times, rtol=rtol)
    assert trajectory.status.ok
    with double_precision():
        return np.asarray(jax.vmap(G.formula)(jax.tree.map(jnp.asarray, trajectory.states)))


# Oracle: the simulated flow in theta: at scale s every plateau of the path is there, up to O(s^D) in what rests at 0,
# and through it in the rest; jumps are O(s^(D-2)) off, far from the middles of plateaus.
@pytest.mark.parametrize(("depth", "scale"), [(3, 1e-4), (4, 1e-2), (5, 3e-2)])
@pytest.mark.parametrize("seed", [9, 10])
def test_deep_networks_pass_the_saddles(depth: int, scale: float, seed: int) -> None:
    problem, G, direction = generic(seed), ib.DeepDiagonal(depth), layers(depth, seed)
    path = predicted(problem, G, direction)
    assert path.n_jumps >= 4
    times = plateau_middles(path.times) * scale ** (2 - depth)
    found = simulated(problem, G, tuple(scale * layer for layer in direction), times, 1e-6)
    np.testing.assert_allclose(found, path.coefficients, rtol=0, atol=1e-4)


# Oracle: the simulated flow, whose layers of one size cannot change sign: t_minus or t_plus is inf, and each coordinate
# of the path has one sign.
def test_ties_bar_a_sign() -> None:
    problem, G = generic(9), ib.DeepDiagonal(3)
    signs = np.array([1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
    direction = (signs, np.ones(6), np.ones(6))
    plus, minus = G.growth_times(direction)
    assert np.isinf(np.where(signs > 0.0, minus, plus)).all()
    path = predicted(problem, G, direction)
    assert path.n_jumps >= 2
    found = simulated(
        problem, G, tuple(1e-4 * layer for layer in direction), 1e4 * plateau_middles(path.times), 1e-6
    )
    np.testing.assert_allclose(found, path.coefficients, rtol=0, atol=2e-4)
    assert np.all(found * signs >= 0.0)


# Oracle: the simulated flow of u v in dual variables, with some u = v and some u = -v.
def test_two_layers_bar_a_sign() -> None:
    problem, G = generic(9), ib.HadamardProduct()
    u, v = np.ones(6), np.array([1.0, -1.0, 0.5, 1.0, 0.3, -1.0])
    path = predicted(problem, G, (u, v))
    assert path.n_jumps >= 3
    assert np.all((path.coefficients * np.where(np.abs(v) == 1.0, v, 0.0)) >= 0.0)
    exponent = 300
    times = plateau_middles(path.times) * exponent * np.log(10.0)
    long = np.append(np.diff(path.times), 1.0) * exponent * np.log(10.0) > 100.0
    found = simulated(problem, G, (10.0**-exponent * u, 10.0**-exponent * v), times, 1e-6)
    strict = path.strictly_complementary & long
    assert np.sum(strict) >= 3
    np.testing.assert_allclose(found[strict], path.coefficients[strict], rtol=0, atol=1e-4)


# Oracle: theory 1.6: the path of u^2 - v^2 is that of u v in half the time.
def test_differences_of_squares_are_twice_as_fast() -> None:
    problem, ones = generic(3), (np.ones(6), np.ones(6))
    plain, half = ib.saddle_path(problem), predicted(problem, ib.SquareDifference(), ones)
    np.testing.assert_allclose(half.times, plain.times / 2, rtol=1e-13)
    np.testing.assert_allclose(half.coefficients, plain.coefficients, rtol=1e-12, atol=1e-14)


X = [
    [Fraction(1), Fraction(1, 2), Fraction(7, 10), Fraction(0)],
    [Fraction(1, 2), Fraction(1), Fraction(1, 10), Fraction(7, 10)],
]
Y = [Fraction(1), Fraction(0)]


# Oracle: zhao2026gradient, appendix: the example in their units, in exact fractions. Their loss is twice ours: n = 2.
def test_the_example_of_the_paper_in_fractions() -> None:
    exact = exact_growth_path(X, Y, [1] * 4, [1] * 4)
    assert [time / 2 for time in exact.times] == [0, 1, 4, 4 + Fraction(80, 49)]
    assert exact.w[1:3] == [[Fraction(4, 5), 0, 0, 0], [0, 0, Fraction(7, 5), 0]]
    assert exact.w[3] == [0, 0, Fraction(10, 7), Fraction(-10, 49)]
    # Half the growth times halve the times of the same path.
    half = exact_growth_path(X, Y, [Fraction(1, 2)] * 4, [Fraction(1, 2)] * 4)
    assert half.w == exact.w
    assert half.times == [time / 2 for time in exact.times]


# Oracle: the same algorithm in exact fractions, from growth times that are exact numbers of float64.
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("depth", [3, 5])
def test_the_path_is_that_of_fractions(seed: int, depth: int) -> None:
    problem, direction = generic(seed, 3, 5), layers(depth, seed, 5)
    plus, minus = (times.tolist() for times in ib.DeepDiagonal(depth).growth_times(direction))
    exact = exact_growth_path(problem.X, problem.y, plus, minus)
    path = ib.saddle_path(problem, growth_times=(plus, minus))
    np.testing.assert_allclose(path.times, floats([exact.times])[0], rtol=1e-10)
    np.testing.assert_allclose(path.coefficients, floats(exact.w), rtol=0, atol=1e-10)


def least_modified_norm(problem: ib.LeastSquares, plus: ndarray, minus: ndarray) -> tuple[float, ndarray]:
    """min sum t_plus w_+ + t_minus w_- over interpolants, by SciPy's HiGHS."""
    X, y = problem.X, problem.y
    cost = np.concatenate([plus, minus])
    bounds = [(0, 0) if np.isinf(time) else (0, None) for time in cost]
    answer = linprog(np.where(np.isinf(cost), 0.0, cost), A_eq=np.hstack([X, -X]), b_eq=y, bounds=bounds)
    assert answer.status == 0, answer.message
    half = X.shape[1]
    return float(answer.fun), answer.x[:half] - answer.x[half:]


# Oracle: a linear program from X, y and the growth times alone.
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_end_has_the_least_modified_norm(depth: int, seed: int) -> None:
    problem, G, direction = generic(seed, 5, 12), ib.DeepDiagonal(depth), layers(depth, seed, 12)
    plus, minus = G.growth_times(direction)
    path = predicted(problem, G, direction)
    value, w = least_modified_norm(problem, plus, minus)
    end = path.coefficients[-1]
    np.testing.assert_allclose(end, w, rtol=0, atol=1e-8)
    assert plus @ np.maximum(end, 0.0) + minus @ np.maximum(-end, 0.0) == pytest.approx(value, rel=1e-9)
    assert path.certificate.holds
    assert ib.certify(problem, w, ib.MinL1(growth_times=(plus, minus))).holds


# Oracle: the same program where some signs are barred, and the simulated flow that cannot take them.
def test_the_end_with_barred_signs() -> None:
    problem, G = generic(3, 2, 6), ib.DeepDiagonal(3)
    direction = (np.array([1.0, -1.0, 1.0, 1.0, -1.0, 0.4]), np.ones(6), np.linspace(1.0, 2.0, 6))
    plus, minus = G.growth_times(direction)
    assert inf in plus.tolist() + minus.tolist()
    value, w = least_modified_norm(problem, plus, minus)
    path = predicted(problem, G, direction)
    np.testing.assert_allclose(path.coefficients[-1], w, rtol=0, atol=1e-8)
    scale = 1e-4
    end = np.array([1.2 * path.times[-1] / scale])
    found = simulated(problem, G, tuple(scale * layer for layer in direction), end, 1e-6)[0]
    np.testing.assert_allclose(found, w, rtol=0, atol=1e-4)
    support = np.flatnonzero(found * np.where(found > 0.0, np.isinf(plus), np.isinf(minus)))
    assert len(support) == 0
    assert value > 0.0
