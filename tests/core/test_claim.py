"""A claim holds, and an assumption is met, only where the numbers say so."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import implicitbias as ib
from implicitbias.studies import Assumption, Claim, at_least, at_most, close

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
def test_bounds(measured: float, bound: float, holds: bool) -> None:
    above = at_most("p", "s", "r", (measured, bound))
    assert above.holds is holds
    assert above.expected == f"at most {bound:g}"
    below = at_least("p", "s", "r", (-measured, -bound))
    assert below.holds is holds
    assert below.expected == f"at least {-bound:g}"


# Oracle: by hand. The tolerance loosens an upper bound upwards and a lower bound downwards.
def test_a_tolerance_of_a_bound() -> None:
    assert Claim("p", "s", "r", (), 1.0, 1.05, 0.1, "at most").holds
    assert not Claim("p", "s", "r", (), 1.0, 1.15, 0.1, "at most").holds
    assert Claim("p", "s", "r", (), 1.0, 0.95, 0.1, "at least").holds
    assert Claim("p", "s", "r", (), 1.0, 0.95, 0.1, "at least").expected == "at least 1 ± 0.1"


def test_texts_are_compared_for_equality() -> None:
    assert Claim("p", "s", "r", (), "1, 3, 4", "1, 3, 4").holds
    assert not Claim("p", "s", "r", (), "1, 3, 4", "1, 4, 3").holds


@pytest.mark.parametrize(
    "settings",
    [
        {"predicted": "one", "measured": 1.0},
        {"predicted": 1.0, "measured": "one"},
        {"predicted": "one", "measured": "one", "relation": "at most"},
        {"predicted": "one", "measured": "one", "tolerance": 0.1},
        {"predicted": 1.0, "measured": 1.0, "relation": "is near"},
        {"predicted": 1.0, "measured": 1.0, "tolerance": -0.1},
        {"predicted": True, "measured": 1.0},
        {"predicted": 1.0, "measured": np.True_},
        {"predicted": 1.0, "measured": np.array(True)},
    ],
)
def test_what_is_no_comparison_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ib.InputError, TypeError, ValueError)):
        Claim("p", "s", "r", (), **settings)
    plain = {name: value for name, value in settings.items() if name in ("predicted", "measured")}
    if not any(isinstance(value, str) for value in plain.values()) and len(settings) == 2:
        with pytest.raises(ib.InputError, match="verdict is computed from numbers"):
            close("p", "s", "r", (settings["predicted"], settings["measured"], 0.1))


def test_no_verdict_can_be_passed_in() -> None:
    with pytest.raises(TypeError):
        Claim("p", "s", "r", (), 1.0, 2.0, 0.0, holds=True)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Assumption("a", state="checked: holds")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("bounds", "number", "state"),
    [
        ({"at_most": 1e-9}, 1e-10, "checked: holds"),
        ({"at_most": 1e-9}, 1e-8, "checked: fails"),
        ({"at_most": 0}, np.int64(0), "checked: holds"),
        ({"at_least": 1}, 1, "checked: holds"),
        ({"at_least": 1}, 0, "checked: fails"),
        ({"at_most": 1.0}, NAN, "checked: fails"),
        ({"at_least": 1.0}, NAN, "checked: fails"),
        ({"at_least": 1.0}, INF, "checked: holds"),
    ],
)
def test_the_state_of_an_assumption(bounds: dict[str, float], number: float, state: str) -> None:
    assumption = Assumption.checked("a", number, **bounds)
    assert assumption.state == state
    assert assumption.to_dict()["state"] == state
    json.dumps(assumption.to_dict(), allow_nan=False)


@pytest.mark.parametrize("verdict", [True, False, np.True_, np.array(False)])
def test_a_verdict_is_no_number_of_an_assumption(verdict: Any) -> None:
    with pytest.raises(ib.InputError, match="verdict is computed from numbers"):
        Assumption.checked("a", verdict, at_most=0)


def test_what_is_not_checkable_says_why() -> None:
    assumption = Assumption.not_checkable("the data are in general position", "it needs all subsets")
    assert assumption.state == "not checkable"
    assert assumption.evidence == "it needs all subsets"
    with pytest.raises(ib.InputError, match="reason"):
        Assumption("the data are in general position")
    with pytest.raises(ib.InputError, match="reason"):
        Assumption("the data are in general position", 1.0, "at most", 2.0, "it needs all subsets")
    with pytest.raises(ib.InputError, match="number"):
        Assumption("a", 1.0)
    with pytest.raises(ib.InputError, match="exactly one"):
        Assumption.checked("a", 1.0)
    with pytest.raises(ib.InputError, match="exactly one"):
        Assumption.checked("a", 1.0, at_most=1.0, at_least=0.0)
    with pytest.raises(ib.InputError, match="relation"):
        Assumption("a", 1.0, "equals", 1.0)


def test_a_claim_as_json() -> None:
    claim = close("p", "s", "r", (1.0, 1.0, 0.1), Assumption.checked("a", 1e-10, at_most=1e-9))
    values = json.loads(json.dumps(claim.to_dict(), allow_nan=False))
    assert values == {
        "point": "p",
        "statement": "s",
        "reference": "r",
        "assumptions": [
            {
                "text": "a",
                "state": "checked: holds",
                "number": 1e-10,
                "relation": "at most",
                "bound": 1e-9,
                "reason": "",
            }
        ],
        "relation": "equals",
        "predicted": 1.0,
        "measured": 1.0,
        "tolerance": 0.1,
        "holds": True,
        "supported": True,
    }


@pytest.mark.parametrize("measured", [NAN, INF, -INF])
def test_numbers_that_json_has_not_become_texts(measured: float) -> None:
    text = json.dumps(close("p", "s", "r", (1.0, measured, 0.1)).to_dict(), allow_nan=False)
    assert json.loads(text)["measured"] == str(measured)


def test_claims_and_assumptions_are_frozen_values() -> None:
    claim = close("p", "s", "r", (1.0, 2.0, 0.0), Assumption.checked("a", 1, at_most=2))
    for thing, name in ((claim, "measured"), (claim, "holds"), (claim.assumptions[0], "number")):
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(thing, name, 1.0)
    again = close("p", "s", "r", (1.0, 2.0, 0.0), Assumption.checked("a", 1, at_most=2))
    assert claim == again
    assert claim.fingerprint() == again.fingerprint()
    assert dataclasses.replace(claim, measured=2.0 + 1e-15).fingerprint() != claim.fingerprint()


def test_infinite_tolerances_and_texts_for_numbers_are_rejected() -> None:
    with pytest.raises(ib.InputError, match="a finite number >= 0 is expected"):
        Claim("setting", "statement", "reference", (), 1.0, 9.0, float("inf"))
    with pytest.raises(ib.InputError, match="is the text '5', a number is expected"):
        Assumption.checked("text", "5", at_most=6.0)


# Oracle: by hand. A claim whose assumption fails may hold as a comparison, and is not supported.
@pytest.mark.parametrize(
    ("measured", "number", "verdict"),
    [(1.0, 0.0, "yes"), (3.0, 0.0, "NO"), (1.0, 2.0, "assumption fails"), (3.0, 2.0, "NO")],
)
def test_a_claim_rests_on_its_assumptions(measured: float, number: float, verdict: str) -> None:
    rules = (Assumption.checked("small", number, at_most=1.0), Assumption.not_checkable("any", "no number"))
    claim = Claim("p", "s", "r", rules, 1.0, measured, 0.5)
    assert claim.holds == (measured == 1.0)
    assert claim.supported == (verdict == "yes")
    assert claim.verdict == verdict
    assert claim.to_dict()["supported"] == claim.supported
