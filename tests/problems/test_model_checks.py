"""Tests of the checks of a model: lower precision than float64, jumps of its derivative, and no false findings."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias.problems import ModelFlags, TrainingProblem, model_flags

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((40, 5)), RNG.standard_normal(40)


def flags(problem: TrainingProblem, params: Any) -> ModelFlags:
    return model_flags(problem, *problem.checked_params(params))


def network(activation: Callable[[Any], Any]) -> ib.Problem:
    return ib.Problem(lambda p, X: activation(X @ p[0] + p[1]) @ p[2], X, Y)


def weights(scale: float = 1.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    return scale * rng.standard_normal((5, 8)), np.zeros(8), scale * rng.standard_normal(8)


SMOOTH = {
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "exact gelu": lambda h: jax.nn.gelu(h, approximate=False),
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "sharp softplus": lambda h: jax.nn.softplus(100 * h) / 100,
    "log sigmoid": jax.nn.log_sigmoid,
    "softmax": jax.nn.softmax,
    "logsumexp": lambda h: jax.nn.logsumexp(h, axis=1, keepdims=True) * h,
    "elu": jax.nn.elu,  # its derivative is continuous
    "squared relu": lambda h: jax.nn.relu(h) ** 2,
    "guarded norm": lambda h: h / jnp.maximum(jnp.linalg.norm(h, axis=1, keepdims=True), 1e-12),
    "dropped branch": lambda h: jnp.where(jnp.arange(8) > 3, h, 0.0),
}
KINKED = {
    "relu": jax.nn.relu,
    "leaky relu": jax.nn.leaky_relu,
    "hardly a kink": lambda h: jax.nn.leaky_relu(h, 0.99),
    "abs": jnp.abs,
    "hard tanh": jax.nn.hard_tanh,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "max pooling": lambda h: jnp.repeat(h.reshape(len(h), 4, 2).max(axis=2), 2, axis=1),
    "sorting": lambda h: jnp.sort(h, axis=1),
    "rounding": jnp.round,
    "floor": jnp.floor,
    "sign": jnp.sign,
    "argmax": lambda h: jax.nn.one_hot(h.argmax(axis=1), 8),
    "a product with a comparison": lambda h: h * (h > 0),
    "a condition": lambda h: jax.lax.cond(h.sum() > 0, lambda h: h, lambda h: -h, h),
    "relu in a scan": lambda h: jax.lax.scan(lambda c, row: (c, jax.nn.relu(row)), 0.0, h)[1],
}


# Oracle: calculus.
@pytest.mark.parametrize("name", list(SMOOTH))
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_what_is_smooth_is_not_flagged(name: str, scale: float) -> None:
    assert flags(network(SMOOTH[name]), weights(scale)) == (False, False, ())


@pytest.mark.parametrize("name", list(KINKED))
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_what_has_kinks_is_flagged(name: str, scale: float) -> None:
    seen = flags(network(KINKED[name]), weights(scale))
    assert seen.not_smooth
    assert not seen.single_precision
    (note,) = seen.notes
    assert "not smooth" in note


# The result is remembered for the model, so that these models appear in no other test. All kinks of a homogeneous model
# meet at parameters of zeros.
@pytest.mark.parametrize("slope", [0.17, 0.23])
def test_kinks_are_found_from_parameters_of_zeros(slope: float) -> None:
    assert flags(network(lambda h: jnp.maximum(h, slope * h)), weights(0.0)).not_smooth


NARROW = {
    "float32": lambda h: jnp.tanh(h.astype(jnp.float32)),
    "float16": lambda h: jnp.tanh(h.astype(jnp.float16)),
    "bfloat16": lambda h: jax.nn.softmax(h.astype(jnp.bfloat16)),
    "float32, by its name": jnp.float32,
    "float32, in a scan": lambda h: jax.lax.scan(
        lambda c, row: (c, jnp.tanh(row.astype(jnp.float32))), 0.0, h
    )[1],
    "float32, back": lambda h: h.astype(jnp.float32).astype(jnp.float64),
    "float32, in jit": jax.jit(lambda h: jnp.sin(h.astype(jnp.float32))),
}


@pytest.mark.parametrize("name", list(NARROW))
def test_narrow_types_are_flagged(name: str) -> None:
    seen = flags(network(NARROW[name]), weights())
    assert seen.single_precision
    assert not seen.not_smooth
    (note,) = seen.notes
    assert f"computes in {name.partition(',')[0]}" in note


CONSTANT = jnp.asarray([0.5], dtype=jnp.float32)


@pytest.mark.parametrize(
    "activation",
    [
        lambda h: h * CONSTANT,
        lambda h: h * jnp.float32(2.0),
        lambda h: h * jnp.asarray([True]).astype(jnp.float32),
        lambda h: h * jnp.sin(jnp.arange(8, dtype=jnp.float32)),
    ],
    ids=["array", "number", "mask", "computed constant"],
)
def test_constants_of_lower_precision_are_data(activation: Callable[[Any], Any]) -> None:
    assert flags(network(activation), weights()) == (False, False, ())


def test_inputs_cast_by_the_model_are_seen() -> None:
    problem = ib.Problem(lambda w, X: X.astype(jnp.float32) @ w, X, Y)
    assert flags(problem, np.ones(5)).single_precision


def test_both_at_once() -> None:
    seen = flags(network(lambda h: jax.nn.relu(h.astype(jnp.float32))), weights())
    assert seen.single_precision
    assert seen.not_smooth
    assert len(seen.notes) == 2


@pytest.mark.parametrize(("activation", "kinked"), [(jnp.tanh, False), (jax.nn.relu, True)])
def test_equinox_modules(activation: Callable[[Any], Any], kinked: bool) -> None:
    net = eqx.nn.MLP(5, "scalar", 8, 2, activation=activation, key=jax.random.key(0))
    assert flags(ib.Problem(lambda net, X: jax.vmap(net)(X), X, Y), net)[:2] == (False, kinked)


def test_linear_problems_and_parametrizations() -> None:
    squares, entries = ib.LeastSquares(X, Y), ib.LeastSquares.entries([0, 1], [0, 1], [1.0, 2.0], (2, 2))
    for problem, params in [
        (squares, np.ones(5)),
        (ib.Classification(X, Y > 0), np.ones(5)),
        (entries, np.eye(2)),
        (squares.reparametrize(ib.HadamardProduct()), (np.ones(5), np.ones(5))),
        (squares.reparametrize(ib.Coordinatewise(jnp.sinh)), np.ones(5)),
    ]:
        assert flags(problem, params) == (False, False, ())
    assert flags(squares.reparametrize(ib.Coordinatewise(jnp.abs)), np.ones(5)).not_smooth


def test_rows_that_belong_together_are_kept_together() -> None:
    problem = ib.Problem(lambda p, X: jax.nn.relu(jnp.asarray(Y) * (X @ p)), X, Y)  # It needs all 40 rows.
    assert flags(problem, np.ones(5)).not_smooth


def test_the_second_call_does_not_look_at_the_model() -> None:
    # A number in the closure would make the model another function after each call.
    count = SimpleNamespace(calls=0)

    def model(p: Any, X: Any) -> Any:
        count.calls += 1
        return jax.nn.relu(X @ p)

    problem = ib.Problem(model, X, Y)
    arguments = problem.checked_params(np.ones(5))
    first, seen = model_flags(problem, *arguments), count.calls
    assert model_flags(problem, *arguments) is first
    assert count.calls == seen
    other = ib.Problem(model, X + 1, Y)
    again = problem.checked_params(np.full(5, 2.0))
    seen = count.calls
    assert model_flags(other, *again) is first
    assert count.calls == seen


def test_what_overflows_far_out_is_no_jump() -> None:
    assert flags(network(lambda h: jnp.exp(30 * jax.nn.softplus(h))), weights()) == (False, False, ())
