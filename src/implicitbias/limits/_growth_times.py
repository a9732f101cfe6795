"""The check that a start has no sign that its network excludes."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations import Growth


def refuse_excluded_signs(start: Float64[ndarray, " d"], growth: Growth) -> None:
    """Raise an `InputError` if an entry of the start has a sign that its coordinate never takes."""
    excluded = np.flatnonzero(np.isinf(growth.at_signs(start)))
    if len(excluded):
        sign, name = ("positive", "t_plus") if start[excluded[0]] > 0.0 else ("negative", "t_minus")
        raise InputError(
            f"start is {sign} at {excluded[0]}, where {name} of growth_times is inf: this coordinate never takes that "
            "sign; change the start or the growth times there"
        )
