"""Gradient flows of models run in the logarithm of the time where their loss tends to 0."""

from typing import Any

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, nnls

import implicitbias as ib


def separable(n: int = 12, d: int = 4, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    teacher = rng.standard_normal(d)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ teacher)


def linear(w: Any, X: Any) -> Any:
    return X @ w


def power(theta: Any, X: Any) -> Any:
    return theta**3 * X[:, 0]


def two_layers(params: Any, X: Any) -> Any:
    W, a = params
    return (X @ W) ** 2 @ a


def relu_net(params: Any, X: Any) -> Any:
    W, a = params
    return jnp.maximum(X @ W, 0.0) @ a


def net_start(d: int = 4, width: int = 6, seed: int = 1) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    return 0.5 * rng.standard_normal((d, width)), 0.5 * rng.standard_normal(width)


def one_margin(loss: str, model: Any = linear) -> ib.Problem:
    """Return two equal rows up to sign, so that the loss is that of one margin."""
    return ib.Problem(model, [[1.0], [-1.0]], [1, -1], loss=loss)


# Oracle: by hand: w' = e^-w from 0 gives w = ln(1 + t).
@pytest.mark.parametrize("log_t", [20.0, 700.0, 2302.6, 1e9])
def test_the_exponential_loss_of_one_margin(log_t: float) -> None:
    trajectory = ib.simulate(ib.GradientFlow(one_margin("exponential")), np.zeros(1), log_t1=log_t, rtol=1e-6)
    assert trajectory.status is ib.Status.REACHED_TIME
    np.testing.assert_allclose(trajectory.final, [np.logaddexp(0.0, log_t)], rtol=1e-5)
    assert trajectory.log_times[-1] == pytest.approx(log_t, rel=1e-14)
    for earlier in (-3.0, 1.0, 15.0):
        np.testing.assert_allclose(trajectory.state(log_t=earlier), [np.logaddexp(0.0, earlier)], rtol=1e-4)


# Oracle: by hand: w' = 1 / (1 + e^w) from 0 gives w + e^w = 1 + t.
@pytest.mark.parametrize("log_t", [20.0, 2302.6])
def test_the_logistic_loss_of_one_margin(log_t: float) -> None:
    trajectory = ib.simulate(ib.GradientFlow(one_margin("logistic")), np.zeros(1), log_t1=log_t, rtol=1e-6)
    expected = log_t if log_t > 40 else brentq(lambda w: w + np.exp(w) - 1 - np.exp(log_t), 0.0, log_t + 1)
    np.testing.assert_allclose(trajectory.final, [expected], rtol=1e-5)


# Oracle: by hand: the two columns are w / 2 and -w / 2 with w' = 2 / (1 + e^w), so that w + e^w = 1 + 2 t.
def test_the_cross_entropy_of_two_classes() -> None:
    problem = ib.Problem(linear, [[1.0], [-1.0]], [0, 1], loss="cross_entropy")
    trajectory = ib.simulate(ib.GradientFlow(problem), np.zeros((1, 2)), log_t1=2302.6, rtol=1e-6)
    w = np.log(2.0) + 2302.6
    np.testing.assert_allclose(trajectory.final, [[w / 2, -w / 2]], rtol=1e-5)
    w = brentq(lambda w: w + np.exp(w) - 1 - 2 * np.exp(3.0), 0.0, 10.0)
    np.testing.assert_allclose(trajectory.state(log_t=3.0), [[w / 2, -w / 2]], rtol=1e-4)


# Oracle: mpmath: theta' = 3 theta^2 e^(-theta^3), so that t is the integral of e^(x^3) / (3 x^2) from the start.
@pytest.mark.parametrize("end", [3.0, 13.0])
def test_a_homogeneous_scalar(end: float) -> None:
    with mpmath.workdps(40):
        points = [0.5 + (end - 0.5) * k / 40 for k in range(41)]
        t = mpmath.quad(lambda x: mpmath.exp(x**3) / (3 * x**2), points)
        log_t = float(mpmath.log(t))
    trajectory = ib.simulate(
        ib.GradientFlow(one_margin("exponential", power)), np.array(0.5), log_t1=log_t, rtol=1e-7
    )
    np.testing.assert_allclose(trajectory.final, end, rtol=1e-5)


# Oracle: the same flow as a mirror flow with the squared norm, which has another system and other unknowns.
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_linear_model_is_the_mirror_flow_of_the_squared_norm(loss: str) -> None:
    X, y = separable()
    problem = ib.Classification(X, y, loss=loss)
    start = np.linspace(-0.3, 0.3, 4)
    ours = ib.simulate(ib.GradientFlow(problem), start, log_t1=2302.6, rtol=1e-6)
    mirror = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), start, log_t1=2302.6, rtol=1e-7)
    for log_t in (-1.0, 2.0, 10.0, 300.0, 2302.6):
        expected = mirror.state(log_t=log_t)
        np.testing.assert_allclose(
            ours.state(log_t=log_t), expected, rtol=0, atol=2e-5 * np.max(np.abs(expected))
        )


# Oracle: the flow of w = u v is the mirror flow of the hyperbolic entropy.
@pytest.mark.parametrize("n", [3, 12])
def test_diagonal_networks_are_mirror_flows(n: int) -> None:
    X, y = separable(n)
    problem, alpha = ib.Classification(X, y), 1e-4
    start = (np.full(4, np.sqrt(2.0) * alpha), np.zeros(4))
    flow = ib.GradientFlow(problem.reparametrize(ib.HadamardProduct()))
    ours = ib.simulate(flow, start, log_t1=2302.6, rtol=1e-5)
    potential = ib.HyperbolicEntropy(log_scale=2 * np.log(alpha))
    mirror = ib.simulate(ib.MirrorFlow(problem, potential), np.zeros(4), log_t1=2302.6, rtol=1e-6)
    for log_t in (1.0, 3.0, 30.0, 2302.6):
        u, v = ours.state(log_t=log_t)
        expected = mirror.state(log_t=log_t)
        np.testing.assert_allclose(u * v, expected, rtol=0, atol=1e-3 * np.max(np.abs(expected)))


# Oracle: SciPy's Radau in plain time, with the gradient written by hand.
def test_plain_time_gives_the_same_net() -> None:
    X, y = separable()
    W, a = net_start()

    def field(_: float, theta: ndarray) -> ndarray:
        W, a = theta[:24].reshape(4, 6), theta[24:]
        z = X @ W
        pull = y * np.exp(-y * (z**2 @ a)) / len(y)
        return np.concatenate([(X.T @ (pull[:, None] * 2 * z * a)).ravel(), z.T**2 @ pull])

    start = np.concatenate([W.ravel(), a])
    times = np.array([0.1, 1.0, 30.0, 1e4, 1e7, 1e10])
    plain = solve_ivp(field, (0.0, 1e10), start, method="Radau", t_eval=times, rtol=1e-9, atol=1e-11)
    problem = ib.Problem(two_layers, X, y, loss="exponential")
    errors = []
    for rtol in (1e-3, 1e-5):
        trajectory = ib.simulate(ib.GradientFlow(problem), (W, a), times=times, rtol=rtol)
        np.testing.assert_allclose(trajectory.times, times, rtol=1e-12)
        errors.append(np.max(np.abs(trajectory.flat_states - plain.y.T)) / np.max(np.abs(plain.y)))
    assert errors[0] < 1e-2
    # The tolerance bounds local errors. They add up to a global error that falls in proportion.
    assert errors[1] < errors[0] / 20


@pytest.mark.parametrize("classes", [2, 3])
def test_the_direction_tends_to_the_largest_margin_at_its_rate(classes: int) -> None:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((15, 4))
    scores = X @ rng.standard_normal((4, classes))
    loss = "cross_entropy" if classes > 2 else "exponential"
    problem = ib.Classification(X, np.argmax(scores, axis=1), loss=loss)
    limit = ib.max_margin(problem, "l2")
    assert limit.certificate.holds
    distance = ib.diagnostics.distance_to(limit)
    trajectory = ib.simulate(
        ib.GradientFlow(problem), np.zeros(problem.predictor_shape), log_t1=1e5, rtol=1e-5
    )
    logs = np.array([1e3, 1e4, 1e5])
    apart = [distance(0.0, trajectory.state(log_t=log_t)) for log_t in logs]
    # The distance in direction is O(1 / ln t), as docs/rates.md shows for the squared norm.
    slope = np.polyfit(np.log(logs), np.log(apart), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.05)
    assert apart[-1] < 2e-4


def normalised_margin(problem: ib.Problem, params: Any, degree: int) -> float:
    size = np.sqrt(sum(np.sum(leaf**2) for leaf in params))
    return float((problem.y * problem.predict(params)).min() / size**degree)


def kkt_residual(problem: ib.Problem, params: Any) -> float:
    """Return 1 - cos of the angle between theta and its best approximation by gradients of margins, from SciPy."""
    J = ib.predictors.of(problem).jacobian(params).dense().reshape(len(problem.y), -1)
    theta = np.concatenate([leaf.ravel() for leaf in params])
    margins = problem.y * problem.predict(params)
    # Complementary slackness: rows of a larger margin have no weight.
    rows = (problem.y[:, None] * J)[margins < 1.1 * margins.min()]
    found = rows.T @ nnls(rows.T, theta)[0]
    return 1.0 - float(found @ theta / np.linalg.norm(found) / np.linalg.norm(theta))


# Oracle: Lyu and Li (lyu2020margin): the normalised margin increases, and the limit is a KKT point of the largest one.
def test_a_homogeneous_net_tends_to_a_point_of_kkt() -> None:
    X, y = separable()
    problem = ib.Problem(two_layers, X, y, loss="exponential")
    trajectory = ib.simulate(ib.GradientFlow(problem), net_start(), log_t1=1e5)
    assert trajectory.status is ib.Status.REACHED_TIME
    states = [trajectory.state(log_t=log_t) for log_t in (1e3, 1e4, 1e5)]
    residuals = [kkt_residual(problem, state) for state in states]
    assert residuals[1] < residuals[0] / 2
    assert residuals[2] < residuals[1] / 2
    assert residuals[2] < 5e-4
    assert np.all(np.diff([normalised_margin(problem, state, 3) for state in states]) > 0.0)


@pytest.mark.slow
def test_a_net_of_relus() -> None:
    X, y = separable()
    problem = ib.Problem(relu_net, X, y, loss="logistic")
    trajectory = ib.simulate(ib.GradientFlow(problem), net_start(), log_t1=2302.6)
    assert trajectory.status is ib.Status.REACHED_TIME
    margins = [normalised_margin(problem, trajectory.state(log_t=log_t), 2) for log_t in (1e2, 1e3, 2302.6)]
    assert np.all(np.diff(margins) > 0.0)
    # The smallest margin follows ln t up to terms of the size of ln ln t.
    least = (y * problem.predict(trajectory.final)).min()
    assert least == pytest.approx(2302.6, abs=20.0)


def test_observables_until_and_files(tmp_path: Any) -> None:
    X, y = separable()
    problem = ib.Problem(linear, X, y, loss="logistic")
    flow = ib.GradientFlow(problem)
    trajectory = ib.simulate(
        flow,
        np.zeros(4),
        log_t1=2302.6,
        observe={"log_loss": lambda t, w: problem.log_of_loss(w)},
        until=lambda t, w: -1000.0 - problem.log_of_loss(w),
    )
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    assert trajectory.observables["log_loss"][-1] == pytest.approx(-1000.0, abs=1e-3)
    # The loss is about 1 / (gamma^2 t) with the largest margin gamma, so that ln L and -ln t differ by a constant.
    assert trajectory.log_times[-1] == pytest.approx(1000.0, abs=10.0)
    assert np.isinf(trajectory.times[-1])
    trajectory.save(tmp_path / "run.npz")
    loaded = ib.Trajectory.load(tmp_path / "run.npz")
    np.testing.assert_allclose(loaded.log_times, trajectory.log_times, rtol=1e-13)
    np.testing.assert_array_equal(loaded.final, trajectory.final)


# Oracle: mpmath.
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_logs_of_losses_of_models(scale: float) -> None:
    rng = np.random.default_rng(0)
    X, w = np.eye(3), scale * rng.standard_normal((3, 3))
    y = np.array([0, 1, 1])
    with mpmath.workdps(50):
        rows = [
            mpmath.log(mpmath.fsum(mpmath.exp(v) for v in row)) - row[c] for row, c in zip(w, y, strict=True)
        ]
        many = float(mpmath.log(mpmath.fsum(rows) / 3))
        signs = np.array([-1, 1, 1])
        rows = [mpmath.log1p(mpmath.exp(-mpmath.mpf(s * v))) for s, v in zip(signs, w[:, 0], strict=True)]
        two = float(mpmath.log(mpmath.fsum(rows) / 3))
    assert ib.Problem(linear, X, y, loss="cross_entropy").log_of_loss(w) == pytest.approx(many, rel=1e-13)
    problem = ib.Problem(linear, X, y, loss="logistic")
    assert problem.log_of_loss(w[:, 0]) == pytest.approx(two, rel=1e-13)
    squared = ib.Problem(linear, X, y)
    assert squared.log_of_loss(w[:, 0]) == pytest.approx(np.log(squared.loss(w[:, 0])), rel=1e-13)


def test_labels_that_the_model_does_not_separate() -> None:
    X = np.array([[1.0], [3.0], [-1.0]])
    problem = ib.Problem(linear, X, [1, -1, -1], loss="logistic")
    trajectory = ib.simulate(ib.GradientFlow(problem), np.zeros(1), log_t1=2302.6)
    assert trajectory.status is ib.Status.REACHED_TIME
    # Oracle: the minimiser, where the derivative of the loss is 0.
    best = brentq(lambda w: 3 / (1 + np.exp(-3 * w)) - 2 / (1 + np.exp(w)), -10.0, 10.0)
    np.testing.assert_allclose(trajectory.final, [best], rtol=1e-6)
    assert "The loss does not tend to 0: 2 of 3 rows have no positive margin" in trajectory.notes[0]


def test_a_weight_decay_keeps_plain_time() -> None:
    X, y = separable()
    problem = ib.Problem(linear, X, y, loss="logistic")
    trajectory = ib.simulate(ib.GradientFlow(problem, weight_decay=1e-2), np.zeros(4), t1=1e12)
    assert trajectory.clock.plain
    assert trajectory.times[-1] == 1e12
    with pytest.raises(ib.InputError, match="without weight decay"):
        ib.simulate(ib.GradientFlow(problem, weight_decay=1e-2), np.zeros(4), log_t1=2302.6)
    with pytest.raises(ib.InputError, match="without weight decay"):
        ib.simulate(ib.GradientFlow(ib.Problem(linear, X, y)), np.zeros(4), log_t1=2302.6)


def test_a_model_in_float32() -> None:
    X, y = separable()

    def low(w: Any, X: Any) -> Any:
        return X.astype(jnp.float32) @ w.astype(jnp.float32)

    trajectory = ib.simulate(
        ib.GradientFlow(ib.Problem(low, X, y, loss="logistic")), np.zeros(4), log_t1=2302.6
    )
    assert trajectory.status is ib.Status.LOW_PRECISION
    assert trajectory.log_times[-1] == pytest.approx(2302.6)
    exact = ib.simulate(
        ib.GradientFlow(ib.Problem(linear, X, y, loss="logistic")), np.zeros(4), log_t1=2302.6
    )
    np.testing.assert_allclose(trajectory.final, exact.final, rtol=1e-3)


def test_a_model_that_leaves_its_domain() -> None:
    problem = ib.Problem(
        lambda w, X: jnp.sqrt(30.0 - w) * X[:, 0] * 0.0 + w * X[:, 0], [[1.0], [-1.0]], [1, -1], "exponential"
    )
    trajectory = ib.simulate(ib.GradientFlow(problem), np.array(0.0), log_t1=2302.6)
    assert trajectory.status is ib.Status.NOT_FINITE
    # w = ln(1 + t) reaches 30 at ln t = 30.
    assert trajectory.log_times[-1] == pytest.approx(30.0, abs=1e-3)
    assert "ln t = 30" in " ".join(trajectory.notes)


def test_the_number_of_steps_hardly_grows() -> None:
    X, y = separable()
    problem = ib.Problem(linear, X, y, loss="logistic")
    steps = [
        ib.simulate(ib.GradientFlow(problem), np.zeros(4), log_t1=log_t).stats.steps
        for log_t in (2302.6, 1e9)
    ]
    assert steps[0] < 100
    assert steps[1] < steps[0] + 40


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["normal", "kernel", "layers", "products", "lagged", "explicit"])
def test_every_algebra_gives_the_same(solver: str) -> None:
    X, y = separable()
    problem = ib.Problem(two_layers, X, y, loss="exponential")
    flow = ib.GradientFlow(problem)
    # Explicit steps stay short in the logarithm of the time, some two hundred in each unit.
    end = 70.0 if solver == "explicit" else 700.0
    fine = ib.simulate(flow, net_start(), log_t1=end, rtol=1e-6)
    coarse = ib.simulate(flow, net_start(), log_t1=end, solver=solver)
    assert coarse.status is ib.Status.REACHED_TIME
    for ours, expected in zip(coarse.final, fine.final, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3 * np.max(np.abs(expected)))
