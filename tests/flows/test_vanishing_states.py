"""Tests of flows whose weight decay takes all parameters to 0, and of flows that only pass near 0."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.flows._rest import Curvature, rest_at_zero

LAM = 0.3


def network(activation: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda params, X: activation(X @ params[0]) @ params[1]


# Oracle: with the target 0 and a convex loss, |theta| decreases at least like exp(-lam t), which is 0 in float64.
def test_parameters_that_vanish() -> None:
    rng = np.random.default_rng(0)
    problem = ib.Problem(network(jax.nn.softplus), rng.standard_normal((6, 3)), np.zeros(6))
    start = (rng.standard_normal((3, 4)), rng.standard_normal(4))
    trajectory = ib.simulate(ib.GradientFlow(problem, LAM), start, t1=1e6)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps < 500  # some 20 000 where squares of the parameters underflowed
    assert all(np.all(leaf == 0.0) for leaf in trajectory.final)
    assert any("at rest" in note and "eigenvalue" in note for note in trajectory.notes)
    # Before it vanishes, the state keeps its relative accuracy: the slowest mode decays like exp(-lam t).
    sizes = [np.linalg.norm(trajectory.state(t)[0]) for t in (60.0, 90.0)]
    assert np.log(sizes[0] / sizes[1]) / 30.0 == pytest.approx(LAM, rel=1e-4)


# Oracle: the product w v of the first entries decays like exp(-2 lam t). That of the second ones grows like
# exp((1 - 2 lam) t) from 1e-80, and it is 1 - 2 lam at rest.
@pytest.mark.parametrize("activation", [lambda z: z, jax.nn.relu], ids=["linear", "relu"])
def test_parameters_that_shrink_and_then_grow(activation: Callable[[Any], Any]) -> None:
    problem = ib.Problem(
        lambda params, X: X @ (activation(params[0]) * params[1]), np.eye(2), np.array([0.0, 1.0])
    )
    start = np.array([1.0, 1e-40]), np.array([1.0, 1e-40])
    trajectory = ib.simulate(ib.GradientFlow(problem, LAM), start, t1=1200.0)
    assert max(np.max(np.abs(leaf)) for leaf in trajectory.state(170.0)) < 1e-21
    w, v = trajectory.final
    assert (w * v).tolist() == pytest.approx([0.0, 1.0 - 2.0 * LAM], rel=1e-3, abs=1e-20)


# Oracle: theta1 theta2 + |theta|^2 and theta1 |theta2| + |theta|^2, whose Hessians at 0 are known by hand.
@pytest.mark.parametrize("kinked", [False, True])
def test_zero_is_no_rest_point_at_a_kink(kinked: bool) -> None:
    def curvature(theta: np.ndarray) -> Curvature:
        side = np.sign(theta[1]) if kinked else 1.0
        hessian = np.array([[2.0, side], [side, 2.0]])
        return Curvature(
            -hessian @ theta, hessian, float(np.linalg.norm(theta)), float(np.linalg.norm(theta))
        )

    found = rest_at_zero(curvature, np.array([1e-25, 2e-25]))
    assert (found is None) == kinked
    if found is not None:
        assert found.least == pytest.approx(1.0, rel=1e-14)
        assert not found.point.any()
