"""Crossing times of a trajectory whose state is known in closed form."""

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import crossing_times, jump_times
from implicitbias.trajectories import DenseOutput, Stats


class Decay(DenseOutput):
    """State (exp(-t),)."""

    def state(self, times: ndarray) -> ndarray:
        return np.exp(-times)[:, None]

    def dual(self, times: ndarray) -> ndarray:
        return -times[:, None]


def decay(times: list[float], sampled: bool = False) -> ib.Trajectory:
    grid = np.array(times)
    final = np.exp(-grid[-1:])
    stats = Stats(1, 1, 0, 5, 1, 0.0)
    return ib.Trajectory(grid, np.ones(1), final, ib.Status.REACHED_TIME, stats, {}, Decay(), sampled)


def first(state: ndarray) -> float:
    return float(state[0])


# Oracle: exp(-t) = level at t = -ln(level). Bisection halves the step 60 times: rounding is left.
def test_levels_are_found_to_rounding() -> None:
    levels = np.array([0.9, 0.5, 0.1, 1e-3])
    found = crossing_times(decay([0.0, 0.05, 3.0, 10.0]), first, levels)
    np.testing.assert_allclose(found, -np.log(levels), rtol=1e-14)


def test_levels_need_no_order_and_may_repeat() -> None:
    levels = np.array([0.1, 0.9, 0.1])
    np.testing.assert_allclose(crossing_times(decay([0.0, 5.0]), first, levels), -np.log(levels), rtol=1e-14)


def test_a_level_that_is_never_crossed_gives_nan() -> None:
    found = crossing_times(decay([0.0, 1.0]), first, np.array([2.0, 0.5, 0.1]))
    # 2 lies above the start, 0.1 below the end.
    np.testing.assert_allclose(found, [np.nan, np.log(2.0), np.nan], rtol=1e-14)
    assert crossing_times(decay([0.0, 1.0]), first, np.array([])).shape == (0,)
    assert np.isnan(crossing_times(decay([0.0]), first, np.array([0.5])))


def test_the_first_of_several_crossings_counts() -> None:
    # |exp(-t) - 1/2| falls below 0.1 at exp(-t) = 0.6, rises above it and stays there.
    found = crossing_times(
        decay([0.0, 0.2, 0.6, 0.7, 3.0]), lambda state: abs(first(state) - 0.5), np.array([0.1])
    )
    np.testing.assert_allclose(found, [-np.log(0.6)], rtol=1e-14)


def test_without_dense_output_it_says_so() -> None:
    with pytest.raises(ib.InputError, match="without times for dense output"):
        crossing_times(decay([0.0, 1.0], sampled=True), first, np.array([0.5]))


# Oracle: half way between consecutive plateaus.
def test_jump_times_cross_half_way() -> None:
    plateaus = np.array([1.0, 0.5, 0.1, 0.0])
    found = jump_times(decay([0.0, 1.0, 20.0]), first, plateaus)
    np.testing.assert_allclose(found, -np.log([0.75, 0.3, 0.05]), rtol=1e-14)


def test_a_path_without_jumps_has_no_jump_times() -> None:
    assert jump_times(decay([0.0, 1.0]), first, np.array([1.0])).shape == (0,)


# Oracle: the closed form of one coordinate, w = tanh-like growth of u * v: arctanh, solved for the half-way time.
def test_on_a_real_flow() -> None:
    # n = 2, X = I, y = (1, 0): w' = 2 sqrt(w^2 + a^2) (1 - w) / 2 in the first coordinate.
    problem = ib.LeastSquares(np.eye(2), [1.0, 0.0])
    a = 1e-8
    trajectory = ib.simulate(
        ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=a)), np.zeros(2), t1=60.0, rtol=1e-8
    )
    level = 0.125  # loss (1 - w)^2 / 4 at w = 1 - sqrt(1/2)
    w = 1 - np.sqrt(4 * level)

    # t = int_0^w dx / (sqrt(x^2 + a^2) (1 - x)); with a -> 0: ln(2 w / a) - ln(1 - w) up to O(a ln a).
    expected = np.log(2 * w / a) - np.log(1 - w)
    found = crossing_times(trajectory, problem.loss, np.array([level]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
