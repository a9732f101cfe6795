"""Whether a potential fits the shape of a predictor."""

import math

from implicitbias._core.errors import InputError
from implicitbias.potentials._potential import Potential


def refuse_shape(potential: Potential, shape: tuple[int, ...], matrices: str, of_w: str) -> None:
    """Raise an `InputError` unless points of this shape are points of the potential.

    Args:
        potential: the potential.
        shape: the shape of w.
        matrices: what to type to get a problem whose w is a matrix.
        of_w: what has as many entries as w, in words with the number.
    """
    if potential.dimensions != 1 and potential.dimensions != len(shape):
        raise InputError(
            f"{type(potential).__name__} is a potential of matrices, but w has shape {shape}; type {matrices}, or a "
            "potential of vectors such as ib.Cosh()"
        )
    length = potential.length()
    if length is not None and length[1] != math.prod(shape):
        raise InputError(
            f"the potential's {length[0]} has {length[1]} entries, but {of_w}; equally many are expected"
        )
