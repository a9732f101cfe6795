"""Tests of weight decays that differ from parameter to parameter."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib
from tests.flows._nets import SIGNS, D, N, X, Y, dict_start, tanh_net

DECAYS = {"W": 3e-2, "b": 0.0, "a": np.linspace(0.0, 1e-1, 4)}
END = 30.0


def flat(params: Any) -> ndarray:
    return np.concatenate([np.ravel(params[name]) for name in sorted(params)])


def by_radau(loss: str, start: dict[str, ndarray], y: ndarray) -> ndarray:
    """Return the end of the flow with a penalty sum_i lam_i theta_i^2 / 2, by SciPy with an exact Jacobian."""
    with jax.enable_x64(True):
        u0, unravel = ravel_pytree(jax.tree.map(jnp.asarray, start))
        lam = ravel_pytree({name: jnp.broadcast_to(DECAYS[name], start[name].shape) for name in start})[0]

        def total(u: Any) -> Any:
            f = tanh_net(unravel(u), X)
            rows = (f - y) ** 2 / 2 if loss == "squared" else jnp.logaddexp(0.0, -y * f)
            return jnp.mean(rows) + jnp.sum(lam * u**2) / 2

        slope, curve = jax.jit(jax.grad(total)), jax.jit(jax.hessian(total))
        solution = solve_ivp(
            lambda t, u: -np.asarray(slope(u)),
            (0.0, END),
            np.asarray(u0),
            method="Radau",
            jac=lambda t, u: -np.asarray(curve(u)),
            rtol=1e-9,
            atol=1e-11,
        )
    end: ndarray = solution.y[:, -1]
    return end


# Oracle: Radau. The squared loss has fewer predictions than parameters; both algebras of the solver are used.
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("max_bytes", [2**31, 1], ids=["dense", "products"])
def test_each_leaf_and_each_entry_decays_at_its_rate(loss: str, max_bytes: int) -> None:
    start, y = dict_start(), Y if loss == "squared" else SIGNS
    flow = ib.GradientFlow(ib.Problem(tanh_net, X, y, loss), DECAYS)
    solver = ib.GaussNewtonRosenbrock(max_bytes=max_bytes)
    found = flat(ib.simulate(flow, start, t1=END, rtol=1e-6, solver=solver).final)
    expected = by_radau(loss, start, y)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)


# Oracle: Radau; more rows than parameters.
def test_normal_equations_take_several_decays() -> None:
    problem = ib.LeastSquares(np.vstack([X, -2 * X]), np.concatenate([Y, Y]))
    lam = np.array([0.0, 1e-2, 1.0])
    found = ib.simulate(ib.GradientFlow(problem, lam), np.ones(D), t1=200.0, rtol=1e-7).final
    A = problem.X.T @ problem.X / (2 * N)
    np.testing.assert_allclose(
        found, np.linalg.solve(A + np.diag(lam), problem.X.T @ problem.y / (2 * N)), rtol=1e-5
    )


# Oracle: gradient descent written out.
def test_gradient_descent_decays_leaf_by_leaf() -> None:
    start = dict_start()
    trajectory = ib.simulate(ib.GradientDescent(ib.Problem(tanh_net, X, Y), 0.1, DECAYS), start, t1=1.0)
    params = start
    for _ in range(10):
        slope = ib.Problem(tanh_net, X, Y).gradient(params)
        params = {name: params[name] - 0.1 * (slope[name] + DECAYS[name] * params[name]) for name in params}
    np.testing.assert_allclose(flat(trajectory.final), flat(params), rtol=1e-12)


# Oracle: the weight decay as one number. Diagonal networks then keep their dual variables.
def test_equal_decays_are_one_number() -> None:
    problem = ib.LeastSquares(X, Y).reparametrize(ib.HadamardProduct())
    start = (np.full(D, 0.1), np.zeros(D))
    one, same = (ib.simulate(ib.GradientFlow(problem, lam), start, t1=50.0) for lam in (1e-2, (1e-2, 1e-2)))
    assert all(np.array_equal(a, b) for a, b in zip(one.final, same.final, strict=True))
    same.dual(1.0)


# Oracle: gradient descent with tiny steps.
def test_diagonal_networks_take_several_decays() -> None:
    problem = ib.LeastSquares(X, Y).reparametrize(ib.HadamardProduct())
    start, lam = (np.full(D, 0.5), np.full(D, 0.1)), (1e-1, 0.0)
    found = ib.simulate(ib.GradientFlow(problem, lam), start, t1=10.0, rtol=1e-6).final
    coarse, fine = (
        ib.simulate(ib.GradientDescent(problem, rate, lam), start, t1=10.0).final for rate in (2e-4, 1e-4)
    )
    for leaf, a, b in zip(found, coarse, fine, strict=True):
        np.testing.assert_allclose(leaf, 2 * b - a, rtol=2e-5, atol=1e-7)  # extrapolated to rate 0


def test_a_prefix_stands_for_a_subtree() -> None:
    net = eqx.nn.MLP(D, "scalar", 4, 1, key=jax.random.key(0))
    problem = ib.Problem(lambda net, X: jax.vmap(net)(X), X, Y)
    decays = jax.tree.map(lambda leaf: 1e-2 if eqx.is_array(leaf) else leaf, net)
    one, tree = (ib.simulate(ib.GradientFlow(problem, lam), net, t1=3.0).final for lam in (1e-2, decays))
    assert np.array_equal(one.layers[0].weight, tree.layers[0].weight)


def test_the_diffrax_term_takes_several_decays() -> None:
    flow, start = ib.GradientFlow(ib.Problem(tanh_net, X, Y), DECAYS), dict_start()
    with pytest.raises(ib.InputError, match=r"flow\.term\(params\)"):
        flow.term()
    with jax.enable_x64(True):
        solution = diffrax.diffeqsolve(
            flow.term(start),
            ib.GaussNewtonRosenbrock(),
            0.0,
            END,
            0.01,
            jax.tree.map(jnp.asarray, start),
            stepsize_controller=diffrax.PIDController(rtol=1e-7, atol=1e-9),
            saveat=diffrax.SaveAt(t1=True),
        )
        found = flat({name: np.asarray(leaf[-1]) for name, leaf in solution.ys.items()})
    expected = by_radau("squared", start, Y)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("decays", "words"),
    [
        ({"W": 1e-3, "b": 0.0}, ["the structure", "weight_decay=jax.tree.map"]),
        ((1e-3, 0.0, 1e-3), ["the structure"]),
        ({"W": 1e-3, "b": np.zeros(3), "a": 0.0}, ["['b']", "shape (3,)", "(4,)"]),
        ({"W": 1e-3, "b": -1.0, "a": 0.0}, ["weight_decay['b'] is -1.0"]),
        ({"W": 1e-3, "b": np.nan, "a": 0.0}, ["weight_decay['b'] is nan"]),
        ({"W": 1e-3, "b": "0", "a": 0.0}, ["weight_decay['b'] is '0'"]),
        (np.ones(2), ["shape (2,)"]),
        ({}, ["weight_decay is {}"]),
    ],
    ids=str,
)
def test_decays_that_do_not_fit(decays: Any, words: list[str]) -> None:
    problem = ib.Problem(tanh_net, X, Y)
    with pytest.raises(ib.InputError) as caught:
        ib.simulate(ib.GradientFlow(problem, decays), dict_start(), t1=1.0)
    for word in words:
        assert word in str(caught.value)


def test_a_flow_keeps_its_own_copy() -> None:
    decays = {"W": 1e-2, "b": 0.0, "a": np.ones(4)}
    flow = ib.GradientFlow(ib.Problem(tanh_net, X, Y), decays)
    before = flow.fingerprint()
    decays["b"] = 7.0
    decays["a"][0] = 7.0
    assert flow.fingerprint() == before
    assert "'W': 0.01" in repr(flow)
