"""Tests of gradient descent against a NumPy loop, and with a learning rate that is too large."""

from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib

_rng = np.random.default_rng(4)
X, Y, START = _rng.standard_normal((6, 9)), _rng.standard_normal(6), _rng.standard_normal(9)
PROBLEM = ib.LeastSquares(X, Y)
RATE, LAM = 0.03, 0.1


def loop(steps: int, rate: float = RATE) -> ndarray:
    """Return the iterates (steps + 1, d)."""
    w, all_ = START.copy(), [START]
    for _ in range(steps):
        w = w - rate * (X.T @ (X @ w - Y) / 6 + LAM * w)
        all_.append(w)
    return np.array(all_)


def descent(rate: float = RATE) -> ib.GradientDescent:
    return ib.GradientDescent(PROBLEM, rate, LAM)


# Oracle: a loop of NumPy; rounding of 1000 contracting steps.
def test_it_is_the_loop() -> None:
    trajectory = ib.simulate(descent(), START, t1=1000 * RATE)
    expected = loop(1000)
    assert trajectory.status is ib.Status.REACHED_TIME
    assert trajectory.stats.steps == 1000
    steps = np.round(trajectory.times / RATE).astype(int)
    np.testing.assert_allclose(trajectory.times, steps * RATE, rtol=1e-15)
    np.testing.assert_allclose(trajectory.states, expected[steps], rtol=0, atol=1e-12)
    np.testing.assert_allclose(trajectory.final, expected[-1], rtol=0, atol=1e-12)
    # The kept steps are log-spaced: all steps at first, then fewer, and the last step.
    assert steps[:4].tolist() == [0, 1, 2, 3]
    assert steps[-1] == 1000
    assert 30 < len(steps) < 80
    assert np.diff(steps).max() > 50


def test_the_steps_nearest_to_asked_times_are_kept() -> None:
    asked = np.array([0.0, 0.4, 1.9, 10.0, 29.99])
    trajectory = ib.simulate(descent(), START, t1=30.0, times=asked, observe={"t": lambda t, w: t})
    steps = np.round(asked / RATE).astype(int)
    np.testing.assert_allclose(trajectory.times, steps * RATE, rtol=1e-14)
    np.testing.assert_allclose(trajectory.states, loop(1000)[steps], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(trajectory.observables["t"], trajectory.times)
    with pytest.raises(ib.InputError, match="only at the kept times"):
        trajectory.state(5.0)


# Oracle: the loop. One call takes up to 64 kept steps, and the gaps between these are 1, 2, 1, 2, ...
def test_many_kept_steps_within_one_call() -> None:
    steps = np.array([step for step in range(301) if step % 3])
    trajectory = ib.simulate(descent(), START, times=steps * RATE)
    np.testing.assert_allclose(trajectory.times, steps * RATE, rtol=1e-14)
    np.testing.assert_allclose(trajectory.states, loop(300)[steps], rtol=0, atol=1e-12)
    assert trajectory.stats.steps == steps[-1]


# Oracle: the largest eigenvalue: above 2 / h the iterates grow without bound.
def test_a_learning_rate_that_is_too_large() -> None:
    rate = 3.0 / np.linalg.eigvalsh(X.T @ X / 6)[-1]
    trajectory = ib.simulate(descent(rate), START, t1=1e5 * rate)
    assert trajectory.status is ib.Status.NOT_FINITE
    assert not trajectory.status.ok
    assert any("learning rate" in note and "too large" in note for note in trajectory.notes)
    assert np.all(np.isfinite(trajectory.states))
    assert np.all(np.isfinite(trajectory.final))
    steps = np.round(trajectory.times / rate).astype(int)
    expected = loop(int(steps[-1]), rate)[steps]
    np.testing.assert_allclose(trajectory.states, expected, rtol=1e-9)


# Oracle: the loop: the first kept step at which the condition holds.
def test_until() -> None:
    trajectory = ib.simulate(descent(), START, t1=30.0, until=lambda t, w: np.linalg.norm(w) < 1.5)
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    norms = np.linalg.norm(trajectory.states, axis=1)
    assert np.all(norms[:-1] >= 1.5)
    assert norms[-1] < 1.5
    np.testing.assert_array_equal(trajectory.final, trajectory.state(trajectory.times[-1]))


# Oracle: the loop at a small step follows the flow to first order in the step.
def test_the_flow_is_its_limit() -> None:
    flow = ib.simulate(ib.GradientFlow(PROBLEM, LAM), START, t1=3.0, rtol=1e-8).final
    rates = np.array([0.1, 0.05, 0.025, 0.0125])
    errors = [np.max(np.abs(ib.simulate(descent(rate), START, t1=3.0).final - flow)) for rate in rates]
    assert np.polyfit(np.log(rates), np.log(errors), 1)[0] == pytest.approx(1.0, abs=0.1)


FLOWS: dict[str, Any] = {
    "gradient flow": lambda: ib.GradientFlow(PROBLEM, LAM),
    "mirror flow": lambda: ib.MirrorFlow(PROBLEM, ib.SquaredNorm()),
    "descent": descent,
}


@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize("where", ["observe", "progress", "until"])
def test_an_interrupt_returns_what_is_there(kind: str, where: str) -> None:
    calls = 0

    def third(*_: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 3 or where == "progress":
            raise KeyboardInterrupt
        return False

    options: dict[str, Any] = {"observe": {"observe": third}} if where == "observe" else {where: third}
    cut = ib.simulate(FLOWS[kind](), START, t1=30.0, **options)
    assert cut.status is ib.Status.INTERRUPTED
    assert len(cut.times) >= 1
    assert cut.states.shape == (len(cut.times), 9)
    np.testing.assert_allclose(cut.final, cut.states[-1], rtol=1e-12)
    full = ib.simulate(FLOWS[kind](), START, t1=30.0)
    np.testing.assert_array_equal(cut.times, full.times[: len(cut.times)])
