"""Training with a small weight decay tends to the norm drift at first order in the weight decay."""

from typing import Any

import jax
import numpy as np

import implicitbias as ib
from tests.flows._nets import X, Y, pair_start, softplus_net


def flat(state: Any) -> np.ndarray:
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state)])


def test_the_distance_to_the_drift_is_proportional_to_the_weight_decay() -> None:
    problem, start, tau = ib.Problem(softplus_net, X, Y), pair_start(), 2.0
    limit = ib.interpolation_limit(problem, start, rtol=1e-6)
    assert limit.certificate.holds
    drift = flat(ib.simulate(ib.NormDrift(problem), limit.point, times=[tau], rtol=1e-7).final)
    distances = []
    decays = np.array([1e-4, 1e-5, 1e-6])
    for weight_decay in decays:
        flow = ib.GradientFlow(problem, float(weight_decay))
        final = ib.simulate(flow, start, times=[tau / weight_decay], rtol=1e-6).final
        distances.append(np.linalg.norm(flat(final) - drift) / np.linalg.norm(drift))
    # Theory 3.4 and 3.10: the distance is O(lam), so that the slope in logarithms is 1.
    slopes = np.diff(np.log(distances)) / np.diff(np.log(decays))
    np.testing.assert_allclose(slopes, 1.0, atol=0.15)
    assert distances[-1] < 1e-3


def test_matrix_completion_tends_to_the_norm_drift() -> None:
    rng = np.random.default_rng(7)
    rows, cols = np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 1, 2, 0, 3])
    U, V = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    values = (U @ V.T)[rows, cols]
    problem = ib.LeastSquares.entries(rows, cols, values, (4, 4)).reparametrize(ib.MatrixProduct())
    drift = ib.simulate(ib.NormDrift(problem), (U, V), t1=3.0, rtol=1e-6)
    decay = 1e-5
    flow = ib.simulate(ib.GradientFlow(problem, decay), (U, V), times=[3.0 / decay], rtol=1e-6)
    assert np.linalg.norm(flat(drift.final) - flat(flow.final)) < 1e-3 * np.linalg.norm(flat(flow.final))
    W = drift.final[0] @ drift.final[1].T
    np.testing.assert_allclose(W[rows, cols], values, atol=1e-9)
    # U^T U - V^T V only decays.
    balance = [u.T @ u - v.T @ v for u, v in ((U, V), drift.final)]
    np.testing.assert_allclose(balance[1], np.exp(-6.0) * balance[0], atol=1e-5)
