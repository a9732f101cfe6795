"""The interpolation limit against closed forms, and its certificate and error estimate."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from tests.flows._nets import X as INPUTS
from tests.flows._nets import Y, pair_start, softplus_net
from tests.oracles.drift import diagonal_limit

_rng = np.random.default_rng(5)
X, Y_SMALL = _rng.standard_normal((4, 9)), _rng.standard_normal(4)
U, V = _rng.standard_normal(9), _rng.standard_normal(9)


def test_linear_models_end_at_the_projection() -> None:
    w0 = _rng.standard_normal(9)
    limit = ib.interpolation_limit(ib.LeastSquares(X, Y_SMALL), w0)
    exact = w0 + np.linalg.pinv(X) @ (Y_SMALL - X @ w0)  # theory 3.8
    np.testing.assert_allclose(limit.point, exact, atol=1e-9)
    assert limit.certificate.holds
    assert limit.status is ib.Status.CONVERGED
    np.testing.assert_allclose(limit.predict(X), Y_SMALL, atol=1e-11)


def test_diagonal_networks_end_at_the_interpolant_of_their_potential() -> None:
    problem = ib.LeastSquares(X, Y_SMALL).reparametrize(ib.HadamardProduct())
    limit = ib.interpolation_limit(problem, (U, V), rtol=1e-7)
    u, v = limit.point
    np.testing.assert_allclose(u * v, diagonal_limit(X, Y_SMALL, U, V), atol=1e-6)
    np.testing.assert_allclose(u**2 - v**2, U**2 - V**2, atol=1e-6)
    assert limit.certificate.residuals["residual"] <= 1e-12
    assert limit.certificate.residuals["dependent"] == 0.0


# The flows of both tolerances take the same last steps, whose error their difference does not show.
@pytest.mark.parametrize("rtol", [1e-4, 1e-8])
def test_the_error_contains_that_of_the_last_steps(rtol: float) -> None:
    problem = ib.LeastSquares(X, Y_SMALL).reparametrize(ib.HadamardProduct())
    limit, looser = (ib.interpolation_limit(problem, (U, V), rtol=tol) for tol in (rtol, 10 * rtol))
    w, k = diagonal_limit(X, Y_SMALL, U, V), U**2 - V**2
    exact = np.sqrt(np.array([k, -k]) / 2 + np.hypot(k / 2, w))
    apart, most = (
        float(np.linalg.norm(np.abs(found.point) - exact) / np.linalg.norm(exact))
        for found in (limit, looser)
    )
    assert limit.error is not None
    # The limit depends on the path by conserved quantities only, which are exact, so that both may be rounding errors.
    # The estimate is the difference from the flow of the looser tolerance, which is mostly the error of the latter.
    assert apart / 5 <= limit.error <= 5 * (apart + most) + 1e-14


@pytest.fixture(scope="module")
def net() -> tuple[ib.Problem, ib.Limit, ib.Limit]:
    problem = ib.Problem(softplus_net, INPUTS, Y)
    return (
        problem,
        ib.interpolation_limit(problem, pair_start(), rtol=1e-4),
        ib.interpolation_limit(problem, pair_start(), rtol=1e-7),
    )


def test_a_network_fits_its_targets_and_the_error_estimate_is_honest(
    net: tuple[ib.Problem, ib.Limit, ib.Limit],
) -> None:
    problem, rough, fine = net
    for limit in (rough, fine):
        assert limit.certificate.holds
        assert np.max(np.abs(problem.predict(limit.point) - Y)) < 1e-10
        assert limit.value < 1e-20
    flat = [np.concatenate([leaf.ravel() for leaf in limit.point]) for limit in (rough, fine)]
    true = np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1])
    assert true <= 2 * rough.error
    assert fine.error < 1e-2 * rough.error
    assert fine.certificate.residuals["moved"] < 1e-3
    np.testing.assert_allclose(fine.predict(INPUTS), Y, atol=1e-10)


def test_the_drift_starts_there(net: tuple[ib.Problem, ib.Limit, ib.Limit]) -> None:
    problem, _, fine = net
    trajectory = ib.simulate(ib.NormDrift(problem), fine.point, t1=1.0)
    assert trajectory.status.ok
    np.testing.assert_allclose(problem.predict(trajectory.final), Y, atol=1e-9)


def test_a_model_that_cannot_fit_ends_at_a_minimum() -> None:
    data, y = _rng.standard_normal((8, 3)), _rng.standard_normal(8)
    problem = ib.LeastSquares(data, y).reparametrize(ib.HadamardProduct())
    limit = ib.interpolation_limit(problem, (np.ones(3), np.full(3, 0.5)))
    u, v = limit.point
    np.testing.assert_allclose(u * v, np.linalg.lstsq(data, y, rcond=None)[0], atol=1e-10)
    assert limit.certificate.holds
    assert "does not fit the data" in limit.certificate.sentence
    assert limit.certificate.residuals["gradient"] < 1e-10


def test_a_saddle_is_not_certified() -> None:
    problem = ib.LeastSquares(X, Y_SMALL).reparametrize(ib.HadamardProduct())
    limit = ib.interpolation_limit(problem, (np.zeros(9), np.zeros(9)))
    assert limit.status is ib.Status.NOT_CERTIFIED
    assert limit.certificate.residuals["negative_curvature"] > 0.1


def test_a_minimum_at_infinity_is_not_certified() -> None:
    def positive(params: Any, X: Any) -> Any:
        return jnp.exp(params[0]) + 0 * X[:, 0]

    limit = ib.interpolation_limit(ib.Problem(positive, INPUTS, np.zeros(6)), np.array([0.3]))
    assert not limit.status.ok
    assert not limit.certificate.holds


def test_too_few_steps_are_said(net: tuple[ib.Problem, ib.Limit, ib.Limit]) -> None:
    limit = ib.interpolation_limit(net[0], pair_start(), rtol=1e-4, max_steps=4)
    assert limit.status is ib.Status.MAX_STEPS


@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_losses_without_a_minimiser_are_refused(loss: str) -> None:
    problem = ib.Problem(softplus_net, INPUTS, np.sign(Y), loss)
    with pytest.raises(ib.InputError, match=r"finite minimiser"):
        ib.interpolation_limit(problem, pair_start())


def test_bad_parameters_are_refused() -> None:
    problem = ib.Problem(softplus_net, INPUTS, Y)
    with pytest.raises(ib.InputError, match="NaN"):
        ib.interpolation_limit(problem, jax.tree.map(lambda leaf: leaf * np.nan, pair_start()))
    with pytest.raises(ib.InputError, match="a problem is expected"):
        ib.interpolation_limit(3, pair_start())


# Oracle: u^2 - v^2 is conserved, so that (2, 1) ends at (sqrt(3), 0), where the predictions are 0 as their targets.
def test_a_target_of_zero_is_fitted() -> None:
    def product(params: Any, X: Any) -> Any:
        return X[:, 0] * params[0] * params[1]

    problem = ib.Problem(product, np.ones((1, 1)), np.zeros(1))
    for rtol, bound in ((1e-6, 1e-5), (0.1, 0.1)):
        limit = ib.interpolation_limit(problem, np.array([2.0, 1.0]), rtol=rtol)
        assert limit.certificate.holds
        error = abs(limit.point[0] - np.sqrt(3.0)) / np.sqrt(3.0)
        assert error <= bound
        assert 0.3 * error <= limit.error <= bound


def test_an_interrupt_ends_the_whole_computation(net: tuple[ib.Problem, ib.Limit, ib.Limit]) -> None:
    said: list[str] = []

    def interrupt(_: float, text: str) -> None:
        said.append(text)
        raise KeyboardInterrupt

    limit = ib.interpolation_limit(net[0], pair_start(), rtol=1e-4, progress=interrupt)
    assert limit.status is ib.Status.INTERRUPTED
    assert len(said) == 1
    assert said[0].startswith("flow 1 of 2")
    assert limit.error == np.inf
    assert "The flow stopped before its end" in limit.certificate.sentence


def test_fractions_of_progress_increase(net: tuple[ib.Problem, ib.Limit, ib.Limit]) -> None:
    fractions: list[float] = []
    ib.interpolation_limit(net[0], pair_start(), rtol=1e-4, progress=lambda f, _: fractions.append(f))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


# The exact Hessian of so many parameters is not computed. The minimum of (z - 1)^2 + (z^2 - 3)^2 is not 0.
def test_a_large_model_that_cannot_fit_is_not_certified() -> None:
    def bent(params: Any, X: Any) -> Any:
        z = jnp.sum(params) / np.sqrt(2_000)
        return X[:, 0] * z + X[:, 1] * z**2

    limit = ib.interpolation_limit(
        ib.Problem(bent, np.eye(2), np.array([1.0, 3.0])), np.full(2_000, 1 / np.sqrt(2_000)), rtol=1e-4
    )
    assert limit.status is ib.Status.NOT_CERTIFIED
    assert "there are 2000 parameters, more than 1500" in limit.certificate.sentence
    roots = np.roots([2.0, 0.0, -5.0, -1.0])  # of the derivative in z, halved
    np.testing.assert_allclose(np.sum(limit.point) / np.sqrt(2_000), np.max(roots.real), rtol=1e-6)


# u' = -2 u^3 on the diagonal u = v of f = u v with the target 0, so that u falls like t^(-1/2), and the limit is 0.
def test_a_limit_at_which_the_jacobian_vanishes_is_not_certified_and_the_reason_is_said() -> None:
    def product(params: Any, X: Any) -> Any:
        return params[0] * params[1] * X[:, 0]

    limit = ib.interpolation_limit(ib.Problem(product, np.ones((1, 1)), np.zeros(1)), np.ones(2))
    assert limit.status is ib.Status.NOT_CERTIFIED
    assert limit.certificate.residuals["residual"] > 0.1
    assert "slowly, since the Jacobian vanishes at the limit" in limit.certificate.sentence
    assert "does not fit the data" not in limit.certificate.sentence


# Oracle: the flow of U V^T conserves U^T U - V^T V. With more than 1500 parameters, no exact Hessian is computed.
def test_a_large_model_ends_at_an_interpolation() -> None:
    rng = np.random.default_rng(8)
    rows, cols = np.nonzero(rng.random((6, 6)) < 0.5)
    start = rng.standard_normal((2, 6, 130))
    problem = ib.LeastSquares.entries(rows, cols, rng.standard_normal(len(rows)), (6, 6))
    limit = ib.interpolation_limit(problem.reparametrize(ib.MatrixProduct()), tuple(start))
    assert limit.certificate.holds
    assert limit.certificate.residuals["residual"] <= 1e-12
    balance = [U.T @ U - V.T @ V for U, V in (start, limit.point)]
    np.testing.assert_allclose(balance[1], balance[0], atol=1e-4)


# Two nearly dependent equations in a and b, whose only solution is (0, 1). The flow leaves b a share of 4e-3 away, and
# the first Gauss-Newton step makes the residual larger by the square of that.
def test_steps_go_on_where_the_first_one_makes_the_residual_larger() -> None:
    def bent(params: Any, X: Any) -> Any:
        total = params[0] + params[1] ** 2
        return X[:, 0] * total + X[:, 1] * (total + 3e-3 * params[1])

    limit = ib.interpolation_limit(ib.Problem(bent, np.eye(2), np.array([1.0, 1.003])), np.full(2, 0.5))
    np.testing.assert_allclose(limit.point, [0.0, 1.0], atol=1e-9)
    assert limit.certificate.residuals["residual"] <= 1e-12
    # The steps moved the parameters too far for a certificate, and the estimated error contains this.
    assert limit.certificate.residuals["moved"] > 1e-3
    assert limit.error is not None
    assert limit.error > 1e-6
