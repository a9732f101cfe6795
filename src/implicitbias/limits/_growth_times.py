"""Starts that the growth of a network rules out."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations import Growth


def refuse_barred(start: Float64[ndarray, " d"], growth: Growth) -> None:
    """Raise an `InputError` for a start with a sign that its coordinate never takes."""
    barred = np.flatnonzero(np.isinf(growth.at_signs(start)))
    if len(barred):
        sign, name = ("positive", "t_plus") if start[barred[0]] > 0.0 else ("negative", "t_minus")
        raise InputError(
            f"start is {sign} at {barred[0]}, where {name} of growth_times is inf: this coordinate never takes that "
            "sign; change the start or the growth times there"
        )
