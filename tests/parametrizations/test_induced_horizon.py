"""Tests of the horizon of a computed potential against closed forms of the same potential."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from tests.parametrizations._computed import computed_potential

U, V = np.array([1.3, 0.6]), np.array([0.4, -0.2])
SCALE, W0 = np.abs(U**2 - V**2) / 2, U * V
# The potential is computed from flows, although its closed form would be recognised.
HORIZON: Any = computed_potential(lambda theta: theta[0] * theta[1], (U, V)).horizon()


def closed_form(w: np.ndarray) -> float:
    """The hyperbolic entropy of theory, less its tangent at w0, in float64 up to 1e260."""

    def phi(w: np.ndarray) -> np.ndarray:
        return (w * np.arcsinh(w / SCALE) - np.hypot(w, SCALE)) / 2

    return float(np.sum(phi(w) - phi(W0) - np.arcsinh(W0 / SCALE) / 2 * (w - W0)))


def bisected(inside: Any, low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return low


def log_length(ray: np.ndarray, log_level: float) -> float:
    return bisected(lambda log: closed_form(W0 + np.exp(log) * ray) <= np.exp(log_level), 0.0, 690.0)


@pytest.mark.parametrize("ray", [[2.0, -1.0], [1.0, 0.0], [0.0, -3.0]])
def test_the_gauge_is_that_of_the_closed_form(ray: list[float]) -> None:
    w, top = np.array(ray), HORIZON.log_levels[-1]
    assert top == 600.0
    expected = np.exp(log_length(np.ones(2), top) - log_length(w, top))
    assert HORIZON.value(w) == pytest.approx(expected, rel=1e-10)
    # The horizon is the l1 norm, with the length 1 along (1, 1).
    value, error = HORIZON.estimate(w)
    assert abs(value - np.sum(np.abs(w)) / 2) <= error <= 1e-2


# Oracle: the mirror map of the closed form is (arcsinh(w / a) - arcsinh(w0 / a)) / 2, so that w = a sinh(2 t z + c).
def test_the_face_is_where_the_mirror_map_is_parallel() -> None:
    z, top = np.array([1.0, -0.999]), HORIZON.log_levels[-1]

    def point(size: float) -> np.ndarray:
        return SCALE * np.sinh(2 * size * z + np.arcsinh(W0 / SCALE))

    size = bisected(lambda size: closed_form(point(size)) <= np.exp(top), 0.0, 340.0)
    expected = (point(size) - W0) * np.exp(-log_length(np.ones(2), top))
    found = HORIZON.face(z).point()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert HORIZON.value(found) == pytest.approx(1.0, rel=1e-10)
    assert HORIZON.polar().value(z) == pytest.approx(z @ expected, rel=1e-10)
    np.testing.assert_allclose(HORIZON.subgradient(found), z / HORIZON.polar().value(z), rtol=1e-9)


# The horizon is reached like 1 / ln c = 1 / 600.
def test_the_classifier_of_largest_margin_is_found() -> None:
    problem = ib.Classification([[2.0, 1.0], [-1.0, 0.5], [3.0, 3.0]], [1, -1, 1])
    limit = ib.max_margin(problem, HORIZON)
    assert limit.certificate.holds
    expected = ib.max_margin(problem, "l1")
    np.testing.assert_allclose(limit.point, expected.point, atol=3 / 600 * np.max(np.abs(expected.point)))


def test_a_domain_with_a_boundary_is_refused_with_the_ray() -> None:
    horizon = computed_potential(lambda theta: theta**2, np.ones(1)).horizon()
    with pytest.raises(ib.InputError, match=r"along the ray \[-1\.0\] from w0.*add the other sign"):
        horizon.value([1.0])
    with pytest.raises(ib.InputError, match="one sign of each entry"):
        ib.induced_potential(lambda theta: theta**2, np.ones(1)).horizon()
