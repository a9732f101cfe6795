"""Tests of `problem.reparametrize(G)`: the chain rule, the shapes, and rejected input."""

import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((5, 3)), RNG.standard_normal(5)
U, V = RNG.standard_normal(3), RNG.standard_normal(3)
PROBLEMS = {"squares": ib.LeastSquares(X, Y), "labels": ib.Classification(X, np.sign(Y))}


# Oracle: the chain rule by hand, u v and its derivatives v and u.
@pytest.mark.parametrize("name", list(PROBLEMS))
def test_hadamard_by_the_chain_rule(name: str) -> None:
    inner = PROBLEMS[name]
    problem = inner.reparametrize(ib.HadamardProduct())
    slope = inner.gradient(U * V)
    gradient = problem.gradient((U, V))
    assert problem.loss((U, V)) == pytest.approx(inner.loss(U * V), rel=1e-14)
    assert isinstance(gradient, tuple)
    np.testing.assert_allclose(gradient[0], slope * V, rtol=1e-12)
    np.testing.assert_allclose(gradient[1], slope * U, rtol=1e-12)
    np.testing.assert_allclose(problem.predict((U, V)), X @ (U * V), rtol=1e-13)
    assert problem.problem is inner
    assert not gradient[0].flags.writeable
    assert "reparametrize(HadamardProduct())" in repr(problem)


# Oracle: sinh and cosh. The function inside G is part of the program, not an array.
def test_a_function_of_each_coordinate() -> None:
    problem = PROBLEMS["squares"].reparametrize(ib.Coordinatewise(jnp.sinh))
    np.testing.assert_allclose(
        problem.gradient(U), PROBLEMS["squares"].gradient(np.sinh(U)) * np.cosh(U), rtol=1e-12
    )


# Oracle: matrix calculus; G = U V^T, so that the gradients are S V and S^T U.
def test_matrix_product_of_observed_entries() -> None:
    inner = ib.LeastSquares.entries([0, 1, 2], [0, 1, 1], [1.0, 2.0, 3.0], (3, 2))
    A, B = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 2))
    slope = inner.gradient(A @ B.T)
    gradient = inner.reparametrize(ib.MatrixProduct()).gradient((A, B))
    np.testing.assert_allclose(gradient[0], slope @ B, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient[1], slope.T @ A, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("G", "words"),
    [
        (None, r"G is None, a parametrization is expected: type problem\.reparametrize"),
        ("hadamard", r"G is 'hadamard'"),
        (lambda theta: theta, r"a parametrization is expected"),
        (ib.HadamardProduct, r"G is the class HadamardProduct, .*type HadamardProduct\(\)"),
        (ib.SquaredNorm(), r"a parametrization is expected"),
    ],
)
def test_what_is_not_a_parametrization_is_refused(G: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        PROBLEMS["squares"].reparametrize(G)


@pytest.mark.parametrize(
    ("theta", "words"),
    [
        ((np.ones(4), np.ones(4)), r"params gives w of shape \(4,\), but the problem has w of shape \(3,\)"),
        ((np.ones((3, 1)), np.ones((3, 1))), r"shape \(3, 1\)"),
        ((np.ones(3), np.ones(4)), r"agree"),
        (np.ones(3), r"pair"),
        ((np.ones(3), np.full(3, np.nan)), r"NaN"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(theta: object, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        PROBLEMS["squares"].reparametrize(ib.HadamardProduct()).loss(theta)


def test_a_vector_problem_refuses_a_matrix() -> None:
    with pytest.raises(ib.InputError, match=r"w of shape \(3, 3\).*\(3,\)"):
        PROBLEMS["squares"].reparametrize(ib.MatrixProduct()).loss((np.ones((3, 2)), np.ones((3, 2))))
