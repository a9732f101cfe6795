"""Claims and their assumptions: data whose verdict is computed from the numbers in them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted

RELATIONS = ("equals", "at most", "at least")


@dataclass(frozen=True)
class Assumption(Fingerprinted):
    """An assumption of a claim: a computed number with its bound, or the reason why it cannot be checked.

    Args:
        text: the assumption in words.
        number: the computed number; None if the assumption is not checkable.
        relation: "at most" or "at least", the required relation of the number to the bound.
        bound: the bound; None if the assumption is not checkable.
        reason: why the assumption is not checkable; empty if a number was computed.

    Attributes:
        state: "checked: holds", "checked: fails" or "not checkable". It is derived, and a NaN fails.

    Raises:
        InputError: a boolean is given instead of a number, the bound is missing, or number and reason are both missing.

    Examples:
        >>> from implicitbias.studies import Assumption
        >>> Assumption.checked("every simulation ended", 0, at_most=0).state
        'checked: holds'
        >>> Assumption.not_checkable(
        ...     "the data are in general position", "it needs all subsets of columns"
        ... ).state
        'not checkable'
    """

    text: str
    number: float | None = None
    relation: str = "at most"
    bound: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.number is None) != (self.bound is None):
            raise InputError(
                f"the assumption {self.text!r} has number {self.number!r} and bound {self.bound!r}; both are expected "
                "if it is checked, and neither if it is not checkable"
            )
        if (self.number is None) != bool(self.reason):
            raise InputError(
                f"the assumption {self.text!r} needs either a number with its bound or the reason why it is not "
                "checkable; type Assumption.checked(text, number, at_most=bound) or "
                "Assumption.not_checkable(text, reason)"
            )
        if self.relation not in RELATIONS[1:]:
            raise InputError(f"relation is {self.relation!r}, one of {RELATIONS[1:]} is expected")
        if self.number is not None and self.bound is not None:
            object.__setattr__(self, "number", _number("number", self.number))
            object.__setattr__(self, "bound", _number("bound", self.bound))

    @classmethod
    def checked(
        cls, text: str, number: Any, *, at_most: float | None = None, at_least: float | None = None
    ) -> "Assumption":
        """Return an assumption that holds if the number is at most, or at least, its bound.

        Raises:
            InputError: both or none of the bounds are given, or the number or the bound is not a number.
        """
        if (at_most is None) == (at_least is None):
            raise InputError(f"give exactly one of at_most and at_least for the assumption {text!r}")
        if at_most is not None:
            return cls(text, _number("number", number), "at most", _number("at_most", at_most))
        return cls(text, _number("number", number), "at least", _number("at_least", at_least))

    @classmethod
    def not_checkable(cls, text: str, reason: str) -> "Assumption":
        """Return an assumption that cannot be checked, with the reason."""
        return cls(text, reason=reason)

    @property
    def state(self) -> str:
        """The state of the assumption: "checked: holds", "checked: fails" or "not checkable"."""
        if self.number is None or self.bound is None:
            return "not checkable"
        holds = _related(self.number, self.relation, self.bound, 0.0)
        return "checked: holds" if holds else "checked: fails"

    @property
    def fails(self) -> bool:
        """Whether the assumption was checked and does not hold."""
        return self.state == "checked: fails"

    @property
    def evidence(self) -> str:
        """The number and its bound in words, or the reason why the assumption is not checkable."""
        if self.number is None or self.bound is None:
            return self.reason
        return f"{self.number:.4g}, {self.relation} {self.bound:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived state as values for JSON."""
        return {
            "text": self.text,
            "state": self.state,
            "number": _plain(self.number),
            "relation": self.relation if self.number is not None else None,
            "bound": _plain(self.bound),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Claim(Fingerprinted):
    """A statement of a paper with the number it predicts and the number that was measured.

    Args:
        point: the setting in which the number was measured.
        statement: the claim in words.
        reference: a key of the bibliography and the place there, "this library", or a section of docs/theory.md.
        assumptions: the assumptions of the claim.
        predicted: the predicted number, or a text.
        measured: the measured number, or a text.
        tolerance: the largest accepted difference, in the unit of the numbers; 0 for texts.
        relation: "equals", "at most" or "at least", the required relation of the measured number to the predicted one.

    Attributes:
        supported: whether the claim holds and no checked assumption fails. It is derived.
        holds: whether |measured - predicted| <= tolerance for "equals", measured <= predicted + tolerance for "at
            most", or measured >= predicted - tolerance for "at least". Texts must be equal. It is derived, and a NaN
            fails.
        expected: the prediction with its relation and tolerance, in words. It is derived.

    Raises:
        InputError: a boolean is given instead of a number, a number is compared with a text, the relation is unknown,
            or the tolerance is negative or infinite.

    Examples:
        >>> from implicitbias.studies import Claim
        >>> claim = Claim("setting", "the slope is 1", "pesme2023saddle", (), 1.0, 1.04, 0.1)
        >>> claim.holds, claim.expected
        (True, '1 ± 0.1')
        >>> Claim("setting", "the gap is small", "pesme2023saddle", (), 1e-9, 1e-3, 0.0, "at most").holds
        False
    """

    point: str
    statement: str
    reference: str
    assumptions: tuple[Assumption, ...]
    predicted: float | str
    measured: float | str
    tolerance: float = 0.0
    relation: str = "equals"

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "tolerance", _number("tolerance", self.tolerance))
        if self.tolerance < 0.0 or self.tolerance == math.inf:
            raise InputError(
                f"tolerance is {self.tolerance:g}, a finite number >= 0 is expected ({self.statement!r})"
            )
        if self.relation not in RELATIONS:
            raise InputError(f"relation is {self.relation!r}, one of {RELATIONS} is expected")
        texts = [isinstance(value, str) for value in (self.predicted, self.measured)]
        if any(texts):
            if not all(texts) or self.relation != "equals" or self.tolerance != 0.0:
                raise InputError(
                    f"predicted is {self.predicted!r}, measured {self.measured!r}, with the relation "
                    f"{self.relation!r} and the tolerance {self.tolerance:g}; a text can only equal another text, "
                    "with tolerance 0"
                )
            return
        keep(self, "predicted", _number("predicted", self.predicted))
        keep(self, "measured", _number("measured", self.measured))

    @property
    def holds(self) -> bool:
        """Whether the measured number has the required relation to the predicted one, within the tolerance."""
        if isinstance(self.predicted, str) or isinstance(self.measured, str):
            return self.predicted == self.measured
        return _related(self.measured, self.relation, self.predicted, self.tolerance)

    @property
    def failing(self) -> tuple[str, ...]:
        """The assumptions that were checked and do not hold, with their evidence."""
        return tuple(f"{one.text}: {one.evidence}" for one in self.assumptions if one.fails)

    @property
    def supported(self) -> bool:
        """Whether the claim holds and none of its checked assumptions fails."""
        return self.holds and not self.failing

    @property
    def verdict(self) -> str:
        """The verdict in words: "yes", "NO", or "assumption fails" where the numbers agree but prove nothing."""
        return "NO" if not self.holds else "yes" if self.supported else "assumption fails"

    @property
    def expected(self) -> str:
        """The prediction in words, for instance "1 ± 0.1" or "at most 1e-09"."""
        if isinstance(self.predicted, str):
            return self.predicted
        number = f"{self.predicted:.4g}"
        if self.tolerance != 0.0:
            number += f" ± {self.tolerance:.4g}"
        return number if self.relation == "equals" else f"{self.relation} {number}"

    @property
    def measured_text(self) -> str:
        """The measured number with four digits, or the text."""
        return self.measured if isinstance(self.measured, str) else f"{self.measured:.4g}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived verdict as values for JSON; NaN and infinity become texts."""
        return {
            "point": self.point,
            "statement": self.statement,
            "reference": self.reference,
            "assumptions": [assumption.to_dict() for assumption in self.assumptions],
            "relation": self.relation,
            "predicted": _plain(self.predicted),
            "measured": _plain(self.measured),
            "tolerance": _plain(self.tolerance),
            "holds": self.holds,
            "supported": self.supported,
        }


def close(
    point: str, statement: str, reference: str, values: tuple[Any, Any, Any], *assumptions: Assumption
) -> Claim:
    """Return a claim that a number has a value: values = (predicted, measured, absolute tolerance)."""
    predicted, measured, tolerance = _numbers(values)
    return Claim(point, statement, reference, assumptions, predicted, measured, tolerance)


def at_most(
    point: str, statement: str, reference: str, values: tuple[Any, Any], *assumptions: Assumption
) -> Claim:
    """Return a claim that a number is at most a bound: values = (measured, bound)."""
    measured, bound = _numbers(values)
    return Claim(point, statement, reference, assumptions, bound, measured, 0.0, "at most")


def at_least(
    point: str, statement: str, reference: str, values: tuple[Any, Any], *assumptions: Assumption
) -> Claim:
    """Return a claim that a number is at least a bound: values = (measured, bound)."""
    measured, bound = _numbers(values)
    return Claim(point, statement, reference, assumptions, bound, measured, 0.0, "at least")


def _related(measured: float, relation: str, predicted: float, tolerance: float) -> bool:
    if relation == "at most":
        return measured <= predicted + tolerance
    if relation == "at least":
        return measured >= predicted - tolerance
    # The difference of two infinite numbers is NaN, for which the comparison fails.
    return abs(measured - predicted) <= tolerance


def _numbers(values: tuple[Any, ...]) -> tuple[float, ...]:
    return tuple(_number("a value of a claim", value) for value in values)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_) or getattr(value, "dtype", None) == np.bool_:
        raise InputError(
            f"{name} is {value!r}, a number is expected; the verdict is computed from numbers such as residuals or "
            "counts of failures"
        )
    if isinstance(value, (str, bytes)):
        raise InputError(f"{name} is the text {value!r}, a number is expected")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is {value!r}, a number is expected") from error


def _plain(value: float | str | None) -> float | str | None:
    """Return a finite number unchanged, and NaN or infinity, which JSON cannot represent, as a text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
