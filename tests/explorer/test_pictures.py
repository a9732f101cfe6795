"""Test the pictures of the explorations against SciPy's integrator, a linear program and `ib.interpolant`."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize

import implicitbias as ib
from implicitbias.explorer import find
from implicitbias.explorer._early_late import sign_data, transition
from implicitbias.explorer._grokking_errors import slow_phase
from implicitbias.explorer._picture import Picture, Role
from implicitbias.explorer._sparse_data import sparse_data, steps


def of_role(picture: Picture, panel: int, role: Role) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {one.name: (one.x, one.y) for one in picture.panels[panel] if one.role is role}


def layers_flow(data, start: np.ndarray, decay: float, times: np.ndarray) -> np.ndarray:
    """Return w = the product of the layers (layers, d) along the flow of the layers, by SciPy."""

    def slope(_, flat: np.ndarray) -> np.ndarray:
        theta = flat.reshape(start.shape)
        gradient = data.X.T @ (data.X @ np.prod(theta, axis=0) - data.y) / len(data.y)
        others = [np.prod(np.delete(theta, layer, axis=0), axis=0) for layer in range(len(theta))]
        return np.ravel(-np.array(others) * gradient - decay * theta)

    end = times[-1]
    answer = solve_ivp(slope, (0.0, end), start.ravel(), "LSODA", t_eval=times, rtol=1e-9, atol=1e-12)
    return np.prod(answer.y.T.reshape(len(times), *start.shape), axis=1)


def test_the_flow_of_two_layers_and_its_path() -> None:
    values = {"alpha": 1e-3, "n": 5, "d": 7, "noise": 0.1, "seed": 3}
    picture, data = find("saddle-to-saddle").draw(**values), sparse_data(5, 7, 0.1, 3)
    unit = -math.log(values["alpha"])
    start = np.array([np.full(7, math.sqrt(2.0) * 1e-3), np.zeros(7)])
    found = of_role(picture, 0, Role.FLOW)
    slow = next(iter(found.values()))[0]
    exact = layers_flow(data, start, 0.0, slow * unit)
    assert len(found) >= 4
    for name, (_, w) in found.items():
        assert w == pytest.approx(exact[:, int(name[2:]) - 1], abs=0.01)
    # The end of the path has the least l1 norm (linear program).
    program = linprog(np.ones(14), A_eq=np.hstack([data.X, -data.X]), b_eq=data.y)
    ends = [w[-1] for _, w in of_role(picture, 0, Role.PREDICTION).values()]
    assert np.sum(np.abs(ends)) == pytest.approx(program.fun, rel=1e-6)


@pytest.mark.slow
def test_the_flow_of_three_layers() -> None:
    picture = find("deep-diagonal").draw(depth=3, alpha=0.1, n=4, d=6, noise=0.0, seed=1)
    data, direction = sparse_data(4, 6, 0.0, 1), (np.zeros(6), np.ones(6), np.ones(6))
    unit = ib.DeepDiagonal(3).growth_times(direction).flow_time(1.0, log_scale=math.log(0.1))
    found = of_role(picture, 0, Role.FLOW)
    slow = next(iter(found.values()))[0]
    exact = layers_flow(data, 0.1 * np.array(direction), 0.0, slow * unit)
    assert len(found) >= 3
    for name, (_, w) in found.items():
        assert w == pytest.approx(exact[:, int(name[2:]) - 1], abs=0.02)


def test_the_margin_of_the_gradient_flow_and_of_the_limit() -> None:
    exploration = find("separable")
    picture = exploration.picture(exploration.defaults())
    scene = of_role(picture, 0, Role.ONE_CLASS), of_role(picture, 0, Role.OTHER_CLASS)
    (one,), (other,) = (list(points.values()) for points in scene)
    rows = np.concatenate([np.stack(one, axis=1), -np.stack(other, axis=1)])
    assert len(rows) == 20
    # Oracle: the best of all directions in the plane.
    angles = np.linspace(0.0, 2.0 * np.pi, 200_001)
    best = np.max(np.min(rows @ np.array([np.cos(angles), np.sin(angles)]), axis=0))
    ((_, limit),) = of_role(picture, 1, Role.PREDICTION).values()
    ((_, margins),) = of_role(picture, 1, Role.FLOW).values()
    assert limit == pytest.approx(best, rel=1e-6)
    assert margins[-1] == pytest.approx(best, rel=1e-3)
    assert np.all(margins <= best * (1 + 1e-6))


def test_classes_that_no_line_separates_are_an_error_in_words() -> None:
    exploration = find("separable")
    with pytest.raises(ib.InputError, match="no line through the origin separates these points"):
        exploration.draw(**exploration.values(exploration.defaults()) | {"apart": 0.5, "seed": 0})


@pytest.mark.slow
def test_errors_of_the_flow_with_weight_decay() -> None:
    values = {"alpha": 0.5, "weight_decay": 0.1, "n": 10, "d": 34, "noise": 0.2, "seed": 2}
    picture, data = find("grokking-diagonal").draw(**values), sparse_data(10, 34, 0.2, 2)
    slow, test = of_role(picture, 0, Role.FLOW)["test error of the flow"]
    start = np.array([np.full(34, math.sqrt(0.5)), np.zeros(34)])
    w = layers_flow(data, start, 0.1, slow / 0.1)
    exact = np.sum((w - data.teacher) ** 2, axis=1) / np.sum(data.teacher**2)
    assert test == pytest.approx(exact, rel=0.01)


def test_the_slow_phase_consists_of_interpolants() -> None:
    data, tau = sparse_data(8, 32, 0.0, 0), np.array([0.1, 1.0, 8.0])
    problem = ib.LeastSquares(data.X, data.y)
    for row, time in zip(slow_phase(data, 2.0, tau), tau, strict=True):
        potential = ib.HyperbolicEntropy(scale=4.0 * math.exp(-2.0 * time))
        assert row == pytest.approx(ib.interpolant(problem, potential).point, abs=1e-7)


def test_the_transition_is_that_of_the_tangent_kernel() -> None:
    data = sign_data(8, 14, 1)
    problem = ib.Classification(data.X, data.y)
    tangent = ib.kernel_regime(problem.reparametrize(ib.SquareDifference()), (np.ones(14), np.ones(14)))
    # The margin M of the early phase needs |h| = M |h_0| / alpha^2 of |theta_0| = alpha sqrt(2 d).
    norm = np.linalg.norm(np.concatenate(tangent.point))
    time = math.log(math.sqrt(28.0) * 30.0**2 / (norm * math.log(1e4))) / 2e-4
    assert transition(30.0, 1e-4, ib.max_margin(problem, "l2").point) == pytest.approx(time, rel=1e-8)


@pytest.mark.slow
def test_directions_of_the_flow_with_weight_decay() -> None:
    values = {"alpha": 3.0, "weight_decay": 1e-2, "n": 6, "d": 10, "seed": 0}
    picture, data = find("early-late-sparse").draw(**values), sign_data(6, 10, 0)
    found = of_role(picture, 0, Role.FLOW)
    slow = next(iter(found.values()))[0]

    def slope(_, theta: np.ndarray) -> np.ndarray:
        u, v = theta.reshape(2, 10)
        pull = -data.X.T @ (data.y / (1.0 + np.exp(data.y * (data.X @ (u**2 - v**2))))) / 6.0
        return np.concatenate([-2.0 * pull * u - 0.01 * u, 2.0 * pull * v - 0.01 * v])

    answer = solve_ivp(
        slope, (0.0, slow[-1] / 0.01), np.full(20, 3.0), "LSODA", slow / 0.01, rtol=1e-8, atol=1e-10
    )
    w = answer.y[:10].T ** 2 - answer.y[10:].T ** 2
    # Oracle: the least l2 norm of {y X w >= 1}, by sequential quadratic programming.
    rule = {"type": "ineq", "fun": lambda w: data.y * (data.X @ w) - 1.0}
    end = minimize(lambda w: w @ w, np.ones(10), constraints=[rule], options={"ftol": 1e-14}).x
    cosines = w @ end / np.linalg.norm(end) / np.linalg.norm(w, axis=1)
    assert found["cosine to the largest ℓ2 margin"][1] == pytest.approx(cosines, abs=0.01)


def test_steps_are_right_continuous() -> None:
    corners, levels = steps(np.array([0.0, 1.0, 3.0]), 4.0)
    assert corners.tolist() == [0.0, 1.0, 1.0, 3.0, 3.0, 4.0]
    assert levels.tolist() == [0, 0, 1, 1, 2, 2]
