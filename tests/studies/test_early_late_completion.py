"""The study of early and late phases in matrix completion: its claims hold, and fail where runs are wrong."""

from typing import Any

import numpy as np
import pytest

from implicitbias.studies._table_claims import table_claims
from implicitbias.studies._table_evidence import _duality_gap, predicted_time
from implicitbias.studies._table_settings import SETTINGS, Table
from implicitbias.studies.early_late_completion import STUDY
from tests.studies.running import NamedClaims, failing

NAME, POINT = "early-late-completion", "20x20"
FULL = Table(size=4, observed=16, decays=(1e-2,), rtol=1e-6, solves=False)


class TestTheSmallTable(NamedClaims):
    point = POINT
    words = (
        "unobserved entries are 0", "averages", "fitted before", "predicted T", "ln(alpha)", "width", "1 / lam",
        "least nuclear norm", "semidefinite", "never completed", "no early phase",
    )  # fmt: skip


# Oracle: by hand: each change makes the statement false that is named.
@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("unobserved entries are 0", {"early_apart": np.sqrt}),
        ("predicted T", {"alpha_predicted": lambda x: 2.0 * x}),
        ("grows like ln(alpha)", {"alpha_middle": lambda x: 2.0 * x}),
        ("semidefinite", {"kkt_value": lambda x: 1.001 * x}),
        ("never completed", {"baseline_test": lambda x: 0.5 * x}),
        ("pulls towards the start", {"held_test": lambda x: 0.0 * x}),
        ("no early phase", {"small_test": lambda x: x + 1.0}),
    ],
)
def test_each_claim_can_fail(data: Any, words: str, changed: dict[str, Any]) -> None:
    wrong = data.assign({name: change(data[name]) for name, change in changed.items()})
    assert any(words in statement for statement in failing(table_claims(POINT, wrong)))


# Oracle: entry by entry.
def test_the_early_closed_form() -> None:
    setting = SETTINGS[POINT]
    X, rows, cols = setting.skewed(), *setting.entries()
    seen = {(int(r), int(c)) for r, c in zip(rows, cols, strict=True)}
    W = setting.early(X)
    for i in range(setting.size):
        for j in range(setting.size):
            known = [X[place] for place in ((i, j), (j, i)) if place in seen]
            assert W[i, j] == pytest.approx(np.mean(known) if known else 0.0)


# Oracle: the least move (H, -H) of the parameters with alpha (2 H + 2 H) = W, by least squares on its entries.
def test_the_predicted_time() -> None:
    setting = SETTINGS[POINT]
    move = setting.early(setting.table()) / 40.0
    ratio = np.linalg.norm([np.eye(20), np.eye(20)]) * 10.0 / np.linalg.norm([move, -move])
    assert predicted_time(setting, 10.0) == pytest.approx(np.log(ratio) / 2.0)


# Oracle: if all entries are seen, the minimum shrinks the only singular value by lam n / 2, and its gap is 0.
def test_the_duality_gap() -> None:
    table = FULL.table()
    value = np.linalg.norm(table, 2)
    best = table * (1.0 - 16 * 1e-2 / 2 / value)
    assert _duality_gap(FULL, best, 1e-2) == pytest.approx(0.0, abs=1e-13)
    assert _duality_gap(FULL, 0.99 * table, 1e-2) > 1e-3


def test_the_settings_of_the_paper() -> None:
    setting = SETTINGS["97x97"]
    assert setting.seen().sum() == setting.observed == 470
    assert setting.table()[1, 2] == 2 / 97**2
    assert "were added here" in STUDY.notes()
