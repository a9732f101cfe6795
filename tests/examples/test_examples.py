"""The examples do what they say: smaller versions of them run, and show what the full ones show."""

import runpy
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from tests.architecture._source import ROOT

GROK = runpy.run_path(str(ROOT / "examples" / "grok_your_mlp.py"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("pictures") / "new folder"
    small = GROK["Setting"](
        rows=80, inputs=24, test_rows=500, width=32, weight_decay=1e-4, descent_steps=1000, seed=0
    )
    done = GROK["main"](small, out)
    assert (out / "grok_your_mlp.png").stat().st_size > 10_000
    return done


def when(trajectory: ib.Trajectory, name: str, above: float) -> float:
    """The first kept time from which on the observable stays above."""
    below = np.flatnonzero(trajectory.observables[name] <= above)
    return float(trajectory.times[below[-1] + 1])


def test_it_memorises_first_and_generalises_late(result: Any) -> None:
    flow, lam = result.flow, result.setting.weight_decay
    assert flow.status is ib.Status.REACHED_TIME
    memorised = when(flow, "train accuracy", 0.99)
    then = {name: values[np.searchsorted(flow.times, memorised)] for name, values in flow.observables.items()}
    # Chance is 0.5 on 500 test rows, with a standard deviation of 0.02.
    assert then["test accuracy"] < 0.7
    assert flow.observables["test accuracy"][-1] > 0.99
    assert flow.observables["train loss"][-1] < 1e-4
    assert flow.observables["test loss"][-1] < 1e-2 * then["test loss"]
    # Theory: the features change on the time scale 1 / lam, the fit does not know of lam.
    generalised = when(flow, "test accuracy", 0.95)
    assert generalised > 100 * memorised
    assert 0.1 < lam * generalised < 10.0


def test_it_does_not_without_weight_decay(result: Any) -> None:
    observables = result.without_decay.observables
    assert observables["train loss"][-1] < 1e-10
    assert observables["test accuracy"][-1] < 0.7
    assert observables["norm"][-1] == pytest.approx(observables["norm"][0], rel=0.05)


# Oracle: the flow itself; at a learning rate of 0.01 the Euler method is a few percent of the way off.
def test_gradient_descent_stays_beside_the_flow(result: Any) -> None:
    assert result.descent.stats.steps == 1000
    assert 0.0 < GROK["apart"](result) < 0.05


def test_the_texts_say_what_was_computed(result: Any) -> None:
    assert f"flow: {result.flow.stats.steps} steps" in GROK["summary"](result)
    assert "1e+07 steps" in GROK["summary"](result)
    rows = GROK["table"](result).splitlines()[1:]
    assert len(rows) == 11
    assert float(rows[-1].split()[4]) == pytest.approx(result.flow.observables["test accuracy"][-1], abs=5e-4)
