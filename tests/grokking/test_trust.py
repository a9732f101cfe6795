"""The level of trust and the assumptions, which are derived from measured reasons."""

import numpy as np

from implicitbias.grokking._assumptions import assumptions_of
from implicitbias.grokking._trust import Reason, Trust


def test_assumptions_that_fail_are_told() -> None:
    def reason(name: str, value: float) -> Reason:
        return Reason(name, value, 1.0, False, f"{name}.")

    found = assumptions_of(
        [
            reason("weight decay over gap", 2.0),
            reason("missing rank", np.nan),
            reason("size of the predictions", 0.0),
        ]
    )
    states = [(one.text.split(" ")[1], one.state) for one in found[:3]]
    assert states == [
        ("weight", "checked: fails"),
        ("Jacobian", "not checkable"),
        ("loss", "checked: fails"),  # the logistic loss has its minimiser at infinity
    ]


def test_trust_is_derived_from_its_reasons() -> None:
    fine = Reason("a", 1.0, 2.0, True, "A.")
    doubt = Reason("b", 3.0, 2.0, False, "B.")
    serious = Reason("c", 3.0, 2.0, True, "C.")
    unknown = Reason("d", np.nan, 2.0, True, "D.")
    assert [Trust(reasons).level for reasons in ((fine,), (fine, doubt), (doubt, serious), (unknown,))] == [
        "high",
        "medium",
        "low",
        "medium",
    ]
    assert Trust((doubt, serious)).doubts == ("C.", "B.")
