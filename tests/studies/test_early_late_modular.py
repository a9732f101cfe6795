"""The study of early and late phases in addition modulo a prime: its claims hold, and its measurements by hand."""

from typing import Any

import numpy as np
import pytest

from implicitbias.studies._addition_claims import addition_claims
from implicitbias.studies._addition_evidence import _moved
from implicitbias.studies._addition_settings import SETTINGS, network
from implicitbias.studies.early_late_modular import STUDY
from tests.studies.running import NamedClaims, failing

NAME, POINT = "early-late-modular", "mod-17"


class TestSeventeen(NamedClaims):
    point = POINT
    words = (
        "tangent kernel", "as guessing", "all test sums are right", "predicted time T", "collapse", "ln(scale)",
        "1 / lam", "lazy", "rich", "10^(10^4)", "no early phase", "KKT point",
    )  # fmt: skip

    def test_its_figures(self, data: Any) -> None:
        figures = STUDY.figures(POINT, data)
        assert set(figures) == {f"{POINT}-{name}" for name in ("collapse", "logarithm", "without-decay")}
        assert len(figures[f"{POINT}-collapse"].axes) == 2


# Oracle: by hand: each change makes the statement false that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("certified", {"kernel_gap": 1e6}),
        ("about as many test sums", {"kernel_test": 100.0}),
        ("at the end of the main run", {"curve_test": 0.5}),
        ("collapse there", {"predicted": 2.0}),
        ("same lam (t - T)", {"predicted": 2.0}),
        ("grows like ln(scale)", {"middle": 2.0}),
        ("ln t replaces", {"baseline_reach": 10.0}),
        ("no early phase", {"small_moved": 0.01}),
        ("by guessing (accuracy, in", {"held_test": np.inf}),
        ("M - (1/3) ln M", {"end_margin": 2.0}),
        ("lazy", {"phase_verdict": np.nan}),
        ("soon after", {"time_error": np.nan, "moved": np.nan}),
    ],
)
def test_each_claim_can_fail(data: Any, words: str, changed: dict[str, float]) -> None:
    wrong = data.assign({name: data[name] * factor for name, factor in changed.items()})
    assert any(words in statement for statement in failing(addition_claims(POINT, wrong)))


# Oracle: row by row and unit by unit.
def test_outputs_margins_and_accuracy() -> None:
    setting = SETTINGS[POINT]
    rng = np.random.default_rng(0)
    W, V = rng.standard_normal((64, 34)), rng.standard_normal((17, 64))
    outputs = setting.outputs(np.concatenate([W.ravel(), V.ravel()])[None], 1)
    np.testing.assert_allclose(outputs[0], network((W, V), setting.rows(1)[0]), rtol=1e-12)
    margins, right = [], 0
    for place, row in zip(setting.parts()[1], outputs[0], strict=True):
        a, b = divmod(int(place), 17)
        f = [sum(V[c, j] * (W[j, a] + W[j, 17 + b]) ** 2 for j in range(64)) for c in range(17)]
        np.testing.assert_allclose(row, f, rtol=1e-9)
        answer = (a + b) % 17
        margins.append(f[answer] - max(f[c] for c in range(17) if c != answer))
        right += margins[-1] > 0
    np.testing.assert_allclose(setting.margins(outputs, 1)[0], np.sort(margins), rtol=1e-9, atol=1e-9)
    assert setting.accuracy(outputs, 1)[0] == pytest.approx(right / len(margins))


# Oracle: the gradient of the loss by JAX, whose negative is this sum with q = p / n.
def test_the_combination_of_gradients() -> None:
    setting = SETTINGS[POINT]
    rng = np.random.default_rng(1)
    params = 0.2 * rng.standard_normal((64, 34)), 0.2 * rng.standard_normal((17, 64))
    pull = setting.pulled(np.concatenate([leaf.ravel() for leaf in params]))
    slope = -np.concatenate([np.ravel(leaf) for leaf in setting.problem().gradient(params)])
    np.testing.assert_allclose(
        pull / np.linalg.norm(pull), slope / np.linalg.norm(slope), rtol=1e-7, atol=1e-9
    )


# By hand: (3, 4) is 3 along the start (1, 0) and 4 across it.
def test_how_far_a_state_has_moved() -> None:
    found = _moved(np.array([[3.0, 4.0], [2.0, 0.0]]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(found, [4.0 / 3.0, 1e-9])


def test_the_parts_and_the_start() -> None:
    setting = SETTINGS["mod-23"]
    train, test = setting.parts()
    assert (len(train), len(test)) == (423, 106)
    assert sorted([*train, *test]) == list(range(529))
    W, V = setting.start(2.0)
    assert not V.any()
    assert np.std(W) == pytest.approx(2.0 / np.sqrt(23.0), rel=0.05)
    assert "not in the paper" in STUDY.notes()
