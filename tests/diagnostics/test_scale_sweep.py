"""Sweeps over scales against a path, on trajectories that are known in closed form."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from implicitbias.diagnostics import ScaleSweep, rate_slopes
from implicitbias.trajectories import DenseOutput, Stats

UNITS = np.array([10.0, 100.0, 1000.0])


class Stairs(NamedTuple):
    """Two coordinates that go from 0 to 4 and from 0 to -2, at slow times 1 and 3."""

    times: ndarray
    losses: ndarray

    def at(self, t: Any) -> ndarray:
        times = np.asarray(t)
        return np.stack([4.0 * (times >= 1.0), -2.0 * (times >= 3.0)], axis=-1)


PATH = Stairs(np.array([0.0, 1.0, 3.0]), np.array([10.0, 2.0, 0.0]))


class Late(DenseOutput):
    """The stairs, each jump `late` flow times after its limit; what rests is `rest` off."""

    def __init__(self, unit: float, late: float, rest: float) -> None:
        self.unit, self.late, self.rest = unit, late, rest

    def state(self, times: ndarray) -> ndarray:
        return PATH.at((times - self.late) / self.unit) + self.rest

    def dual(self, times: ndarray) -> None:
        return None


def loss(w: ndarray) -> float:
    return float((w[0] - 4.0) ** 2 + (w[1] + 2.0) ** 2) / 2


def trajectory(unit: float, late: float, rest: float = 0.0) -> ib.Trajectory:
    dense = Late(unit, late, rest)
    times = np.linspace(0.0, 3.6, 37) * unit
    start, final = dense.state(times[:1])[0], dense.state(times[-1:])[0]
    stats = Stats(int(unit), 36, 0, 36, 36, 0.0)
    return ib.Trajectory(times, start, final, ib.Status.REACHED_TIME, stats, {}, dense)


def sweep(late: float = 2.0, rest: float = 0.0) -> ScaleSweep:
    runs = tuple(trajectory(unit, late, rest / unit) for unit in UNITS)
    return ScaleSweep(PATH, runs, UNITS, loss)


# Oracle: by hand: `late` in flow time is late / unit in slow time, so the slope in 1 / unit is 1.
def test_jump_times() -> None:
    np.testing.assert_allclose(sweep().jump_times, np.array([1.0, 3.0]) + 2.0 / UNITS[:, None], rtol=1e-12)
    np.testing.assert_allclose(sweep().jump_errors, np.tile(2.0 / UNITS[:, None], 2), rtol=1e-9)
    np.testing.assert_allclose(rate_slopes(1 / UNITS, sweep().jump_errors), [1.0, 1.0], rtol=1e-9)


def test_a_jump_that_is_missing() -> None:
    never = Stairs(PATH.times, np.array([10.0, 2.0, -10.0]))
    late = ScaleSweep(never, sweep().trajectories, UNITS, loss)
    assert np.isnan(late.jump_times).tolist() == [[False, True]] * 3
    slopes = rate_slopes(1 / UNITS, late.jump_errors)
    assert np.isnan(slopes).tolist() == [False, True]


# Oracle: by hand: plateaus [0, 1], [1, 3] and [3, 3.6]; the largest coefficient is 4.
def test_saddles() -> None:
    runs = sweep(rest=0.4)
    np.testing.assert_allclose(runs.middles, [0.5, 2.0, 3.3], rtol=1e-15)
    assert runs.states.shape == (3, 3, 2)
    np.testing.assert_allclose(runs.saddle_errors, np.tile(0.1 / UNITS[:, None], 3), rtol=1e-9)
    # At the last saddle nothing rests at 0.
    expected = np.stack([0.4 / UNITS, 0.4 / UNITS, np.zeros(3)], axis=1)
    np.testing.assert_allclose(runs.off_support, expected, rtol=1e-9)
    assert runs.steps.tolist() == [10, 100, 1000]
    assert runs.statuses == ("REACHED_TIME",) * 3


def test_samples() -> None:
    run = sweep().sampled(1, end=2.0, samples=11)
    assert run.times[0] == 0.0
    assert run.times[-1] == 2.0
    assert np.all(np.diff(run.times) > 0.0)
    np.testing.assert_array_equal(run.states, trajectory(100.0, 2.0).state(run.times * 100.0))
    assert run.losses.tolist() == [loss(w) for w in run.states]
    assert sweep().sampled(1, end=99.0).times[-1] == pytest.approx(3.6)


def test_units_that_do_not_fit_are_refused() -> None:
    for units in (UNITS[:2], np.array([1.0, 0.0, 2.0]), np.array([1.0, np.nan, 2.0])):
        with pytest.raises(ib.InputError, match="units is"):
            ScaleSweep(PATH, sweep().trajectories, units, loss)


# Oracle: by hand: powers.
def test_slopes() -> None:
    x = np.array([1.0, 0.1, 0.01, 0.001])
    assert rate_slopes(x, 5 * x**2) == pytest.approx(2.0)
    np.testing.assert_allclose(rate_slopes(x, np.stack([x, x**3], axis=1)), [1.0, 3.0], rtol=1e-12)
    assert np.isnan(rate_slopes(x, np.array([1.0, 0.1, 0.0, 0.1])))
    assert np.isnan(rate_slopes(x, np.array([1.0, 0.1, np.nan, 0.1])))
