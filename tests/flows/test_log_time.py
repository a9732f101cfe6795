"""Mirror flows of a classification run in the logarithm of the time: beyond float64, as accurate as in plain time."""

from pathlib import Path

import mpmath
import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize

import implicitbias as ib


def separable(n: int = 40, d: int = 10, seed: int = 0) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    teacher = rng.standard_normal(d)
    X = rng.standard_normal((n, d))
    return X, np.sign(X @ teacher)


def one_point(loss: str) -> ib.Classification:
    """Return two equal rows up to sign, so that the loss is that of one margin w."""
    return ib.Classification([[1.0], [-1.0]], [1, -1], loss=loss)


# Oracle: by hand: w' = e^-w from 0 gives w = ln(1 + t).
@pytest.mark.parametrize("log_t", [-5.0, 0.0, 3.0, 700.0, 23_000.0, 1e9])
def test_the_exponential_loss_of_one_margin(log_t: float) -> None:
    flow = ib.MirrorFlow(one_point("exponential"), ib.SquaredNorm())
    trajectory = ib.simulate(flow, [0.0], log_t1=log_t, rtol=1e-6)
    assert trajectory.status is ib.Status.REACHED_TIME
    np.testing.assert_allclose(trajectory.final, [np.logaddexp(0.0, log_t)], rtol=1e-5)
    assert trajectory.log_times[-1] == pytest.approx(log_t, rel=1e-14)


# Oracle: by hand: w' = 1 / (1 + e^w) from 0 gives w + e^w = 1 + t.
@pytest.mark.parametrize("log_t", [0.0, 3.0, 50.0, 23_000.0])
def test_the_logistic_loss_of_one_margin(log_t: float) -> None:
    flow = ib.MirrorFlow(one_point("logistic"), ib.SquaredNorm())
    trajectory = ib.simulate(flow, [0.0], log_t1=log_t, rtol=1e-6)
    expected = log_t if log_t > 40 else brentq(lambda w: w + np.exp(w) - 1 - np.exp(log_t), 0.0, log_t + 1)
    np.testing.assert_allclose(trajectory.final, [expected], rtol=1e-5)


# Oracle: mpmath, for z' = e^(-a sinh z): t = int e^(a sinh z) dz.
def test_the_hyperbolic_entropy_of_one_margin() -> None:
    scale = 0.1
    potential = ib.HyperbolicEntropy(scale=scale)
    trajectory = ib.simulate(
        ib.MirrorFlow(one_point("exponential"), potential), [0.0], log_t1=60.0, rtol=1e-7
    )
    unit = float(potential.mirror([scale])[0]) / float(np.arcsinh(1.0))  # z = unit * asinh(w / scale)
    for w in (0.5, 5.0, 40.0):
        with mpmath.workdps(30):
            end = mpmath.asinh(mpmath.mpf(w) / scale)
            points = [end * k / 20 for k in range(21)]
            t = unit * mpmath.quad(lambda z: mpmath.exp(scale * mpmath.sinh(z)), points)
            log_t = float(mpmath.log(t))
        np.testing.assert_allclose(trajectory.state(log_t=log_t), [w], rtol=1e-4)


# Oracle: SciPy's Radau in plain time, in dual variables.
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize("n", [40, 7], ids=["tall", "wide"])
@pytest.mark.parametrize(
    "potential",
    [ib.SquaredNorm(), ib.HyperbolicEntropy(scale=1e-2), ib.QuadraticForm(np.eye(10) + 0.3)],
    ids=["l2", "hypentropy", "quadratic form"],
)
def test_plain_time_gives_the_same(loss: str, n: int, potential: ib.Potential) -> None:
    X, y = separable(n)
    problem = ib.Classification(X, y, loss=loss)
    start = np.linspace(-0.2, 0.2, 10)

    def field(_: float, z: ndarray) -> ndarray:
        w = potential.inverse_mirror(z)
        m = y * (X @ w)
        slope = np.exp(-m) if loss == "exponential" else 1.0 / (1.0 + np.exp(m))
        return (slope * y) @ X / len(y)

    times = np.array([0.01, 0.3, 3.0, 30.0, 1000.0])
    plain = solve_ivp(
        field, (0.0, 1000.0), potential.mirror(start), method="Radau", t_eval=times, rtol=1e-9, atol=1e-10
    )
    expected = np.array([potential.inverse_mirror(z) for z in plain.y.T])
    trajectory = ib.simulate(ib.MirrorFlow(problem, potential), start, t1=1000.0, rtol=1e-6)
    np.testing.assert_allclose(
        trajectory.state(times), expected, rtol=0, atol=3e-5 * np.max(np.abs(expected))
    )
    kept = ib.simulate(ib.MirrorFlow(problem, potential), start, times=times, rtol=1e-6)
    np.testing.assert_allclose(kept.times, times, rtol=1e-12)
    np.testing.assert_allclose(kept.state(times), expected, rtol=0, atol=3e-5 * np.max(np.abs(expected)))


# Oracle: cvxpy for the largest margin in the l2 norm, SciPy's linprog for the l1 norm.
def test_the_direction_maximises_the_margin() -> None:
    import cvxpy
    from scipy.optimize import linprog

    X, y = separable()
    problem, rows = ib.Classification(X, y, loss="exponential"), y[:, None] * X
    v = cvxpy.Variable(10)
    cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(v)), [rows @ v >= 1]).solve(solver="CLARABEL")
    euclidean = 1.0 / np.linalg.norm(v.value)
    both = linprog(np.ones(20), A_ub=-np.hstack([rows, -rows]), b_ub=-np.ones(40), bounds=(0, None))
    w = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros(10), log_t1=23_000.0).final
    assert (rows @ w).min() / np.linalg.norm(w) == pytest.approx(euclidean, rel=1e-4)
    w = ib.simulate(ib.MirrorFlow(problem, ib.HyperbolicEntropy(scale=1e-3)), np.zeros(10), log_t1=1e8).final
    assert (rows @ w).min() / np.sum(np.abs(w)) == pytest.approx(1.0 / both.fun, rel=1e-4)


# Oracle: the same flow at a smaller rtol; and for 1 / t from the start, the closed form z = t X^T y / n at w = 0.
@pytest.mark.parametrize("log_scale", [-50.0, -1000.0])
def test_tiny_scales(log_scale: float) -> None:
    X, y = separable()
    flow = ib.MirrorFlow(
        ib.Classification(X, y, loss="exponential"), ib.HyperbolicEntropy(log_scale=log_scale)
    )
    coarse = ib.simulate(flow, np.zeros(10), log_t1=500.0)
    fine = ib.simulate(flow, np.zeros(10), log_t1=20.0, rtol=1e-6)
    np.testing.assert_allclose(coarse.state(log_t=20.0), fine.final, rtol=0, atol=1e-2)
    ratio = coarse.dual(1e-3) / (y @ X)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert coarse.stats.steps < 1500


def test_logs_of_the_loss() -> None:
    X, y = separable(8, 3)
    w = np.array([0.3, -1.0, 2.0])
    for loss in ("exponential", "logistic"):
        problem = ib.Classification(X, y, loss=loss)
        assert problem.log_of_loss(w) == pytest.approx(np.log(problem.loss(w)), rel=1e-13)
        assert problem.log_of_loss(np.zeros(3)) == pytest.approx(np.log(problem.loss(np.zeros(3))), abs=1e-14)
    rows = y[:, None] * X
    far = 1e5 * np.random.default_rng(0).standard_normal(3)  # the teacher of `separable`
    least = (rows @ far).min()
    assert least > 1e3
    for loss in ("exponential", "logistic"):
        problem = ib.Classification(X, y, loss=loss)
        assert -least - np.log(8) <= problem.log_of_loss(far) <= -least


def test_the_trajectory_of_long_times(tmp_path: Path) -> None:
    X, y = separable()
    problem = ib.Classification(X, y, loss="exponential")
    flow = ib.MirrorFlow(problem, ib.SquaredNorm())
    seen: list[float] = []
    trajectory = ib.simulate(
        flow, np.zeros(10), log_t1=5000.0, observe={"log_loss": lambda t, w: problem.log_of_loss(w)},
        until=lambda t, w: bool(seen.append(t)),
    )  # fmt: skip
    logs = trajectory.log_times
    assert np.isinf(trajectory.times[-1])
    assert np.all(np.diff(logs) > 0)
    assert seen[0] == 0.0
    # On separable data the loss behaves like 1 / t.
    np.testing.assert_allclose(trajectory.observables["log_loss"][-1], -5000.0, atol=10.0)
    np.testing.assert_allclose(trajectory.state(log_t=logs[3:6]), trajectory.states[3:6], rtol=1e-9)
    np.testing.assert_allclose(trajectory.state(np.exp(3.0)), trajectory.state(log_t=3.0), rtol=1e-12)
    with pytest.raises(ib.InputError, match="log_t1"):
        trajectory.state(log_t=6000.0)
    with pytest.raises(ib.InputError, match="t lies in"):
        trajectory.state(-1.0)
    data = trajectory.to_dataset()
    np.testing.assert_array_equal(data["log_time"].values, logs)
    trajectory.save(tmp_path / "run.npz")
    loaded = ib.Trajectory.load(tmp_path / "run.npz")
    np.testing.assert_allclose(loaded.log_times, logs, rtol=1e-13)
    np.testing.assert_array_equal(loaded.states, trajectory.states)
    np.testing.assert_array_equal(loaded.state(log_t=logs[7]), trajectory.states[7])


def test_other_flows_refuse_times_beyond_float64() -> None:
    flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 2.0]), ib.SquaredNorm())
    with pytest.raises(ib.InputError, match="Only flows of the losses"):
        ib.simulate(flow, np.zeros(2), log_t1=5000.0)


def mixed_labels() -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 5)), rng.choice([-1.0, 1.0], 20)


# Oracle: SciPy's BFGS. The gradients of the rows cancel, while the time and each of them are far beyond float64.
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize(
    "potential", [ib.SquaredNorm(), ib.HyperbolicEntropy(scale=1e-3)], ids=["l2", "hypentropy"]
)
def test_data_that_are_not_separable(loss: str, potential: ib.Potential) -> None:
    X, y = mixed_labels()
    problem = ib.Classification(X, y, loss=loss)

    def mean_loss(w: ndarray) -> float:
        m = y * (X @ w)
        return float(np.mean(np.exp(-m) if loss == "exponential" else np.logaddexp(0.0, -m)))

    expected = minimize(mean_loss, np.zeros(5), method="BFGS", options={"gtol": 1e-9}).x
    for log_t in (25.0, 35.0, 100.0, 5000.0):
        run = ib.simulate(ib.MirrorFlow(problem, potential), np.zeros(5), log_t1=log_t, max_steps=2000)
        assert run.status is ib.Status.REACHED_TIME
        np.testing.assert_allclose(run.final, expected, rtol=0, atol=1e-3)


# Oracle: SciPy's BFGS. One row has a margin of 30, so that its speed is far below those of the others.
@pytest.mark.parametrize("log_t", [100.0, 5000.0])
def test_data_that_are_not_separable_with_a_row_of_large_margin(log_t: float) -> None:
    X, y = mixed_labels()
    first = minimize(lambda w: float(np.mean(np.logaddexp(0.0, -y * (X @ w)))), np.zeros(5), method="BFGS").x
    X, y = np.vstack([X, 30.0 * first / (first @ first)]), np.append(y, 1.0)
    expected = minimize(
        lambda w: float(np.mean(np.logaddexp(0.0, -y * (X @ w)))),
        np.zeros(5),
        method="BFGS",
        options={"gtol": 1e-9},
    ).x
    run = ib.simulate(
        ib.MirrorFlow(ib.Classification(X, y), ib.SquaredNorm()), np.zeros(5), log_t1=log_t, rtol=1e-6
    )
    assert run.status is ib.Status.REACHED_TIME
    np.testing.assert_allclose(run.final, expected, rtol=0, atol=1e-4)


# Oracle: by hand. The labels of two equal rows differ, so that the second coordinate has a finite limit, and the first
# one grows like ln t. Beyond a certain time the cancellation hides the growth, and the integration must not go on.
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_data_of_which_a_part_is_separable(angle: float) -> None:
    rows = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, -1.0], [0.0, 1.0], [0.0, 1.0]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    problem = ib.Classification(rows @ turn, [1, 1, 1, 1, -1], loss="exponential")
    flow = ib.MirrorFlow(problem, ib.SquaredNorm())
    # With w_2 = 0, w_1' = 3 / 5 e^(-w_1) and therefore w_1 = ln(1 + 3 t / 5).
    run = ib.simulate(flow, np.zeros(2), log_t1=25.0)
    np.testing.assert_allclose(turn @ run.final, [25.0 + np.log(0.6), 0.0], rtol=0, atol=1e-3)
    run = ib.simulate(flow, np.zeros(2), log_t1=1000.0, max_steps=1000)
    assert not run.status.ok
    assert run.log_times[-1] > 25.0
    np.testing.assert_allclose(turn @ run.final, [run.log_times[-1] + np.log(0.6), 0.0], rtol=0, atol=1e-2)


# Oracle: by hand: w' = e^-w from w_0 gives e^w = e^w_0 + t.
@pytest.mark.parametrize(
    ("start", "log_t"), [(-2000.0, 10.0), (-2000.0, -1990.0), (3000.0, 10.0), (3000.0, 5000.0)]
)
def test_starts_with_speeds_outside_float64(start: float, log_t: float) -> None:
    run = ib.simulate(
        ib.MirrorFlow(one_point("exponential"), ib.SquaredNorm()), [start], log_t1=log_t, rtol=1e-6
    )
    assert run.status is ib.Status.REACHED_TIME
    np.testing.assert_allclose(run.final, [np.logaddexp(start, log_t)], rtol=0, atol=1e-2)


# Oracle: by hand: opposite labels of one row have the limit 0, at which they start.
def test_forces_that_cancel_at_the_start() -> None:
    problem = ib.Classification([[1.0, 0.0], [1.0, 0.0]], [1, -1])
    run = ib.simulate(ib.MirrorFlow(problem, ib.SquaredNorm()), np.zeros(2), log_t1=100.0)
    assert run.status is ib.Status.REACHED_TIME
    np.testing.assert_allclose(run.final, np.zeros(2), atol=1e-12)


# Law: a kept time is found again, however it is given, although its conversions to the clock and back are rounded.
def test_kept_times_are_found_after_rounding(tmp_path: Path) -> None:
    X, y = separable()
    flow = ib.MirrorFlow(ib.Classification(X, y), ib.SquaredNorm())
    rng = np.random.default_rng(0)
    for _ in range(40):
        times = np.sort(10.0 ** rng.uniform(-6.0, 4.0, 4))
        run = ib.simulate(flow, np.zeros(10), times=times)
        run.save(tmp_path / "run.npz")
        for trajectory in (run, ib.Trajectory.load(tmp_path / "run.npz")):
            np.testing.assert_array_equal(trajectory.state(times), run.states)
            np.testing.assert_array_equal(trajectory.state(log_t=np.log(times)), run.states)
            assert np.array_equal(trajectory.state(float(times[0])), run.states[0])


def test_an_end_beyond_the_digits_of_float64_ends_with_a_status() -> None:
    X, y = separable()
    run = ib.simulate(
        ib.MirrorFlow(ib.Classification(X, y, loss="exponential"), ib.SquaredNorm()),
        np.zeros(10),
        log_t1=1e300,
    )
    assert not run.status.ok
    assert np.all(np.isfinite(run.final))


# Law: dw / d ln t tends to a constant for the squared norm, so that w doubles with ln t.
@pytest.mark.parametrize("log_t", [1e6, 1e8, 1e10])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_the_longest_times_with_more_rows_than_columns(log_t: float, loss: str) -> None:
    X, y = separable()
    flow = ib.MirrorFlow(ib.Classification(X, y, loss=loss), ib.SquaredNorm())
    runs = [ib.simulate(flow, np.zeros(10), log_t1=end) for end in (log_t, 2 * log_t)]
    assert all(run.status is ib.Status.REACHED_TIME for run in runs)
    np.testing.assert_allclose(runs[1].final, 2 * runs[0].final, rtol=1e-3)
