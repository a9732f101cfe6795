"""Short names of gauges and potentials: the class and its numbers, without arrays and functions."""

from dataclasses import fields, is_dataclass
from numbers import Real
from typing import Any

import numpy as np

from implicitbias.plotting._text import short

# Classes whose names do not say what a user typed.
_SIGNS = {"SeparableSum": " + ", "Sum": " + "}
_PRODUCTS = ("SeparableMultiple", "Multiple")


def formula_name(value: Any) -> str:
    """Return the class of a gauge or a potential with its numbers, and with the names of its parts.

    Examples:
        >>> import implicitbias as ib
        >>> from implicitbias.plotting import formula_name
        >>> formula_name(ib.gauges.Lp(3)), formula_name(0.5 * ib.Cosh() + ib.SquaredNorm())
        ('Lp(p=3)', '0.5 Cosh + SquaredNorm')
    """
    kind = type(value).__name__
    if not is_dataclass(value):
        return kind
    held = {field.name: getattr(value, field.name) for field in fields(value)}
    parts = [formula_name(part) for part in held.values() if is_dataclass(part)]
    numbers = {name: float(part) for name, part in held.items() if isinstance(part, Real) or _is_number(part)}
    if kind in _SIGNS:
        return _SIGNS[kind].join(parts)
    if kind in _PRODUCTS:
        inner = f"({parts[0]})" if " + " in parts[0] else parts[0]
        return f"{short(next(iter(numbers.values())))} {inner}"
    inside = [*parts, *(f"{name}={short(number)}" for name, number in numbers.items())]
    return f"{kind}({', '.join(inside)})" if inside else kind


def _is_number(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.ndim == 0
