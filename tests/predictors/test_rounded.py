"""Tests of predictors whose kinks are rounded, against the formula of the rounded corner."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.predictors import gated, rounded, traced

RNG = np.random.default_rng(0)
X = RNG.standard_normal((7, 3))
START = {"W": RNG.standard_normal((3, 5)), "V": RNG.standard_normal((5, 2))}
SHARE = 0.3


def relu_net(params: Any, inputs: Any) -> Any:
    return jax.nn.relu(inputs @ params["W"]) @ params["V"]


def mixed_rows(params: Any, inputs: Any) -> Any:
    centred = inputs - jnp.mean(inputs, axis=0)
    return jnp.maximum(centred @ params["W"], 0.0) @ params["V"]


@pytest.mark.parametrize("model", [relu_net, mixed_rows])
def test_kinks_are_rounded_over_a_share_of_the_pre_activations(model: Any) -> None:
    problem = ib.Problem(model, X, np.zeros((7, 2)))
    shape, theta = problem.checked_params(START)
    with double_precision():
        predictor = traced(problem.double_objective.readout).fitted(shape, theta)
        smooth = rounded(gated(predictor, shape, theta), theta, SHARE)
        found = np.asarray(smooth(shape.unflatten(jnp.asarray(theta))))
    inputs = X if model is relu_net else X - X.mean(axis=0)
    z = inputs @ START["W"]
    width = SHARE * np.sqrt(np.mean(z**2))
    corner = np.where(np.abs(z) < width, (z + width) ** 2 / (4 * width), np.maximum(z, 0.0))
    assert np.any(np.abs(z) < width)
    np.testing.assert_allclose(found, corner @ START["V"], rtol=1e-12)


# The derivative is continuous: it is 0 and 1 at the two ends of the parabola.
def test_the_derivative_of_the_corner_is_continuous() -> None:
    def model(params: Any, inputs: Any) -> Any:
        return jax.nn.relu(inputs @ params)

    problem = ib.Problem(model, np.eye(2), np.zeros(2))
    shape, theta = problem.checked_params(np.array([3.0, 4.0]))
    width = SHARE * np.sqrt(12.5)
    with double_precision():
        predictor = traced(problem.double_objective.readout).fitted(shape, theta)
        smooth = rounded(gated(predictor, shape, theta), theta, SHARE)
        for place, slope in ((-0.999, 0.0), (0.0, 0.5), (0.999, 1.0), (1.001, 1.0), (-1.001, 0.0)):
            point = jnp.asarray([place * width, 1.0])
            derivative = jax.grad(lambda at: smooth(shape.unflatten(at))[0, 0])(point)[0]
            assert derivative == pytest.approx(slope, abs=1e-3)
