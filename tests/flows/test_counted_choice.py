"""The choice of the steps of small problems: it is right, changes and repeats itself."""

from typing import Any

import jax
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias.flows._algebra_choice import sizes_of
from implicitbias.flows._counted_choice import CountedChoice
from implicitbias.flows._guide import Report
from implicitbias.flows._limits import Limits
from implicitbias.flows._tsit5 import STABLE
from tests.flows._nets import CASES, WIDTH, D, N, case_reference, flat_rows
from tests.flows._runs import RUNS, content, run

CASE = CASES["squared, two outputs"]


def flow(weight_decay: float = 0.0) -> ib.GradientFlow:
    return ib.GradientFlow(CASE.problem(), weight_decay)


def apart(found: Any, expected: Any) -> float:
    ours = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found)])
    return float(np.linalg.norm(ours - expected) / np.linalg.norm(expected))


# Oracle: SciPy's DOP853 at rtol 1e-12. The largest curvature is about 5, so that the second flow is stiff.
@pytest.mark.parametrize(("end", "decay", "names"), [(10.0, 0.0, {"explicit"}), (1e4, 1e-2, {"layers"})])
@pytest.mark.parametrize("rtol", [1e-3, 1e-4, 1e-5])
def test_the_default_takes_the_cheaper_method_and_is_right(
    end: float, decay: float, names: set[str], rtol: float
) -> None:
    until = min(end, 1e3)  # the reference would take long to reach 1e4
    trajectory = ib.simulate(flow(decay), CASE.start, times=sorted({until, end}), rtol=rtol)
    assert {name for name, _ in trajectory.stats.algebras} <= names | {"exact"}
    expected = case_reference(CASE, decay, np.array([until]))[0]
    assert apart(trajectory.state(until), expected) < 10 * rtol


# Oracle: the same, in the middle of the flow. The error falls at least like rtol^0.7 in both methods.
@pytest.mark.parametrize("solver", [None, "layers"])
def test_the_error_follows_the_tolerance(solver: str | None) -> None:
    times = np.array([1.0, 3.0, 10.0])
    expected = case_reference(CASE, 0.0, times)
    errors = []
    for rtol in (1e-3, 1e-5, 1e-7):
        states = ib.simulate(flow(), CASE.start, times=times, rtol=rtol, solver=solver).state(times)
        errors.append(np.linalg.norm(flat_rows(states, 3) - expected) / np.linalg.norm(expected))
    assert errors[2] < 1e-6
    assert np.log10(errors[0] / errors[2]) > 0.7 * 4


# Oracle: the same. Stabilised steps need few stages here, and are used only at loose tolerances.
@pytest.mark.parametrize(("rtol", "name"), [(1e-4, "stabilised"), (1e-5, "layers")])
def test_a_mildly_stiff_slow_phase_is_crossed_by_stabilised_steps(rtol: float, name: str) -> None:
    times = np.array([1.0, 10.0, 100.0, 1000.0])
    trajectory = ib.simulate(flow(1e-2), CASE.start, times=times, rtol=rtol)
    assert trajectory.stats.algebras[0][0] == name
    expected = case_reference(CASE, 1e-2, times)
    rows = flat_rows(trajectory.state(times), len(times))
    assert np.max(np.linalg.norm(rows - expected, axis=1) / np.linalg.norm(expected, axis=1)) < 10 * rtol


# Near the origin there is hardly any curvature, and later the flow is stiff for a long time.
def test_explicit_steps_are_left_when_stiffness_comes() -> None:
    first, second = run("explicit, then factorised"), run("explicit, then factorised")
    assert [name for name, _ in first.stats.algebras][:2] == ["explicit", "layers"]
    assert content(first) == content(second)
    _, start, arguments = RUNS["explicit, then factorised"]
    named = ib.simulate(
        RUNS["explicit, then factorised"][0], start, **{"rtol": 1e-6, **arguments, "solver": "layers"}
    )
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(named.final)])
    assert apart(first.final, flat) < 2e-5


# The calls share compiled programs, and no time is measured.
@pytest.mark.parametrize(("end", "decay"), [(10.0, 0.0), (1e4, 1e-2)])
def test_the_same_call_gives_the_same_bits(end: float, decay: float) -> None:
    first, second = (ib.simulate(flow(decay), CASE.start, t1=end) for _ in range(2))
    assert content(first) == content(second)


# Oracle: SciPy's DOP853. The curvature of a loss of margins without weight decay fades with the loss, and the method
# changes if that takes too long.
def test_a_loss_of_margins_begins_with_explicit_steps() -> None:
    case = CASES["three classes"]
    trajectory = ib.simulate(ib.GradientFlow(case.problem()), case.start, times=[300.0])
    assert trajectory.stats.algebras[0][0] == "explicit"
    expected = case_reference(case, 0.0, np.array([300.0]))[0]
    assert apart(trajectory.final, expected) < 10 * 1e-4


class Made:
    """A choice for `CASE` whose largest curvature the test sets, and reports of parts of its integration."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        end: float,
        radius: float,
        max_steps: int = 100_000,
        decay: float = 0.0,
    ) -> None:
        self.radius = radius
        patch = "implicitbias.flows._counted_choice."
        monkeypatch.setattr(patch + "radius_at", lambda system, u: self.radius)
        slope = np.zeros(D * WIDTH + WIDTH + 2 * WIDTH)
        monkeypatch.setattr(patch + "_look", lambda system, u: (0.1, self.radius, slope))
        with double_precision():
            shape, point = flow(decay).checked_start(CASE.start)
            engine: Any = flow(decay).engine(shape, point, Limits(end, 1e-4, max_steps), 2**30)
            self.choice: CountedChoice = engine.guide
            self.way, self.cursor = engine.way, engine.cursor
        assert isinstance(self.choice, CountedChoice)

    def after(self, t: float, h: float, attempts: int = 64) -> str:
        """Return the name of the method after a part that ended at t, where the next step has the size h."""
        numbers: dict[str, Any] = {"t": np.asarray(t), "h": np.asarray(h), "watch": None}
        if self.way.name == "stabilised":
            with double_precision():
                memory = self.way.first_memory(np.asarray(self.cursor.u))
            numbers["memory"] = memory._replace(radius=np.asarray(self.radius))
        report = Report(self.cursor._replace(**numbers), attempts, t, 0.0)
        self.way = self.choice.next(self.way, report)
        return self.way.name


# By hand: a step of the factorisation costs some 80 units and 50 of them are expected, an explicit one about 16.
def test_the_start_compares_the_costs_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=10.0, radius=1.0)
    explicit, factorised = made.choice.explicit, made.choice.factorised
    assert made.way.name == "explicit"
    most = STABLE * (50 * factorised / explicit - 30)
    assert Made(monkeypatch, end=0.99 * most, radius=1.0).way.name == "explicit"
    assert Made(monkeypatch, end=1.01 * most, radius=1.0).way.name == "layers"


def test_the_explicit_method_stays_while_its_steps_are_short_for_accuracy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Made(monkeypatch, end=10.0, radius=1.0)
    made.radius = 1e6
    assert made.after(t=1.0, h=0.1 * STABLE / 1e6) == "explicit"
    assert made.after(t=1.1, h=STABLE / 1e6) == "layers"


# By hand: a factorised step of some 80 units is replaced by half an explicit one of about 16, which saves about 70 in
# each step: the change comes after 5e4 / 70 steps, which is in the twelfth part of 64.
def test_factorised_steps_are_left_when_stiffness_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=1e6, radius=1.0)
    assert made.way.name == "layers"
    made.radius = 1e-6
    saved = made.choice.factorised - 1.5 * 0.5 * made.choice.explicit
    parts = int(np.ceil(5e4 / (64 * saved)))
    names = [made.after(t=10.0 * i, h=0.1) for i in range(1, parts + 1)]
    assert names == ["layers"] * (parts - 1) + ["explicit"]


# By hand: of the time 300 a step takes 1.2, with 1 + sqrt(1.54 * 1.2 * radius * 1.2 + 1) stages, which is 13 for a
# radius of 64.5. A flow that lasts less than 1 / lam has no slow phase.
def test_stabilised_steps_are_begun_where_they_need_few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    radius = (12**2 - 1) / (1.54 * 1.2 * 1.2)
    assert Made(monkeypatch, 300.0, 0.99 * radius, decay=1e-2).way.name == "stabilised"
    assert Made(monkeypatch, 300.0, 1.01 * radius, decay=1e-2).way.name == "layers"
    assert Made(monkeypatch, 300.0, 0.99 * radius, decay=3e-3).way.name == "layers"


# By hand: 100 stages for a radius of 10 are those of a step of (99^2 - 1) / (1.54 * 1.2 * 10) = 530.
def test_stabilised_steps_are_left_when_they_need_many_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=1e3, radius=10.0, decay=1e-2)
    assert made.way.name == "stabilised"
    assert made.after(t=100.0, h=525.0) == "stabilised"
    assert made.after(t=300.0, h=535.0) == "layers"


# By hand: 1 + sqrt(1.54 * 1.2 * 60 * 10 + 1) = 34.3 stages cost 2.29 factorised steps, 0.79 above 1.5 of them: the
# change comes after 5e4 / (0.79 * 80) steps. With 1 + sqrt(1.54 * 1.2 * 20 * 10 + 1) = 20.3 stages it does not come.
def test_stabilised_steps_are_left_when_factorised_ones_are_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=1e4, radius=0.1, decay=1e-2)
    assert made.way.name == "stabilised"
    made.radius = 10.0
    assert {made.after(t=10.0 * i, h=20.0) for i in range(1, 41)} == {"stabilised"}
    saved = made.choice.factorised * ((1 + np.sqrt(1.54 * 1.2 * 60 * 10 + 1)) / 15 - 1.5)
    parts = int(np.ceil(5e4 / (64 * saved)))
    names = [made.after(t=500.0 + 10.0 * i, h=60.0) for i in range(1, parts + 1)]
    assert names == ["stabilised"] * (parts - 1) + ["layers"]


# By hand: where the curvature has faded, a stabilised step has two stages, which cost 2 / 15 of a factorised step. An
# explicit step of the same length costs half of a whole one. Here a factorised step costs as much as 40 explicit ones.
def test_stabilised_steps_are_left_when_explicit_ones_are_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=1e4, radius=0.1, decay=1e-2)
    made.choice.factorised = 40 * made.choice.explicit
    made.radius = 1e-6
    saved = 40 * made.choice.explicit * 2 / 15 - 1.5 * 0.5 * made.choice.explicit
    parts = int(np.ceil(5e4 / (64 * saved)))
    names = [made.after(t=10.0 * i, h=0.1) for i in range(1, parts + 1)]
    assert names == ["stabilised"] * (parts - 1) + ["explicit"]


# By hand: 30 steps for the accuracy and 10 / 3.3 for the stability are more than half of 60.
def test_explicit_steps_are_not_begun_if_they_would_use_up_those_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Made(monkeypatch, end=10.0, radius=1.0, max_steps=60).way.name == "layers"


# The counts are those of the sizes: n k = 12 predictions and p = 24 parameters.
def test_the_costs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, end=10.0, radius=1.0)
    sizes = sizes_of(made.choice.system, made.cursor.u, 2**30)
    assert (sizes.rows, sizes.outputs, sizes.p) == (2 * N, 2, 24)
    assert made.choice.explicit == pytest.approx(5 + 6.5 * (1 + 2.5e-4 * 6 * N * 24))
