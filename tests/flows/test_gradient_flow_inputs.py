"""Tests of wrong input to gradient flow and gradient descent: the InputError says what was got and what to type."""

import inspect
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib

NAN = float("nan")
X, Y = np.random.default_rng(0).standard_normal((6, 3)), np.ones(6)


def linear(w: Any, X: Any) -> Any:
    return X @ w


PROBLEM = ib.Problem(linear, X, Y)
PAIRS = ib.LeastSquares(X, Y).reparametrize(ib.HadamardProduct())
simulate: Any = inspect.unwrap(ib.simulate)


def build(kind: type, *arguments: Any) -> Any:
    """Return a flow without run-time type checks, which would raise their own error first."""
    flow = object.__new__(kind)
    inspect.unwrap(kind.__init__)(flow, *arguments)  # type: ignore[misc]
    return flow


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (ib.GradientFlow, (linear,), ["problem is a function", "ib.Problem(model, X, y)"]),
        (ib.GradientFlow, (None,), ["problem is a NoneType"]),
        (ib.GradientFlow, (PROBLEM, -1e-3), ["weight_decay is -0.001", ">= 0"]),
        (ib.GradientFlow, (PROBLEM, NAN), ["weight_decay is nan"]),
        (ib.GradientFlow, (PROBLEM, np.inf), ["weight_decay is inf"]),
        (ib.GradientFlow, (PROBLEM, "0.1"), ["weight_decay is '0.1'"]),
        (ib.GradientFlow, (PROBLEM, np.array([1.0, -1.0])), ["weight_decay is "]),
        (ib.GradientDescent, (PROBLEM, 0.0), ["learning_rate is 0.0", "positive"]),
        (ib.GradientDescent, (PROBLEM, -1.0), ["learning_rate is -1.0"]),
        (ib.GradientDescent, (PROBLEM, NAN), ["learning_rate is nan"]),
        (ib.GradientDescent, (PROBLEM, 0.1, -1.0), ["weight_decay is -1.0"]),
        (ib.MirrorFlow, (PROBLEM, ib.SquaredNorm()), ["problem is a Problem", "ib.LeastSquares(X, y)"]),
        (ib.MirrorFlow, (PAIRS, ib.SquaredNorm()), ["problem is a ReparametrizedProblem"]),
    ],
    # A function is not a valid name, because its text contains an address.
    ids=lambda value: None if isinstance(value, tuple) else str(value),
)
def test_flows_of_wrong_things(kind: type, arguments: tuple[Any, ...], words: list[str]) -> None:
    with pytest.raises(ib.InputError) as caught:
        build(kind, *arguments)
    for word in words:
        assert word in str(caught.value)


def column(w: Any, X: Any) -> Any:
    return (X @ w)[:, None]


def logarithm(w: Any, X: Any) -> Any:
    return jnp.log(X @ w - 100.0)


@pytest.mark.parametrize(
    ("problem", "start", "words"),
    [
        (PROBLEM, np.zeros(4), ["model failed", "(4,)", "(6, 3)"]),
        (PROBLEM, np.zeros(3, dtype=int), ["start", "int64", "dtype=float"]),
        (PROBLEM, [0.0, 0.0, 0.0], ["start[0]", "Python number", "numpy.asarray"]),
        (PROBLEM, np.array([0.0, NAN, 0.0]), ["start", "NaN", "[1]"]),
        (PROBLEM, {}, ["start", "without a floating-point array"]),
        (PROBLEM, "theta", ["start", "floating-point array"]),
        (ib.Problem(column, X, Y), np.zeros(3), ["(6, 1)", "[:, 0]"]),
        (ib.Problem(logarithm, X, Y), np.zeros(3), ["6 of 6 predictions", "nan"]),
        (ib.Problem(linear, X, np.arange(6) % 3, "cross_entropy"), np.zeros((3, 2)), ["class 2"]),
        (PAIRS, (np.zeros(3), np.zeros(4)), ["u has 3 entries and v has 4"]),
        (PAIRS, np.zeros(3), ["pair (u, v)"]),
        (PAIRS, (np.zeros(2), np.zeros(2)), ["shape (2,)", "(3,)"]),
    ],
    ids=[
        "shape",
        "integers",
        "list",
        "NaN",
        "empty",
        "text",
        "column",
        "log",
        "classes",
        "pair",
        "array",
        "short",
    ],
)
@pytest.mark.parametrize("descent", [False, True], ids=["flow", "descent"])
def test_bad_starts(problem: Any, start: Any, words: list[str], descent: bool) -> None:
    flow = ib.GradientDescent(problem, 0.1) if descent else ib.GradientFlow(problem)
    with pytest.raises(ib.InputError) as caught:
        simulate(flow, start, t1=1.0)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"t1": 0.0}, ["end time is 0.0"]),
        ({"t1": -2.0}, ["end time is -2.0"]),
        ({"t1": "1"}, ["t1 is '1'"]),
        ({"t1": 1.0, "until": 1e-6}, ["until is 1e-06", "(t, state)"]),
        ({"t1": 1.0, "observe": {1: len}}, ["observe", "problem.loss"]),
        ({"t1": 1.0, "observe": {"time": len}}, ["'time'"]),
        ({"t1": 1.0, "solver": diffrax.Tsit5()}, ["solver is a Tsit5", "flow.term()"]),
        ({"t1": 1.0, "solver": "Tsit5"}, ["the algebra is 'Tsit5'", "'explicit'"]),
        ({"t1": 1.0, "solver": ib.GaussNewtonRosenbrock}, ["solver is a ", "GaussNewtonRosenbrock"]),
        ({"t1": 1.0, "max_steps": 1.5}, ["max_steps is 1.5"]),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ib.InputError) as caught:
        simulate(ib.GradientFlow(PROBLEM), np.zeros(3), **options)
    for word in words:
        assert word in str(caught.value)


def test_bad_questions_to_a_trajectory() -> None:
    trajectory = ib.simulate(ib.GradientFlow(PROBLEM), np.zeros(3), t1=1.0)
    for question in ("a", None, {"t": 1.0}):
        with pytest.raises(ib.InputError):
            trajectory.state(question)
    with pytest.raises(ib.InputError, match="no dual variable"):
        trajectory.dual(0.5)
