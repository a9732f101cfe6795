"""Closed forms that `ib.induced_potential` recognises, against the potential that is computed from flows."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.parametrizations._induced_potential import InducedPotential
from implicitbias.parametrizations._recognised import recognised_potential
from tests.parametrizations._computed import computed_potential

B = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
PAIR = (np.array([1.0, 0.5]), np.array([0.3, -2.0]))

MAPS: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "named and exchanged": (
        lambda t: t["b"] ** 2 - t["a"] ** 2,
        {"a": PAIR[0], "b": PAIR[1]},
        "0.5 * HyperbolicEntropy",
    ),
    "rotated": (lambda t: (t[0] + t[1]) ** 2 - (t[0] - t[1]) ** 2, PAIR, "0.25 * HyperbolicEntropy"),
    "sums of squares": (
        lambda t: jnp.stack([t[0] ** 2 + t[1] ** 2 - t[2] ** 2, t[3] ** 2 - t[4] ** 2]),
        np.array([1.0, 0.5, 0.7, 2.0, 1.0]),
        "0.5 * HyperbolicEntropy",
    ),
    "linear": (lambda t: B @ t + 1.0, np.array([1.0, 0.5, 0.7]), "QuadraticForm"),
    "powers and a sum of squares": (
        lambda t: jnp.stack([2.0 * t[0] ** 5, -((t[1] + t[2]) ** 2) - 2.0 * t[3] ** 2]),
        np.array([-0.9, 0.3, 0.9, -0.2]),
        "OneSided",
    ),
    "u v with u = v": (lambda t: t[0] * t[1], (np.array([1.0, -0.9]), np.array([1.0, 0.9])), "OneSided"),
}


# Oracle: the potential from integrated flows, which knows no closed form; the values differ by a constant.
@pytest.mark.parametrize("name", [*MAPS])
def test_recognised_potentials_equal_computed_ones(name: str) -> None:
    function, theta0, words = MAPS[name]
    R = ib.induced_potential(function, theta0)
    assert repr(R).startswith(words)
    computed = computed_potential(function, theta0)
    w0 = np.asarray(computed.w0)
    w = w0 + np.array([0.15, -0.2])
    assert R.value(w) - R.value(w0) == pytest.approx(computed.value(w), rel=1e-8)
    np.testing.assert_allclose(R.mirror(w), computed.mirror(w), rtol=1e-8)


# Theory: u v has the scale |u^2 - v^2| / 2, here 1e-400 / 2, whose square root is outside of float64.
def test_tiny_starts() -> None:
    R = ib.induced_potential(lambda t: t[0] * t[1], ([1e-200], [0.0]))
    np.testing.assert_allclose(R.log_scale, [-400.0 * np.log(10.0) - np.log(2.0)], rtol=1e-12)


@pytest.mark.parametrize(
    ("G", "theta0"),
    [
        (lambda t: t[:1] ** 3 + t[:1], [1.0]),  # a cubic with two terms
        (lambda t: t[0] * t[1], ([1.0, 2.0], [1.0, 1.0])),  # one entry that keeps its sign
        (lambda t: t[:1] ** 2 - 2.0 * t[1:] ** 2, [1.0, 1.0]),  # two rates
    ],
)
def test_other_maps_are_computed(G: Any, theta0: Any) -> None:
    assert isinstance(ib.induced_potential(G, theta0), InducedPotential)


# Theory (5.9): R'' = 1 / (D^2 w^(2 - 2 / D)) for w = u^D, here by finite quadrature of R'' in many digits.
@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize("w", [1e-12, 0.9, 1.0 + 1e-9, 2.7, 1e6])
def test_deep_powers_have_the_potential_of_theory(depth: int, w: float) -> None:
    R = ib.induced_potential(lambda theta: theta**depth, [1.0])
    with mpmath.workdps(40):
        power = mpmath.mpf(2) / depth - 2
        slope = mpmath.quad(lambda x: x**power / depth**2, mpmath.linspace(1, mpmath.mpf(w), 30))
        value = mpmath.quad(
            lambda x: (mpmath.mpf(w) - x) * x**power / depth**2, mpmath.linspace(1, mpmath.mpf(w), 30)
        )
    assert R.mirror([w])[0] == pytest.approx(float(slope), rel=1e-12)
    assert R.value([w]) == pytest.approx(float(value), rel=1e-12)
    # Far out, the flow is near its end in finite time, so that rounding of z counts w^r-fold.
    np.testing.assert_allclose(
        R.inverse_mirror(R.mirror([w])), [w], rtol=1e-14 * (10.0 + w ** (1.0 - 2.0 / depth))
    )


# Tests turn warnings into errors.
def test_a_linear_map_whose_metric_overflows_is_not_recognised() -> None:
    G = ib.Parametrization.from_function(lambda t: 1e200 * t)
    assert recognised_potential(G, [1.0, 2.0]) is None
