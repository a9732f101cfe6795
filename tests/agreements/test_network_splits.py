"""Among dependent columns the flow of each network takes the split that its growth names."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from numpy.testing import assert_allclose
from scipy.optimize import brentq

import implicitbias as ib
from implicitbias.parametrizations import Diagonal

PRINTED = ib.LeastSquares([[1, 1, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]], (4, 0.5, 0))
UNEQUAL = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.3, -1.0, 0.2, 1.0])


def final(
    problem: ib.LeastSquares, G: Diagonal, growth: ib.Growth, start: Any, scale: float, rtol: float
) -> ndarray:
    """w at the end of the simulated flow, well after the last jump."""
    path = ib.saddle_path(problem, growth_times=growth)
    end = growth.flow_time(1.5 * float(path.times[-1]) + 0.5, scale=scale)
    trajectory = ib.simulate(ib.GradientFlow(problem.reparametrize(G)), start, t1=end, rtol=rtol)
    assert trajectory.status.ok
    return G(trajectory.final)


# Oracle: the simulated flow from unequal directions at a scale of 1e-100, integrated in its dual variables.
@pytest.mark.parametrize(
    ("G", "direction"),
    [
        (ib.HadamardProduct(), UNEQUAL),
        (ib.SquareDifference(), UNEQUAL),
        (ib.SquareDifference(), (np.ones(4), np.array([1.0, 1.0, 0.5, 2.0]))),
        (ib.HadamardProduct(), (np.array([1.0, 1.0, 1.0, -2.0]), np.zeros(4))),
    ],
)
def test_two_layers_from_unequal_directions(G: Diagonal, direction: Any) -> None:
    growth, scale = G.growth_times(direction), 1e-100
    path = ib.saddle_path(PRINTED, growth_times=growth)
    assert not path.unique[-1]
    even = ib.saddle_path(PRINTED).coefficients[-1]
    # Where a layer has one size the weights are equal; elsewhere the answer is another one, and the test can fail.
    spread = np.ptp(growth.split.log_plus)
    assert (np.max(np.abs(path.coefficients[-1] - even)) > 1e-2) == (spread > 0.0)
    start = tuple(scale * leaf for leaf in direction)
    # The end is an interpolant: the split is settled by the dual, exact to rtol in w.
    found = final(PRINTED, G, growth, start, scale, 1e-6)
    assert_allclose(found, path.coefficients[-1], rtol=0, atol=1e-5)


# Oracle: the simulated flow of the mirror potential with unequal scales a_i = alpha^2 c_i^2 from a pretrained start,
# which is that of u * v from the direction (sqrt2 c, 0).
@pytest.mark.parametrize("seed", range(6))
def test_two_layers_from_a_pretrained_start(seed: int) -> None:
    rng = np.random.default_rng([seed, 7])
    X = rng.integers(-2, 3, (4, 3)).astype(float) @ rng.integers(-1, 2, (3, 6))
    problem = ib.LeastSquares(X, X @ rng.integers(-2, 3, 6))
    start, c = rng.choice([-1.5, 0.0, 0.5, 2.0], 6), rng.uniform(0.3, 3.0, 6)
    growth = ib.HadamardProduct().growth_times((np.sqrt(2) * c, np.zeros(6)))
    path = ib.saddle_path(problem, start=start, growth_times=growth)
    log_scale = -1000 * np.log(10)
    flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=2 * (log_scale + np.log(c))))
    end = growth.flow_time(1.5 * float(path.times[-1]) + 0.5, log_scale=log_scale)
    trajectory = ib.simulate(flow, start, t1=end, rtol=1e-5)
    assert trajectory.status.ok
    # A degenerate end is approached like 1 / ln(1/alpha) = 4e-4, a strictly complementary one exponentially fast.
    close = 2e-4 if path.strictly_complementary[-1] else 1e-2
    assert_allclose(trajectory.final, path.coefficients[-1], rtol=0, atol=close)


# Oracle: the simulated flow in theta. The split holds up to relative errors of O(scale^2), and the integration error of
# s, rtol times its size, appears in w divided by scale^(D - 2).
@pytest.mark.parametrize(("depth", "scale"), [(3, 1e-2), (4, 1e-1), (5, 1e-1)])
@pytest.mark.parametrize("seed", range(3))
def test_deep_networks_from_any_direction(depth: int, scale: float, seed: int) -> None:
    rng, G = np.random.default_rng([seed, depth]), ib.DeepDiagonal(depth)
    # One direction for all coordinates, up to the order of the layers and an even number of signs: the times tie.
    sizes, signs = rng.uniform(0.5, 1.5, depth), rng.choice([-1.0, 1.0], (depth, 4))
    signs[-1] *= np.prod(signs, axis=0)
    direction = tuple(signs * np.array([rng.permutation(sizes) for _ in range(4)]).T)
    growth = G.growth_times(direction)
    path = ib.saddle_path(PRINTED, growth_times=growth)
    assert not path.unique[-1]
    entropy = ib.saddle_path(PRINTED).coefficients[-1]
    assert np.max(np.abs(path.coefficients[-1] - entropy)) > 3e-3
    start = tuple(scale * layer for layer in direction)
    found = final(PRINTED, G, growth, start, scale, 1e-7)
    assert_allclose(found, path.coefficients[-1], rtol=0, atol=3e-4)


def layers_at(w0: ndarray, scale: float, sizes: ndarray) -> tuple[ndarray, ...]:
    """Layers with the product w0 whose squares differ as those of scale * sizes do."""
    gaps = sizes**2 - np.min(sizes) ** 2
    starts = []
    for value in w0:
        if value == 0.0:
            starts.append(scale * sizes)
            continue

        def product(x: float, value: float = value) -> float:
            return float(np.prod(np.sqrt(x * x + scale * scale * gaps))) - abs(value)

        x = brentq(product, 0.0, 10.0, xtol=1e-15)
        layers = np.sqrt(x * x + scale * scale * gaps)
        # Only the smallest layer can change its sign.
        layers[np.argmin(sizes)] *= np.sign(value)
        starts.append(layers)
    return tuple(np.array(starts).T)


# Oracle: the simulated flow in theta from a start of size 1, whose inherited signs are kept, or changed.
@pytest.mark.parametrize(("depth", "scale"), [(3, 1e-2), (4, 1e-1)])
@pytest.mark.parametrize("case", ["kept", "changed"])
def test_deep_networks_from_a_pretrained_start(depth: int, scale: float, case: str) -> None:
    x, target = np.array([1.0, -1.0, 2.0]), 3.0 if case == "kept" else -3.0
    problem = ib.LeastSquares(np.column_stack([x, x, x]), target * x)
    w0, sizes = np.array([2.0, 0.5, 0.0]), np.linspace(1.0, 1.5, depth)
    G = ib.DeepDiagonal(depth)
    growth = G.growth_times(tuple(np.full(3, size) for size in sizes))
    path = ib.saddle_path(problem, start=w0, growth_times=growth)
    if case == "kept":
        assert np.count_nonzero(path.coefficients[-1]) == 2  # the third one starts from 0 and does not move
    end = growth.flow_time(1.5 * float(path.times[-1]) + 1.0, scale=scale)
    flow = ib.GradientFlow(problem.reparametrize(G))
    trajectory = ib.simulate(flow, layers_at(w0, scale, sizes), t1=end, rtol=1e-7)
    assert trajectory.status.ok
    found = G(trajectory.final)
    # Off the support O(scale^D) is left.
    assert_allclose(found, path.coefficients[-1], rtol=0, atol=3e-3 if scale == 1e-1 else 1e-4)


# Oracle: as above with two coordinates whose inherited signs both change: they meet their other threshold together.
@pytest.mark.parametrize("depth", [3, 4])
def test_deep_networks_split_what_has_changed_its_sign(depth: int) -> None:
    x = np.array([1.0, -1.0, 2.0])
    problem = ib.LeastSquares(np.column_stack([x, x]), -3.0 * x)
    w0, sizes, scale = np.array([2.0, 0.5]), np.linspace(1.0, 1.5, depth), 3e-2
    G = ib.DeepDiagonal(depth)
    growth = G.growth_times(tuple(np.full(2, size) for size in sizes))
    path = ib.saddle_path(problem, start=w0, growth_times=growth)
    assert np.all(path.coefficients[-1] < 0.0)
    assert not path.unique[-1]
    end = growth.flow_time(1.5 * float(path.times[-1]) + 1.0, scale=scale)
    flow = ib.GradientFlow(problem.reparametrize(G))
    trajectory = ib.simulate(flow, layers_at(w0, scale, sizes), t1=end, rtol=1e-8)
    assert trajectory.status.ok
    assert_allclose(G(trajectory.final), path.coefficients[-1], rtol=0, atol=2e-3)
