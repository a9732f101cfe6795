"""Tests of linear regression with weight decay against its closed form (theory 3.8) and the laws of this flow."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib

RTOL = 1e-7
# RTOL bounds one step of a flow that contracts: the errors of the last few steps are left.
GLOBAL = 30 * RTOL
_rng = np.random.default_rng(4)
X, Y, START = _rng.standard_normal((6, 9)), _rng.standard_normal(6), _rng.standard_normal(9)
DECAYS = [0.0, 1e-6, 0.3, 1e3]


def linear(w: Any, X: Any) -> Any:
    return X @ w


def closed_form(X: ndarray, y: ndarray, start: ndarray, lam: float, t: ndarray) -> ndarray:
    """Return the rows (m, d) of theory 3.8, computed with the eigenvectors of X^T X / n and expm1(-h t)."""
    values, vectors = np.linalg.eigh(X.T @ X / len(y))
    values = np.where(values > 1e-12 * values[-1], values, 0.0) + lam
    pull = vectors.T @ (X.T @ y / len(y))
    t = np.asarray(t)[:, None]
    # theta' = b - h theta: theta0 e^{-h t} + b (1 - e^{-h t}) / h, and the last factor is t where h = 0.
    reached = np.where(values > 0.0, -np.expm1(-values * t) / np.where(values > 0.0, values, 1.0), t)
    return (np.exp(-values * t) * (vectors.T @ start) + reached * pull) @ vectors.T


def times_for(lam: float) -> ndarray:
    return np.array([0.01, 0.3, 2.0, 30.0]) / (1.0 + lam)


# Oracle: the closed form.
@pytest.mark.parametrize("lam", DECAYS)
@pytest.mark.parametrize("stated", ["LeastSquares", "Problem"])
def test_it_is_the_closed_form(lam: float, stated: str) -> None:
    problem = ib.LeastSquares(X, Y) if stated == "LeastSquares" else ib.Problem(linear, X, Y)
    times = times_for(lam)
    trajectory = ib.simulate(ib.GradientFlow(problem, lam), START, t1=times[-1], rtol=RTOL)
    expected = closed_form(X, Y, START, lam, times)
    # The error is relative to the state at each time: at lam = 1e3 the state decays to 1e-3 of its start.
    size = np.max(np.abs(expected), axis=1, keepdims=True)
    assert np.max(np.abs(trajectory.state(times) - expected) / size) <= GLOBAL
    assert trajectory.status is ib.Status.REACHED_TIME


# Oracle: the closed form over slow time, tau = lam t up to 3: stiff by a factor of 1e6, and cheap.
def test_slow_time_takes_few_steps() -> None:
    lam, times = 1e-6, np.array([1.0, 1e3, 1e5, 1e6, 3e6])
    trajectory = ib.simulate(ib.GradientFlow(ib.LeastSquares(X, Y), lam), START, t1=3e6, rtol=1e-5)
    expected = closed_form(X, Y, START, lam, times)
    assert np.max(np.abs(trajectory.state(times) - expected)) <= 30 * 1e-5 * np.max(np.abs(expected))
    assert trajectory.stats.steps < 2000


# Oracle: the closed form; error ~ rtol, and error ~ steps^-order. The default takes explicit steps here.
# The errors of the explicit method may fall faster than its order 5, because the equation is linear.
@pytest.mark.parametrize(
    ("solver", "exponents", "least", "most"), [("normal", (-3, -7), 2.4, 3.6), (None, (-7, -11), 4.4, np.inf)]
)
def test_the_error_follows_rtol_at_the_order_of_the_method(
    solver: str | None, exponents: tuple[float, float], least: float, most: float
) -> None:
    expected = closed_form(X, Y, START, 0.3, np.array([1.5]))[0]
    tolerances, errors, steps = np.logspace(*exponents, 5), [], []
    for rtol in tolerances:
        trajectory = ib.simulate(
            ib.GradientFlow(ib.LeastSquares(X, Y), 0.3), START, t1=1.5, rtol=float(rtol), solver=solver
        )
        errors.append(np.max(np.abs(trajectory.final - expected)) / np.max(np.abs(expected)))
        steps.append(trajectory.stats.steps)
    assert np.all(np.array(errors) <= 10 * tolerances)
    assert np.polyfit(np.log(tolerances), np.log(errors), 1)[0] > 0.75
    assert least < -np.polyfit(np.log(steps), np.log(errors), 1)[0] < most


def final(X: Any, y: Any, start: Any, lam: float = 0.3, t1: float = 3.0) -> ndarray:
    return ib.simulate(ib.GradientFlow(ib.LeastSquares(X, y), lam), start, t1=t1, rtol=RTOL).final


# Oracle: the law itself; the steps are the same up to rounding, which a change of step count would magnify to RTOL.
def test_rows_and_columns_in_another_order() -> None:
    rows, columns = np.random.default_rng(1).permutation(6), np.random.default_rng(2).permutation(9)
    np.testing.assert_allclose(final(X[rows], Y[rows], START), final(X, Y, START), rtol=0, atol=GLOBAL)
    moved = final(X[:, columns], Y, START[columns])
    np.testing.assert_allclose(moved, final(X, Y, START)[columns], rtol=0, atol=GLOBAL)


def test_a_rotation_of_the_inputs() -> None:
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((9, 9)))[0]
    np.testing.assert_allclose(final(X @ Q, Y, Q.T @ START), Q.T @ final(X, Y, START), rtol=0, atol=GLOBAL)


# Oracle: units. theta -> c theta for y -> c y; for X -> c X and lam -> c^2 lam, c theta at t / c^2.
@pytest.mark.parametrize("unit", [1e-6, 10.0, 1e8])
def test_other_units(unit: float) -> None:
    expected = final(X, Y, START)
    np.testing.assert_allclose(final(X, unit * Y, unit * START) / unit, expected, rtol=0, atol=GLOBAL)
    other = final(unit * X, Y, START / unit, lam=0.3 * unit**2, t1=3.0 / unit**2)
    np.testing.assert_allclose(unit * other, expected, rtol=0, atol=GLOBAL)


# Oracle: one and the same computation, bit for bit.
def test_whatever_the_caller_has_set_or_passes() -> None:
    expected = final(X, Y, START)
    np.testing.assert_array_equal(final(X, Y, START), expected)
    np.testing.assert_array_equal(final(X.tolist(), Y.tolist(), START.tolist()), expected)
    for wide in (True, False):
        with jax.enable_x64(wide):
            np.testing.assert_array_equal(final(X, Y, START), expected)
            if wide:
                arrays = map(jnp.asarray, (X, Y, START))
                np.testing.assert_array_equal(final(*arrays), expected)
    assert type(expected) is ndarray
    assert expected.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        expected[0] = 1.0


DISTANCE = 1e-3


def _near(t: float, w: ndarray) -> bool:
    return bool(np.linalg.norm(w - LIMIT) < DISTANCE)


LIMIT = closed_form(X, Y, START, 0.3, np.array([1e3]))[0]


def _crossing() -> float:
    """Return the time at which the closed form is within DISTANCE of its limit, computed by bisection."""
    low, high = 0.0, 1e3
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        inside = _near(middle, closed_form(X, Y, START, 0.3, np.array([middle]))[0])
        low, high = (low, middle) if inside else (middle, high)
    return high


# Oracle: the closed form. The distance falls at a rate of at least lam = 0.3: an error of rtol in it is one of
# rtol / (0.3 * DISTANCE) in t.
def test_until_stops_where_the_condition_becomes_true() -> None:
    flow = ib.GradientFlow(ib.LeastSquares(X, Y), 0.3)
    trajectory = ib.simulate(flow, START, t1=1e3, rtol=1e-8, until=_near)
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    assert trajectory.status.ok
    t = float(trajectory.times[-1])
    assert t == pytest.approx(_crossing(), abs=1e-8 * 30 / (0.3 * DISTANCE))
    # The time is located much more precisely than a step: the condition is true here and false 1e-9 earlier.
    assert _near(t, trajectory.final)
    assert not _near(0.0, trajectory.state(t * (1 - 1e-9)))
    np.testing.assert_array_equal(trajectory.final, trajectory.state(t))
    with pytest.raises(ib.InputError, match="the trajectory covers"):
        trajectory.state(t * 1.01)


def test_until_with_chosen_times_keeps_those_before_and_its_own() -> None:
    flow = ib.GradientFlow(ib.LeastSquares(X, Y), 0.3)
    full = ib.simulate(flow, START, t1=1e3, rtol=1e-8, until=_near)
    times = np.linspace(0.0, 1e3, 301)
    trajectory = ib.simulate(flow, START, times=times, rtol=1e-8, until=_near)
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    np.testing.assert_array_equal(trajectory.times, [*times[times < full.times[-1]], full.times[-1]])
    np.testing.assert_array_equal(trajectory.state(full.times[-1]), full.final)
    np.testing.assert_array_equal(trajectory.final, full.final)


def test_until_at_the_start_never_and_failing() -> None:
    flow = ib.GradientFlow(ib.LeastSquares(X, Y), 0.3)
    at_once = ib.simulate(flow, START, t1=1.0, until=lambda t, w: True)
    assert at_once.status is ib.Status.STOPPED_BY_CALLER
    assert at_once.times.tolist() == [0.0]
    np.testing.assert_array_equal(at_once.final, START)
    np.testing.assert_array_equal(at_once.state(0.0), START)
    never = ib.simulate(flow, START, t1=1.0, until=lambda t, w: False)
    assert never.status is ib.Status.REACHED_TIME
    np.testing.assert_array_equal(never.final, ib.simulate(flow, START, t1=1.0).final)

    def fails(t: float, w: ndarray) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ib.simulate(flow, START, t1=1.0, until=fails)
