"""Forecasts against closed forms, real gradient descent, and a flow that SciPy integrates."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import implicitbias as ib
from implicitbias._core.progress import silent
from implicitbias.grokking._course import Course, curve_of
from implicitbias.grokking._forecaster import _followed, _Plan
from implicitbias.grokking._held_out import ErrorKind, gauge_of, kind_of
from implicitbias.grokking._times import times_of

LAM = 1e-3


class Linear:
    """Linear regression with the closed form of the flow with weight decay."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.X, self.X_test = rng.standard_normal((10, 20)), rng.standard_normal((50, 20))
        truth = 0.3 * rng.standard_normal(20)
        self.y, self.y_test = self.X @ truth, self.X_test @ truth
        self.start = 3.0 * rng.standard_normal(20)
        self.problem, self.test = ib.LeastSquares(self.X, self.y), (self.X_test, self.y_test)

    def theta(self, t: float) -> ndarray:
        """Return the parameters at time t: an eigenvalue h of H = X^T X / n has its own exponential."""
        h, Q = np.linalg.eigh(self.X.T @ self.X / len(self.X))
        h = np.maximum(h, 0.0)
        rest = (Q.T @ (self.X.T @ self.y / len(self.X))) / (h + LAM)
        point: ndarray = Q @ (rest + np.exp(-(h + LAM) * t) * (Q.T @ self.start - rest))
        return point

    def train_error(self, t: float) -> float:
        return float(np.mean((self.X @ self.theta(t) - self.y) ** 2))

    def test_error(self, t: float) -> float:
        return float(np.mean((self.X_test @ self.theta(t) - self.y_test) ** 2))


@pytest.fixture(scope="module")
def linear() -> Linear:
    return Linear()


def test_linear_regression_agrees_with_its_closed_form(linear: Linear) -> None:
    found = ib.forecast_grokking(linear.problem, linear.start, weight_decay=LAM, test=linear.test, rtol=1e-6)
    memorized = brentq(lambda t: linear.train_error(t) - 0.01 * linear.train_error(0.0), 0.0, 100.0)
    final = linear.test_error(1e6)
    half = (linear.test_error(memorized) + final) / 2
    grokked = brentq(lambda t: linear.test_error(t) - half, memorized, 1e5)
    assert found.memorization_time == pytest.approx(memorized, rel=1e-3)
    assert found.grokking_time == pytest.approx(grokked, rel=1e-3)
    assert found.final_test_error == pytest.approx(final, rel=3e-3)
    # The two forecasts agree, so that the interval has the least width beside the rest tolerance of the final error,
    # 0.3 % of the first one, half of which moves the level.
    doubt = 0.0015 * linear.test_error(0.0)
    reached = [
        brentq(lambda t, level=level: linear.test_error(t) - level, memorized, 1e5)
        for level in (half + doubt, half - doubt)
    ]
    assert found.grokking_interval == pytest.approx(np.exp([-0.01, 0.01]) * reached, rel=1e-3)
    assert found.groks
    assert found.error_kind == "mean squared error"
    curve = found.curve
    expected = [linear.test_error(t) for t in curve.t.values]
    np.testing.assert_allclose(curve.test_error.values, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(curve.test_loss.values, np.divide(expected, 2), rtol=1e-3, atol=1e-6)
    expected = [linear.train_error(t) for t in curve.t.values]
    np.testing.assert_allclose(curve.train_error.values, expected, rtol=1e-2, atol=1e-5)


def test_a_flow_of_which_chosen_times_are_kept(linear: Linear) -> None:
    # Models with kinks keep their flow in this way. The flow of a linear model has a closed form.
    flow = ib.GradientFlow(linear.problem, LAM)
    shape, start = flow.checked_start(linear.start)
    gauge = gauge_of(linear.problem, shape, start, linear.test)
    course = _followed(_Plan(flow, gauge, linear.start, [], 1e-6, True, {}), silent).course
    assert all(piece.trajectory.sampled for piece in course.pieces)
    found = times_of(course)
    memorized = brentq(lambda t: linear.train_error(t) - 0.01 * linear.train_error(0.0), 0.0, 100.0)
    half = (linear.test_error(memorized) + linear.test_error(1e6)) / 2
    assert found.memorized == pytest.approx(memorized, rel=2e-3)
    assert found.grokked == pytest.approx(
        brentq(lambda t: linear.test_error(t) - half, memorized, 1e5), rel=2e-3
    )
    expected = [linear.test_error(t) for t in found.curve.times]
    np.testing.assert_allclose(found.curve.of("test_error"), expected, rtol=1e-3, atol=1e-6)
    assert np.all(np.diff(found.curve.times) > 0.0)


def test_points_where_the_error_is_steep(linear: Linear) -> None:
    flow = ib.GradientFlow(linear.problem, LAM)
    shape, start = flow.checked_start(linear.start)
    gauge = gauge_of(linear.problem, shape, start, linear.test)
    course = _followed(_Plan(flow, gauge, linear.start, [], 1e-6, False, {}), silent).course
    again = curve_of(Course(gauge, course.pieces))
    np.testing.assert_array_equal(
        curve_of(course).columns, again.columns
    )  # rows that were kept are those of the time
    times = curve_of(course).times
    steps = np.diff(np.log(times[1:]))
    changes = np.abs(np.diff([linear.test_error(t) for t in times[1:]])) / linear.test_error(0.0)
    plain = np.log(10.0) / 30
    assert np.all(steps <= 1.01 * plain)
    # An interval over which the error changes by more than 0.5 % of its first value is halved twice at most.
    assert np.all(steps[changes > 0.005] <= 1.01 * plain / 4)
    assert np.sum(steps < 0.6 * plain) > 20
    assert np.sum(steps > 0.9 * plain) > 20


def test_no_grokking_without_an_early_fit(linear: Linear) -> None:
    start = 0.1 * linear.start
    found = ib.forecast_grokking(linear.problem, start, weight_decay=10.0, test=linear.test)
    # The ridge regression with this weight decay does not fit the training data.
    assert np.isnan(found.memorization_time)
    assert np.isnan(found.grokking_time)
    assert np.isnan(found.grokking_interval[0])
    assert not found.groks
    assert "weight decay over gap" in {reason.name for reason in found.trust.reasons if not reason.holds}
    ridge = np.linalg.solve(linear.X.T @ linear.X / 10 + 10.0 * np.eye(20), linear.X.T @ linear.y / 10)
    expected = np.mean((linear.X_test @ ridge - linear.y_test) ** 2)
    assert found.final_test_error == pytest.approx(expected, rel=1e-3)


def net(params: Any, X: Any) -> Any:
    return jnp.tanh(X @ params["W"]) @ params["a"]


class Signs:
    """A small tanh network on the sign of one of its inputs, which groks."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((240, 12))
        y = np.sign(X[:, 0])
        self.X, self.y, self.test = X[:40], y[:40], (X[40:], y[40:])
        self.params = {"W": rng.standard_normal((12, 24)), "a": rng.standard_normal(24)}
        self.problem, self.lam, self.rate = ib.Problem(net, self.X, self.y), 3e-3, 0.05

    def descend(self, steps: int) -> tuple[ndarray, ndarray, ndarray]:
        """Return steps, training errors and test errors of gradient descent that is written out with NumPy."""
        W, a = self.params["W"].copy(), self.params["a"].copy()
        kept, train, test = [], [], []
        for k in range(steps + 1):
            hidden = np.tanh(self.X @ W)
            outputs = hidden @ a
            if k % 10 == 0:
                kept.append(k)
                train.append(np.mean(outputs * self.y <= 0))
                test.append(np.mean(np.tanh(self.test[0] @ W) @ a * self.test[1] <= 0))
            slope = (outputs - self.y) / len(self.y)
            back = slope[:, None] * a * (1.0 - hidden**2)
            W, a = (
                W - self.rate * (self.X.T @ back + self.lam * W),
                a - self.rate * (hidden.T @ slope + self.lam * a),
            )
        return np.array(kept), np.array(train), np.array(test)


@pytest.fixture(scope="module")
def signs() -> Signs:
    return Signs()


@pytest.fixture(scope="module")
def forecast(signs: Signs) -> ib.Forecast:
    return ib.forecast_grokking(
        signs.problem, signs.params, weight_decay=signs.lam, test=signs.test, learning_rate=signs.rate
    )


def test_a_network_agrees_with_gradient_descent(signs: Signs, forecast: ib.Forecast) -> None:
    steps, train, test = signs.descend(120_000)
    memorized = steps[np.argmax(train <= 0.01)]
    after = np.searchsorted(steps, memorized)
    half = (test[after] + test[-1]) / 2
    grokked = steps[after + np.argmax(test[after:] <= half)]
    assert forecast.groks
    assert forecast.error_kind == "misclassified fraction"
    assert forecast.memorization_step == pytest.approx(memorized, abs=15)
    assert forecast.grokking_step == pytest.approx(grokked, rel=0.02)
    assert forecast.final_test_error == pytest.approx(test[-1], abs=0.005)
    here = np.interp(steps[1:], forecast.curve.step.values[1:], forecast.curve.test_error.values[1:])
    # One of 200 test rows counts half a point; a row may change its class a little earlier or later.
    assert np.mean(np.abs(here - test[1:])) < 0.002


def test_the_curve_has_every_step_of_the_first_descent(signs: Signs, forecast: ib.Forecast) -> None:
    W, a = signs.params["W"].copy(), signs.params["a"].copy()
    errors = []
    for _ in range(128):
        hidden = np.tanh(signs.X @ W)
        slope = (hidden @ a - signs.y) / len(signs.y)
        back = slope[:, None] * a * (1.0 - hidden**2)
        W, a = (
            W - signs.rate * (signs.X.T @ back + signs.lam * W),
            a - signs.rate * (hidden.T @ slope + signs.lam * a),
        )
        errors.append(np.mean(np.tanh(signs.test[0] @ W) @ a * signs.test[1] <= 0))
    steps = forecast.curve.step.values
    for step, error in enumerate(errors, start=1):
        near = int(np.argmin(np.abs(steps - step)))
        assert steps[near] == pytest.approx(step, rel=1e-12)
        assert forecast.curve.test_error.values[near] == pytest.approx(error, abs=1e-12)


def test_the_flow_agrees_with_scipy(signs: Signs) -> None:
    flow = ib.forecast_grokking(
        signs.problem, signs.params, weight_decay=signs.lam, test=signs.test, rtol=1e-5
    )
    sizes = signs.params["W"].size

    def field(t: float, u: ndarray) -> ndarray:
        W, a = u[:sizes].reshape(12, 24), u[sizes:]
        hidden = np.tanh(signs.X @ W)
        slope = (hidden @ a - signs.y) / len(signs.y)
        back = slope[:, None] * a * (1.0 - hidden**2)
        speed: ndarray = -np.concatenate([(signs.X.T @ back).ravel(), hidden.T @ slope]) - signs.lam * u
        return speed

    u0 = np.concatenate([signs.params["W"].ravel(), signs.params["a"]])
    times = np.geomspace(1.0, 4.0 / signs.lam, 40)
    exact = solve_ivp(field, (0.0, times[-1]), u0, method="LSODA", t_eval=times, rtol=1e-9, atol=1e-10)
    hidden = np.tanh(np.einsum("rd,dht->trh", signs.test[0], exact.y[:sizes].reshape(12, 24, -1)))
    outputs = np.einsum("trh,ht->tr", hidden, exact.y[sizes:])
    losses = np.mean((outputs - signs.test[1]) ** 2, axis=1) / 2
    found = np.interp(times, flow.curve.t.values, flow.curve.test_loss.values)
    # The curve has at least 30 points a decade, and the line between them is off by about 1e-3.
    np.testing.assert_allclose(found, losses, rtol=5e-3)


def test_trust_is_high_for_gradient_descent_and_low_for_adam(signs: Signs, forecast: ib.Forecast) -> None:
    assert forecast.trust.level == "high", forecast.trust.doubts
    assert "steps of gradient descent" in forecast.method
    adam = ib.forecast_grokking(
        signs.problem,
        signs.params,
        weight_decay=signs.lam,
        test=signs.test,
        learning_rate=signs.rate,
        optimizer="adam",
    )
    assert adam.trust.level == "low"
    assert "'adam'" in adam.trust.doubts[0]
    assert adam.grokking_time == forecast.grokking_time


def test_the_assumptions_of_the_theory_have_the_numbers_of_the_trust(
    forecast: ib.Forecast,
) -> None:
    found = {assumption.text: assumption for assumption in forecast.assumptions}
    numbers = {reason.name: reason.value for reason in forecast.trust.reasons}
    full_rank = found["the Jacobian J of the training predictions has full rank along the way"]
    gap = next(one for text, one in found.items() if "eigenvalue of J J^T" in text)
    assert (full_rank.state, full_rank.number) == ("checked: holds", numbers["missing rank"])
    assert gap.number == numbers["weight decay over gap"]
    assert found["each step uses all training rows in float64"].state == "not checkable"
    finite = next(one for text, one in found.items() if "finite minimiser" in text)
    assert finite.state == "checked: holds"


def test_a_rate_beyond_the_edge_gives_low_trust(signs: Signs) -> None:
    start = {name: 0.3 * leaf for name, leaf in signs.params.items()}
    found = ib.forecast_grokking(
        signs.problem, start, weight_decay=signs.lam, test=signs.test, learning_rate=0.6
    )
    products = {reason.name: reason.value for reason in found.trust.reasons}
    assert products["learning rate times sharpness"] > 2.0
    assert found.trust.level == "low"


def test_save_and_load(tmp_path: Path, forecast: ib.Forecast) -> None:
    forecast.save(tmp_path / "forecast.npz")
    loaded = ib.Forecast.load(tmp_path / "forecast.npz")
    assert str(loaded) == str(forecast)
    assert loaded.trust == forecast.trust
    assert loaded.fingerprint() == forecast.fingerprint()
    assert loaded.to_dataset().identical(forecast.to_dataset())
    (tmp_path / "other.npz").write_bytes(b"no archive")
    with pytest.raises(ib.InputError):
        ib.Forecast.load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("loss", "labels"),
    [("logistic", ["no", "yes"]), ("cross_entropy", [0, 1])],
)
def test_labels_of_classification(signs: Signs, loss: str, labels: list[Any]) -> None:
    def model(params: Any, X: Any) -> Any:
        outputs = net(params, X)
        return outputs if loss == "logistic" else jnp.stack([-outputs / 2, outputs / 2], axis=1)

    y, y_test = (np.where(part > 0, labels[1], labels[0]) for part in (signs.y, signs.test[1]))
    problem = ib.Problem(model, signs.X, y, loss)
    shape, flat = problem.checked_params(signs.params)
    loss_there, error = gauge_of(problem, shape, flat, (signs.test[0], y_test)).measured(flat[None])[
        0, [1, 3]
    ]
    # Both losses are the logistic loss of the same margins.
    outputs = np.tanh(signs.test[0] @ signs.params["W"]) @ signs.params["a"]
    assert error == np.mean(outputs * signs.test[1] <= 0)
    assert loss_there == pytest.approx(np.mean(np.logaddexp(0.0, -outputs * signs.test[1])))


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (np.array([1.0, -1.0]), ErrorKind.SIGN),
        (np.array([1.0, 0.5]), ErrorKind.SQUARED),
        (np.eye(2), ErrorKind.ARGMAX),
        (2.0 * np.eye(2) - 1.0, ErrorKind.ARGMAX),
        (np.ones((2, 2)), ErrorKind.SQUARED),
    ],
)
def test_the_kind_of_the_error(y: ndarray, kind: ErrorKind) -> None:
    problem = ib.Problem(lambda params, X: X @ params, np.eye(2), y)
    assert kind_of(problem.double_objective.mean_loss) is kind


@pytest.mark.slow
def test_cross_entropy_agrees_with_gradient_descent(signs: Signs) -> None:
    def model(params: Any, X: Any) -> Any:
        outputs = net(params, X)
        return jnp.stack([-outputs / 2, outputs / 2], axis=1)

    y, y_test = (np.where(part > 0, 1, 0) for part in (signs.y, signs.test[1]))
    problem = ib.Problem(model, signs.X, y, "cross_entropy")
    found = ib.forecast_grokking(
        problem, signs.params, weight_decay=3e-3, test=(signs.test[0], y_test), learning_rate=0.1
    )
    # The curvature of losses of margins is not J J^T / n, whose eigenvalues say nothing about their slow phase.
    assert {"weight decay over gap", "missing rank"}.isdisjoint(reason.name for reason in found.trust.reasons)
    step = round(found.grokking_step)
    real = ib.simulate(
        ib.GradientDescent(problem, 0.1, 3e-3),
        signs.params,
        times=0.1 * np.array([step // 2, step, 2 * step]),
    )
    held_out = ib.Problem(model, signs.test[0], y_test, "cross_entropy")
    for t in real.times:
        error = np.mean(np.argmax(held_out.predict(real.state(t)), axis=1) != y_test)
        assert np.interp(t, found.curve.t.values, found.curve.test_error.values) == pytest.approx(
            error, abs=0.011
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_decay": 0.0}, "no slow phase"),
        ({"weight_decay": -1.0}, "positive"),
        ({"weight_decay": True}, "positive"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": 1e6}, "diverges"),
        ({"test": np.ones((3, 12))}, "pair"),
        ({"test": (np.ones((3, 12)), [1.0, -1.0])}, "2 rows are expected"),
        ({"test": (np.ones((3, 7)), [1.0, -1.0, 1.0])}, "rows of shape"),
        ({"test": (np.full((3, 12), np.nan), [1.0, -1.0, 1.0])}, "NaN"),
        ({"test": (np.ones((3, 12)), [[1.0, 0.0]] * 3)}, "each test target"),
    ],
)
def test_bad_input_is_refused(signs: Signs, changes: dict[str, Any], message: str) -> None:
    arguments = {"weight_decay": signs.lam, "test": signs.test, **changes}
    with pytest.raises(ib.InputError, match=message):
        ib.forecast_grokking(signs.problem, signs.params, **arguments)


# Oracle: by hand. The loss has no minimiser without weight decay, and the method says where its margins go instead.
def test_the_method_names_the_level_of_the_margins() -> None:
    problem = ib.Classification(np.eye(2), [1, -1])
    found = ib.forecast_grokking(problem, np.ones(2), weight_decay=np.exp(-5.0), test=(np.eye(2), [1, -1]))
    assert "margins tend to about ln(1/lam) = 5 " in found.method
    assert (
        "margins"
        not in ib.forecast_grokking(
            ib.LeastSquares(np.eye(2), [1.0, 2.0]), np.ones(2), weight_decay=0.1, test=(np.eye(2), [1.0, 2.0])
        ).method
    )


def test_strange_test_labels_are_refused(signs: Signs) -> None:
    problem = ib.Problem(net, signs.X, np.where(signs.y > 0, "yes", "no"), "logistic")
    with pytest.raises(ib.InputError, match="'maybe'"):
        ib.forecast_grokking(
            problem, signs.params, weight_decay=1e-3, test=(np.ones((2, 12)), ["yes", "maybe"])
        )
