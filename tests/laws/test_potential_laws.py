"""Laws of every potential: mirror and inverse, gradient, divergence, slope."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import implicitbias as ib
from tests.laws.registry import DIMENSION, POTENTIALS
from tests.potentials._formulas import slope as slope_of

everywhere = pytest.mark.parametrize("phi", list(POTENTIALS.values()), ids=list(POTENTIALS))
SEPARABLE = {name: phi for name, phi in POTENTIALS.items() if phi.separable is not None}
coordinatewise = pytest.mark.parametrize("phi", list(SEPARABLE.values()), ids=list(SEPARABLE))

# Every example runs a handful of JAX operations one by one, a few milliseconds each.
few = settings(max_examples=25)

# Sizes of data; 0 included, values so small that their products underflow excluded.
numbers = st.floats(-1e3, 1e3).filter(lambda x: x == 0.0 or abs(x) > 1e-6)
points = arrays(np.float64, DIMENSION, elements=numbers)
directions = arrays(np.float64, DIMENSION, elements=st.floats(-1, 1))


def _resolution(phi: ib.Potential, w: np.ndarray) -> float:
    """What one rounding of z = grad phi(w) does to w, relatively: |z| 2^-53 times d ln w / d z <= 2."""
    return 1e-13 + 8 * 2.0**-53 * float(np.max(np.abs(phi.mirror(w))))


def _mixing(phi: ib.Potential, point: np.ndarray) -> float:
    """Rounding that a small coordinate takes over from a large one, where coordinates are mixed (condition 20)."""
    return 0.0 if phi.separable is not None else 20 * 4 * 2.0**-53 * float(np.max(np.abs(point)))


# Law: the inverse mirror undoes the mirror.
@everywhere
@few
@given(w=points)
def test_inverse_mirror_after_mirror_is_the_identity(phi: ib.Potential, w: np.ndarray) -> None:
    np.testing.assert_allclose(
        phi.inverse_mirror(phi.mirror(w)), w, rtol=_resolution(phi, w), atol=_mixing(phi, w)
    )


# Law: and the other way round, for z that some w of the sizes above has.
@everywhere
@few
@given(w=points)
def test_mirror_after_inverse_mirror_is_the_identity(phi: ib.Potential, w: np.ndarray) -> None:
    z = phi.mirror(w)
    np.testing.assert_allclose(
        phi.mirror(phi.inverse_mirror(z)), z, rtol=_resolution(phi, w), atol=_mixing(phi, z)
    )


# Law: the mirror map is odd and monotone: phi is even and convex.
@everywhere
@few
@given(w=points, v=points)
def test_the_mirror_is_odd_and_monotone(phi: ib.Potential, w: np.ndarray, v: np.ndarray) -> None:
    np.testing.assert_array_equal(phi.mirror(-w), -phi.mirror(w))
    products = (phi.mirror(w) - phi.mirror(v)) * (w - v)
    if phi.separable is not None:
        assert np.all(products >= 0.0)
    assert np.sum(products) >= -8 * 2.0**-52 * float(np.sum(np.abs(products)))


# Law: grad phi by central differences of order h^2. The value carries |phi| 2^-52, divided by the step 2h;
# the third derivative of h_i is at most of the size 1 / w_i^2, and 1 / a^2 near 0.
@everywhere
@few
@given(w=arrays(np.float64, DIMENSION, elements=st.floats(0.1, 100.0)), sign=st.sampled_from([-1.0, 1.0]))
def test_the_mirror_is_the_gradient_of_the_value(phi: ib.Potential, w: np.ndarray, sign: float) -> None:
    w = sign * w
    for i in range(DIMENSION):
        step = 1e-4 * abs(w[i])
        e = step * np.eye(DIMENSION)[i]
        slope = (phi.value(w + e) - phi.value(w - e)) / (2 * step)
        noise = 8 * 2.0**-52 * abs(phi.value(w)) / step
        np.testing.assert_allclose(slope, phi.mirror(w)[i], rtol=1e-7, atol=noise + 1e-8)


# Law: D(w, v) >= 0, and 0 exactly where w = v. Its three terms cancel: rounding is relative to their size.
@everywhere
@few
@given(w=points, v=points)
def test_divergences_are_positive(phi: ib.Potential, w: np.ndarray, v: np.ndarray) -> None:
    size = abs(phi.value(w)) + abs(phi.value(v)) + float(np.abs(phi.mirror(v)) @ (np.abs(w) + np.abs(v)))
    divergence = phi.divergence(w, v)
    assert divergence >= -4 * 2.0**-52 * size
    assert phi.divergence(w, w) == 0.0
    # Far apart relative to the rounding, it must be seen to be positive.
    if np.max(np.abs(w - v)) > 1.0:
        assert divergence > 0.0


# Law: phi(0) = 0 is its least value.
@everywhere
@few
@given(w=points)
def test_the_value_is_least_at_zero(phi: ib.Potential, w: np.ndarray) -> None:
    zero = np.zeros(DIMENSION)
    assert phi.value(zero) == 0.0
    assert np.all(phi.mirror(zero) == 0.0)
    assert phi.value(w) >= 0.0


# Law: the slope formula is the derivative of the inverse mirror, by central differences in z.
@coordinatewise
@few
@given(w=arrays(np.float64, DIMENSION, elements=st.floats(0.1, 100.0)), sign=st.sampled_from([-1.0, 1.0]))
def test_the_slope_is_the_derivative_of_the_inverse_mirror(
    phi: ib.SeparablePotential, w: np.ndarray, sign: float
) -> None:
    z = phi.mirror(sign * w)
    # ln w moves at most twice as fast as z: a step of 1e-5 errs by 1e-10 and rounds |z| 2^-52 / 1e-5.
    step = 1e-5
    difference = (phi.inverse_mirror(z + step) - phi.inverse_mirror(z - step)) / (2 * step)
    slope = slope_of(phi, z)
    noise = 8 * 2.0**-52 * (1 + float(np.max(np.abs(z)))) / step
    np.testing.assert_allclose(slope, difference, rtol=1e-8 + noise)


# Law: products with the Hessian and with its inverse undo each other. Away from 0, where a tiny scale's Hessian
# leaves float64.
@everywhere
@few
@given(w=arrays(np.float64, DIMENSION, elements=st.floats(0.1, 100.0)), v=points)
def test_the_inverse_hessian_undoes_the_hessian(phi: ib.Potential, w: np.ndarray, v: np.ndarray) -> None:
    there = phi.hessian_product(w, v)
    size = float(np.max(np.abs(v)))
    np.testing.assert_allclose(phi.inverse_hessian_product(w, there), v, rtol=1e-11, atol=1e-12 * size)


# Law: the Hessian is the derivative of the mirror map, by central differences, and symmetric and positive.
@everywhere
@few
@given(w=arrays(np.float64, DIMENSION, elements=st.floats(0.5, 2.0)), v=directions)
def test_the_hessian_is_the_derivative_of_the_mirror_map(
    phi: ib.Potential, w: np.ndarray, v: np.ndarray
) -> None:
    step = 1e-5
    difference = (phi.mirror(w + step * v) - phi.mirror(w - step * v)) / (2 * step)
    size = float(np.max(np.abs(phi.mirror(w))))
    product = phi.hessian_product(w, v)
    np.testing.assert_allclose(product, difference, rtol=1e-6, atol=1e-8 + 8 * 2.0**-52 * size / step)
    assert float(v @ product) >= 0.0
    other = np.arange(1.0, DIMENSION + 1)
    np.testing.assert_allclose(other @ product, v @ phi.hessian_product(w, other), rtol=1e-12, atol=1e-14)


# Law: the forms in logarithms are the maps themselves where w is a float64.
@everywhere
@few
@given(w=points)
def test_the_forms_in_logarithms_are_the_maps(phi: ib.Potential, w: np.ndarray) -> None:
    z = phi.mirror(w)
    signs, logs = phi.inverse_mirror_logs(z)
    np.testing.assert_allclose(
        signs * np.exp(logs), phi.inverse_mirror(z), rtol=4 * _resolution(phi, w), atol=1e-300
    )
    finite = np.where(np.isfinite(logs), logs, 0.0)
    np.testing.assert_allclose(
        phi.mirror_of_logs(signs, finite), z, rtol=4 * _resolution(phi, w), atol=2 * _mixing(phi, z)
    )


# Law: the domain of all of these is everything.
@everywhere
@few
@given(w=points)
def test_every_point_lies_in_the_domain(phi: ib.Potential, w: np.ndarray) -> None:
    assert phi.contains(w)


def _size_at(phi: ib.Potential, direction: np.ndarray, level: float) -> float:
    """The c > 0 with phi(c direction) = level, by bisection in ln c."""
    low, high = -700.0, 700.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if phi.value(np.exp(middle) * direction) > level else (middle, high)
    return float(np.exp(low))


# Law: far out, points of one level of phi have one horizon gauge, up to what the theory leaves: nothing for quadratic
# potentials; for the hyperbolic entropy the logarithm of the ratios of its scales (200) and of the coordinates, over
# that of the size (1e200).
@everywhere
@settings(max_examples=4)
@given(w=points.filter(np.any), v=points.filter(np.any))
def test_far_level_sets_are_those_of_the_horizon(phi: ib.Potential, w: np.ndarray, v: np.ndarray) -> None:
    level, gauge = 1e200, phi.horizon()
    reached = [
        gauge.value(_size_at(phi, u, level) * u) for u in (w / np.max(np.abs(w)), v / np.max(np.abs(v)))
    ]
    slack = np.log(200 * 50) / np.log(1e200) if gauge.fingerprint() == ib.gauges.L1().fingerprint() else 1e-9
    np.testing.assert_allclose(reached[0], reached[1], rtol=slack)


# Law: the value is the integral of the mirror, by mpmath's quadrature where a is not tiny.
@pytest.mark.parametrize("name", ["squared norm", "hyperbolic entropy, a = 1"])
@few
@given(w=st.floats(-50, 50))
def test_the_value_is_the_integral_of_the_mirror(name: str, w: float) -> None:
    phi = POTENTIALS[name]
    mirror = (lambda x: x) if name == "squared norm" else (lambda x: mpmath.asinh(x) / 2)
    np.testing.assert_allclose(phi.value([w]), float(mpmath.quad(mirror, [0, w])), rtol=1e-13, atol=1e-300)
