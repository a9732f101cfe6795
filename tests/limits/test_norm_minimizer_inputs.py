"""Bad input of `ib.norm_minimizer` and of `ib.MinParameterNorm`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib


def product(theta: Any, X: Any) -> jax.Array:
    return X[:, 0] * theta[0] * theta[1]


NET = ib.Problem(product, np.array([[1.0], [2.0]]), [2.0, 4.0])
SIGNS = ib.Problem(product, np.array([[1.0], [2.0]]), [1, -1], "logistic")
HALVES = ib.Problem(product, np.array([[1.0], [-2.0]]), [1, -1], "logistic")


@pytest.mark.parametrize(
    ("problem", "params", "words"),
    [
        (NET, np.array([0.1, 0.2]), r"not close to an interpolant: the largest \|f - y\| is 4"),
        (NET, np.array([0.0, 0.0]), "Jacobian of the predictions is 0 at params"),
        (NET, np.array([np.nan, 1.0]), "holds 1 NaN"),
        (NET, np.array([1e200, 1e200]), "predictions are NaN or infinite"),
        (
            ib.Problem(product, np.array([[1.0], [2.0]]), [2.0, 5.0]),
            np.array([2.0, 1.0]),
            "do not solve the problem.*Gauss-Newton steps end at.*has not converged",
        ),
        (SIGNS, np.array([1.0, 1.0]), "1 of 2 rows are not classified correctly.*row 1"),
        (HALVES, np.array([1.0, -1.0]), "2 of 2 rows are not classified correctly"),
        (3, np.array([1.0, 1.0]), "problem is a int"),
    ],
)
def test_starts_that_are_refused(problem: Any, params: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.norm_minimizer(problem, params)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_equal_inputs_with_different_targets_prove_that_there_is_no_solution(loss: str) -> None:
    problem = ib.Problem(product, np.array([[1.0], [2.0], [1.0]]), [1.0, 1.0, -1.0], loss)
    with pytest.raises(ib.InfeasibleError, match="rows 0 and 2 of X are equal") as caught:
        ib.norm_minimizer(problem, np.array([1.0, 1.0]))
    assert caught.value.certificate.holds


def test_a_loss_without_constraints() -> None:
    class LogCosh(ib.Loss):
        def value(self, prediction: Any, target: Any) -> Any:
            return jnp.sum(jnp.log(jnp.cosh(prediction - target)))

    problem = ib.Problem(product, np.array([[1.0], [2.0]]), [2.0, 4.0], LogCosh())
    with pytest.raises(ib.InputError, match="the loss is LogCosh, whose minimisers are unknown"):
        ib.norm_minimizer(problem, np.array([2.0, 1.0]))
    with pytest.raises(ib.InputError, match="the loss is LogCosh"):
        ib.certify(problem, np.array([2.0, 1.0]), ib.MinParameterNorm())


@pytest.mark.parametrize("max_steps", [0, -1, True, 2.5, "many"])
def test_max_steps(max_steps: Any) -> None:
    with pytest.raises(ib.InputError, match="max_steps is"):
        ib.norm_minimizer(NET, np.array([2.0, 1.0]), max_steps=max_steps)


def test_points_that_solve_nothing_are_judged_all_the_same() -> None:
    far = ib.certify(NET, np.array([1.0, 1.0]), ib.MinParameterNorm())
    assert not far.holds
    assert far.residuals["violation"] > 0.1
    wrong = ib.certify(SIGNS, np.array([1.0, 1.0]), ib.MinParameterNorm())
    assert not wrong.holds
    assert "no scale makes all margins 1" in wrong.note
    nothing = ib.certify(NET, np.zeros(2), ib.MinParameterNorm())
    assert not nothing.holds


# A jump of the derivative and a lower precision are said where the certificate does not hold.
def test_models_that_cannot_be_certified_say_why() -> None:
    relu = ib.Problem(lambda theta, X: jax.nn.relu(X @ theta[0]) @ theta[1], np.eye(2), [1.0, 2.0])
    params = (np.array([[1.0, -1.0], [1.0, 2.0]]), np.array([1.0, 0.5]))
    assert "derivative of the model has jumps" in ib.certify(relu, params, ib.MinParameterNorm()).note
    single = ib.Problem(
        lambda theta, X: (X @ theta.astype(jnp.float32)).astype(jnp.float32), np.eye(2), [1.0, 0.3]
    )
    note = ib.certify(single, np.array([1.0, 0.3]), ib.MinParameterNorm()).note
    assert "lower precision than float64" in note


# At a dead unit the Jacobian loses a row, which is said.
def test_rank_loss_is_said() -> None:
    twice = ib.Problem(product, np.array([[1.0], [2.0]]), [1.0, 2.0])
    note = ib.certify(twice, np.array([2.0, 0.5]), ib.MinParameterNorm()).note
    assert "rank 1, and there are 2 constraints" in note


# Oracle: by hand: the signed rows (1, 0), (-1, 1) and (0, -1) have the sum 0.
@pytest.mark.parametrize("loss", ["logistic", "cross_entropy"])
def test_data_that_no_linear_classifier_separates(loss: str) -> None:
    data = ib.Classification([[1.0, 0.0], [1.0, -1.0], [0.0, -1.0]], [1, -1, 1], loss)
    shape = (2, 2) if loss == "cross_entropy" else (2,)
    ones = np.ones(shape)
    cases: list[tuple[Any, Any]] = [(data, ones)]
    if loss == "logistic":
        cases.append((data.reparametrize(ib.HadamardProduct()), (ones, ones)))
    for problem, params in cases:
        with pytest.raises(ib.InfeasibleError, match="no linear classifier separates the data") as caught:
            ib.norm_minimizer(problem, params)
        assert caught.value.certificate.holds
        np.testing.assert_allclose(np.max(caught.value.combination), 1.0 / 3.0)
        assert "bias=True" not in str(caught.value)
