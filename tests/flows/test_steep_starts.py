"""Tests of growth from tiny starts of models that are homogeneous of degree 3 and more: times, steps, and notes."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows._growth_modes import growth_modes


def _product(params: Any, X: Any) -> Any:
    for factor in params:
        X = X * factor
    return X


def _tanh(params: Any, X: Any) -> Any:
    for factor in params[:-1]:
        X = jnp.tanh(X * factor)
    return X * params[-1]


def _run(model: Any, depth: int, scale: float, end: float, solver: str | None = None) -> ib.Trajectory:
    problem = ib.Problem(model, np.ones(1), np.ones(1))
    return ib.simulate(
        ib.GradientFlow(problem),
        tuple(np.array(scale) for _ in range(depth)),
        t1=end,
        max_steps=2000,
        solver=solver,
    )


def _crossing(trajectory: ib.Trajectory, low: float, high: float, level: float) -> float:
    """Return the time at which the first factor passes the level, by bisection on dense output."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(trajectory.state(middle)[0]) < level else (low, middle)
    return high


# Oracle: the time t = int dr / (r^(L-1) (1 - r^L)) of r' = r^(L-1) (1 - r^L), by mpmath. Ordinary steps were 114, 218,
# 322 for L = 3: 35 for each power of ten.
@pytest.mark.parametrize("depth", [3, 4])
def test_a_product_grows_at_its_time_in_few_steps(depth: int) -> None:
    steps = []
    for scale in (1e-3, 1e-6, 1e-9):
        with mpmath.workdps(40):
            level = mpmath.mpf(1) / 2 ** (mpmath.mpf(1) / depth)
            points = [mpmath.mpf(scale) * 10**k for k in range(20) if scale * 10**k < 0.3]
            exact = float(
                mpmath.quad(
                    lambda r: 1 / (r ** (depth - 1) * (1 - r**depth)), [*points, mpmath.mpf("0.3"), level]
                )
            )
        if exact > 1e14:  # one unit of time is then a rounding error of t
            continue
        # Only factorised steps follow growth in closed form; explicit ones are cheaper from starts that are not tiny.
        trajectory = _run(_product, depth, scale, 2 * exact, solver="kernel")
        assert trajectory.status.ok
        found = _crossing(trajectory, 0.0, 2 * exact, float(level))
        assert found == pytest.approx(exact, rel=10 * 1e-4)
        steps.append(trajectory.stats.steps)
    assert max(steps) <= 90
    assert max(steps) <= 1.5 * steps[0]


# Oracle: r' is that of the product up to relative terms of r^2: the time until r is 1e-3 is 1 / r_0 - 1000 up to
# a share of 1e-6 of the last 1000.
def test_a_tanh_network_grows_like_the_product() -> None:
    steps = []
    for scale in (1e-5, 1e-9):
        trajectory = _run(_tanh, 3, scale, 1.5 / scale)
        assert trajectory.status.ok
        found = _crossing(trajectory, 0.0, 1.5 / scale, 1e-3)
        assert found == pytest.approx(1 / scale - 1e3, rel=10 * 1e-4)
        steps.append(trajectory.stats.steps)
    assert steps[1] <= 1.4 * steps[0]


# Oracle: float64. The jump of about 1 at t = 1e20 is shorter than rounding errors of t. The status was once BLEW_UP.
def test_a_jump_shorter_than_rounding_of_the_time_is_said() -> None:
    trajectory = _run(_product, 3, 1e-20, 1e22)
    assert trajectory.status is ib.Status.STEP_UNDERFLOW
    assert "use a start of a larger scale" in trajectory.notes[0]


# Oracle: d' = d^(L-1) has the rate mu = (L-1) d^(L-2), mu' = (L-2)/(L-1) mu^2, and a closed form.
@pytest.mark.parametrize("depth", [3, 4, 6])
def test_a_bent_mode_has_the_bend_and_the_path_of_its_degree(depth: int) -> None:
    d, power = 1e-4, depth - 1
    rate = power * d ** (power - 1)
    with double_precision():
        direction = jnp.asarray([0.6, 0.8])
        speed = d**power * direction
        modes = growth_modes(
            lambda v: rate * direction * (direction @ v),
            speed,
            lambda v: power * (power - 1) * d ** (power - 2) * d**power * direction * (direction @ v),
        )
        time = 0.9 / ((power - 1) * d ** (power - 1))
        found = d + np.asarray(modes.moved(jnp.asarray(time))[0]) @ [0.6, 0.8]
        kept = d + jax.tree.map(np.asarray, modes).moved(time, np)[0] @ [0.6, 0.8]
        longest = float(modes.longest())
    assert float(modes.bend) == pytest.approx((depth - 2) / (depth - 1), rel=1e-9)
    exact = d * 0.1 ** (-1 / (power - 1))
    assert found == pytest.approx(exact, rel=1e-9)
    assert kept == pytest.approx(exact, rel=1e-9)
    assert 0.9 / 0.98 * longest < 1.02 * time < 1.02 / ((power - 1) * d ** (power - 1))
