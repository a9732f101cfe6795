"""Laws of induced potentials over maps whose gradients commute: metric, start, order of flows, losses, symmetries."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import implicitbias as ib
from tests.laws.registry import MIRRORED, PARAMETRIZATIONS
from tests.laws.test_parametrization_laws import jacobian, ravel, unravel

# Those with closed forms, and two whose potentials are computed from flows; tests/parametrizations has a quick one.
COMPUTED = [pytest.param(name, marks=pytest.mark.long) for name in ("sinh", "u sinh v, by rows")]
CUBES = pytest.param("cubes", marks=pytest.mark.slow)
everywhere = pytest.mark.parametrize("name", [*MIRRORED, CUBES, *COMPUTED])
PUSH = np.array([0.2, -0.15, 0.1])


@cache
def potential(name: str) -> Any:
    return ib.induced_potential(*PARAMETRIZATIONS[name])


def flowed(name: str, force: Any, theta: Any, end: float = 1.0) -> Any:
    """Return the end of theta' = J^T force(t, w), by SciPy's Runge-Kutta method."""
    G, like = PARAMETRIZATIONS[name]

    def field(t: float, flat: np.ndarray) -> np.ndarray:
        at = unravel(flat, like)
        return ravel(G.pullback(at, force(t, G(at))))

    answer = solve_ivp(field, (0.0, end), ravel(theta), method="DOP853", rtol=1e-10, atol=1e-12)
    return unravel(answer.y[:, -1], like)


# Law: the mirror map is 0 at G(theta_0), and Hess Q = dG dG^T there and at all points that flows reach.
@everywhere
def test_the_hessian_of_the_dual_is_the_metric(name: str) -> None:
    (G, theta0), R = PARAMETRIZATIONS[name], potential(name)
    push = PUSH[: G(theta0).size]
    np.testing.assert_allclose(R.mirror(G(theta0)), 0.0, atol=1e-12)
    for theta in (theta0, flowed(name, lambda t, w: push, theta0)):
        J, w = jacobian(G, theta), G(theta)
        products = np.array([R.inverse_hessian_product(w, unit) for unit in np.eye(w.size)])
        np.testing.assert_allclose(products, J @ J.T, rtol=1e-8, atol=1e-9)


# Law: the flows of single entries of w may be run in any order or together, and end where the inverse mirror map says.
@everywhere
def test_the_order_of_the_flows_does_not_matter(name: str) -> None:
    G, theta0 = PARAMETRIZATIONS[name]
    push = PUSH[: G(theta0).size]
    units = push[:, None] * np.eye(len(push))
    ends = [flowed(name, lambda t, w: push, theta0)]
    for order in (units, units[::-1]):
        theta = theta0
        for unit in order:
            theta = flowed(name, lambda t, w, unit=unit: unit, theta)
        ends.append(theta)
    for end in ends:
        np.testing.assert_allclose(ravel(end), ravel(ends[0]), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(potential(name).inverse_mirror(push), G(ends[0]), rtol=1e-8, atol=1e-9)


# Law: flows of different losses from one start share R: z = -int grad L reaches w = grad R*(z), also for losses that
# change in time. The integral of a force that is known in t alone has a closed form.
@everywhere
@pytest.mark.parametrize("bend", [0.0, 1.0])
def test_losses_that_change_in_time_share_the_potential(name: str, bend: float) -> None:
    G, theta0 = PARAMETRIZATIONS[name]
    push = PUSH[: G(theta0).size]
    wave = np.roll(push, 1) * bend

    def force(t: float, w: np.ndarray) -> np.ndarray:
        return 2.0 * t * push + 3.0 * np.cos(3.0 * t) * wave

    end = flowed(name, force, theta0)
    np.testing.assert_allclose(
        potential(name).mirror(G(end)), push + np.sin(3.0) * wave, rtol=1e-7, atol=1e-8
    )


# Law: a start that gives -w gives the mirrored potential, and permuted coordinates give a permuted one. The starts are
# written for maps of two factors.
@pytest.mark.parametrize("name", [name for name in MIRRORED if isinstance(PARAMETRIZATIONS[name][1], tuple)])
def test_the_potential_follows_the_symmetries_of_the_map(name: str) -> None:
    (G, (u, v)), R = PARAMETRIZATIONS[name], potential(name)
    opposite = (v, u) if name == "u^2 - v^2" else (u, -v)
    order, w = np.array([2, 0, 1]), np.array([0.7, -1.2, 0.1])
    np.testing.assert_allclose(
        ib.induced_potential(G, opposite).mirror(-w), -R.mirror(w), rtol=1e-12, atol=1e-14
    )
    moved = ib.induced_potential(G, (u[order], v[order]))
    np.testing.assert_allclose(moved.mirror(w[order]), R.mirror(w)[order], rtol=1e-12, atol=1e-14)
    assert moved.value(w[order]) == pytest.approx(R.value(w), rel=1e-12)


# The control: for U V^T the order of the flows matters.
def test_the_order_matters_for_a_product_of_matrices() -> None:
    name = "U V^T"
    G, theta = PARAMETRIZATIONS[name]
    one, two = (np.eye(6)[k].reshape(G(theta).shape) / 2 for k in (0, 4))
    ends = []
    for order in ((one, two), (two, one)):
        theta = PARAMETRIZATIONS[name][1]
        for unit in order:
            theta = flowed(name, lambda t, w, unit=unit: unit, theta)
        ends.append(G(theta))
    assert np.max(np.abs(ends[0] - ends[1])) > 1e-3
