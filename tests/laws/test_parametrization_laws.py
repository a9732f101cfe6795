"""Laws of every parametrization: the pullback is the transposed Jacobian; the flow is the potential's mirror flow."""

import numpy as np
import pytest

import implicitbias as ib
from tests.laws.registry import PARAMETRIZATIONS

everywhere = pytest.mark.parametrize(
    ("G", "theta"), list(PARAMETRIZATIONS.values()), ids=list(PARAMETRIZATIONS)
)


# Law: <g, G(theta + h e) - G(theta - h e)> / 2h = <J^T g, e>, to order h^2 = 1e-10.
@everywhere
def test_the_pullback_is_the_transposed_jacobian(
    G: ib.Parametrization, theta: tuple[np.ndarray, ...]
) -> None:
    gradient = np.array([0.7, -1.3, 0.2])
    back, h = G.pullback(theta, gradient), 1e-5
    for k, leaf in enumerate(theta):
        for i in range(leaf.size):
            e = h * np.eye(leaf.size)[i].reshape(leaf.shape)
            up = [leaf + e if j == k else other for j, other in enumerate(theta)]
            down = [leaf - e if j == k else other for j, other in enumerate(theta)]
            slope = gradient @ (G(up) - G(down)) / (2 * h)
            np.testing.assert_allclose(back[k].flat[i], slope, rtol=0, atol=1e-9)


# Law: J J^T, the metric of w, is the slope of the inverse mirror at the start: d w = -J J^T grad L dt.
@everywhere
def test_the_metric_is_that_of_the_potential(G: ib.Parametrization, theta: tuple[np.ndarray, ...]) -> None:
    phi, w = G.potential(theta), G(theta)
    rows = [np.concatenate([part.ravel() for part in G.pullback(theta, e)]) for e in np.eye(len(w))]
    metric = np.array(rows) @ np.array(rows).T
    slope = phi._apply(phi.inverse_mirror_slope_formula, phi.mirror(w), "z")
    np.testing.assert_allclose(metric, np.diag(slope), rtol=1e-12, atol=1e-14)
