"""Tests of the mirror flow against closed forms and against reference integrations that share no code with it."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

RTOL = 1e-7
# RTOL bounds one step; these flows contract, so that the errors of the last few steps are what is left.
GLOBAL = 30 * RTOL
TIMES = np.array([0.01, 0.3, 1.0, 3.0, 10.0, 40.0])


def design(kind: str) -> tuple[ndarray, ndarray]:
    """Return designs of few shapes, so that the three designs of shape (5, 7) share a compiled program."""
    rng = np.random.default_rng(5)
    if kind == "tall":
        return rng.standard_normal((9, 5)), rng.standard_normal(9)
    X = rng.standard_normal((5, 7))
    if kind == "rank-deficient":
        X = X[:, :2] @ rng.standard_normal((2, 7))
    if kind == "zero column":
        X[:, 3] = 0.0
    return X, rng.standard_normal(5)


START = np.array([0.5, -1.0, 0.0, 2.0, 0.1, 0.0, -0.3])


def gradient_flow(X: ndarray, y: ndarray, start: ndarray, t: float) -> ndarray:
    """Return w(t) of w' = X^T (y - X w) / n, computed with singular values of X; the null space part is constant."""
    U, singular, V = np.linalg.svd(X, full_matrices=False)
    kept = singular > 1e-12 * singular[0]
    U, singular, V = U[:, kept], singular[kept], V[kept]
    inside = V @ start
    return start + V.T @ (-np.expm1(-(singular**2) * t / len(y)) * (U.T @ y / singular - inside))


# Oracle: the closed form of linear gradient flow.
@pytest.mark.parametrize("kind", ["wide", "rank-deficient", "zero column", "tall"])
def test_the_squared_norm_gives_gradient_flow(kind: str) -> None:
    X, y = design(kind)
    start = START[: X.shape[1]]
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.SquaredNorm())
    trajectory = ib.simulate(flow, start, t1=40.0, rtol=RTOL)
    expected = np.array([gradient_flow(X, y, start, t) for t in TIMES])
    size = np.max(np.abs(expected))
    np.testing.assert_allclose(trajectory.state(TIMES), expected, rtol=0, atol=GLOBAL * size)
    np.testing.assert_allclose(trajectory.final, expected[-1], rtol=0, atol=GLOBAL * size)


# Oracle: the closed form again, over 15 decades of time in one run: stiff from the second step on.
def test_a_long_run_resolves_its_beginning() -> None:
    X, y = design("wide")
    times = np.logspace(-3, 12, 30)
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.SquaredNorm())
    trajectory = ib.simulate(flow, np.zeros(7), t1=1e12, rtol=RTOL)
    expected = np.array([gradient_flow(X, y, np.zeros(7), t) for t in times])
    np.testing.assert_allclose(trajectory.state(times), expected, rtol=0, atol=GLOBAL)
    assert trajectory.stats.steps < 1000


def dual_reference(X: ndarray, y: ndarray, start: ndarray, a: ndarray, times: ndarray) -> ndarray:
    """Return w(t) from nu' = (y - X w) / n, w = a sinh(arcsinh(start / a) + 2 X^T nu), computed by SciPy's Radau."""

    def w(nu: ndarray) -> ndarray:
        return a * np.sinh(np.arcsinh(start / a) + 2 * X.T @ nu)

    def jacobian(_: float, nu: ndarray) -> ndarray:
        slope = 2 * np.hypot(w(nu), a)
        return -(X * slope) @ X.T / len(y)

    answer = solve_ivp(
        lambda _, nu: (y - X @ w(nu)) / len(y), (0, times[-1]), np.zeros(len(y)), method="Radau",
        t_eval=times, jac=jacobian, rtol=1e-11, atol=1e-13,
    )  # fmt: skip
    assert answer.success
    return np.array([w(nu) for nu in answer.y.T])


def network_reference(X: ndarray, y: ndarray, theta: tuple[ndarray, ndarray], times: ndarray) -> ndarray:
    """Return (u, v)(t) as rows (2, d) of the gradient flow of w = u * v, computed by SciPy's DOP853 and `pullback`."""
    problem, network = ib.LeastSquares(X, y), ib.HadamardProduct()
    d = X.shape[1]

    def field(_: float, both: ndarray) -> ndarray:
        pair = (both[:d], both[d:])
        return -np.concatenate(network.pullback(pair, problem.gradient(network(pair))))

    answer = solve_ivp(
        field, (0, times[-1]), np.concatenate(theta), method="DOP853", t_eval=times, rtol=1e-11, atol=1e-13
    )
    assert answer.success
    return answer.y.T.reshape(-1, 2, d)


SCALES: dict[str, Callable[[], ndarray]] = {
    "alpha = 0.3": lambda: np.full(7, 0.3**2),
    "alpha = 1e-2": lambda: np.full(7, 1e-4),
    "a = 10, the kernel regime": lambda: np.full(7, 10.0),
    "one a coordinate": lambda: np.array([1e-4, 1e-2, 1.0, 10.0, 1e-3, 0.1, 1e-6]),
}


# Oracle: Radau at rtol 1e-11 in another code's dual coordinates.
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", ["wide", "rank-deficient"])
@pytest.mark.parametrize("begun", [False, True], ids=["from zero", "from elsewhere"])
def test_the_hyperbolic_entropy_follows_its_dual_equation(scale: str, kind: str, begun: bool) -> None:
    X, y = design(kind)
    a, start = SCALES[scale](), START if begun else np.zeros(7)
    trajectory = ib.simulate(
        ib.MirrorFlow(ib.LeastSquares(X, y), ib.HyperbolicEntropy(scale=a)), start, t1=40.0, rtol=RTOL
    )
    expected = dual_reference(X, y, start, a, TIMES)
    size = np.max(np.abs(expected))
    np.testing.assert_allclose(trajectory.state(TIMES), expected, rtol=0, atol=GLOBAL * size)


# Oracle: DOP853 with rtol 1e-11 on the network itself, without dual variables and without a potential.
@pytest.mark.parametrize("alpha", [0.3, 1e-2])
@pytest.mark.parametrize("kind", ["wide", "tall"])
def test_it_is_the_gradient_flow_of_a_diagonal_network(alpha: float, kind: str) -> None:
    X, y = design(kind)
    d = X.shape[1]
    theta = (np.full(d, np.sqrt(2) * alpha), np.zeros(d))
    expected = np.prod(network_reference(X, y, theta, TIMES), axis=1)
    potential = ib.HadamardProduct().potential(theta)
    np.testing.assert_allclose(np.exp(potential.log_scale), alpha**2, rtol=1e-14)
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), potential)
    trajectory = ib.simulate(flow, np.zeros(d), t1=40.0, rtol=RTOL)
    np.testing.assert_allclose(
        trajectory.state(TIMES), expected, rtol=0, atol=GLOBAL * np.max(np.abs(expected))
    )


# Oracle: the raw network from unequal (u0, v0) with w0 != 0: theory 0.1, a = |u0^2 - v0^2| / 2.
def test_any_start_of_the_network_has_its_potential() -> None:
    X, y = design("wide")
    rng = np.random.default_rng(8)
    theta = (rng.standard_normal(7), rng.standard_normal(7))
    path = network_reference(X, y, theta, TIMES)
    flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.HadamardProduct().potential(theta))
    trajectory = ib.simulate(flow, ib.HadamardProduct()(theta), t1=40.0, rtol=RTOL)
    np.testing.assert_allclose(trajectory.state(TIMES), np.prod(path, axis=1), rtol=0, atol=GLOBAL * 3)
    # The oracle conserves u^2 - v^2, as it should.
    np.testing.assert_allclose(
        path[:, 0] ** 2 - path[:, 1] ** 2, np.tile(theta[0] ** 2 - theta[1] ** 2, (6, 1)), rtol=0, atol=1e-9
    )


# Oracle: d grad phi(w) = X^T (...) dt, so the dual moves in the range of X^T and nowhere else, exactly.
@pytest.mark.parametrize("log_scale", [-1.0, -4600.0])
def test_the_dual_keeps_what_is_outside_the_row_space(log_scale: float) -> None:
    X, y = design("wide")
    potential = ib.HyperbolicEntropy(log_scale=np.full(7, log_scale))
    trajectory = ib.simulate(ib.MirrorFlow(ib.LeastSquares(X, y), potential), START, t1=4000.0)
    dual = trajectory.dual(trajectory.times)
    null = np.linalg.svd(X)[2][5:]
    # Rounding of X^T nu, |z| up to 2300.
    np.testing.assert_allclose(
        (dual - dual[0]) @ null.T, 0.0, rtol=0, atol=1e-13 * np.max(np.abs(dual)) * np.sqrt(7)
    )
    np.testing.assert_allclose(dual[0], potential.mirror(START), rtol=1e-14)
    # z = grad phi(w): one is computed from the other in the test, from nu in the library.
    for state, z in zip(trajectory.states[::10], dual[::10], strict=True):
        seen = np.abs(state) > 1e-200
        np.testing.assert_allclose(potential.mirror(state)[seen], z[seen], rtol=1e-11, atol=1e-11)


# Oracle: L falls along any mirror flow: dL/dt = -grad L^T (Hess phi)^-1 grad L.
def test_the_loss_never_rises() -> None:
    X, y = design("wide")
    problem = ib.LeastSquares(X, y)
    potential = ib.HyperbolicEntropy(log_scale=np.full(7, -500.0))
    trajectory = ib.simulate(
        ib.MirrorFlow(problem, potential),
        np.zeros(7),
        t1=20_000.0,
        observe={"loss": lambda t, w: problem.loss(w)},
    )
    loss = trajectory.observables["loss"]
    # On plateaus steps are as exact as rtol asks: 1e-4 of w, where the gradient along active coordinates vanishes.
    assert np.max(np.diff(loss)) <= 1e-4 * loss[0]
    assert loss[-1] < 1e-3 * loss[0]


# Oracle: the closed form; the controller asks for fifth order: error ~ rtol ~ steps^-5, plus a few steps at the start.
def test_the_error_follows_rtol_at_fifth_order() -> None:
    X, y = design("wide")
    a = SCALES["one a coordinate"]()
    expected = dual_reference(X, y, START, a, np.array([0.7, 1.5]))[-1]
    tolerances = np.logspace(-3, -8, 6)
    errors, steps = [], []
    for rtol in tolerances:
        flow = ib.MirrorFlow(ib.LeastSquares(X, y), ib.HyperbolicEntropy(scale=a))
        trajectory = ib.simulate(flow, START, t1=1.5, rtol=float(rtol))
        errors.append(np.max(np.abs(trajectory.final - expected)) / np.max(np.abs(expected)))
        steps.append(trajectory.stats.steps)
    assert np.all(np.array(errors) <= 10 * tolerances)
    assert np.polyfit(np.log(tolerances), np.log(errors), 1)[0] > 0.8
    assert -7.5 <= np.polyfit(np.log(steps), np.log(errors), 1)[0] <= -4.5
