"""The norm drift against closed forms, a brute-force projection, and what it conserves."""

from typing import Any

import jax
import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib
from tests.flows._nets import X as INPUTS
from tests.flows._nets import dict_start, flat_rows, tanh_net
from tests.oracles.drift import by_svd, diagonal_drift, factored_drift

_rng = np.random.default_rng(3)
X = _rng.standard_normal((5, 12))
U, V = _rng.standard_normal(12), _rng.standard_normal(12)
DIAGONAL = ib.LeastSquares(X, X @ (U * V)).reparametrize(ib.HadamardProduct())


def size_of(state: Any) -> float:
    return float(np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(state))))


@pytest.fixture(scope="module")
def diagonal() -> ib.Trajectory:
    return ib.simulate(ib.NormDrift(DIAGONAL), (U, V), t1=10.0, rtol=1e-6)


@pytest.mark.parametrize("tau", [0.5, 3.0, 10.0])
def test_diagonal_networks_follow_the_closed_form(diagonal: ib.Trajectory, tau: float) -> None:
    u, v = diagonal.state(tau)
    np.testing.assert_allclose(u * v, diagonal_drift(X, DIAGONAL.problem.y, U, V, tau), atol=2e-6)


def test_predictions_stay_and_the_norm_falls(diagonal: ib.Trajectory) -> None:
    states = [diagonal.state(tau) for tau in diagonal.times]
    for u, v in states:
        np.testing.assert_allclose(X @ (u * v), DIAGONAL.problem.y, rtol=1e-9, atol=1e-9)
    norms = np.array([size_of(state) for state in states])
    assert np.all(np.diff(norms) <= 1e-10 * norms[0])
    assert norms[-1] < 0.9 * norms[0]
    assert diagonal.notes == ()


def test_differences_of_squares_fall_like_the_weight_decay(diagonal: ib.Trajectory) -> None:
    u, v = diagonal.final
    np.testing.assert_allclose(u**2 - v**2, (U**2 - V**2) * np.exp(-20.0), rtol=1e-3, atol=1e-12)


def test_the_error_falls_with_rtol() -> None:
    exact = diagonal_drift(X, DIAGONAL.problem.y, U, V, 3.0)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        u, v = ib.simulate(ib.NormDrift(DIAGONAL), (U, V), t1=3.0, rtol=rtol).final
        errors.append(np.max(np.abs(u * v - exact)))
    assert np.log10(errors[0] / errors[2]) > 2.8  # at least rtol^0.7


def interpolated(width: int) -> tuple[ib.Problem, dict[str, ndarray]]:
    """A tanh network and parameters whose own predictions are the targets."""
    params = dict_start(width)
    with jax.enable_x64(True):
        targets = np.asarray(tanh_net(params, INPUTS))
    return ib.Problem(tanh_net, INPUTS, targets), params


def test_a_network_follows_the_brute_force_projection() -> None:
    problem, start = interpolated(2)
    taus = np.array([0.5, 2.0, 5.0])
    with jax.enable_x64(True):
        shape, flat = problem.checked_params(start)
        jacobian = jax.jit(jax.jacrev(lambda theta: tanh_net(shape.unflatten(theta), INPUTS).reshape(-1)))
        exact = by_svd(lambda theta: np.asarray(jacobian(theta)), flat, taus)
    trajectory = ib.simulate(ib.NormDrift(problem), start, times=taus, rtol=1e-7)
    np.testing.assert_allclose(flat_rows(trajectory.state(taus), 3), exact, atol=1e-5)
    assert np.max(np.abs(problem.predict(trajectory.final) - problem.y)) < 1e-9


def test_equal_hidden_units_stay_equal() -> None:
    start = dict_start(2)
    twin = {name: np.array(leaf) for name, leaf in start.items()}
    twin["W"][:, 1], twin["b"][1], twin["a"][1] = twin["W"][:, 0], twin["b"][0], twin["a"][0]
    with jax.enable_x64(True):
        targets = np.asarray(tanh_net(twin, INPUTS))
    end = ib.simulate(ib.NormDrift(ib.Problem(tanh_net, INPUTS, targets)), twin, t1=2.0).final
    np.testing.assert_allclose(end["W"][:, 0], end["W"][:, 1], rtol=1e-9)
    np.testing.assert_allclose(end["a"][0], end["a"][1], rtol=1e-9)


def product_net(params: Any, X: Any) -> Any:
    U, V = params
    return X @ U.T @ V.T


@pytest.mark.parametrize("rows", [4, 6])
def test_factored_matrices_follow_the_sylvester_equation(rows: int) -> None:
    rng = np.random.default_rng(4)
    data, U, V = (rng.standard_normal(shape) for shape in ((rows, 4), (2, 4), (3, 2)))
    problem = ib.Problem(product_net, data, data @ U.T @ V.T)
    trajectory = ib.simulate(ib.NormDrift(problem), (U, V), t1=8.0, rtol=1e-7)
    ours, exact = trajectory.final, factored_drift(V, U, 8.0)
    np.testing.assert_allclose(ours[1], exact[0], atol=1e-6)
    np.testing.assert_allclose(ours[0], exact[1], atol=1e-6)
    # The matrices become balanced, and the squared norm tends to twice the nuclear norm of the product.
    balance = ours[0] @ ours[0].T - ours[1].T @ ours[1]
    np.testing.assert_allclose(balance, np.exp(-16.0) * (U @ U.T - V.T @ V), atol=1e-6)
    nuclear = np.linalg.svd(V @ U, compute_uv=False).sum()
    assert size_of(ours) ** 2 == pytest.approx(2 * nuclear, rel=1e-5)
    # The product has 12 entries, and matrices of rank 2 have 10 dimensions.
    assert "the rank 10" in trajectory.notes[0]


def bowl(params: Any, X: Any) -> Any:
    """A network whose residual bends the loss in the direction of the second parameter."""
    return params[0] * params[2] * X[:, 0] + (params[1] - 1.0) ** 2 * X[:, 0] ** 2


def test_the_residual_counts_where_it_is_not_zero() -> None:
    # Minima have params[1] = 1, which the kernel of the Jacobian would let fall, and params[0] * params[2] fixed.
    x = np.array([-2.0, -1.0, 0.5, 1.0, 2.0, 3.0])
    y = 0.5 * x - x**2
    slope = float(x @ y / (x @ x))
    trajectory = ib.simulate(
        ib.NormDrift(ib.Problem(bowl, x[:, None], y)), np.array([2.0, 1.0, slope / 2.0]), t1=20.0, rtol=1e-6
    )
    size = np.sqrt(abs(slope))
    np.testing.assert_allclose(trajectory.final, [size, 1.0, np.sign(slope) * size], atol=1e-5)
    assert trajectory.status.ok


def test_repeated_rows_change_nothing() -> None:
    rows = [0, 1, 2, 3, 4, 0, 2]
    repeated = ib.LeastSquares(X[rows], DIAGONAL.problem.y[rows]).reparametrize(ib.HadamardProduct())
    trajectory = ib.simulate(ib.NormDrift(repeated), (U, V), t1=3.0, rtol=1e-6)
    u, v = trajectory.final
    np.testing.assert_allclose(u * v, diagonal_drift(X, DIAGONAL.problem.y, U, V, 3.0), atol=2e-6)
    assert "the rank 5, not 7" in trajectory.notes[0]


def test_minima_of_data_that_cannot_be_fitted() -> None:
    data, y = _rng.standard_normal((8, 3)), _rng.standard_normal(8)
    w = np.linalg.lstsq(data, y, rcond=None)[0]
    problem = ib.LeastSquares(data, y).reparametrize(ib.HadamardProduct())
    u, v = ib.simulate(ib.NormDrift(problem), (w / 2, np.full(3, 2.0)), t1=20.0, rtol=1e-6).final
    np.testing.assert_allclose(u * v, w, atol=1e-8)
    np.testing.assert_allclose(np.abs(u), np.sqrt(np.abs(w)), atol=1e-5)


@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
def test_a_sparse_limit_is_reached(rtol: float) -> None:
    # The rank of J falls from 5 to 2 as the other entries vanish, and the flow is near its limit like 1 / tau.
    w = np.zeros(12)
    w[:2] = 1.0, -2.0
    w0 = w + (np.eye(12) - np.linalg.pinv(X) @ X) @ U
    sparse = ib.LeastSquares(X, X @ w).reparametrize(ib.HadamardProduct())
    u = 1.3 * np.sqrt(np.abs(w0))
    trajectory = ib.simulate(ib.NormDrift(sparse), (u, w0 / u), t1=30.0, rtol=rtol)
    assert trajectory.status.ok
    ours, theirs = trajectory.final
    exact = diagonal_drift(X, X @ w, u, w0 / u, 30.0)
    np.testing.assert_allclose(ours * theirs, exact, atol=30 * rtol)


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_losses_without_a_minimiser_are_refused(loss: str) -> None:
    with pytest.raises(ib.InputError, match=r"finite minimiser.*ib\.max_margin"):
        ib.NormDrift(ib.Classification(X, np.sign(X[:, 0]), loss=loss))


def test_a_start_off_the_manifold_names_the_interpolation_limit() -> None:
    with pytest.raises(ib.InputError, match=r"off the manifold.*ib\.interpolation_limit"):
        ib.simulate(ib.NormDrift(DIAGONAL), (U, V + 1e-5), t1=1.0)


def test_kinks_are_said() -> None:
    def relu_net(params: Any, X: Any) -> Any:
        return jax.nn.relu(X @ params["W"] + params["b"]) @ params["a"]

    params = dict_start(2)
    with jax.enable_x64(True):
        targets = np.asarray(relu_net(params, INPUTS))
    trajectory = ib.simulate(
        ib.NormDrift(ib.Problem(relu_net, INPUTS, targets)), params, t1=0.01, max_steps=50
    )
    assert any("does not follow kinks" in note for note in trajectory.notes)


def test_saddles_and_rank_0_are_refused() -> None:
    with pytest.raises(ib.InputError, match="saddle"):
        ib.simulate(ib.NormDrift(DIAGONAL), (0 * U, 0 * V), t1=1.0)
    flat = ib.LeastSquares(X, np.zeros(5)).reparametrize(ib.HadamardProduct())
    with pytest.raises(ib.InputError, match="rank 0"):
        ib.simulate(ib.NormDrift(flat), (0 * U, 0 * V), t1=1.0)


@pytest.mark.parametrize(
    ("start", "t1", "words"),
    [
        ((U, V), -1.0, "positive"),
        ((U, V), 0.0, "positive"),
        ((U * np.nan, V), 1.0, "NaN"),
        (U, 1.0, "pair|tuple"),
    ],
)
def test_bad_arguments_are_refused(start: Any, t1: float, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        ib.simulate(ib.NormDrift(DIAGONAL), start, t1=t1)


def test_only_problems_are_accepted() -> None:
    with pytest.raises(ib.InputError, match="a problem is expected"):
        ib.NormDrift(3)  # type: ignore[arg-type]


def test_a_kernel_beyond_the_byte_budget_is_refused() -> None:
    with pytest.raises(ib.ImplicitBiasError, match="tangent kernel"):
        ib.simulate(ib.NormDrift(DIAGONAL), (U, V), t1=1.0, solver=ib.GaussNewtonRosenbrock(max_bytes=500))


# Oracle: by hand. A linear model with independent features has one minimiser, which cannot move, however small a
# feature is; the residual is 0 for the first targets and not for the second ones.
@pytest.mark.parametrize("fits", [True, False])
def test_features_of_unequal_sizes_determine_the_point(fits: bool) -> None:
    rng = np.random.default_rng(0)
    data, w = rng.standard_normal((10, 3)) * [1.0, 1.0, 1e-4], np.array([1.0, 2.0, 3.0])
    y = data @ w if fits else rng.standard_normal(10)
    w = np.linalg.lstsq(data, y, rcond=None)[0]
    trajectory = ib.simulate(ib.NormDrift(ib.LeastSquares(data, y)), w, t1=3.0)
    np.testing.assert_allclose(trajectory.final, w, rtol=1e-9)
    assert trajectory.status.ok
    assert trajectory.notes == ()


# Oracle: by hand. u v is held, and u^2 - v^2 falls like exp(-2 tau); v is tiny.
def test_a_target_of_zero() -> None:
    def product(params: Any, X: Any) -> Any:
        return X[:, 0] * params[0] * params[1]

    problem = ib.Problem(product, np.ones((1, 1)), np.zeros(1))
    trajectory = ib.simulate(ib.NormDrift(problem), np.array([2.0, 1e-11]), t1=5.0, rtol=1e-6)
    u = 2 * np.exp(-5.0)
    np.testing.assert_allclose(trajectory.final, [u, 2e-11 / u], rtol=1e-5)
    assert trajectory.status.ok


# The derivative of ||theta||^2 / 2 along the flow is -|P theta|^2. Long steps at coarse tolerances must not break this.
def test_the_norm_falls_at_coarse_tolerances_too() -> None:
    problem, start = interpolated(2)
    trajectory = ib.simulate(ib.NormDrift(problem), start, t1=10.0, rtol=0.1)
    norms = np.array([size_of(trajectory.state(tau)) for tau in trajectory.times])
    assert np.all(np.diff(norms) <= 2e-4 * norms[0])
    assert norms[-1] < 0.9 * norms[0]
