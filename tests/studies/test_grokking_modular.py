"""The study of addition modulo a prime: its claims hold, and its loss, rate and accuracies are those of the paper."""

from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies._modular_evidence import SETTINGS, Modular, Sums, _first_positive
from implicitbias.studies.grokking_modular import (
    STUDY,
    decay_claims,
    descent_claims,
    order_claims,
    scale_claim,
)
from tests.studies.running import NamedClaims, failing

NAME, POINT = "grokking-modular", "mod-13"
TINY = Modular(size=5, hidden=7, end=1e3, rates=(100.0,), shares=(0.1,), scales=(1.0,))


class TestThirteen(NamedClaims):
    point = POINT
    words = (
        "memorization comes before", "high test accuracy", "first order in the learning rate", "within 5 %",
         "processor time", "like 1 / lam", "larger starts", "never fitted",
    )  # fmt: skip

    def test_its_figures(self, data: Any) -> None:
        figures = STUDY.figures(POINT, data)
        assert set(figures) == {f"{POINT}-curves", f"{POINT}-rates"}
        assert len(figures[f"{POINT}-curves"].axes) == 2


def test_the_settings_of_the_paper() -> None:
    setting = SETTINGS["mod-23"]
    sums = Sums(setting)
    assert sums.X.shape == (529, 46)
    assert setting.start()["W"].shape == (100, 46)
    assert len(sums.parts[0]) == 476
    assert setting.rates[-1] == 100.0


# Oracle: gradient descent on the mean of (f - y)^2 over all entries, with its gradient written by hand.
def test_the_published_rate_is_converted() -> None:
    sums, rate, state = Sums(TINY), 100.0, TINY.start()
    problem, rows = sums.problem(), sums.parts[0]
    X, Y = sums.X[rows], np.eye(5)[sums.sums[rows]]
    W, V = state["W"].copy(), state["V"].copy()
    for _ in range(3):
        inputs = X @ W.T
        pull = 2 * (inputs**2 @ V.T / 70 - Y) / Y.size / 70
        dV, dW = pull.T @ inputs**2, (2 * inputs * (pull @ V)).T @ X
        W, V = W - rate * dW, V - rate * dV
    step = rate / TINY.unit
    found = ib.simulate(ib.GradientDescent(problem, step), state, t1=3 * step).final
    np.testing.assert_allclose(found["W"], W, rtol=1e-12)
    np.testing.assert_allclose(found["V"], V, rtol=1e-12)


# Oracle: row by row.
def test_errors_and_accuracies() -> None:
    sums = Sums(TINY)
    state = TINY.start()
    states = {name: np.stack([leaf, -leaf]) for name, leaf in state.items()}
    for part in (0, 1):
        for k, sign in enumerate((1.0, -1.0)):
            right, square = [], []
            for i in sums.parts[part]:
                x, answer = sums.X[i], (i // 5 + i % 5) % 5
                f = sign * state["V"] @ (state["W"] @ x) ** 2 / 70
                right.append(int(np.argmax(f)) == answer)
                square += [(f[c] - (c == answer)) ** 2 for c in range(5)]
            assert sums.accuracy(states, part)[k] == pytest.approx(np.mean(right))
            assert sums.error(states, part)[k] == pytest.approx(np.mean(square))
            lead = sums.lead(states, part)[k]
            assert (lead > 0) == (np.mean(right) >= (0.99, 0.95)[part])


def test_the_first_crossing() -> None:
    times = np.array([1.0, 2.0, 4.0, 5.0])
    assert _first_positive(times, np.array([-2.0, -1.0, 1.0, -1.0])) == 3.0
    assert np.isnan(_first_positive(times, np.array([-2.0, -1.0, -1.0, np.nan])))


# Oracle: by hand: each change breaks the statement that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("comes before", {"generalised": 0.5}),
        ("wrong", {"accuracy_at_memorization": np.nan}),
        ("memorization of gradient descent", {"rate_memorized": 1.05}),
        ("generalisation of gradient descent", {"rate_generalised": 1.05}),
        ("at the published rate this time of generalisation", {"rate_generalised": 1.1}),
        ("processor time", {"flow_seconds": 1e3}),
        ("the time of memorization tends", {"decay_memorized": 1.1}),
        ("the time of generalisation tends", {"decay_generalised": 1.1}),
        ("larger starts", {"scale_error": 1e6}),
    ],
)
def test_each_claim_can_fail(data: Any, words: str, changed: dict[str, float]) -> None:
    wrong = data.assign({name: data[name] * factor for name, factor in changed.items()})
    found = failing([
        *order_claims(POINT, wrong), *descent_claims(POINT, wrong), *decay_claims(POINT, wrong),
        scale_claim(POINT, wrong),
    ])  # fmt: skip
    assert any(words in statement for statement in found)
