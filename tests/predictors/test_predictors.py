"""Predictors against finite differences, `jax.jacrev` on functions written out here, and NumPy."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import implicitbias as ib
from implicitbias import predictors
from implicitbias._core.precision import double_precision

RNG = np.random.default_rng(0)
X, X2, Y = RNG.standard_normal((5, 4)), RNG.standard_normal((3, 4)), RNG.standard_normal(5)
ROWS, COLS = np.array([0, 1, 1, 2, 0]), np.array([1, 0, 1, 1, 1])
ROWS2, COLS2 = np.array([0, 2, 1]), np.array([1, 0, 1])
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
W, U, V = RNG.standard_normal(4), RNG.standard_normal((3, 2)), RNG.standard_normal((2, 2))
ENTRIES = ib.LeastSquares.entries(ROWS, COLS, Y, (3, 2))
NET = {"W": RNG.standard_normal((4, 3)), "a": RNG.standard_normal((3, 2)), "b": RNG.standard_normal(2)}


def net(params: Any, inputs: Any) -> jax.Array:
    return jnp.tanh(inputs @ params["W"]) @ params["a"] + params["b"]


def mixing(params: Any, inputs: Any) -> jax.Array:
    return jnp.tanh((inputs - jnp.mean(inputs, axis=0)) @ params)


def pick(matrix: Any, rows: Any, cols: Any) -> jax.Array:
    return matrix[rows, cols]


# problem, parameters, the predictions written out, other inputs, the predictions there
Case = tuple[Any, Any, Callable[[Any], jax.Array], Any, Callable[[Any], jax.Array]]
CASES: dict[str, Case] = {
    "linear": (ib.LeastSquares(X, Y), W, lambda w: X @ w, X2, lambda w: X2 @ w),
    "linear, sparse": (ib.LeastSquares(sparse.csr_array(X), Y), W, lambda w: X @ w, X2, lambda w: X2 @ w),
    "classification": (ib.Classification(X, SIGNS), W, lambda w: X @ w, X2, lambda w: X2 @ w),
    "classification, sparse": (
        ib.Classification(sparse.csc_array(X), SIGNS), W, lambda w: X @ w, X2, lambda w: X2 @ w,
    ),
    "u * v": (
        ib.LeastSquares(X, Y).reparametrize(ib.HadamardProduct()), (W, W[::-1].copy()),
        lambda p: X @ (p[0] * p[1]), X2, lambda p: X2 @ (p[0] * p[1]),
    ),
    "u * v, sparse": (
        ib.LeastSquares(sparse.csr_array(X), Y).reparametrize(ib.HadamardProduct()), (W, W[::-1].copy()),
        lambda p: X @ (p[0] * p[1]), X2, lambda p: X2 @ (p[0] * p[1]),
    ),
    "depth 3": (
        ib.Classification(X, SIGNS).reparametrize(ib.DeepDiagonal(3)), (W, W + 1, W - 1),
        lambda p: X @ (p[0] * p[1] * p[2]), X2, lambda p: X2 @ (p[0] * p[1] * p[2]),
    ),
    "entries": (
        ENTRIES, U @ V, lambda w: pick(w, ROWS, COLS), (ROWS2, COLS2), lambda w: pick(w, ROWS2, COLS2)
    ),
    "entries of u * v": (
        ENTRIES.reparametrize(ib.HadamardProduct()), (U, U + 1),
        lambda p: pick(p[0] * p[1], ROWS, COLS), (ROWS2, COLS2), lambda p: pick(p[0] * p[1], ROWS2, COLS2),
    ),
    "entries of U V^T": (
        ENTRIES.reparametrize(ib.MatrixProduct()), (U, V),
        lambda p: pick(p[0] @ p[1].T, ROWS, COLS), (ROWS2, COLS2), lambda p: pick(p[0] @ p[1].T, ROWS2, COLS2),
    ),
    "entries of U U^T - V V^T": (
        ib.LeastSquares.entries(ROWS, COLS, Y, (3, 3)).reparametrize(ib.MatrixDifference()), (U, U[:, :1] - 1),
        lambda p: pick(p[0] @ p[0].T - p[1] @ p[1].T, ROWS, COLS), (ROWS2, COLS2),
        lambda p: pick(p[0] @ p[0].T - p[1] @ p[1].T, ROWS2, COLS2),
    ),
    "a network": (
        ib.Problem(net, X, np.stack([Y, -Y], axis=1)), NET, lambda p: net(p, X), X2, lambda p: net(p, X2)
    ),
    "a model that mixes its rows": (
        ib.Problem(mixing, X, Y), W, lambda p: mixing(p, X), X2, lambda p: mixing(p, X2)
    ),
}  # fmt: skip
every_case = pytest.mark.parametrize("name", CASES)


def dense(function: Callable[[Any], jax.Array], params: Any) -> np.ndarray:
    """The Jacobian by `jax.jacrev`, with a row for each output and a column for each entry of the parameters."""
    with double_precision():
        leaves = jax.tree.leaves(jax.jacrev(function)(jax.tree.map(jnp.asarray, params)))
        count = int(np.size(function(jax.tree.map(jnp.asarray, params))))
        return np.concatenate([np.asarray(leaf).reshape(count, -1) for leaf in leaves], axis=1)


@every_case
def test_predictions(name: str) -> None:
    problem, params, function, inputs, there = CASES[name]
    predictor = predictors.of(problem)
    with double_precision():
        np.testing.assert_allclose(
            predictor.predict(params), np.asarray(function(params)), rtol=1e-13, atol=1e-15
        )
        np.testing.assert_allclose(
            predictor.predict(params, inputs), np.asarray(there(params)), rtol=1e-13, atol=1e-15
        )


@every_case
def test_the_jacobian_is_that_of_jacrev(name: str) -> None:
    problem, params, function, _, _ = CASES[name]
    J, expected = predictors.of(problem).jacobian(params), dense(function, params)
    assert J.shape == expected.shape
    np.testing.assert_allclose(J.dense(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(J.dense(slice(1, 4)), expected[1:4], rtol=1e-12, atol=1e-14)
    rng = np.random.default_rng(1)
    v, r = rng.standard_normal(J.shape[1]), rng.standard_normal(J.shape[0])
    np.testing.assert_allclose(J.matvec(v), expected @ v, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(J.rmatvec(r), expected.T @ r, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(aslinearoperator(J) @ v, expected @ v, rtol=1e-12, atol=1e-13)


# Oracle: central differences of the predictions.
@every_case
def test_the_jacobian_is_the_derivative(name: str) -> None:
    problem, params, _, _, _ = CASES[name]
    predictor = predictors.of(problem)
    J, step = predictor.jacobian(params), 1e-6
    v = np.random.default_rng(2).standard_normal(J.shape[1])
    shape, flat = problem.checked_params(params)
    ahead, behind = (np.ravel(predictor.predict(shape.numpy_tree(flat + s * v))) for s in (step, -step))
    np.testing.assert_allclose(J.matvec(v), (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-8)


@every_case
def test_the_tangent_kernel(name: str) -> None:
    problem, params, function, inputs, there = CASES[name]
    predictor = predictors.of(problem)
    J, J2 = dense(function, params), dense(there, params)
    kernel, across = predictor.tangent_kernel(params), predictor.tangent_kernel(params, inputs)
    np.testing.assert_allclose(kernel.reshape(len(J), len(J)), J @ J.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(across.reshape(len(J), len(J2)), J @ J2.T, rtol=1e-12, atol=1e-13)
    if name == "a network":
        assert kernel.shape == (5, 2, 5, 2)
        assert across.shape == (5, 2, 3, 2)


@pytest.mark.parametrize("name", ["linear", "linear, sparse", "entries of U V^T"])
def test_layer_factors_multiply_to_the_jacobian(name: str) -> None:
    problem, params, function, _, _ = CASES[name]
    factors = predictors.of(problem).jacobian(params).layer_factors()
    assert factors is not None
    blocks = [np.einsum("na,nkb->nkab", f.A, f.D).reshape(f.D.shape[0] * f.D.shape[1], -1) for f in factors]
    np.testing.assert_allclose(
        np.concatenate(blocks, axis=1), dense(function, params), rtol=1e-12, atol=1e-14
    )


def test_unknown_layers_are_said() -> None:
    problem, params, _, _, _ = CASES["a model that mixes its rows"]
    assert predictors.of(problem).jacobian(params).layer_factors() is None


# Oracle: one block. A small block size takes the same kernel from many blocks.
def test_a_kernel_from_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from implicitbias.predictors import _predictor

    problem, params, function, _, _ = CASES["a network"]
    monkeypatch.setattr(_predictor, "_BLOCK_BYTES", 8 * 20)
    J = dense(function, params)
    kernel = predictors.of(problem).tangent_kernel(params)
    np.testing.assert_allclose(kernel.reshape(len(J), len(J)), J @ J.T, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "X2", "words"),
    [
        ("linear", np.ones((2, 3)), "X2 has 3 columns, 4 are expected"),
        ("linear", [[np.nan] * 4], "NaN"),
        ("entries", np.ones((2, 2)), r"pair \(rows, cols\)"),
        ("entries", (np.array([5]), np.array([0])), r"outside a matrix of shape \(3, 2\)"),
        ("entries", (np.array([0.5]), np.array([0.0])), "integers"),
        ("a network", np.ones((2, 3)), r"rows of shape \(3,\), \(4,\) is expected"),
    ],
)
def test_bad_inputs_are_refused(name: str, X2: Any, words: str) -> None:
    problem, params, _, _, _ = CASES[name]
    with pytest.raises(ib.InputError, match=words):
        predictors.of(problem).tangent_kernel(params, X2)


def test_what_is_no_problem_is_refused() -> None:
    with pytest.raises(ib.InputError, match="a problem is expected"):
        predictors.of(X)


def test_budgets() -> None:
    problem, params, _, _, _ = CASES["a network"]
    predictor = predictors.of(problem)
    with pytest.raises(ib.ImplicitBiasError, match="raise max_bytes"):
        predictor.tangent_kernel(params, max_bytes=100)
    with pytest.raises(ib.ImplicitBiasError, match="ask for fewer rows"):
        predictor.jacobian(params).dense(max_bytes=100)


def test_a_vector_of_another_length_is_refused() -> None:
    problem, params, _, _, _ = CASES["linear"]
    J = predictors.of(problem).jacobian(params)
    with pytest.raises(
        ib.InputError, match=r"v has 3 entries, 4 are expected for a Jacobian of shape \(5, 4\)"
    ):
        J.matvec(np.ones(3))
    with pytest.raises(ib.InputError, match="r has 4 entries"):
        J.rmatvec(np.ones(4))


def test_an_overflow_at_other_inputs_is_refused() -> None:
    problem = ib.Problem(lambda w, inputs: jnp.exp(inputs @ w), X, Y)
    with pytest.raises(ib.InputError, match="predictions at X2"):
        predictors.of(problem).predict(W, np.full((1, 4), 1e308))


# The wall between flows and limits: what both need of a model lies below them.
def test_a_tangent_kernel_needs_no_flow() -> None:
    code = (
        "import sys, numpy as np, implicitbias as ib\n"
        "problem = ib.LeastSquares(np.eye(2), [1.0, 2.0]).reparametrize(ib.HadamardProduct())\n"
        "kernel = ib.predictors.of(problem).tangent_kernel((np.ones(2), np.ones(2)))\n"
        "assert kernel.tolist() == [[2.0, 0.0], [0.0, 2.0]], kernel\n"
        "import implicitbias.limits\n"
        "assert 'implicitbias.flows' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_empty_block_of_rows_is_an_empty_matrix() -> None:
    problem = ib.LeastSquares(np.eye(3), np.ones(3))
    assert predictors.of(problem).jacobian(np.ones(3)).dense(slice(0, 0)).shape == (0, 3)
