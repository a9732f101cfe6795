"""A claim is data, and it holds only where its numbers say so."""

import dataclasses
import json

import pytest

from implicitbias.studies import Assumption, Claim
from implicitbias.studies._claim import at_most, close

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("predicted", "measured", "tolerance", "holds"),
    [
        (1.0, 1.0, 0.0, True),
        (1.0, 1.1, 0.1 + 1e-12, True),
        (1.0, 0.9, 0.1 + 1e-12, True),
        (1.0, 1.2, 0.1, False),
        (1.0, -1.0, 0.1, False),
        (1.0, NAN, 1e9, False),
        (NAN, NAN, 1e9, False),
        (1.0, INF, 1e9, False),
        (INF, INF, 1.0, False),
        (1.0, 1.0, NAN, False),
    ],
)
def test_close(predicted: float, measured: float, tolerance: float, holds: bool) -> None:
    assert close("p", "s", "r", (predicted, measured, tolerance)).holds is holds


@pytest.mark.parametrize(
    ("measured", "bound", "holds"),
    [
        (1.0, 1.0, True),
        (-5.0, 1.0, True),
        (1.1, 1.0, False),
        (NAN, 1.0, False),
        (0.0, NAN, False),
        (INF, 1.0, False),
    ],
)
def test_at_most(measured: float, bound: float, holds: bool) -> None:
    claim = at_most("p", "s", "r", (measured, bound))
    assert claim.holds is holds
    assert claim.predicted == f"at most {bound:g}"


def test_assumptions_have_three_states() -> None:
    assert Assumption.checked("a", True).state == "checked: holds"
    assert Assumption.checked("a", False).state == "checked: fails"
    assert Assumption("a", "not checkable").text == "a"
    with pytest.raises(ValueError, match="one of"):
        Assumption("a", "certainly")


def test_a_claim_survives_json() -> None:
    claim = close("p", "s", "r", (1.0, 1.0, 0.1), Assumption.checked("a", True))
    values = json.loads(json.dumps(claim.to_dict(), allow_nan=False))
    assert values == {
        "point": "p",
        "statement": "s",
        "reference": "r",
        "assumptions": [{"text": "a", "state": "checked: holds"}],
        "predicted": 1.0,
        "measured": 1.0,
        "tolerance": 0.1,
        "holds": True,
    }


@pytest.mark.parametrize("measured", [NAN, INF, -INF])
def test_numbers_that_json_has_not_become_texts(measured: float) -> None:
    text = json.dumps(close("p", "s", "r", (1.0, measured, 0.1)).to_dict(), allow_nan=False)
    assert json.loads(text)["measured"] == str(measured)


def test_a_claim_is_frozen() -> None:
    claim = Claim("p", "s", "r", (), 1.0, 1.0, 0.0, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        claim.holds = True  # type: ignore[misc]
