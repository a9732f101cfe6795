"""Checks of estimator parameters. They run in `fit`, because scikit-learn's constructors only store parameters."""

from numbers import Integral, Real
from typing import Any

import numpy as np

from implicitbias._core.arrays import as_float
from implicitbias._core.errors import InputError


def count(name: str, value: Any) -> int | None:
    """Return the value if it is a whole number >= 0 or None; otherwise raise an `InputError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 0:
        raise InputError(f"{name} is {value!r}, a whole number >= 0 or None is expected")
    return int(value)


def time(name: str, value: Any) -> float | None:
    """Return the value if it is a number >= 0 or None; otherwise raise an `InputError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real) or not as_float(value) >= 0.0:
        raise InputError(f"{name} is {value!r}, a number >= 0 or None is expected")
    return as_float(value)


def flag(name: str, value: Any) -> bool:
    """Return the value if it is True or False; otherwise raise an `InputError`."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is {value!r}, True or False is expected")
    return bool(value)
