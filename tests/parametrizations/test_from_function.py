"""Tests of parametrizations that are given as functions."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib


def product(theta: Any) -> Any:
    return theta["u"] * theta["v"]


THETA = {"u": [1.0, 2.0], "v": [3.0, -1.0]}


def test_it_trains_as_the_built_in_map_does() -> None:
    problem = ib.LeastSquares([[1.0, 2.0], [0.0, 1.0]], [1.0, 1.0])
    mine = problem.reparametrize(ib.Parametrization.from_function(product))
    known = problem.reparametrize(ib.HadamardProduct())
    pair = (THETA["u"], THETA["v"])
    assert mine.loss(THETA) == known.loss(pair)
    np.testing.assert_array_equal(mine.gradient(THETA)["v"], known.gradient(pair)[1])


@pytest.mark.parametrize(
    ("G", "theta", "message"),
    [
        (3.0, None, "G is 3.0, a function of theta is expected"),
        (lambda theta: (theta, theta), np.ones(2), "returns a tuple, one array w is expected"),
        (jnp.sum, np.ones(2), "shape \\(\\), .* type jnp.atleast_1d"),
        (lambda theta: theta.astype(jnp.float32), np.ones(2), "returns float32"),
        (lambda theta: theta * 1j, np.ones(2), "returns complex128, real numbers .* type jnp.real"),
        (np.sin, np.ones(2), "numpy or SciPy"),
        (lambda theta: theta["u"], np.ones(2), "G failed on a theta0? with leaves of shapes \\[\\(2,\\)\\]"),
        (lambda theta: theta, np.array([np.nan]), "NaN"),
    ],
)
def test_what_is_no_map_is_refused(G: Any, theta: Any, message: str) -> None:
    with pytest.raises(ib.InputError, match=message):
        ib.Parametrization.from_function(G)(theta)


def test_equal_functions_have_equal_fingerprints() -> None:
    def make(scale: float) -> ib.Parametrization:
        return ib.Parametrization.from_function(lambda theta: scale * theta)

    assert make(2.0).fingerprint() == make(2.0).fingerprint() != make(3.0).fingerprint()
