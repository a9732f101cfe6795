"""Tests of the parametrizations against values computed by hand, and of their errors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import implicitbias as ib
from implicitbias._core.precision import double_precision

U, V = [[1.0, 2.0], [0.0, -1.0]], [[3.0, 1.0], [1.0, 0.0]]


# Oracle: by hand.
@pytest.mark.parametrize(
    ("G", "theta", "w"),
    [
        (ib.SquareDifference(), ([3, 1, 0], [2, -1, 4]), [5, 0, -16]),
        (ib.SquareDifference(), (U, V), [[-8, 3], [-1, 1]]),
        (ib.HadamardProduct(), (U, V), [[3, 2], [0, 0]]),
        (ib.DeepDiagonal(2), ([2, 3], [5, -1]), [10, -3]),
        (ib.DeepDiagonal(4), ([2, 3], [5, -1], [1, 0], [7, 7]), [70, 0]),
        (ib.DeepDiagonal(np.int64(3)), [[2.0], [0.5], [3.0]], [3]),
        (ib.MatrixProduct(), (U, V), [[5, 1], [-1, 0]]),
        (ib.MatrixProduct(), ([[1], [2]], [[1], [0], [3]]), [[1, 0, 3], [2, 0, 6]]),
        (ib.MatrixDifference(), (U, V), [[-5, -5], [-5, 0]]),
        (ib.MatrixDifference(), ([[1, 1], [2, 0]], [[1], [3]]), [[1, -1], [-1, -5]]),
        (ib.Coordinatewise(lambda x: x**3), [2, -1], [8, -1]),
        (ib.Coordinatewise(jnp.square), U, [[1, 4], [0, 1]]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ib.Parametrization) else "",
)
def test_the_map(G: ib.Parametrization, theta: Any, w: Any) -> None:
    got = G(theta)
    assert got.tolist() == w
    assert got.dtype == np.float64


# Oracle: (u - v)(u + v) in exact arithmetic: u^2 - v^2 in float64 would lose every digit here.
def test_the_difference_of_squares_does_not_cancel() -> None:
    u, v = 1.0 + 2.0**-40, 1.0
    assert ib.SquareDifference()(([u], [v])).tolist() == [2.0**-39 + 2.0**-80]


# Oracle: the product in NumPy, down to subnormal numbers, which XLA flushes to zero.
def test_the_product_keeps_subnormal_numbers() -> None:
    assert ib.HadamardProduct()(([1e-200], [1e-110])).tolist() == [1e-200 * 1e-110]


# Oracle: by hand: d(a b c)/da = b c. A layer that vanishes divides nothing.
def test_layers_may_vanish() -> None:
    G, theta = ib.DeepDiagonal(3), ([0.0, 0.0], [2.0, 0.0], [5.0, 3.0])
    assert [part.tolist() for part in G.pullback(theta, [1.0, 1.0])] == [[10, 0], [0, 0], [0, 0]]
    with double_precision():
        assert np.asarray(G.metric(tuple(map(jnp.asarray, theta)))).tolist() == [100, 0]


# Oracle: theory 5.6: grad R(w) = 1/4 [arcsinh(w / (2 u0 v0)) - ln(u0 / v0)], so 0 at the start.
def test_the_potential_of_the_difference_of_squares() -> None:
    u, v = np.array([0.5, 1e-3, 2.0]), np.array([0.5, 3e-3, 1.0])
    G = ib.SquareDifference()
    phi, w = G.potential((u, -v)), np.array([1.0, -2.0, 0.3])
    assert_allclose(phi.mirror(w), np.arcsinh(w / (2 * u * v)) / 4, rtol=1e-14)
    assert_allclose(phi.mirror(G((u, v))), np.log(u / v) / 4, rtol=1e-13, atol=1e-15)


# Oracle: a = 2 alpha^2 (theory 0.3), also where its float64 value underflows.
@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e-200])
def test_the_scale_of_its_potential_is_two_alpha_squared(alpha: float) -> None:
    phi = ib.SquareDifference().potential(([alpha], [alpha]))
    (scale,) = (leaf for leaf in jax.tree.leaves(phi) if np.ndim(leaf) == 1)
    assert_allclose(scale, np.log(2) + 2 * np.log(alpha), rtol=1e-15)


# Oracle: the two parametrizations are one.
def test_depth_two_has_the_potential_of_the_product() -> None:
    theta = ([1.0, 0.5], [0.3, -1.0])
    ours, theirs = ib.DeepDiagonal(2).potential(theta), ib.HadamardProduct().potential(theta)
    assert ours.mirror([1.0, -2.0]).tolist() == theirs.mirror([1.0, -2.0]).tolist()


# Oracle: theory 5.9: rho = sinh has the metric cosh^2 = 1 + w^2.
def test_the_metric_of_sinh() -> None:
    theta = np.array([0.0, -1.5, 2.0])
    with double_precision():
        metric = np.asarray(ib.Coordinatewise(jnp.sinh).metric(jnp.asarray(theta)))
    assert_allclose(metric, 1 + np.sinh(theta) ** 2, rtol=1e-14)


def test_lists_and_integers_become_float64_copies() -> None:
    u = np.array([1.0, 2.0])
    (got, other), one = ib.HadamardProduct().checked((u, [3, 4])), ib.Coordinatewise(jnp.sin).checked([1, 2])
    for array in (got, other, one):
        assert array.dtype == np.float64
    got[0] = 7.0
    assert u[0] == 1.0


ONE, TWO = np.ones(1), np.ones(2)
PRODUCT, DIFFERENCE, SINH = ib.MatrixProduct(), ib.MatrixDifference(), ib.Coordinatewise(jnp.sinh)
SQUARES, DEEP = ib.SquareDifference(), ib.DeepDiagonal(3)


@pytest.mark.parametrize(
    ("G", "theta", "words"),
    [
        (SQUARES, np.ones((2, 3)), r"theta must be a pair \(u, v\) .*got ndarray; type theta = \(u, v\)"),
        (SQUARES, (TWO, ONE), "u has 2 entries and v has 1 entries, they must agree"),
        (SQUARES, (np.ones((2, 3)), np.ones((3, 2))), r"u has shape \(2, 3\) and v has shape \(3, 2\)"),
        (SQUARES, (1.0, 2.0), r"u has shape \(\), 1 dimension"),
        (SQUARES, ([], []), r"u is empty"),
        (SQUARES, ([[1.0], [1.0, 2.0]], TWO), "u is not an array"),
        (SQUARES, (TWO, ["a", "b"]), "v holds values that are not numbers"),
        (SQUARES, (TWO, [1.0, np.inf]), r"v holds 1 NaN or infinite"),
        (DEEP, (ONE, ONE), r"theta must be a tuple \(a_1, a_2, a_3\) of 3 arrays .*got a tuple of 2"),
        (ib.DeepDiagonal(9), None, r"\(a_1, \.\.\., a_9\) of 9 arrays .*got NoneType"),
        (DEEP, (ONE, ONE, TWO), "a_1 has 1 entries and a_3 has 2"),
        (DEEP, (ONE, ONE, 1j * ONE), "a_3 is complex"),
        (PRODUCT, (np.ones((2, 3)), np.ones((2, 2))), "U has 3 columns and V has 2, they must agree"),
        (PRODUCT, (TWO, TWO), r"U has shape \(2,\), 2 dimension"),
        (PRODUCT, np.ones((2, 2)), r"theta must be a pair \(U, V\) .*as many columns"),
        (DIFFERENCE, (np.ones((2, 3)), np.ones((3, 3))), "U has 2 rows and V has 3, they must agree"),
        (DIFFERENCE, (np.ones((2, 3)),), r"theta must be a pair .*got a tuple of 1"),
        (SINH, (TWO,), r"tuple of 1 array\(s\), one array is expected; type theta = theta\[0\]"),
        (SINH, 1.0, r"theta has shape \(\)"),
        (SINH, [np.nan], "theta holds 1 NaN"),
        (SINH, ["a"], "theta holds values that are not numbers"),
    ],
)
def test_bad_parameters_are_refused(G: ib.Parametrization, theta: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        G(theta)
    with pytest.raises(ib.InputError, match=words):
        G.pullback(theta, TWO)
    with pytest.raises(ib.InputError, match=words.replace("theta", "theta0")):
        G.potential(theta)


@pytest.mark.parametrize("depth", [1, 0, -3, 2.0, True, "3", None, [3]])
def test_bad_depths_are_refused(depth: Any) -> None:
    with pytest.raises(ib.InputError, match=r"depth is .*, an integer of at least 2 .*ib\.DeepDiagonal\(3\)"):
        ib.DeepDiagonal(depth)


def _mistaken(x: Any) -> Any:
    return x + "a"


def _numpy(x: Any) -> Any:
    return np.sinh(np.asarray(x))


@pytest.mark.parametrize(
    ("rho", "words"),
    [
        (None, "rho is None, a function is expected"),
        (3.0, "rho is 3.0, a function"),
        (np.sinh, "rho failed"),
        (_numpy, r"rho failed .*TracerArrayConversionError"),
        (_mistaken, "rho failed .*TypeError"),
        (lambda: 1.0, "rho failed"),
        (jnp.sum, r"rho returns float64 of shape \(\) .* \(2,\)"),
        (lambda x: jnp.outer(x, x), r"rho returns float64 of shape \(2, 2\)"),
        (lambda x: 1.0, r"rho returns"),
        (lambda x: x > 0, r"rho returns bool"),
        (lambda x: x * 1j, r"rho returns complex128"),
        (lambda x: (x, x), r"rho returns tuple"),
        (lambda x: x[::-1], "rho mixes the entries"),
        (jnp.cumsum, "rho mixes the entries"),
    ],
)
def test_bad_functions_are_refused(rho: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=rf"{words}.*ib\.Coordinatewise\(jax\.numpy\.sinh\)"):
        ib.Coordinatewise(rho)


# Functions that are not finite everywhere are functions all the same.
def test_functions_with_singularities_are_welcome() -> None:
    assert ib.Coordinatewise(lambda x: jnp.log(x - 10.0))([11.0]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("G", "theta", "words"),
    [
        (SQUARES, ([1.0, 0.0], [1.0, 1.0]), "u0 = 0 or v0 = 0 .*start from u0 = v0 = alpha"),
        (ib.DeepDiagonal(2), ([1.0, 1.0], [1.0, 0.0]), "never changes sign"),
        (DEEP, (ONE, ONE, ONE), "DeepDiagonal has no potential: no closed form"),
        (PRODUCT, (U, V), "MatrixProduct has no potential: .*do not commute"),
    ],
)
def test_starts_without_a_potential_are_refused(G: ib.Parametrization, theta: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        G.potential(theta)


def test_the_callers_precision_is_left_alone() -> None:
    before = jax.config.jax_enable_x64
    assert_allclose(SINH.pullback([0.1], [1.0]), [np.cosh(0.1)], rtol=1e-15)
    assert jax.config.jax_enable_x64 == before


# By hand: the derivatives of u^2 - v^2 are 2 u and -2 v, also where one of u and v is 1e20 times smaller.
def test_derivatives_of_a_difference_of_squares_are_exact() -> None:
    u, v = np.array([1e-20, 1.0, 0.0]), np.array([1.0, -1e-20, 3.0])
    with double_precision():
        gradient = jax.grad(lambda theta: jnp.sum(ib.SquareDifference().formula(theta)))((u, v))
        curvature = jax.hessian(lambda x: ib.SquareDifference().formula((x, 1e20 * x)))(1.0)
    np.testing.assert_array_equal(gradient, (2 * u, -2 * v))
    assert float(curvature) == pytest.approx(2 - 2e40)
