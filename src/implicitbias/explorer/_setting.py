"""A setting of an exploration: its name, range, scale and default value."""

import math
from dataclasses import dataclass
from typing import Any

from implicitbias._core.errors import InputError


@dataclass(frozen=True)
class Setting:
    """A number that the reader moves.

    Attributes:
        name: the name under which the exploration receives the value.
        label: the name that the page shows.
        low: the smallest number of the slider.
        high: the largest number of the slider.
        step: the distance of neighbouring numbers of the slider.
        default: the number of the slider at the start.
        powers: whether the value is 10 to the power of the slider's number.
        choices: the names of the numbers 0, 1, ..., which are then the values; a slider has none.
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    default: float
    powers: bool = False
    choices: tuple[str, ...] = ()

    def checked(self, number: Any) -> float:
        """Return a number that came from the page, if it is one of the slider.

        Raises:
            InputError: it is not a number in the range.
        """
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise InputError(f"{self.label} is {number!r:.40}, a number is expected")
        if not self.low <= number <= self.high:
            raise InputError(
                f"{self.label} is {number:g}, a number from {self.low:g} to {self.high:g} is expected"
            )
        steps = round((number - self.low) / self.step)
        return min(self.low + steps * self.step, self.high)

    def value(self, number: Any) -> Any:
        """Return the value for a number of the slider; whole numbers are of type int."""
        checked = self.checked(number)
        if self.choices:
            return self.choices[round(checked)]
        if self.step % 1 == 0 and self.low % 1 == 0 and not self.powers:
            return round(checked)
        return 10.0**checked if self.powers else checked


def choice(name: str, label: str, names: tuple[str, ...], default: str) -> Setting:
    """Return a choice among names, one of which is chosen at the start."""
    return Setting(name, label, 0.0, len(names) - 1.0, 1.0, float(names.index(default)), choices=names)
