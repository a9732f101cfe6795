"""Tests of growth that begins in rounding errors: the notes say where jump times are lost, and only there."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.optimize import brentq

import implicitbias as ib
from implicitbias._core.precision import double_precision
from tests.flows.test_tiny_starts import NETS, Net, jumps, reference, scaled, times_at


def grown_linearly(net: Net, scale: float, size: float) -> tuple[Net, float]:
    """Return the network with a start of this norm, to which the start of `scale` grows, and the time that this takes.

    The growth is that of the flow linearised at 0, in closed form.
    """
    with double_precision():
        flat, unravel = ravel_pytree(jax.tree.map(jnp.asarray, scaled(net, scale)))
        model, X, y = net.problem.model, np.asarray(net.problem.X), np.asarray(net.problem.y)
        hessian = jax.hessian(lambda u: jnp.sum((model(unravel(u), X) - y) ** 2) / (2 * len(y)))(0.0 * flat)
        values, vectors = np.linalg.eigh(np.asarray(hessian))
        parts = vectors.T @ np.asarray(flat)
        time = float(
            brentq(
                lambda t: np.log(np.linalg.norm(np.exp(-values * t) * parts) / size), 0.0, 400.0, xtol=1e-9
            )
        )
        leaves = unravel(jnp.asarray(vectors @ (np.exp(-values * time) * parts)))
        return net._replace(start=tuple(np.asarray(leaf) for leaf in leaves)), time


# Oracle: the flow linearised at 0 until the norm is 1e-4, and DOP853 from there. A note once spoke of lost modes here.
def test_jump_times_from_any_scale_are_right_and_no_mode_is_called_lost() -> None:
    net, time = grown_linearly(NETS["tanh"], 1e-30, 1e-4)
    levels, expected = reference(net, 1.0)
    found, trajectory = jumps(NETS["tanh"], 1e-30, levels)
    np.testing.assert_allclose(found, expected + time, rtol=10 * 1e-4)
    assert trajectory.notes == ()


# Oracle: near 0 a linear network is homogeneous of degree 2, so that jump times are linear functions of ln(1/scale).
# They are extrapolated from DOP853 at 1e-6 and 1e-8. Below 1e-16 of the first mode the third one is rounding.
def test_a_lost_mode_is_said() -> None:
    levels, at_six = reference(NETS["linear"], 1e-6)
    per_decade = (reference(NETS["linear"], 1e-8)[1] - at_six) / 2
    found = {scale: jumps(NETS["linear"], scale, levels) for scale in (1e-16, 1e-30)}
    apart = {
        scale: times / (at_six + (-6 - np.log10(scale)) * per_decade) - 1
        for scale, (times, _) in found.items()
    }
    assert np.all(np.abs(apart[1e-16]) <= 10 * 1e-4)
    assert found[1e-16][1].notes == ()
    assert np.all(np.abs(apart[1e-30][:2]) <= 10 * 1e-4)
    assert abs(apart[1e-30][2]) > 0.05
    (note,) = found[1e-30][1].notes
    assert "decided by these errors" in note
    assert "Use a larger start" in note


# Oracle: a linear problem with a saddle, whose flow has a closed form. The slow mode of size 1e-19 is lost in the
# parameters of size 1 once their coordinates are turned.
@pytest.mark.parametrize(("size", "lost"), [(1e-8, False), (1e-19, True)])
def test_a_mode_below_the_rounding_of_the_parameters(size: float, lost: bool) -> None:
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]

    def model(p: Any, X: Any) -> Any:
        a, b, c = turn.T @ p
        return X @ jnp.stack([a, b * b, c])

    # The rates: -1 for a, and 2 * 0.25 for b until b^2 = 1/4.
    problem = ib.Problem(model, np.sqrt(3.0) * np.eye(3), np.sqrt(3.0) * np.array([1.0, 0.25, 1.0]))
    trajectory = ib.simulate(ib.GradientFlow(problem), turn @ [3.0, size, 2.0], t1=2 * np.log(1 / size) + 40)
    # b' = b (1/2 - 2 b^2), so that b = 1/4 at t = 2 ln((1/4) / size) - ln(3/4) up to terms of the size of b^2.
    exact = 2 * np.log(0.25 / size) - np.log(0.75)
    found = times_at(
        lambda t: -abs(float((turn.T @ trajectory.state(t))[1])), trajectory.times[-1], np.array([-0.25])
    )
    assert bool(abs(found[0] / exact - 1) > 1e-2) == lost
    assert bool(trajectory.notes) == lost
