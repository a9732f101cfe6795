"""Tests of the caller's functions: observables and stopping rules that fail, and short windows of `until`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

import implicitbias as ib

PROBLEM = ib.LeastSquares(np.eye(2), [2.0, 1.0])
START = np.zeros(2)
FLOWS: dict[str, Callable[[], Any]] = {
    "gradient flow": lambda: ib.GradientFlow(PROBLEM, 0.1),
    "mirror flow": lambda: ib.MirrorFlow(PROBLEM, ib.SquaredNorm()),
    "descent": lambda: ib.GradientDescent(PROBLEM, 0.1),
}


def late_failure(t: float, w: ndarray) -> float:
    if t > 3.0:
        raise ZeroDivisionError("no such observable")
    return float(w[0])


def growing(t: float, w: ndarray) -> ndarray:
    return np.ones(2 if t > 3.0 else 1)


# Oracle: the same run without the observable that fails: what was computed before the failure is the same.
@pytest.mark.parametrize("kind", FLOWS)
@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (late_failure, "'bad' raised ZeroDivisionError: no such observable"),
        (growing, "'bad' has the shape (2,)"),
    ],
)
@pytest.mark.parametrize("grid", [None, np.linspace(0.0, 10.0, 21)], ids=["dense", "times"])
def test_a_failing_observable_ends_the_run(kind: str, bad: Any, words: str, grid: ndarray | None) -> None:
    good = {"first": lambda t, w: w[0]}
    cut = ib.simulate(FLOWS[kind](), START, t1=10.0, times=grid, observe={**good, "bad": bad})
    full = ib.simulate(FLOWS[kind](), START, t1=10.0, times=grid, observe=good)
    assert cut.status is ib.Status.CALLBACK_FAILED
    assert not cut.status.ok
    assert any(words in note for note in cut.notes)
    count = int(np.sum(full.times <= 3.0))
    assert count > 1
    np.testing.assert_array_equal(cut.times, full.times[:count])
    np.testing.assert_array_equal(cut.observables["first"], full.observables["first"][:count])
    assert len(cut.observables["bad"]) == count
    np.testing.assert_allclose(cut.final, cut.states[-1], rtol=1e-12)


def test_a_failing_stopping_rule_ends_the_run() -> None:
    cut = ib.simulate(FLOWS["gradient flow"](), START, t1=10.0, until=lambda t, w: late_failure(t, w) > 1e9)
    assert cut.status is ib.Status.CALLBACK_FAILED
    assert "until raised ZeroDivisionError" in cut.notes[0]
    assert cut.times[-1] <= 3.0
    assert len(cut.times) > 1


# A mistake that shows at once is raised as it is, because nothing is lost.
@pytest.mark.parametrize("where", ["observe", "until"])
def test_a_function_that_fails_at_the_start_raises(where: str) -> None:
    def fails(t: float, w: ndarray) -> float:
        raise ZeroDivisionError

    options: Any = {"observe": {"x": fails}} if where == "observe" else {"until": fails}
    with pytest.raises(ZeroDivisionError):
        ib.simulate(FLOWS["gradient flow"](), START, t1=1.0, **options)


# Oracle: the closed form w = y (1 - e^(-t/2)): the level is positive for w_0 between the two sides of a window that is
# much shorter than a step at rtol = 1e-2.
@pytest.mark.parametrize("width", [1e-1, 1e-3, 1e-5])
def test_a_window_shorter_than_a_step_is_found(width: float) -> None:
    flow = ib.GradientFlow(PROBLEM)
    middle = 1.3
    trajectory = ib.simulate(
        flow, START, t1=50.0, rtol=1e-2, until=lambda t, w: width**2 - (float(w[0]) - middle) ** 2
    )
    assert trajectory.status is ib.Status.STOPPED_BY_CALLER
    assert trajectory.final[0] == pytest.approx(middle - width, abs=1e-6 * width + 1e-9)
    steps = np.diff(ib.simulate(flow, START, t1=50.0, rtol=1e-2).times)
    stop = trajectory.times[-1]
    assert stop == pytest.approx(-2 * np.log(1 - (middle - width) / 2), rel=0.05)
    assert np.max(steps) > 1.0


# Oracle: the truth value is true for more than a quarter of a step only in its middle.
def test_a_truth_value_inside_a_step_is_found() -> None:
    flow = ib.GradientFlow(PROBLEM)
    times = ib.simulate(flow, START, t1=50.0, rtol=1e-2).times
    begin, end = times[-3:-1]
    low, high = begin + 0.4 * (end - begin), begin + 0.7 * (end - begin)
    stopped = ib.simulate(flow, START, t1=50.0, rtol=1e-2, until=lambda t, w: low < t < high)
    assert stopped.times[-1] == pytest.approx(low, rel=1e-9)


def test_the_moment_of_the_stop_is_observed() -> None:
    trajectory = ib.simulate(
        FLOWS["gradient flow"](),
        START,
        times=[1.0, 40.0],
        until=lambda t, w: t >= 2.5,
        observe={"t": lambda t, w: t},
    )
    np.testing.assert_allclose(trajectory.times, [1.0, 2.5], rtol=1e-9)
    np.testing.assert_array_equal(trajectory.observables["t"], trajectory.times)
