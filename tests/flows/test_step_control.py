"""Tests of the control of step sizes: the predictive controller, and when growth modes are searched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicitbias._core.precision import double_precision
from implicitbias.flows._growth_modes import Modes, growth_modes
from implicitbias.flows._method import Method
from implicitbias.flows._rodas5 import Rodas5
from implicitbias.flows._ros34pw2 import Rosenbrock
from implicitbias.flows._stepper import trend
from implicitbias.flows._tsit5 import STAGES, Tsit5


def expected_change(h: float, error: float, before: float, past: float, method: Method) -> float:
    """Return the factor after an accepted step of size h, where the one before had the size `before`."""
    fitting, fitted = h * error ** (-1 / method.order), before * past ** (-1 / method.order)
    with double_precision():
        return float(trend(method, jnp.asarray(fitting), jnp.asarray(fitted), jnp.asarray(True)))


# By hand: the error of a step is c h^3. With equal steps and a coefficient c that became 8 times as large, the next
# one is expected to be 8 times as large again, and the step must be half as long.
@pytest.mark.parametrize(("past", "expected"), [(0.8 / 8, 0.5), (0.8, 1.0), (8.0, 1.0)])
def test_the_controller_expects_the_error_coefficient_to_grow_on(past: float, expected: float) -> None:
    assert expected_change(0.1, 0.8, 0.1, past, Rosenbrock()) == pytest.approx(expected, rel=1e-12)


# By hand: a step that was twice as long as the last one has 8 times its error if the coefficient is the same.
def test_the_controller_allows_for_the_size_of_the_last_step() -> None:
    assert expected_change(0.2, 0.8, 0.1, 0.1, Rosenbrock()) == pytest.approx(1.0, rel=1e-12)


# By hand: the coefficient of h^5 became 32 times as small.
def test_a_method_that_foresees_expects_the_coefficient_to_fall_on() -> None:
    assert expected_change(0.1, 0.02, 0.1, 0.64, Rodas5()) == pytest.approx(2.0, rel=1e-12)


def test_the_first_step_has_no_trend() -> None:
    with double_precision():
        first = trend(Rodas5(), jnp.asarray(0.1), jnp.asarray(0.0), jnp.asarray(True))
    assert float(first) == 1.0


# Oracle: the exponential function.
@pytest.mark.parametrize("growth", [0.4, 0.7, 1.0, 1.4, 2.0])
def test_the_error_of_a_mode_in_an_explicit_step(growth: float) -> None:
    slopes = [1.0]
    for row in STAGES:
        end = 1.0 + growth * sum(a * k for a, k in zip(row, slopes, strict=True))
        slopes.append(end)
    error = abs(end - np.exp(growth)) / np.exp(growth)
    # The method holds rtol at this growth if rtol is the error or a few times as much, and not much further.
    assert Tsit5().accurate_growth(error) <= growth <= Tsit5().accurate_growth(3.5 * error)
    assert Rosenbrock().accurate_growth(error) < growth


def modes_of(matrix: np.ndarray, speed: np.ndarray) -> Modes:
    with double_precision():
        found = jax.jit(lambda v: growth_modes(lambda x: matrix @ x, v))(speed)
        return jax.tree.map(np.asarray, found)


# Oracle: LAPACK. Most rates are negative and some are positive, as in a flow near a saddle.
def test_the_largest_rate_is_estimated_also_where_no_mode_has_converged() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((200, 200)))[0]
    for seed in range(5):
        rates = np.sort(np.random.default_rng(seed).uniform(-1.0, 0.3, 200))
        modes = modes_of((basis * rates) @ basis.T, rng.standard_normal(200))
        assert 0.9 * rates[-1] < modes.top < 2.0 * rates[-1]
        assert 0.9 < modes.radius < 2.0


def test_a_stable_flow_has_no_growing_rate() -> None:
    modes = modes_of(-np.diag([3.0, 2.0, 1.0]), np.ones(3))
    assert modes.top == 0.0
    assert modes.radius == pytest.approx(3.0, rel=1e-6)
