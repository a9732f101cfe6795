"""Tests of general two-layer diagonal networks: values and Hessians computed by hand, and rejected input."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import implicitbias as ib
from implicitbias._core.precision import double_precision


def _cubic(p: Any) -> Any:
    return p[0] ** 2 * p[1]


def _difference(p: Any) -> Any:
    return p[0] ** 2 - p[1] ** 2


def _product(p: Any) -> Any:
    return p[0] * p[1]


ROWS = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0], [2.0, 2.0]])


# Oracle: by hand.
def test_the_map() -> None:
    assert ib.Featurewise(_cubic)(ROWS).tolist() == [2, -9, 1, 8]
    assert ib.Featurewise([_cubic, _product, _cubic, _difference])(ROWS).tolist() == [2, -3, 1, 0]
    assert ib.Featurewise((_product, _cubic, _difference, _product))(ROWS.tolist()).tolist() == [
        2,
        -9,
        -15.75,
        4,
    ]


# Oracle: by hand: the gradient of p0^2 p1 is (2 p0 p1, p0^2), that of p0 p1 is (p1, p0).
def test_the_geometry() -> None:
    G = ib.Featurewise([_product, _cubic, _product, _cubic])
    back = [[2, 1], [-6, 9], [4, 0.5], [8, 4]]
    assert G.pullback(ROWS, np.ones(4)).tolist() == back
    with double_precision():
        metric = np.asarray(G.metric(jnp.asarray(ROWS)))
    assert_allclose(metric, np.sum(np.square(back), axis=1), rtol=1e-15)


# Oracle: the maps that have a class of their own.
@pytest.mark.parametrize(("k", "G"), [(_product, ib.HadamardProduct()), (_difference, ib.SquareDifference())])
def test_the_maps_with_a_name(k: Any, G: Any) -> None:
    ours, theta = ib.Featurewise(k), tuple(ROWS.T)
    assert ours(ROWS).tolist() == G(theta).tolist()
    assert_allclose(
        ours.pullback(ROWS, ROWS[:, 0]), np.stack(G.pullback(theta, ROWS[:, 0]), axis=1), rtol=1e-15
    )
    # u = v in the last row is orthogonal to (1, -1), which u v refuses here and calls inf there.
    ours_times, times = ours.growth_times(ROWS[:3]), G.growth_times(tuple(ROWS[:3].T))
    assert_allclose(ours_times, times, rtol=1e-15)


# Oracle: by hand: the Hessian of a^2 + 4 a b + b^2 - c^2 / 4 has the eigenvalues 6, -2 and -1/2.
def test_three_parameters() -> None:
    G = ib.Featurewise(lambda p: p[0] ** 2 + 4 * p[0] * p[1] + p[1] ** 2 - p[2] ** 2 / 4)
    plus, minus = G.growth_times([[1.0, 0.5, 1.0], [1.0, 0.0, 0.0]])
    assert_allclose(plus, 1 / 6, rtol=1e-14)
    assert_allclose(minus, 1 / 2, rtol=1e-14)


# Oracle: by hand: third and higher orders do not count; each row has its own function.
def test_a_function_for_each_row() -> None:
    G = ib.Featurewise(
        [lambda p: 3 * jnp.sinh(p[0] * p[1]), lambda p: p[0] * jnp.tan(p[0]) - 5 * p[1] ** 2 + p[0] ** 3]
    )
    plus, minus = G.growth_times([[1.0, 2.0], [1.0, 1.0]])
    assert_allclose(plus, [1 / 3, 1 / 2], rtol=1e-14)
    assert_allclose(minus, [1 / 3, 1 / 10], rtol=1e-14)


# Oracle: SquareDifference, which is integrated in its dual variables, exactly.
def test_its_flow() -> None:
    rng = np.random.default_rng(0)
    problem = ib.LeastSquares(rng.standard_normal((3, 4)), rng.standard_normal(3))
    exact = ib.GradientFlow(problem.reparametrize(ib.SquareDifference()), 1e-2)
    ours = ib.GradientFlow(problem.reparametrize(ib.Featurewise(_difference)), 1e-2)
    theta = 1e-4 * rng.standard_normal((4, 2))
    u, v = ib.simulate(exact, tuple(theta.T), t1=50.0, rtol=1e-6).final
    got = ib.simulate(ours, theta, t1=50.0, rtol=1e-6).final
    # Local errors of 1e-6 over some hundred steps.
    assert_allclose(got, np.stack([u, v], axis=1), rtol=0, atol=2e-4 * np.max(np.abs(u)))


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (None, "maps is None, a function or a list"),
        ([], "maps is empty"),
        ([_product, 3.0], "a list whose item 1 is 3.0"),
        ("uv", "maps is 'uv'"),
    ],
)
def test_bad_maps_are_refused(maps: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=rf"{words}.*ib\.Featurewise\(lambda p"):
        ib.Featurewise(maps)


@pytest.mark.parametrize(
    ("maps", "theta", "words"),
    [
        (_product, (ROWS[:, 0], ROWS[:, 1]), r"tuple of 2 array\(s\).*type theta = numpy\.stack\(theta, axis=1\)"),
        (_product, [1.0, 2.0], r"theta has shape \(2,\), 2 dimension"),
        (_product, [[1.0, np.inf]], "theta holds 1 NaN"),
        ([_product] * 3, ROWS, "theta has 4 rows and there are 3 maps"),
        (lambda p: p, ROWS, r"feature 0 returns float64 of shape \(2,\) .*one float64 number"),
        ([_product, lambda p: (p[0], p[1]), _product, _product], ROWS, "feature 1 returns tuple"),
        (lambda p: p[0] > 0, ROWS, "returns bool"),
        (lambda p: 1, ROWS, "returns int"),
        (lambda p: float(p[0]), ROWS, r"feature 0 failed on an array of 2 number\(s\) \(ConcretizationTypeError"),
        (lambda p, q: p[0], ROWS, "failed .*TypeError"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(maps: Any, theta: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.Featurewise(maps)(theta)


@pytest.mark.parametrize(
    ("k", "direction", "words"),
    [
        (lambda p: p[0] * p[1] + 0.5, [1.0, 0.0], "feature 1 has the value 0.5 at 0, but it must be 0"),
        (lambda p: p[0] * p[1] + p[1], [1.0, 0.0], r"feature 1 has the gradient \[0.0, 1.0\] at 0"),
        (lambda p: p[0] ** 2 + 3 * p[1] ** 2, [1.0, 1.0], "extreme eigenvalues 2 and 6, a negative and a positive"),
        (lambda p: p[0] ** 3 - p[1] ** 4, [1.0, 1.0], "extreme eigenvalues 0 and 0"),
        (lambda p: p[0] * p[1], [1.0, 1.0], r"direction of feature 1 is orthogonal .*negative eigenvalue, \[.*0\.7071"),
        (lambda p: p[0] * p[1], [1.0, -1.0], "orthogonal to the eigenvector of its positive"),
        (lambda p: p[0] * p[1], [0.0, 0.0], "orthogonal"),
        (lambda p: jnp.abs(p[0]) ** 1.5 - p[1] ** 2, [1.0, 1.0], "a Hessian at 0 that is not finite"),
    ],
)  # fmt: skip
def test_maps_without_growth_times_are_refused(k: Any, direction: Any, words: str) -> None:
    G = ib.Featurewise([_difference, k])
    with pytest.raises(ib.InputError, match=words):
        G.growth_times([[1.0, 1.0], direction])


# Oracle: by hand: two equal largest eigenvalues: which direction grows first is not decided by them.
def test_eigenvalues_must_be_simple() -> None:
    with pytest.raises(ib.InputError, match="largest eigenvalue is not simple: 2 and 2"):
        ib.Featurewise(lambda p: p[0] ** 2 + p[1] ** 2 - p[2] ** 2).growth_times([[1.0, 1.0, 1.0]])
    with pytest.raises(ib.InputError, match="smallest eigenvalue is not simple: -2 and -2"):
        ib.Featurewise(lambda p: p[0] ** 2 - p[1] ** 2 - p[2] ** 2).growth_times([[1.0, 1.0, 1.0]])
