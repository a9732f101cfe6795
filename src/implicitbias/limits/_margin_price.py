"""The price of violations of margins in the tangent features."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from implicitbias._core.errors import InputError


class MarginPrice(NamedTuple):
    """How violations of the constraints are priced.

    Attributes:
        C: the price of a violation, linear in its size; infinite for hard margins.
        ridge: the number that is added to the diagonal of the kernel.
    """

    C: float
    ridge: float

    @property
    def hard(self) -> bool:
        """Whether no violation is allowed."""
        return bool(np.isinf(self.C)) and self.ridge == 0.0


def checked_price(C: Any, ridge: Any) -> MarginPrice:
    """Return the price, or raise an `InputError`."""
    for name, value, least in (
        ("C", C, "C=1.0, or C=numpy.inf"),
        ("ridge", ridge, "ridge=1.0, or ridge=0.0"),
    ):
        number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
        if not number or not (float(value) > 0.0 or (name == "ridge" and float(value) == 0.0)):
            raise InputError(f"{name} is {value!r}, a positive number is expected; type {least}")
    if np.isinf(float(ridge)):
        raise InputError("ridge is infinite, a finite number is expected; type ridge=1.0")
    return MarginPrice(float(C), float(ridge))
