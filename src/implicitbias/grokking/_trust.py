"""How far a forecast can be trusted: reasons, each with a number that is measured on the model."""

from typing import NamedTuple

import numpy as np

# A model groks if its test error falls by FALL units after memorization, and the grokking time is at least DELAY times
# the memorization time.
FALL, DELAY = 0.1, 10.0


class Reason(NamedTuple):
    """One measured number, and what it means for the trust in a forecast.

    Attributes:
        name: a short name.
        value: the measured number; nan if it could not be measured.
        bound: the largest value that gives no doubt.
        serious: whether a larger value makes the trust low, and not only medium.
        sentence: what was measured, and what follows.
    """

    name: str
    value: float
    bound: float
    serious: bool
    sentence: str

    @property
    def holds(self) -> bool:
        """Whether the number gives no doubt. A number that could not be measured gives doubt."""
        return bool(self.value <= self.bound)


class Trust(NamedTuple):
    """The trust in a forecast: all measured reasons, and the level that follows from them.

    Attributes:
        reasons: the measured reasons.
        level: "high" if no number gives doubt, "low" if a serious one does, and otherwise "medium". It is derived.
        doubts: the sentences of the reasons that give doubt. They are derived.
    """

    reasons: tuple[Reason, ...]

    @property
    def level(self) -> str:
        """The level: "high", "medium" or "low"."""
        failing = [reason for reason in self.reasons if not reason.holds]
        if any(reason.serious and not np.isnan(reason.value) for reason in failing):
            return "low"
        return "medium" if failing else "high"

    @property
    def doubts(self) -> tuple[str, ...]:
        """The sentences of the reasons that give doubt, the serious ones first."""
        failing = [reason for reason in self.reasons if not reason.holds]
        return tuple(reason.sentence for reason in sorted(failing, key=lambda reason: not reason.serious))
