"""A claim is data."""

import math
from dataclasses import asdict, dataclass
from typing import Any

_STATES = ("checked: holds", "checked: fails", "not checkable")


@dataclass(frozen=True)
class Assumption:
    """What a claim rests on, and whether that was checked.

    Attributes:
        text: the assumption.
        state: "checked: holds", "checked: fails" or "not checkable".
    """

    text: str
    state: str

    def __post_init__(self) -> None:
        if self.state not in _STATES:
            raise ValueError(f"state is {self.state!r}, one of {_STATES} is expected")

    @classmethod
    def checked(cls, text: str, holds: bool) -> "Assumption":
        """An assumption that was computed."""
        return cls(text, "checked: holds" if holds else "checked: fails")


@dataclass(frozen=True)
class Claim:
    """A statement of a paper with the number it predicts and the number that was measured in this run.

    Attributes:
        point: the setting it was measured in.
        statement: the claim in words.
        reference: bibliography key and place.
        assumptions: what it rests on.
        predicted, measured, tolerance: numbers, or texts where the claim is not a number.
        holds: whether measured agrees with predicted within tolerance.
    """

    point: str
    statement: str
    reference: str
    assumptions: tuple[Assumption, ...]
    predicted: float | str
    measured: float | str
    tolerance: float | str
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, which has no NaN and no infinity: those become texts."""
        values = asdict(self)
        for name in ("predicted", "measured", "tolerance"):
            if isinstance(values[name], float) and not math.isfinite(values[name]):
                values[name] = str(values[name])
        return values


def close(
    point: str, statement: str, reference: str, values: tuple[float, float, float], *assumptions: Assumption
) -> Claim:
    """A claim about a number: values = (predicted, measured, absolute tolerance)."""
    predicted, measured, tolerance = (float(value) for value in values)
    holds = abs(measured - predicted) <= tolerance
    return Claim(point, statement, reference, assumptions, predicted, measured, tolerance, holds)


def at_most(
    point: str, statement: str, reference: str, values: tuple[float, float], *assumptions: Assumption
) -> Claim:
    """A claim that a number stays below a bound: values = (measured, bound)."""
    measured, bound = (float(value) for value in values)
    return Claim(
        point, statement, reference, assumptions, f"at most {bound:g}", measured, 0.0, measured <= bound
    )
