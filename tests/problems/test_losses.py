"""Tests of the losses of one row at margins where simple formulas lose all digits."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.problems._loss import NAMED

MARGINS = [-800.0, -700.0, -37.5, -1.0, -1e-9, 0.0, 1e-9, 0.3, 1.0, 20.0, 36.7, 37.5, 100.0, 700.0, 800.0]


def evaluated(loss: ib.Loss, prediction: object, target: object) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the value, the derivative and R R^T in float64."""
    with double_precision():
        f, y = jnp.asarray(prediction, dtype=float), jnp.asarray(target)
        root = np.asarray(loss.root(f, y))
        return float(loss.value(f, y)), np.asarray(loss.derivative(f, y)), root @ root.T


# Oracle: the formulas in 50 digits, which neither overflow nor cancel. XLA flushes numbers below 2.2e-308 to 0.
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_logistic_is_exact_at_every_margin(margin: float, target: float) -> None:
    value, derivative, curvature = evaluated(NAMED["logistic"](), [target * margin], [target])
    with mp.workdps(50):
        e = mp.exp(-mp.mpf(margin))
        right = mp.log1p(e) if margin < 500 else e, -target * e / (1 + e), e / (1 + e) ** 2
    np.testing.assert_allclose(value, float(right[0]), rtol=4e-15, atol=1e-307)
    np.testing.assert_allclose(derivative, [float(right[1])], rtol=1e-14, atol=1e-307)
    np.testing.assert_allclose(curvature, [[float(right[2])]], rtol=1e-13, atol=1e-307)


# Oracle: 50 digits.
@pytest.mark.parametrize("margin", [-700.0, -1.0, 0.0, 2.5, 700.0])
@pytest.mark.parametrize("target", [-1.0, 1.0])
def test_exponential(margin: float, target: float) -> None:
    value, derivative, curvature = evaluated(NAMED["exponential"](), [target * margin], [target])
    with mp.workdps(50):
        e = float(mp.exp(-mp.mpf(margin)))
    np.testing.assert_allclose([value, curvature[0, 0], -target * derivative[0]], 3 * [e], rtol=2e-13)


# Oracle: by hand.
def test_squared_sums_over_outputs() -> None:
    value, derivative, curvature = evaluated(NAMED["squared"](), [1.0, 2.0, 3.0], [0.0, 4.0, 3.5])
    assert value == (1 + 4 + 0.25) / 2
    assert derivative.tolist() == [1.0, -2.0, -0.5]
    assert curvature.tolist() == np.eye(3).tolist()


LOGITS = [
    [0.0, 0.0, 0.0],
    [1.0, -2.0, 0.5],
    [45.0, 0.0, 3.0],  # Here 1 - p_0 = 6e-19 is smaller than the rounding error of 1.
    [300.0, 0.0, 1.0],
    [1e3, -1e3, 0.0],
    [-1e3, 1e3, 1e3],
    [1e8, 1e8 + 1, 1e8 - 1],
]


# Oracle: softmax in 500 digits; the entries that cancel in float64 are compared relatively.
@pytest.mark.parametrize("logits", LOGITS)
@pytest.mark.parametrize("target", [0, 1, 2])
def test_cross_entropy_keeps_its_digits(logits: list[float], target: int) -> None:
    value, derivative, curvature = evaluated(NAMED["cross_entropy"](), logits, target)
    with mp.workdps(2000):
        e = [mp.exp(mp.mpf(f)) for f in logits]
        p = [term / sum(e) for term in e]
        loss = -mp.log(p[target])
        slope = [float(p[j] - (j == target)) for j in range(3)]
        second = [[float((p[i] if i == j else 0) - p[i] * p[j]) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(value, float(loss), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(derivative, slope, rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(curvature, second, rtol=1e-12, atol=1e-300)
    assert abs(derivative.sum()) <= 1e-15 * np.abs(derivative).max()


# Oracle: central differences of the value, and of the derivative.
@pytest.mark.parametrize(
    ("name", "target"),
    [("squared", [0.3]), ("logistic", [-1.0]), ("exponential", [1.0]), ("cross_entropy", 1)],
)
def test_the_derivatives_are_slopes(name: str, target: object) -> None:
    loss, step = NAMED[name](), 1e-5
    f = np.array([0.4, -0.2, 0.9] if name == "cross_entropy" else [0.4])
    sides = [
        (evaluated(loss, f + step * e, target), evaluated(loss, f - step * e, target)) for e in np.eye(len(f))
    ]
    _, derivative, curvature = evaluated(loss, f, target)
    np.testing.assert_allclose(derivative, [(a[0] - b[0]) / (2 * step) for a, b in sides], atol=1e-9)
    np.testing.assert_allclose(curvature, [(a[1] - b[1]) / (2 * step) for a, b in sides], atol=1e-9)


class Own(ib.Loss):
    """A loss that is given by a function."""

    formula: Callable[[jax.Array, jax.Array], jax.Array]

    def value(self, prediction: jax.Array, target: jax.Array) -> jax.Array:
        return self.formula(prediction, target)


# Oracle: by hand; the second derivative of cosh is cosh.
def test_an_own_loss_of_one_output_is_differentiated() -> None:
    value, derivative, curvature = evaluated(Own(lambda f, y: jnp.sum(jnp.cosh(f - y))), [1.5], [0.5])
    np.testing.assert_allclose(
        [value, derivative[0], curvature[0, 0]], [np.cosh(1), np.sinh(1), np.cosh(1)], rtol=1e-14
    )


# Oracle: numpy.linalg.eigh of the second derivative, which is A for the loss f^T A f / 2.
def test_a_loss_that_is_not_convex_has_the_positive_part_as_curvature() -> None:
    A = np.array([[1.0, 2.0, 0.0], [2.0, -3.0, 1.0], [0.0, 1.0, 0.5]])
    loss = Own(lambda f, y: f @ jnp.asarray(A) @ f / 2)
    values, vectors = np.linalg.eigh(A)
    assert values[0] < 0 < values[1]
    curvature = evaluated(loss, [0.1, 0.2, 0.3], 0.0)[2]
    np.testing.assert_allclose(curvature, vectors * np.maximum(values, 0) @ vectors.T, atol=1e-14)
    assert evaluated(Own(lambda f, y: -jnp.sum(f**2)), [0.1], 0.0)[2] == 0


def test_a_convex_own_loss_of_many_outputs() -> None:
    loss = Own(lambda f, y: jax.nn.logsumexp(f) - f[0])
    np.testing.assert_allclose(
        evaluated(loss, [0.3, -1.0, 2.0], 0.0)[2],
        evaluated(NAMED["cross_entropy"](), [0.3, -1.0, 2.0], 0)[2],
        atol=1e-15,
    )


def test_a_loss_without_value_cannot_be_built() -> None:
    class Empty(ib.Loss):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty()


# Oracle: by hand. From m = 40 on, log(1 + e^-m) is e^-m up to rounding, and two other classes double it.
@pytest.mark.parametrize("margin", [1e3, 1e4, 1e6])
@pytest.mark.parametrize(("name", "classes"), [("logistic", 2), ("exponential", 2), ("cross_entropy", 3)])
def test_nothing_saturates_at_extreme_margins(name: str, classes: int, margin: float) -> None:
    loss = NAMED[name]()
    with jax.enable_x64(True):
        target = jnp.asarray(0 if classes == 3 else 1.0)
        prediction = jnp.asarray([margin, 0.0, 0.0] if classes == 3 else [margin])
        own = jnp.abs(loss.scaled_derivative(prediction, target, jnp.asarray(margin))[0])
        np.testing.assert_allclose(
            loss.log_value(prediction, target), np.log(classes - 1) - margin, rtol=1e-14
        )
        np.testing.assert_allclose(own, classes - 1.0, rtol=1e-9)
