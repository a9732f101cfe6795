"""Tests of the gradient flow of small networks with each loss against explicit integrations of high precision."""

from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.flows._nets import (
    CASES,
    Case,
    X,
    Y,
    case_reference,
    flat_rows,
    pair_start,
    reference,
    softplus_net,
)

TIMES = np.array([0.1, 1.0, 5.0, 20.0])
LAM, RTOL = 0.05, 1e-7
# RTOL bounds one step. Weight decay makes the flow contract in the end; before, errors of some ten steps add up.
GLOBAL = 30 * RTOL


def distance(trajectory: ib.Trajectory, expected: ndarray, times: ndarray = TIMES) -> float:
    found = flat_rows(trajectory.state(times), len(times))
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))


# Oracle: SciPy's DOP853 with rtol 1e-12 and an independent formula of the loss.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in ("logistic", "convex"))) for name in CASES],
)
def test_every_loss_follows_its_reference(name: str) -> None:
    case = CASES[name]
    trajectory = ib.simulate(ib.GradientFlow(case.problem(), LAM), case.start, t1=20.0, rtol=RTOL)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.notes == ()
    assert distance(trajectory, case_reference(case, LAM, TIMES)) <= GLOBAL
    assert jax.tree.structure(trajectory.final) == jax.tree.structure(case.start)


# Oracle: the same reference; fewer parameters than predictions (3 < 6, 9 < 12), and no matrix at all.
@pytest.mark.parametrize("name", ["squared", "three classes"])
def test_without_matrices_it_is_the_same_flow(name: str) -> None:
    case = CASES[name]
    flow = ib.GradientFlow(case.problem(), LAM)
    free, chosen = (
        ib.simulate(
            flow,
            case.start,
            t1=20.0,
            rtol=RTOL,
            solver=ib.GaussNewtonRosenbrock(max_bytes=100, algebra=algebra),
        )
        for algebra in ("products", "auto")
    )
    dense = ib.simulate(flow, case.start, t1=20.0, rtol=RTOL, solver="kernel")
    # The error of conjugate gradients is far below that of a step.
    assert free.stats.steps == pytest.approx(dense.stats.steps, rel=0.02)
    assert {name for name, _ in chosen.stats.algebras} <= {"products", "explicit"}
    for trajectory in (free, chosen):
        assert distance(trajectory, case_reference(case, LAM, TIMES)) <= GLOBAL


def _few(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params["w"]) * params["a"] + params["b"]


FEW = {"w": np.array([0.5, -1.0, 0.3]), "a": np.asarray(1.5), "b": np.asarray(-0.2)}


# Oracle: DOP853. Five parameters, two of them 0-d arrays, six predictions: the p x p matrix.
@pytest.mark.parametrize("max_bytes", [2**20, 100], ids=["normal", "free"])
def test_fewer_parameters_than_predictions(max_bytes: int) -> None:
    problem = ib.Problem(_few, X, Y)
    solver = ib.GaussNewtonRosenbrock(max_bytes=max_bytes)
    trajectory = ib.simulate(ib.GradientFlow(problem, LAM), FEW, t1=20.0, rtol=RTOL, solver=solver)
    expected = reference(_few, FEW, lambda f: (f - Y) ** 2 / 2, LAM, TIMES)
    assert distance(trajectory, expected) <= GLOBAL
    assert trajectory.final["a"].shape == ()


# Oracle: mpmath's Taylor series at 30 digits, with the gradient of one tanh unit by hand.
def test_thirty_digits() -> None:
    inputs, targets = np.array([[0.5], [-1.0], [2.0]]), np.array([1.0, 0.2, -0.5])

    def model(params: Any, X: Any) -> Any:
        return params[1] * jnp.tanh(params[0] * X[:, 0])

    def field(_: Any, u: Any) -> list[Any]:
        slope = [-mpmath.mpf(LAM) * u[0], -mpmath.mpf(LAM) * u[1]]
        for x, y in zip(inputs[:, 0], targets, strict=True):
            unit = mpmath.tanh(u[0] * mpmath.mpf(x))
            pull = (u[1] * unit - mpmath.mpf(y)) / 3
            slope[0] -= pull * u[1] * (1 - unit**2) * mpmath.mpf(x)
            slope[1] -= pull * unit
        return slope

    with mpmath.workdps(30):
        solution = mpmath.odefun(field, 0, [mpmath.mpf("0.75"), mpmath.mpf("1.25")])
        expected = np.array([[float(value) for value in solution(t)] for t in (0.2, 0.4)])
    start = (np.asarray(0.75), np.asarray(1.25))
    problem = ib.Problem(model, inputs, targets)
    trajectory = ib.simulate(ib.GradientFlow(problem, LAM), start, t1=0.4, rtol=1e-9)
    # The tolerance is 30 steps with error 1e-9. DOP853 would be accurate only to 1e-12.
    assert distance(trajectory, expected, np.array([0.2, 0.4])) <= 30e-9


# Oracle: DOP853; a method of order 3 whose controller works by its estimate: error ~ rtol.
@pytest.mark.parametrize("name", ["squared", "not convex"])
def test_the_error_follows_rtol(name: str) -> None:
    case = CASES[name]
    expected = case_reference(case, LAM, TIMES)
    tolerances, errors = np.logspace(-3, -7, 5), []
    for rtol in tolerances:
        trajectory = ib.simulate(ib.GradientFlow(case.problem(), LAM), case.start, t1=20.0, rtol=float(rtol))
        errors.append(distance(trajectory, expected))
    assert np.all(np.array(errors) <= 30 * tolerances)
    assert 0.75 < np.polyfit(np.log(tolerances), np.log(errors), 1)[0] < 1.3


# Oracle: DOP853, for a model that mixes rows, so that a row-wise Jacobian would be wrong.
def test_a_model_that_is_not_row_by_row() -> None:
    def centred(params: Any, X: Any) -> Any:
        hidden = X @ params[0] + params[1]
        return jnp.tanh(hidden - hidden.mean(axis=0)) @ params[2]

    case = Case(centred, pair_start(), Y, "squared", lambda f, y: (f - y) ** 2 / 2)
    trajectory = ib.simulate(ib.GradientFlow(case.problem(), LAM), case.start, t1=20.0, rtol=RTOL)
    assert distance(trajectory, case_reference(case, LAM, TIMES)) <= GLOBAL


# Oracle: theory 0.9 by a loss of one's own: the flow of (k L, lam) at t is that of (L, lam / k) at k t.
def test_a_multiple_of_a_loss_is_another_clock() -> None:
    class Thrice(ib.Loss):
        def value(self, prediction: Any, target: Any) -> Any:
            return 3.0 * jnp.sum((prediction - target) ** 2) / 2

    thrice = ib.simulate(
        ib.GradientFlow(ib.Problem(softplus_net, X, Y, Thrice()), LAM), pair_start(), t1=20 / 3, rtol=RTOL
    )
    once = ib.simulate(
        ib.GradientFlow(ib.Problem(softplus_net, X, Y), LAM / 3), pair_start(), t1=20.0, rtol=RTOL
    )
    assert thrice.stats.steps == pytest.approx(once.stats.steps, rel=0.02)
    assert distance(thrice, flat_rows(once.state(TIMES), 4), TIMES / 3) <= 2 * GLOBAL
