"""Tests of `flow.term()` and `GaussNewtonRosenbrock` with diffrax."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.flows._nets import CASES, case_reference, flat_rows

LAM = 0.05
TIMES = np.array([0.5, 1.0, 2.0])
TIGHT = diffrax.PIDController(rtol=1e-7, atol=1e-9)


def solve(name: str, **options: Any) -> Any:
    case = CASES[name]
    term = ib.GradientFlow(case.problem(), LAM).term()
    y0 = jax.tree.map(jnp.asarray, case.start)
    return diffrax.diffeqsolve(
        term, ib.GaussNewtonRosenbrock(), t0=0.0, t1=2.0, y0=y0, max_steps=20_000, **options
    )


def measured_order(name: str, counts: ndarray) -> tuple[float, ndarray]:
    expected = case_reference(CASES[name], LAM, np.array([2.0]))
    errors = []
    with jax.enable_x64(True):
        for count in counts:
            found = solve(name, dt0=2.0 / count, stepsize_controller=diffrax.ConstantStepSize())
            errors.append(np.max(np.abs(flat_rows(found.ys, 1) - expected)))
    return float(-np.polyfit(np.log(counts), np.log(errors), 1)[0]), np.array(errors)


# Oracle: DOP853 at rtol 1e-12. The Gauss-Newton matrix is no Jacobian here: six residuals stay at lam = 0.05.
def test_it_has_order_3() -> None:
    order, errors = measured_order("squared, two outputs", np.array([40, 80, 160, 320]))
    assert order >= 2.8
    assert errors[-1] < 1e-6


# Oracle: the same reference, at every asked time, between steps, and on dicts as on tuples.
@pytest.mark.parametrize("name", ["squared, two outputs", pytest.param("squared", marks=pytest.mark.slow)])
def test_adaptive_steps_saves_and_dense_output(name: str) -> None:
    expected = case_reference(CASES[name], LAM, TIMES)
    size = np.max(np.abs(expected))
    with jax.enable_x64(True):
        saveat = diffrax.SaveAt(ts=jnp.asarray(TIMES), dense=True)
        found = solve(name, dt0=0.01, stepsize_controller=TIGHT, saveat=saveat)
        dense = jax.vmap(found.evaluate)(jnp.asarray(TIMES))
    # Some fifty steps of 1e-7 each; between steps an inexact Jacobian costs one order.
    np.testing.assert_allclose(flat_rows(found.ys, 3), expected, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(flat_rows(dense, 3), expected, rtol=0, atol=1e-5 * size)
    assert jax.tree.structure(found.ys) == jax.tree.structure(CASES[name].start)


# Oracle: the reference, up to the rounding errors of some fifty steps in float32 with eps = 6e-8.
def test_in_single_precision() -> None:
    expected = case_reference(CASES["squared"], LAM, np.array([2.0]))
    with jax.enable_x64(False):
        controller = diffrax.PIDController(rtol=1e-4, atol=1e-5)
        found = solve("squared", dt0=0.01, stepsize_controller=controller)
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(found.ys))
    np.testing.assert_allclose(flat_rows(found.ys, 1), expected, rtol=0, atol=1e-3 * np.max(np.abs(expected)))


# Oracle: another solver, which does not use the structure of the term.
def test_any_solver_takes_the_term() -> None:
    expected = case_reference(CASES["squared"], LAM, np.array([2.0]))
    with jax.enable_x64(True):
        found = diffrax.diffeqsolve(
            ib.GradientFlow(CASES["squared"].problem(), LAM).term(), diffrax.Tsit5(), t0=0.0, t1=2.0, dt0=0.01,
            y0=jax.tree.map(jnp.asarray, CASES["squared"].start),
            stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-11),
        )  # fmt: skip
    np.testing.assert_allclose(flat_rows(found.ys, 1), expected, rtol=0, atol=1e-6)


# Oracle: `simulate`, which drives the same equation with its own controller.
def test_a_mirror_flow() -> None:
    rng = np.random.default_rng(6)
    problem = ib.LeastSquares(rng.standard_normal((5, 7)), rng.standard_normal(5))
    flow, start = ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=0.1)), rng.standard_normal(7)
    expected = ib.simulate(flow, start, t1=2.0, rtol=1e-8).final
    with jax.enable_x64(True):
        term = flow.term(start)
        np.testing.assert_allclose(term.state(term.initial), start, rtol=1e-12)
        found = diffrax.diffeqsolve(
            term, ib.GaussNewtonRosenbrock(), t0=0.0, t1=2.0, dt0=0.01, y0=term.initial,
            stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-10),
        )  # fmt: skip
        w = term.state(found.ys[-1])
    np.testing.assert_allclose(w, expected, rtol=0, atol=1e-6 * np.max(np.abs(expected)))
    assert float(found.ys[-1][-1]) == pytest.approx(2.0, rel=1e-12)  # The last unknown is the time.


def test_the_solver_says_what_it_is() -> None:
    solver = ib.GaussNewtonRosenbrock(max_bytes=10)
    assert solver.max_bytes == 10
    assert solver.order(None) == 3
