"""The errors of flows of diagonal networks along the way and at the end, against rtol, from random starts."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy import ndarray
from scipy.integrate import solve_ivp

import implicitbias as ib

ROWS, COLUMNS = 3, 6
# The logarithm that stands for that of 0.
ZERO = -1e4
SHARES = np.array([0.25, 0.5, 0.75, 1.0])


class Case(NamedTuple):
    """A problem, a start (u, v) of u^2 - v^2, and how long it is trained with which weight decay."""

    X: ndarray
    y: ndarray
    loss: str
    start: tuple[ndarray, ndarray]
    weight_decay: float
    end: float

    def flow(self) -> ib.GradientFlow:
        classes = self.loss != "squared"
        problem = ib.Classification(self.X, self.y, self.loss) if classes else ib.LeastSquares(self.X, self.y)
        return ib.GradientFlow(problem.reparametrize(ib.SquareDifference()), self.weight_decay)

    def pull(self, f: ndarray) -> ndarray:
        """Return minus the derivative of the mean loss in the predictions."""
        if self.loss == "squared":
            gap: ndarray = self.y - f
        elif self.loss == "logistic":
            gap = self.y / (1 + np.exp(np.minimum(self.y * f, 100.0)))
        else:
            gap = self.y * np.exp(np.minimum(-self.y * f, 100.0))
        return gap / len(self.y)

    @np.errstate(divide="ignore")
    def sizes(self, times: ndarray) -> ndarray:
        """Return |u| and |v| at the times, (m, 12), from the equations of ln|u| and ln|v|."""

        def field(_: float, logs: ndarray) -> ndarray:
            # LSODA tries steps in which parameters overflow, and takes shorter ones instead.
            squares = np.exp(np.minimum(2 * logs, 100.0))
            speed = 2 * self.X.T @ self.pull(self.X @ (squares[:COLUMNS] - squares[COLUMNS:]))
            return np.concatenate([speed, -speed]) - self.weight_decay

        begin = np.maximum(np.log(np.abs(np.concatenate(self.start))), ZERO)
        answer = solve_ivp(
            field, (0.0, times[-1]), begin, method="LSODA", t_eval=times, rtol=1e-11, atol=1e-11, first_step=1e-6
        )  # fmt: skip
        assert answer.success
        sizes: ndarray = np.exp(answer.y.T)
        return sizes


def drawn(seed: int, loss: str) -> Case:
    """Return a random case: starts between 1e-12 and 2, or 1e-30 and 1e-12, of four kinds."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((ROWS, COLUMNS)), rng.standard_normal(ROWS) * 10 ** rng.uniform(-1, 1)
    scale = 10 ** (rng.uniform(-30, -12) if seed % 5 == 0 else rng.uniform(-12, 0.3))
    weight_decay = 10 ** rng.uniform(-3, 0)
    u = scale * 10 ** rng.uniform(-1, 0.3, COLUMNS) * rng.choice([-1, 1], COLUMNS)
    v = scale * 10 ** rng.uniform(-1, 0.3, COLUMNS)
    if seed % 4 == 1:
        v = np.abs(u)
    if seed % 4 == 2:
        v[rng.random(COLUMNS) < 0.4] = 0.0
        u[rng.random(COLUMNS) < 0.3] = 0.0
    if seed % 4 == 3:
        v = np.abs(u) * (1 + 1e-3 * rng.standard_normal(COLUMNS))
        u *= 10 ** rng.uniform(0, 1.5)
        v *= np.abs(u / v).mean()
    if loss != "squared":
        y = np.sign(y)
        y[0] = -y[1]
    return Case(X, y, loss, (u, v), weight_decay, min(rng.choice([3, 12, 40]) / weight_decay, 3e3))


def errors(case: Case, rtol: float) -> ndarray:
    """Return the relative errors of the state at three places inside each step and at its end, in units of rtol."""
    trajectory: Any = ib.simulate(case.flow(), case.start, t1=case.end, rtol=rtol)
    begins, steps = trajectory.times[:-1], np.diff(trajectory.times)
    times = (begins[:, None] + steps[:, None] * SHARES).ravel()
    expected, found = case.sizes(times), np.abs(np.hstack(trajectory.state(times)))
    apart = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    return apart / rtol


# Oracle: LSODA at rtol 1e-11 on the logarithms of the parameters. The comment of each seed is the largest error in
# units of rtol while the step size was chosen by the difference of the two ends of a step alone.
@pytest.mark.parametrize(
    ("seed", "loss", "rtol"),
    [
        (190, "logistic", 1e-4),  # 42: the end of a jump
        (22, "exponential", 1e-4),  # 57: the end of a jump
        (125, "logistic", 1e-4),  # 35: the first jump from 1e-30
        (60, "squared", 1e-4),  # 25: the first jump from 1e-30
        (21, "logistic", 1e-6),  # 52: the end of a jump
        (70, "squared", 1e-6),  # 39: all parameters are small, and the dual variable is large
        (21, "exponential", 1e-6),  # 88: the end of a jump
    ],
)
def test_states_are_right_along_the_way(seed: int, loss: str, rtol: float) -> None:
    assert np.max(errors(drawn(seed, loss), rtol)) < 10.0


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "logistic", "exponential"])
def test_states_are_right_from_many_starts(loss: str) -> None:
    found = [np.max(errors(drawn(seed, loss), 1e-4)) for seed in range(30)]
    assert np.max(found) < 10.0
    assert np.median(found) < 5.0


# Oracle: as above. With more than twice as many rows as columns, such flows were integrated in u and v, where the
# errors of growth from 1e-24 add up to 13 rtol. Entries far below their partners were rounding errors there, and
# 100 000 steps did not reach the end: the derivative of (u - v)(u + v) in u had rounding errors of v.
def test_growth_is_right_with_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(10)
    X, y = rng.standard_normal((13, COLUMNS)), rng.choice([-1.0, 1.0], 13)
    start = 1e-24 * rng.uniform(0.1, 2.0, COLUMNS), 1e-24 * rng.uniform(0.1, 2.0, COLUMNS)
    case = Case(X, y, "exponential", start, 0.0, 80.0)
    assert np.max(errors(case, 1e-4)) < 5.0
    monkeypatch.setattr("implicitbias.flows._gradient_flow._FEW_ROWS", 12)
    in_parameters = ib.simulate(case.flow(), case.start, t1=case.end)
    assert in_parameters.status is ib.Status.REACHED_TIME
    assert in_parameters.stats.steps < 500
    assert np.max(errors(case, 1e-4)) < 20.0
