"""The norm drift ends at a KKT point of least norm, and at the rate that its second derivatives predict."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

_RNG = np.random.default_rng(4)
_X, _Y = _RNG.standard_normal((4, 2)), _RNG.standard_normal(4)
_START = {"hidden": [_RNG.standard_normal((2, 5)), _RNG.standard_normal(5)], "out": _RNG.standard_normal(5)}


def _network(params: Any, X: Any) -> jax.Array:
    W, b = params["hidden"]
    return jnp.tanh(X @ W + b) @ params["out"]


def _flat(params: Any) -> np.ndarray:
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])


@pytest.fixture(scope="module")
def drift() -> ib.Trajectory:
    problem = ib.Problem(_network, _X, _Y)
    begin = ib.interpolation_limit(problem, _START)
    assert begin.certificate.holds
    return ib.simulate(ib.NormDrift(problem), begin.point, t1=800.0, rtol=1e-7)


@pytest.fixture(scope="module")
def limit(drift: ib.Trajectory) -> ib.Limit:
    return ib.norm_minimizer(ib.Problem(_network, _X, _Y), drift.final)


def test_the_drift_ends_at_the_kkt_point(drift: ib.Trajectory, limit: ib.Limit) -> None:
    assert drift.status.ok
    assert limit.certificate.holds
    assert limit.curvature.negative == limit.curvature.zero == 0
    np.testing.assert_allclose(_flat(drift.final), _flat(limit.point), atol=2e-6)
    assert float(np.sum(_flat(drift.final) ** 2)) >= limit.value * (1 - 1e-9)
    # The start of the drift is no KKT point.
    assert not ib.certify(limit.problem, drift.start, ib.MinParameterNorm()).holds


# Near the KKT point the drift is linear, with the Hessian of the Lagrangian on the tangent space as its matrix.
def test_the_least_curvature_is_the_rate_of_the_drift(drift: ib.Trajectory, limit: ib.Limit) -> None:
    distances = [np.linalg.norm(_flat(drift.state(tau)) - _flat(limit.point)) for tau in (100.0, 200.0)]
    rate = np.log(distances[0] / distances[1]) / 100.0
    np.testing.assert_allclose(rate, limit.curvature.least, rtol=1e-2)
