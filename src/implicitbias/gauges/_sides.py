"""Weights of entries, one for each sign. A weight is a number in [1e-140, 1e140], 0 or infinity."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError

# With these bounds, the product of a weight and an entry of w in [1e-150, 1e150] stays in the range of float64.
LEAST, MOST = 1e-140, 1e140
_SLACK = 1.0 - 1e-12


@dataclass(frozen=True, eq=False)
class Sides:
    """The weights of positive and of negative entries. Zero-dimensional arrays apply to points of every shape.

    Attributes:
        plus: weights of positive entries.
        minus: weights of negative entries, of the same shape.
    """

    plus: Float64[ndarray, "*shape"]
    minus: Float64[ndarray, "*shape"]

    def at(self, w: Float64[ndarray, "*shape"]) -> Float64[ndarray, "*shape"]:
        """Return the weight for the sign of each entry of w; for w_i = 0 it is the weight of negative entries."""
        return np.where(w > 0.0, self.plus, self.minus)

    def lengths(self, w: Float64[ndarray, "*shape"]) -> Float64[ndarray, "*shape"]:
        """Return weight times |w_i| for each entry, where 0 times infinity is 0."""
        with np.errstate(invalid="ignore"):
            return np.where(w == 0.0, 0.0, self.at(w) * np.abs(w))

    @cached_property
    def reciprocal(self) -> "Sides":
        """The weights of the polar gauge: 1 / weight, where 1/0 is infinity and 1/infinity is 0."""
        with np.errstate(divide="ignore"):
            return Sides(frozen(1.0 / self.plus), frozen(1.0 / self.minus))

    def spread(self, shape: tuple[int, ...]) -> "Sides":
        """Return the weights as flat arrays for points of this shape."""
        plus, minus = (np.broadcast_to(side, shape).ravel() for side in (self.plus, self.minus))
        return Sides(plus, minus)


PLAIN = Sides(frozen(np.ones(())), frozen(np.ones(())))


def checked_weights(value: Any, name: str) -> Float64[ndarray, "..."]:
    """Return weights as a read-only float64 array, or raise an `InputError` that names the wrong entry."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{name} is not an array of numbers: {error}") from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} holds {array.dtype}, non-negative numbers are expected; {_HINT}")
    array = array.astype(np.float64)
    _refuse(array, ~(array >= 0.0), name, "non-negative numbers are expected (0 and infinity are allowed)")
    # The bounds have a small slack, so that rounded reciprocals of allowed weights are allowed too.
    usual = ((array >= LEAST * _SLACK) & (array <= MOST / _SLACK)) | (array == 0.0) | np.isinf(array)
    _refuse(array, ~usual, name, f"0, infinity or numbers in [{LEAST:g}, {MOST:g}] are expected")
    return frozen(array)


_HINT = "for instance, type weights=[1.0, 2.0, numpy.inf]"


def _refuse(array: ndarray, bad: Any, name: str, expected: str) -> None:
    if not np.any(bad):
        return
    place = tuple(int(i) for i in np.argwhere(np.asarray(bad))[0])
    where = f" at [{', '.join(str(i) for i in place)}]" if place else ""
    raise InputError(f"{name} is {array[place]:g}{where}, {expected}; {_HINT}")
