"""p-norms, cosh, sums, linear maps and functions as potentials, and their horizons against closed forms."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

import implicitbias as ib

W = np.array([3.0, -1.0, 0.5])
A = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 1.0]])


# Oracle: closed forms by hand.
def test_mirror_maps() -> None:
    np.testing.assert_allclose(ib.PNorm(3).mirror(W), np.sign(W) * W**2, rtol=1e-15)
    # The inverse map is sign(z) |z|^(1/2), and its derivative 1 / (2 |z|^(1/2)) has a pole at 0.
    np.testing.assert_allclose(ib.PNorm(3).inverse_mirror(W), np.sign(W) * np.sqrt(np.abs(W)), rtol=1e-15)
    np.testing.assert_allclose(
        ib.PNorm(3).inverse_hessian_product(W, np.ones(3)), 0.5 / np.abs(W), rtol=1e-14
    )
    np.testing.assert_allclose(ib.PNorm(1.5).value(W), np.sum(np.abs(W) ** 1.5) / 1.5, rtol=1e-15)
    np.testing.assert_allclose(ib.Cosh().mirror(W), np.sinh(W), rtol=1e-15)
    np.testing.assert_allclose(ib.Cosh().value(1e-9 * W), np.sum((1e-9 * W) ** 2) / 2, rtol=1e-9)
    total = ib.PNorm(3) + ib.Cosh()
    np.testing.assert_allclose(total.mirror(W), np.sign(W) * W**2 + np.sinh(W), rtol=1e-15)
    assert total.separable is not None
    np.testing.assert_allclose(
        ib.PNorm(3).compose(A).mirror(W), A.T @ (np.sign(A @ W) * (A @ W) ** 2), rtol=1e-14
    )
    signs, logs = ib.PNorm(1.5).inverse_mirror_logs(1e200 * W)
    np.testing.assert_array_equal(signs, np.sign(W))
    np.testing.assert_allclose(logs, 2.0 * (np.log(1e200) + np.log(np.abs(W))), rtol=1e-15)


# Law: the inverse mirror map inverts the mirror map, and the products of the Hessian and of its inverse agree.
@pytest.mark.parametrize(
    "phi",
    [
        ib.PNorm(3) + ib.HyperbolicEntropy(0.1),
        ib.Cosh() + 0.5 * ib.QuadraticForm(A.T @ A),
        ib.Potential.from_function(lambda w: (w @ w) ** 2 + w @ w),
    ],
)
@pytest.mark.parametrize("size", [1e-6, 1.0, 10.0])
def test_numerical_inverses(phi: ib.Potential, size: float) -> None:
    w, v = size * W, np.array([1.0, 2.0, -3.0])
    np.testing.assert_allclose(phi.inverse_mirror(phi.mirror(w)), w, rtol=1e-9)
    np.testing.assert_allclose(phi.inverse_hessian_product(w, phi.hessian_product(w, v)), v, rtol=1e-8)
    np.testing.assert_allclose(phi.inverse_mirror(np.zeros(3)), 0.0, atol=1e-12)


# Oracle: the horizon formula lim eta h^-1(sum h(w_i / eta)), whose limits are known.
@pytest.mark.parametrize(
    ("phi", "gauge"),
    [
        (ib.PNorm(3), ib.gauges.Lp(3)),
        (ib.Cosh(), ib.gauges.LInf()),
        (ib.PNorm(3) + ib.HyperbolicEntropy(0.1), ib.gauges.Lp(3)),
        (ib.Cosh() + 0.5 * ib.QuadraticForm(A.T @ A), ib.gauges.LInf()),
        (ib.SquaredNorm() + ib.QuadraticForm(A.T @ A), ib.gauges.Ellipsoid(np.eye(3) + A.T @ A)),
        (ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w))), ib.gauges.LInf()),
        (ib.Potential.from_function(lambda w: (w @ w) ** 2 + w @ w), ib.gauges.L2()),
        (
            ib.Potential.from_function(lambda w: jnp.sum(w * jnp.arcsinh(w) - jnp.hypot(w, 1.0))),
            ib.gauges.L1(),
        ),
        (ib.Potential.from_function(lambda w: jnp.sum(jnp.abs(w) ** 3) / 3 + w @ w + 7.0), ib.gauges.Lp(3)),
    ],
)
@pytest.mark.parametrize("w", [[3.0, -1.0, 0.5], [1.0, 1.0, -1.0], [0.0, 2.0, 0.0], [-1e-3, 1e3, 1.0]])
def test_horizons(phi: ib.Potential, gauge: Any, w: list[float]) -> None:
    horizon = phi.horizon()
    expected = gauge.value(w) / gauge.value(np.ones(3))
    if not hasattr(horizon, "estimate"):
        np.testing.assert_allclose(horizon.value(w) / horizon.value(np.ones(3)), expected, rtol=1e-12)
        return
    value, error = horizon.estimate(w)
    assert abs(value - expected) <= error <= 1e-3 * expected
    np.testing.assert_allclose(
        horizon.value(w), expected, rtol=1e-2
    )  # the largest level, before extrapolation


# Law: the gauge of a sublevel set is a gauge, and the maximiser of a linear function attains the polar.
@pytest.mark.parametrize(
    "phi",
    [ib.PNorm(3) + ib.Cosh(), ib.Potential.from_function(lambda w: (w @ w) ** 2 + w[0] ** 2 + 2 * w @ w)],
)
def test_gauges_of_sublevel_sets(phi: ib.Potential) -> None:
    gauge = phi.horizon()
    np.testing.assert_allclose(gauge.value(5.0 * W), 5.0 * gauge.value(W), rtol=1e-12)
    z = gauge.subgradient(W)
    np.testing.assert_allclose(z @ W, gauge.value(W), rtol=1e-12)
    np.testing.assert_allclose(gauge.polar().value(z), 1.0, rtol=1e-9)
    for v in np.random.default_rng(0).standard_normal((20, 3)):
        assert z @ v <= gauge.value(v) * (1.0 + 1e-9)
    assert gauge.value(np.zeros(3)) == 0.0


# Oracle: the composed gauge at the moved point; the limit of a linear map of the data.
def test_linear_maps() -> None:
    phi = ib.Cosh().compose(A)
    np.testing.assert_allclose(phi.horizon().value(W), np.max(np.abs(A @ W)), rtol=1e-15)
    X = np.random.default_rng(1).standard_normal((12, 3))
    y = np.sign(X @ W)
    moved = ib.max_margin(ib.Classification(X @ np.linalg.inv(A), y), "linf")
    limit = ib.max_margin(ib.Classification(X, y), phi)
    assert limit.certificate.holds
    np.testing.assert_allclose(limit.value, moved.value, rtol=1e-9)


# Oracle: SciPy's minimum of the gauge |A w|_3 over the margins >= 1.
def test_linear_maps_to_more_dimensions() -> None:
    A = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    phi = ib.PNorm(3).compose(A)
    w = np.array([1.0, -0.4])
    np.testing.assert_allclose(phi.inverse_mirror(phi.mirror(w)), w, rtol=1e-10)
    for other in (2.0 * phi, phi + ib.SquaredNorm(), ib.SquaredNorm() + phi):
        np.testing.assert_allclose(other.inverse_mirror(other.mirror(w)), w, rtol=1e-10)
        with pytest.raises(ib.InputError, match="has 3 entries"):
            other.value(np.ones(3))
    X = np.random.default_rng(0).standard_normal((8, 2))
    y = np.sign(X @ w)
    limit = ib.max_margin(ib.Classification(X, y), phi)
    assert limit.certificate.holds
    above = [{"type": "ineq", "fun": lambda v: y * (X @ v) - 1.0}]
    found = optimize.minimize(
        lambda v: np.sum(np.abs(A @ v) ** 3), 1.2 * limit.point, constraints=above, tol=1e-14
    )
    np.testing.assert_allclose(limit.point, found.x, rtol=1e-6)


# Oracle: the certified margin in the known horizon.
def test_a_margin_in_a_numerical_horizon() -> None:
    X = np.random.default_rng(2).standard_normal((6, 2))
    y = np.sign(X @ W[:2])
    horizon = ib.Potential.horizon(ib.PNorm(3) + ib.SquaredNorm())  # from sublevel sets, not by the growth
    limit = ib.max_margin(ib.Classification(X, y), horizon)
    assert limit.certificate.holds
    exact = ib.max_margin(ib.Classification(X, y), 3)
    np.testing.assert_allclose(limit.value * ib.gauges.Lp(3).value(np.ones(2)), exact.value, rtol=1e-8)
    np.testing.assert_allclose(limit.point, exact.point, rtol=1e-3)


# Oracle: the mirror map. Its derivative is singular at 0, where the search begins.
def test_the_inverse_mirror_map_of_a_function_that_is_flat_at_zero() -> None:
    phi = ib.Potential.from_function(lambda w: jnp.sum(w**4) + (w[0] - w[1]) ** 2, dimension=2)
    for z in ([1e-3, 1e-3], [1.0, -1.0], [0.0, 1e10], [1e50, 3e49]):
        np.testing.assert_allclose(phi.mirror(phi.inverse_mirror(z)), z, rtol=1e-9, atol=1e-9 * np.max(z))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda w: -jnp.sum(w**2), "not strictly convex: at w = .* its curvature along .* is -2"),
        (lambda w: w[0] ** 2, "not strictly convex"),
        (lambda w: jnp.sum(jnp.abs(w)), "not strictly convex"),
        (lambda w: jnp.sum(jnp.cos(w)) + 0.4 * w @ w, "not strictly convex"),
        (lambda w: jnp.sum(jnp.hypot(w, 1.0)), "bounded gradient"),
        (lambda w: w, "one number is expected"),
        (lambda w: np.sum(w**2) + np.linalg.norm(w) ** 2, r"type import jax\.numpy as jnp"),
        (lambda w: jnp.sum(w.astype(jnp.float32) ** 2), "of type float32"),
        # JAX reads w[2] as w[1] where w has two entries, so that a missing dimension would give wrong numbers.
        (lambda w: w[0] ** 2 + w[1] ** 2 + w[2] ** 2, "type dimension=d"),
        (lambda w: w @ jnp.eye(5) @ w, "dimension=d"),
        (3.0, "a function of w"),
    ],
)
def test_functions_that_are_refused(function: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.Potential.from_function(function)


# By hand: for the sum of exp(w_i^2) the largest entry decides. Its curvatures differ by more than 1e100.
def test_a_function_of_very_different_curvatures() -> None:
    phi = ib.Potential.from_function(lambda w: jnp.sum(jnp.exp(w**2)))
    value, error = phi.horizon().estimate([1.0, -2.0, 0.5])  # type: ignore[attr-defined]
    assert abs(value - 2.0) <= error < 1e-6


# What a user typed, and not how arrays are stored.
def test_potentials_are_written_as_they_are_typed() -> None:
    written = {
        "HyperbolicEntropy(scale=0.1)": ib.HyperbolicEntropy(0.1),
        "HyperbolicEntropy(scale=[0.1, 2])": ib.HyperbolicEntropy([0.1, 2.0]),
        "HyperbolicEntropy(log_scale=-4605)": ib.HyperbolicEntropy(log_scale=-4605.0),
        "HyperbolicEntropy(scale=<array of shape (50,)>)": ib.HyperbolicEntropy(np.ones(50)),
        "QuadraticForm([[2, 0], [0, 1]])": ib.QuadraticForm(np.diag([2.0, 1.0])),
        "0.5 * SquaredNorm() + PNorm(p=3)": 0.5 * ib.SquaredNorm() + ib.PNorm(3),
        "2 * (Cosh() + SquaredNorm())": 2 * (ib.Cosh() + ib.SquaredNorm()),
        "Cosh().compose([[1, 0], [1, 2]])": ib.Cosh().compose([[1, 0], [1, 2]]),
        "Spectral(HyperbolicEntropy(scale=0.1))": ib.Spectral(ib.HyperbolicEntropy(0.1)),
    }
    assert [repr(phi) for phi in written.values()] == list(written)


def test_other_arguments_that_are_refused() -> None:
    for p in (1, 0.5, np.inf, np.nan, "3", True):
        with pytest.raises(ib.InputError, match="a finite number above 1"):
            ib.PNorm(p)
    with pytest.raises(ib.InputError, match="a potential is expected"):
        ib.Cosh() + 1.0
    with pytest.raises(ib.InputError, match="they must agree"):
        ib.HyperbolicEntropy([1.0, 2.0]) + ib.QuadraticForm(np.eye(3))
    with pytest.raises(ib.InputError, match="independent columns"):
        ib.Cosh().compose([[1.0, 1.0], [1.0, 1.0]])
    with pytest.raises(ib.InputError, match="A has shape"):
        ib.QuadraticForm(np.eye(3)).compose(np.eye(2))
    with pytest.raises(ib.InputError, match="at least as many rows as columns"):
        ib.Cosh().compose([[1.0, 1.0]])
    with pytest.raises(ib.InputError, match="dimension is 0"):
        ib.Potential.from_function(lambda w: w @ w, dimension=0)
    assert ib.Potential.from_function(lambda w: w @ jnp.eye(5) @ w, dimension=5).horizon().shape == (5,)
