"""Laws of horizons: they are homogeneous, and neither a constant nor a term of slower growth changes them."""

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from tests.laws.registry import POTENTIALS

POINTS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -3.0], [-1e-2, 1.0, 4.0]])
FORM = np.array([[2.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 1.0]])
# Each with a term of slower growth in all directions.
DOMINATED: dict[str, tuple[ib.Potential, ib.Potential]] = {
    "squares and an entropy": (ib.SquaredNorm(), ib.HyperbolicEntropy(0.1)),
    "cubes and squares": (ib.PNorm(3), 5.0 * ib.SquaredNorm()),
    "cubes and a quadratic form": (ib.PNorm(3), ib.QuadraticForm(FORM)),
    "cosh and cubes": (ib.Cosh(), 3.0 * ib.PNorm(3)),
    "a quadratic form and a power": (ib.QuadraticForm(FORM), ib.PNorm(1.5)),
}


def _same(phi: ib.Potential, other: ib.Potential) -> None:
    """Assert that two potentials have one horizon up to a factor, within the error bars of its sublevel sets."""
    known, horizon = phi.horizon(), ib.Potential.horizon(other)
    for w in POINTS:
        expected = known.value(w) / known.value(np.ones(3))
        value, error = horizon.estimate(w)  # type: ignore[attr-defined]
        assert abs(value - expected) <= error <= 1e-2 * expected


@pytest.mark.parametrize("name", POTENTIALS)
def test_horizons_are_homogeneous(name: str) -> None:
    gauge = POTENTIALS[name].horizon()
    for w in POINTS:
        for factor in (1e-3, 7.0):
            np.testing.assert_allclose(gauge.value(factor * w), factor * gauge.value(w), rtol=1e-13)
    assert gauge.value(np.zeros(3)) == 0.0


@pytest.mark.parametrize("name", DOMINATED)
def test_a_dominated_term_does_not_change_the_horizon(name: str) -> None:
    phi, term = DOMINATED[name]
    _same(phi, phi + term)
    assert (phi + term).horizon().fingerprint() == phi.horizon().fingerprint()
    assert (term + phi).horizon().fingerprint() == phi.horizon().fingerprint()


def test_the_horizon_of_a_sum_of_the_same_horizons() -> None:
    both = ib.HyperbolicEntropy(1.0) + ib.HyperbolicEntropy(0.1)
    _same(ib.HyperbolicEntropy(1.0), both)
    assert both.horizon().fingerprint() == ib.gauges.L1().fingerprint()


# Oracle: the sum of two quadratic forms is a quadratic form.
def test_the_horizon_of_a_sum_of_equal_growth_is_numerical() -> None:
    both = ib.SquaredNorm() + ib.QuadraticForm(FORM)
    _same(ib.QuadraticForm(FORM + np.eye(3)), both)
    assert type(both.horizon()) is type(ib.Potential.horizon(both))


def test_sums_of_spectral_potentials_and_compositions_have_known_horizons() -> None:
    total = ib.Spectral(ib.SquaredNorm()) + ib.Spectral(ib.PNorm(3))
    assert total.horizon().fingerprint() == ib.gauges.Schatten(3.0).fingerprint()
    turned = ib.SquaredNorm() + ib.PNorm(3).compose(FORM)
    _same(ib.PNorm(3).compose(FORM), turned)


@pytest.mark.parametrize("constant", [-5.0, 40.0])
@pytest.mark.parametrize(
    "name", ["squared norm", "hyperbolic entropy, a = 1", "quadratic form", "p-norm, p = 1.5"]
)
def test_a_constant_does_not_change_the_horizon(name: str, constant: float) -> None:
    phi = POTENTIALS[name]
    # Squares that are never 0 keep the derivatives of the power 1.5 finite.
    value = (
        (lambda w: jnp.sum((w**2 + 1e-300) ** 0.75) / 1.5) if name.startswith("p-norm") else phi.value_formula
    )
    _same(phi, ib.Potential.from_function(lambda w: value(w) + constant, dimension=3))


# The control: a term of faster growth does change it.
def test_a_dominating_term_changes_the_horizon() -> None:
    with pytest.raises(AssertionError):
        _same(ib.SquaredNorm(), ib.SquaredNorm() + ib.PNorm(3))
