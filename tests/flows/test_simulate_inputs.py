"""Tests of wrong input to `simulate`: the InputError says what was got and what to type."""

import inspect
from typing import Any

import numpy as np
import pytest

import implicitbias as ib

PROBLEM = ib.LeastSquares(np.random.default_rng(0).standard_normal((5, 7)), np.ones(5))
FLOW = ib.MirrorFlow(PROBLEM, ib.HyperbolicEntropy(log_scale=-200.0))
ZERO = np.zeros(7)
NAN = float("nan")

# Unwrapped: with run-time type checks on, the annotation would speak first.
simulate: Any = inspect.unwrap(ib.simulate)


# Oracle: the message: the name of the argument, what was got, and where there is one line to type, that line.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["no end time", "t1=..."]),
        ({"t1": 0.0}, ["end time is 0.0", "positive"]),
        ({"t1": -1.0}, ["end time is -1.0", "positive"]),
        ({"t1": NAN}, ["end time is nan"]),
        ({"t1": np.inf}, ["end time is inf", "finite"]),
        ({"log_t1": NAN}, ["end time is nan"]),
        ({"log_t1": 1e6}, ["end time is inf", "finite"]),
        ({"log_t1": -1e6}, ["end time is 0.0", "positive"]),
        ({"t1": 1.0, "log_t1": 0.0}, ["t1 and log_t1", "both"]),
        ({"times": []}, ["times", "numpy.linspace"]),
        ({"times": [2.0, 1.0]}, ["times", "ascending", "numpy.linspace"]),
        ({"times": [1.0, 1.0]}, ["times", "ascending"]),
        ({"times": [-1.0, 1.0]}, ["times", "non-negative"]),
        ({"times": [0.0, NAN]}, ["times", "NaN", "[1]"]),
        ({"times": [[0.0, 1.0]]}, ["times", "(1, 2)", "numpy.ravel(times)"]),
        ({"times": [0.0]}, ["end time is 0.0"]),
        ({"times": [0.0, 2.0], "t1": 1.0}, ["times reach 2", "end time 1"]),
        ({"t1": 1.0, "rtol": 0.0}, ["rtol is 0.0", "(0, 0.1]"]),
        ({"t1": 1.0, "rtol": -1e-4}, ["rtol is -0.0001"]),
        ({"t1": 1.0, "rtol": 0.5}, ["rtol is 0.5", "(0, 0.1]"]),
        ({"t1": 1.0, "rtol": NAN}, ["rtol is nan"]),
        ({"t1": 1.0, "max_steps": 0}, ["max_steps is 0"]),
        ({"t1": 1.0, "max_steps": -3}, ["max_steps is -3"]),
        ({"t1": 1.0, "observe": [len]}, ["observe", "problem.loss"]),
        ({"t1": 1.0, "observe": {"loss": 3.0}}, ["observe", "problem.loss"]),
        ({"t1": 1.0, "observe": {"state": len}}, ["observe", "'state'"]),
    ],
    ids=str,
)
def test_bad_options(arguments: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ib.InputError) as caught:
        simulate(FLOW, ZERO, **arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (np.zeros(6), ["start has 6 entries", "7 columns"]),
        (np.zeros(5), ["start has 5 entries"]),
        (0.0, ["start has shape ()"]),
        (np.zeros((7, 1)), ["start has shape (7, 1)", "numpy.ravel(start)"]),
        ([0, 0, NAN, 0, 0, 0, 0], ["start", "NaN", "[2]"]),
        ([0, 0, 0, np.inf, 0, 0, 0], ["start", "infinite", "[3]"]),
        (["a"] * 7, ["start", "not numbers"]),
        (np.zeros(7) * 1j, ["start is complex", "start.real"]),
        ((np.zeros(7), np.zeros(7)), ["start has shape (2, 7)"]),
    ],
    ids=["short", "n long", "number", "column", "NaN", "inf", "text", "complex", "a pair (u, v)"],
)
def test_bad_starts(start: Any, words: list[str]) -> None:
    with pytest.raises(ib.InputError) as caught:
        ib.simulate(FLOW, start, t1=1.0)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("flow", [PROBLEM, None, ib.SquaredNorm(), "MirrorFlow", ib.MirrorFlow])
def test_a_flow_of_another_type(flow: Any) -> None:
    with pytest.raises(ib.InputError, match=r"flow is a .*ib\.MirrorFlow\(problem, potential\)"):
        simulate(flow, ZERO, t1=1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.eye(7), ib.SquaredNorm()), ["problem is a ndarray", "ib.LeastSquares(X, y)"]),
        ((ib.SquaredNorm(), PROBLEM), ["problem is a SquaredNorm"]),
        ((PROBLEM, 1e-6), ["potential is a float", "ib.HyperbolicEntropy(scale=1e-6)"]),
        ((PROBLEM, ib.HyperbolicEntropy), ["potential is a "]),
        ((PROBLEM, ib.HadamardProduct()), ["potential is a HadamardProduct"]),
    ],
    ids=["array", "swapped", "number", "class", "parametrization"],
)
def test_a_flow_of_the_wrong_things(arguments: tuple[Any, Any], words: list[str]) -> None:
    with pytest.raises(ib.InputError) as caught:
        inspect.unwrap(ib.MirrorFlow.__init__)(object.__new__(ib.MirrorFlow), *arguments)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("length", [1, 5, 6, 8])
def test_a_scale_of_the_wrong_length(length: int) -> None:
    with pytest.raises(ib.InputError, match=f"log_scale has {length} entries.* 7 columns"):
        ib.MirrorFlow(PROBLEM, ib.HyperbolicEntropy(scale=np.full(length, 0.1)))


@pytest.mark.parametrize("scale", [0.0, -1e-3, NAN, np.inf, [0.1, 0.0]])
def test_a_scale_that_is_not_positive(scale: Any) -> None:
    with pytest.raises(ib.InputError, match=r"scale is .*positive, finite number"):
        ib.HyperbolicEntropy(scale=scale)
