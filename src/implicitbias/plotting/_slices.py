"""Two coordinates of a space of vectors or matrices: the directions in their plane, and what a figure says about it."""

from collections.abc import Iterable
from operator import index
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.gauges import Gauge

# A multiple of 8, so that directions along the axes and the diagonals, where balls often have corners, are exact.
_DIRECTIONS = 720


class Slice(NamedTuple):
    """The plane of two entries of w, in which all other entries are 0.

    Attributes:
        shape: the shape of w.
        places: the indices of the two entries.
    """

    shape: tuple[int, ...]
    places: tuple[tuple[int, ...], tuple[int, ...]]

    def points(self, plane: Float64[ndarray, "m 2"]) -> Float64[ndarray, "m ..."]:
        """Return the points w of the plane with these two entries."""
        w = np.zeros((len(plane), *self.shape))
        for values, place in zip(plane.T, self.places, strict=True):
            entry: tuple[Any, ...] = (slice(None), *place)
            w[entry] = values
        return w

    @property
    def axis_labels(self) -> tuple[str, str]:
        """The names of the two entries as formulas."""
        first, second = (f"$w_{{{','.join(map(str, place))}}}$" for place in self.places)
        return first, second

    @property
    def told(self) -> str:
        """Say which slice is drawn; "" if w has no other entries."""
        if int(np.prod(self.shape)) == 2:
            return ""
        if self.places == ((0, 0), (1, 1)):
            return f"slice: diagonal matrices of shape {self.shape}"
        return f"slice: other entries of w {self.shape} are 0"


def directions() -> Float64[ndarray, "m 2"]:
    """Return unit vectors in all directions of a plane, counter-clockwise; the last one is the first one again."""
    angles = np.linspace(0.0, 2.0 * np.pi, _DIRECTIONS + 1)
    u = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    u[np.abs(u) < 1e-12] = 0.0
    # On the diagonals both entries are equal up to rounding. They are made equal, so that corners there are exact.
    tied = np.abs(np.abs(u[:, 0]) - np.abs(u[:, 1])) < 1e-12
    u[tied] = np.sign(u[tied]) * np.sqrt(0.5)
    return u


def slice_of(gauge: Gauge, coordinates: Any, shape: tuple[int, ...] | None) -> Slice:
    """Return the plane of two entries for points of a gauge.

    Args:
        gauge: the gauge.
        coordinates: two entries, each a number or the indices of an entry of a matrix; None for the first two entries
            of a vector, or of the diagonal of a matrix.
        shape: the shape of w, if it is known.

    Raises:
        InputError: the coordinates are not two different entries of w, or w has less than two entries.
    """
    shape = gauge.shape if shape is None else shape
    if coordinates is None:
        shape = shape or ((2,) if _accepts(gauge, (2,)) else (2, 2))
        return Slice(shape, _first_two(shape))
    places = _checked(coordinates)
    if shape is None:
        shape = tuple(max(2, 1 + max(axis)) for axis in zip(*places, strict=True))
        gauge.refuse_shape(shape, "with these coordinates, w has shape")
    if len(places[0]) != len(shape) or any(
        i >= n for place in places for i, n in zip(place, shape, strict=True)
    ):
        raise InputError(
            f"coordinates is {coordinates!r}, two entries of an array of shape {shape} are expected; type "
            f"coordinates={_first_two(shape)}"
        )
    return Slice(shape, places)


def _first_two(shape: tuple[int, ...]) -> Any:
    if int(np.prod(shape)) < 2:
        raise InputError(
            f"w has shape {shape}, at least two entries are expected, because the picture is a plane"
        )
    if len(shape) == 2 and min(shape) > 1:
        return (0, 0), (1, 1)
    first, second = (tuple(int(i) for i in np.unravel_index(k, shape)) for k in (0, 1))
    return first, second


def _accepts(gauge: Gauge, shape: tuple[int, ...]) -> bool:
    try:
        gauge.refuse_shape(shape, "w has shape")
    except InputError:
        return False
    return True


def _checked(coordinates: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    try:
        first, second = (
            tuple(index(i) for i in place) if isinstance(place, Iterable) else (index(place),)
            for place in coordinates
        )
    except (TypeError, ValueError):
        first = second = ()
    if first == second or len(first) != len(second) or min(*first, *second) < 0:
        raise InputError(
            f"coordinates is {coordinates!r}, two different entries of w are expected; type coordinates=(0, 1), or "
            "coordinates=((0, 0), (1, 1)) for a matrix"
        )
    return first, second
