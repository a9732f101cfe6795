"""Factored models with weight decay against explicit integrations, closed forms and conserved quantities."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

RTOL = 1e-7
GLOBAL = 30 * RTOL
TIMES = np.array([0.05, 0.5, 2.0, 10.0])
_rng = np.random.default_rng(6)
X, Y = _rng.standard_normal((5, 7)), _rng.standard_normal(5)
SIGNS = np.array([1.0, 1.0, -1.0, 1.0, -1.0])
MAPS = {"u * v": ib.HadamardProduct(), "u^2 - v^2": ib.SquareDifference()}
STARTS = {
    "u * v": (np.full(7, np.sqrt(2) * 0.1), np.zeros(7)),
    "u^2 - v^2": (np.full(7, 0.1), np.full(7, 0.1)),
    "anywhere": (_rng.standard_normal(7), _rng.standard_normal(7)),
}
PULLS = {
    "squared": lambda f: (f - Y) / 5,
    "logistic": lambda f: -SIGNS / (1 + np.exp(SIGNS * f)) / 5,
    "exponential": lambda f: -SIGNS * np.exp(-SIGNS * f) / 5,
}


def problem(loss: str) -> Any:
    return ib.LeastSquares(X, Y) if loss == "squared" else ib.Classification(X, SIGNS, loss)


def explicit(name: str, loss: str, theta: tuple[ndarray, ndarray], lam: float) -> ndarray:
    """Return the rows (u, v, -int grad L), (m, 3, 7), computed by DOP853 from the equation of the network."""

    def field(_: float, all_: ndarray) -> ndarray:
        u, v = all_[:7], all_[7:14]
        g = X.T @ PULLS[loss](X @ (u * v if name == "u * v" else u**2 - v**2))
        slopes = (g * v, g * u) if name == "u * v" else (2 * g * u, -2 * g * v)
        return np.concatenate([-slopes[0] - lam * u, -slopes[1] - lam * v, -g])

    answer = solve_ivp(
        field, (0, TIMES[-1]), np.concatenate([*theta, np.zeros(7)]), method="DOP853",
        t_eval=TIMES, rtol=1e-12, atol=1e-14,
    )  # fmt: skip
    assert answer.success
    return answer.y.T.reshape(-1, 3, 7)


# Oracle: DOP853 on theta; theory 0.3, 0.4, 0.7 from the library's own dual variable.
@pytest.mark.parametrize("lam", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["squared", "logistic", pytest.param("exponential", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("begin", ["zero", "anywhere"])
def test_diagonal_networks(name: str, loss: str, lam: float, begin: str) -> None:
    theta = STARTS[name if begin == "zero" else begin]
    flow = ib.GradientFlow(problem(loss).reparametrize(MAPS[name]), lam)
    trajectory = ib.simulate(flow, theta, t1=TIMES[-1], rtol=RTOL)
    expected = explicit(name, loss, theta, lam)
    u, v = trajectory.state(TIMES)
    size = np.max(np.abs(expected[:, :2]))
    np.testing.assert_allclose(u, expected[:, 0], rtol=0, atol=GLOBAL * size)
    np.testing.assert_allclose(v, expected[:, 1], rtol=0, atol=GLOBAL * size)
    dual = trajectory.dual(TIMES)
    # RTOL of w; w moves at least at the rate 2 a e^{-2 lam t} with z, and a = 0.01, e^-4 = 0.02.
    np.testing.assert_allclose(dual, expected[:, 2], rtol=0, atol=GLOBAL * 1e2)
    if begin == "zero":
        a = (0.01 if name == "u * v" else 0.02) * np.exp(-2 * lam * TIMES)[:, None]
        closed = a * np.sinh((2 if name == "u * v" else 4) * dual)
        w = u * v if name == "u * v" else u**2 - v**2
        np.testing.assert_allclose(w, closed, rtol=1e-10, atol=1e-12)


# Oracle: the invariant is constant for lam = 0 and else decays like e^{-2 lam t}, exactly for any rtol.
@pytest.mark.parametrize("lam", [0.0, 0.2])
@pytest.mark.parametrize("rtol", [1e-2, 1e-6])
def test_the_difference_of_squares_of_a_product(lam: float, rtol: float) -> None:
    u0, v0 = STARTS["anywhere"]
    flow = ib.GradientFlow(problem("squared").reparametrize(ib.HadamardProduct()), lam)
    u, v = ib.simulate(flow, (u0, v0), t1=10.0, rtol=rtol).state(TIMES)
    expected = np.exp(-2 * lam * TIMES)[:, None] * (u0**2 - v0**2)
    np.testing.assert_allclose(u**2 - v**2, expected, rtol=0, atol=1e-12 * np.max(u**2))
    # The other network conserves the product u v.
    flow = ib.GradientFlow(problem("squared").reparametrize(ib.SquareDifference()), lam)
    u, v = ib.simulate(flow, (u0, v0), t1=10.0, rtol=rtol).state(TIMES)
    np.testing.assert_allclose(u * v, np.exp(-2 * lam * TIMES)[:, None] * u0 * v0, rtol=1e-11)


def _errors(flow: ib.GradientFlow, start: Any, invariant: Any, rate: float) -> list[float]:
    """Return the deviations of the invariant from e^{-rate t} times its initial value, for decreasing rtol."""
    found = []
    for rtol in TOLERANCES:
        states = ib.simulate(flow, start, t1=3.0, rtol=float(rtol)).state(3.0)
        found.append(float(np.max(np.abs(invariant(states) - np.exp(-rate * 3.0) * invariant(start)))))
    return found


TOLERANCES = np.logspace(-3, -7, 5)


# Oracle: the invariants a_i^2 - a_j^2 of deep networks and U^T U - V^T V of factored matrices, times e^{-2 lam t}.
@pytest.mark.parametrize("lam", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["deep", "matrix"])
def test_what_is_conserved_is_so_to_rtol(kind: str, lam: float) -> None:
    if kind == "deep":
        flow = ib.GradientFlow(problem("squared").reparametrize(ib.DeepDiagonal(3)), lam)
        start = tuple(0.7 + 0.3 * np.random.default_rng(9).standard_normal((3, 7)))
        errors = _errors(
            flow, start, lambda s: np.stack([s[0] ** 2 - s[1] ** 2, s[1] ** 2 - s[2] ** 2]), 2 * lam
        )
    else:
        rows, cols, values = (
            np.array([0, 0, 1, 2, 3]),
            np.array([0, 1, 1, 2, 0]),
            np.array([1.0, -2, 0.5, 1, 2]),
        )
        entries = ib.LeastSquares.entries(rows, cols, values, (4, 3))
        flow = ib.GradientFlow(entries.reparametrize(ib.MatrixProduct()), lam)
        rng = np.random.default_rng(10)
        start = (rng.standard_normal((4, 3)), rng.standard_normal((3, 3)))
        errors = _errors(flow, start, lambda s: s[0].T @ s[0] - s[1].T @ s[1], 2 * lam)
    assert np.all(np.array(errors) <= 30 * TOLERANCES)
    assert np.polyfit(np.log(TOLERANCES), np.log(errors), 1)[0] > 0.75


# Oracle: LSODA on theta at rtol 1e-9. The 200 entries of w pass through 0 at different times, in proportion to the dual
# variable, so that no step has to end where one of them is small. When each of them ended steps, 127 were taken.
@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-5])
def test_small_entries_from_a_large_start_end_no_steps(rtol: float) -> None:
    n, d, lam = 20, 200, 1e-2
    X = np.random.default_rng(0).choice([-1.0, 1.0], (n, d))
    y = np.sign(X[:, :3].sum(axis=1))
    times = np.geomspace(1e-2, 20 / lam, 40)

    def field(_: float, theta: ndarray) -> ndarray:
        u, v = theta[:d], theta[d:]
        g = -X.T @ (y / (1 + np.exp(y * (X @ (u**2 - v**2))))) / n
        return np.concatenate([-2 * u * g - lam * u, 2 * v * g - lam * v])

    start = np.full(2 * d, 2.0)
    answer = solve_ivp(
        field, (0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-9, atol=1e-12
    )  # fmt: skip
    flow = ib.GradientFlow(ib.Classification(X, y).reparametrize(ib.SquareDifference()), lam)
    trajectory = ib.simulate(flow, (start[:d], start[d:]), t1=times[-1], rtol=rtol)
    apart = np.linalg.norm(np.hstack(trajectory.state(times)) - answer.y.T, axis=1)
    assert np.max(apart / np.linalg.norm(answer.y, axis=0)) < rtol
    assert trajectory.stats.steps < 75 * (1e-4 / rtol) ** 0.2


# Oracle: LSODA on theta at rtol 1e-11, at 60 times inside the steps. When late steps were longer than 1 / lam, the
# errors were 10 and 18 rtol between their ends.
@pytest.mark.parametrize("seed", [51, 69])
def test_states_inside_late_steps_are_accurate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((8, 12)), rng.standard_normal(8)
    lam, scale = 10 ** rng.uniform(-3, 0.3), 10 ** rng.uniform(-4, 1.2)
    u = scale * 10 ** rng.uniform(-1.5, 0.3, 12) * rng.choice([-1, 1], 12)
    start = (u, np.abs(u))
    end = min(20 / lam, 2e3)
    times = np.geomspace(1e-2, end, 60)

    def field(_: float, theta: ndarray) -> ndarray:
        u, v = theta[:12], theta[12:]
        g = X.T @ (X @ (u**2 - v**2) - y) / 8
        return np.concatenate([-2 * u * g - lam * u, 2 * v * g - lam * v])

    answer = solve_ivp(
        field, (0, end), np.concatenate(start), method="LSODA", t_eval=times, rtol=1e-11, atol=1e-14
    )
    trajectory = ib.simulate(
        ib.GradientFlow(ib.LeastSquares(X, y).reparametrize(ib.SquareDifference()), lam), start, t1=end
    )
    apart = np.linalg.norm(np.hstack(trajectory.state(times)) - answer.y.T, axis=1)
    assert np.max(apart / np.linalg.norm(answer.y, axis=0)) < 5e-4


# Oracle: the linear flow in the eigenvectors of X^T X. There is no growth to be held back, and 20 steps were taken when
# small entries ended steps.
def test_a_linear_mirror_flow_takes_few_steps() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((20, 60)), rng.standard_normal(20)
    trajectory = ib.simulate(
        ib.MirrorFlow(ib.LeastSquares(X, y), ib.SquaredNorm()), np.zeros(60), t1=3e3, rtol=1e-3
    )
    times = np.geomspace(1e-2, 3e3, 50)
    values, vectors = np.linalg.eigh(X @ X.T)
    shares = -np.expm1(-np.outer(times, values) / 20) / values
    expected = (shares * (vectors.T @ y)) @ vectors.T @ X
    apart = np.linalg.norm(trajectory.state(times) - expected, axis=1)
    assert np.max(apart / np.linalg.norm(expected, axis=1)) < 1e-3
    assert trajectory.stats.steps <= 12


# Oracle: soft thresholding, w_i = sign(c_i) max(|c_i| - lam / 2, 0), the rest point of an orthogonal problem.
@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-6])
def test_a_flow_at_rest_takes_few_steps_to_any_time(rtol: float) -> None:
    targets = np.array([2.0, -1.0, 0.3])
    X = np.sqrt(3.0) * np.eye(3)
    problem = ib.LeastSquares(X, X @ targets).reparametrize(ib.SquareDifference())
    trajectory = ib.simulate(ib.GradientFlow(problem, 1.0), (np.full(3, 1e-2),) * 2, t1=1e6, rtol=rtol)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps < 200
    u, v = trajectory.final
    threshold = np.sign(targets) * np.maximum(np.abs(targets) - 0.5, 0.0)
    np.testing.assert_allclose(u**2 - v**2, threshold, atol=10 * rtol)


def test_a_negative_zero_is_no_weight_decay() -> None:
    problem = ib.LeastSquares(np.eye(2), [1.0, 2.0]).reparametrize(ib.SquareDifference())
    start = (np.full(2, 0.1),) * 2
    ends = [ib.simulate(ib.GradientFlow(problem, decay), start, t1=100.0).final for decay in (-0.0, 0.0)]
    np.testing.assert_array_equal(*ends)
