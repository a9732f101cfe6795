"""Gradient flows with a small weight decay end where `ib.norm_minimizer` says."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

import implicitbias as ib

_RNG = np.random.default_rng(4)
_X, _Y = _RNG.standard_normal((4, 2)), _RNG.standard_normal(4)
_START = (_RNG.standard_normal((2, 5)), _RNG.standard_normal(5), _RNG.standard_normal(5))


def _network(theta: Any, X: Any) -> jax.Array:
    W, b, a = theta
    return jnp.tanh(X @ W + b) @ a


def _flat(theta: Any) -> ndarray:
    return np.concatenate([leaf.ravel() for leaf in theta])


# A minimum of the loss plus (weight decay / 2) ||theta||^2 is O(weight decay) away from the KKT point, with slope 1.
# The least curvature there is 0.02, so that the slow phase takes 50 / (weight decay).
def test_regression_ends_at_the_kkt_point_with_slope_1_in_the_weight_decay() -> None:
    problem = ib.Problem(_network, _X, _Y)
    decays = np.array([1e-3, 1e-4])
    ends = [
        ib.simulate(ib.GradientFlow(problem, weight_decay), _START, t1=1000.0 / weight_decay).final
        for weight_decay in decays
    ]
    limit = ib.norm_minimizer(problem, ends[-1])
    assert limit.certificate.holds
    assert limit.curvature.negative == limit.curvature.zero == 0
    distances = [float(np.linalg.norm(_flat(end) - _flat(limit.point))) for end in ends]
    assert distances[-1] < 1e-2 * np.sqrt(limit.value)
    slope = np.log(distances[0] / distances[1]) / np.log(decays[0] / decays[1])
    np.testing.assert_allclose(slope, 1.0, atol=0.02)
