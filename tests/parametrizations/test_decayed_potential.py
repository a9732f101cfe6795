"""`ib.decayed_potential` against gradient flow with weight decay, closed forms, and maps of another degree."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

D, DECAY, TIME = 4, 0.3, 2.0
_rng = np.random.default_rng(510)
PROBLEM = ib.LeastSquares(_rng.standard_normal((2, D)), [1.0, -0.5])
_u, _v = _rng.uniform(0.5, 1.0, (2, D))
MAPS = {"u * v": ib.HadamardProduct(), "u^2 - v^2": ib.SquareDifference()}


# The mirror map of R_t at w_t is -int grad L dt, which is a combination of the two rows of X. The flow knows no
# potential; with the potential of the start it is no such combination.
@pytest.mark.parametrize("name", MAPS)
def test_along_a_flow_with_weight_decay(name: str) -> None:
    G, theta0 = MAPS[name], (_u + 0.5, _v)
    flow = ib.GradientFlow(PROBLEM.reparametrize(G), weight_decay=DECAY)
    w = G(ib.simulate(flow, theta0, t1=TIME, rtol=1e-10).final)
    across = np.linalg.svd(PROBLEM.X)[2][2:]
    mirrored = ib.decayed_potential(G, theta0, DECAY, TIME).mirror(w)
    np.testing.assert_allclose(across @ mirrored, 0.0, atol=1e-7)
    assert np.max(np.abs(across @ ib.induced_potential(G, theta0).mirror(w))) > 0.02
    assert np.max(np.abs(mirrored)) > 0.1


# Closed forms: u * v has the scale |u^2 - v^2| e^(-2 lambda t) / 2 and the mirror map arcsinh(w / a) / 2 - c, and
# u^2 - v^2 has the scale 2 |u v| e^(-2 lambda t) and the mirror map arcsinh(w / a) / 4 - c.
def test_scales() -> None:
    w = np.array([0.3, -2.0, 1.0, 0.0])
    shrink = np.exp(-2.0 * DECAY * TIME)
    start = _u + 0.5, _v
    a = np.abs(start[0] ** 2 - start[1] ** 2) / 2
    got = ib.decayed_potential(MAPS["u * v"], start, DECAY, TIME).mirror(w)
    np.testing.assert_allclose(got, (np.arcsinh(w / (a * shrink)) - np.arcsinh(start[0] * start[1] / a)) / 2)
    got = ib.decayed_potential(MAPS["u^2 - v^2"], (_u, _v), DECAY, TIME).mirror(w)
    expected = np.arcsinh(w / (2 * _u * _v * shrink)) - np.arcsinh((_u**2 - _v**2) / (2 * _u * _v))
    np.testing.assert_allclose(got, expected / 4)


def test_without_decay_it_is_the_induced_potential() -> None:
    w = np.array([0.3, -2.0, 1.0, 0.0])
    plain = ib.induced_potential(MAPS["u * v"], (_u + 1.0, _v)).mirror(w)
    np.testing.assert_array_equal(
        ib.decayed_potential(MAPS["u * v"], (_u + 1.0, _v), 0.0, 5.0).mirror(w), plain
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((ib.Coordinatewise(lambda x: x**3), _u, 0.1, 1.0), "not homogeneous of degree 2"),
        ((lambda theta: theta**2 + theta, _u, 0.1, 1.0), "is no mirror flow of a changing potential"),
        ((lambda theta: jnp.sum(theta**2) * theta**2, _u, 0.1, 1.0), "degree 2"),
        ((MAPS["u * v"], (_u, _v), -0.1, 1.0), "weight_decay is -0.1"),
        ((MAPS["u * v"], (_u, _v), 0.1, np.inf), "time is inf"),
        ((MAPS["u * v"], (_u, _v), 1.0, 400.0), "at most 300 is expected"),
        ((ib.MatrixProduct(), (np.eye(2), np.eye(2)), 0.1, 1.0), "has no induced potential"),
    ],
)
def test_bad_input(arguments: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.decayed_potential(*arguments)


# Times often are entries of arrays.
def test_arrays_without_dimensions_are_numbers() -> None:
    potentials = [
        ib.decayed_potential(ib.HadamardProduct(), (_u + 1.0, _v), decay, time)
        for decay, time in ((0.5, 2.0), (np.array(0.5), np.array(2.0)))
    ]
    assert potentials[0] == potentials[1]
    with pytest.raises(ib.InputError, match=r"time is array\(\[2\.\]\)"):
        ib.decayed_potential(ib.HadamardProduct(), (_u + 1.0, _v), 0.5, np.array([2.0]))
