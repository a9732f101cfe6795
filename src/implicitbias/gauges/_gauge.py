"""The abstract classes of gauges and of the faces of their unit balls."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted
from implicitbias.gauges._conic_form import ConicForm


@dataclass(frozen=True, eq=False)
class Face(Fingerprinted, ABC):
    r"""The face of a unit ball that z exposes.

    The face is the set of all w with $\gamma(w) \le 1$ and $\langle z, w \rangle = \gamma^\circ(z)$.

    Attributes:
        gauge: the gauge of the unit ball.
        z: the vector that exposes the face.
        member: one point of the face, with the least Euclidean norm among those that treat equal entries equally.
    """

    gauge: "Gauge"
    z: Float64[ndarray, "..."]
    member: Float64[ndarray, "..."]

    @property
    @abstractmethod
    def unique(self) -> bool | None:
        """Whether the face is a single point; None if this is not known."""

    @abstractmethod
    def fixed(self, x: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        """Return the projection of x on the directions in which the face does not extend.

        Any two points of the face have the same fixed part. w is in the affine hull of the face if and only if
        `fixed(w - point())` is 0. If `unique` is None, the face is treated as its known point.
        """

    def equations(self) -> tuple[Int64[ndarray, " k"], Float64[ndarray, "..."] | None] | None:
        """Return equations of the affine hull of the face: positions of entries (row by row), and a vector or None.

        All points of the face have the same values in these entries and the same product with the vector. The result is
        None if the affine hull has no such equations, as for matrix norms.
        """
        return None

    def point(self) -> Float64[ndarray, "..."]:
        """Return one point of the face."""
        return self.member

    def contains(self, w: Any, tolerance: float = 1e-9) -> bool:
        """Return whether gauge(w) <= 1 and <z, w> >= polar(z), each up to the relative tolerance."""
        array = self.gauge.checked(w)
        if array.shape != self.z.shape or not self.gauge.value(array) <= 1.0 + tolerance:
            return False
        reached, largest = float(np.sum(self.z * array)), self.gauge.polar().value(self.z)
        # If the polar is 0, the tolerance is relative to the sum of the sizes of the terms.
        size = largest or float(np.sum(np.abs(self.z * array)))
        return reached >= largest - tolerance * size


class Gauge(Fingerprinted, ABC):
    r"""A convex function $\gamma \ge 0$ with $\gamma(c w) = c \gamma(w)$ for $c \ge 0$.

    A gauge is like a norm, but $\gamma(-w)$ may differ from $\gamma(w)$. It may be 0 at some $w \ne 0$ (if a weight is
    0) and infinite at others (if a weight is infinite). A subclass defines `polar` and three formulas on checked
    arrays, `value_formula`, `face_formula` and `conic_formula`. All other methods use these.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> gauge = ib.gauges.L1()
        >>> gauge.value([3.0, -4.0]), gauge.polar().value([3.0, -4.0])
        (7.0, 4.0)
        >>> gauge.subgradient([3.0, -4.0]).tolist()
        [1.0, -1.0]
        >>> gauge.face([1.0, -2.0]).point().tolist()
        [0.0, -1.0]
    """

    @abstractmethod
    def polar(self) -> "Gauge":
        r"""Return the polar gauge $\gamma^\circ(z) = \sup \{\langle z, w \rangle : \gamma(w) \le 1\}$."""

    @abstractmethod
    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return the gauge of a finite float64 array of the right shape."""

    @abstractmethod
    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return the face that z exposes, or raise an `InputError` if the polar is infinite at z."""

    @abstractmethod
    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the conic form for points of this shape, or None if the gauge has none."""

    def exposed_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Float64[ndarray, "..."]:
        """Return the point of the face that z exposes, for loops of many small steps."""
        return self.face_formula(z, tolerance).point()

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of points; None if every shape is allowed."""
        return None

    @property
    def entrywise(self) -> Any:
        """The gauge itself if it is an `EntrywiseGauge`, else None."""
        return None

    @property
    def schatten(self) -> float | None:
        """The exponent p if the gauge is the l_p norm of singular values (p = 1 is the nuclear norm), else None."""
        return None

    def euclidean_root(self) -> Float64[ndarray, "d d"] | None:
        r"""Return an invertible R such that $\gamma(w) = \lVert R w \rVert_2$, or None if none is known."""
        return None

    def value(self, w: Any) -> float:
        r"""Return $\gamma(w)$, which may be infinite.

        Raises:
            InputError: w has NaN or infinite entries, or another shape than the weights.
        """
        return self.value_formula(self.checked(w))

    def subgradient(self, w: Any) -> Float64[ndarray, "..."]:
        r"""Return one z with $\gamma^\circ(z) \le 1$ and $\langle z, w \rangle = \gamma(w)$.

        Raises:
            InputError: the gauge is infinite at w.
        """
        array = self.checked(w)
        if np.isinf(self.value_formula(array)):
            raise InputError(
                "w has an infinite gauge, so that it has no subgradient; set w to 0 where "
                f"{type(self).__name__} has an infinite weight"
            )
        return self.polar().face(array).point()

    def face(self, z: Any, tolerance: float = 1e-12) -> Face:
        r"""Return the face of the unit ball that z exposes: all w with $\langle z, w \rangle = \gamma^\circ(z)$.

        Args:
            z: an array of the shape of points.
            tolerance: share of the largest weighted size of an entry (or singular value). Sizes that differ by less
                from the largest count as equal to it, and sizes that are smaller count as 0. It has no effect for l_p
                norms with 1 < p < infinity.

        Raises:
            InputError: the polar gauge is infinite at z, so that no w attains the supremum.
        """
        return self.face_formula(self.checked(z, "z"), tolerance)

    def conic_form(self, shape: Any) -> ConicForm | None:
        """Return the epigraph as a product of cones, or None if the gauge has no such form.

        Args:
            shape: the number of entries of w, or the shape of w.

        Raises:
            InputError: the argument is not a shape, or is another shape than that of the weights.
        """
        sizes = _checked_shape(shape)
        self.refuse_shape(sizes, "shape is")
        return self.conic_formula(sizes)

    def to_domain(
        self, direction: Float64[ndarray, "..."], at: Float64[ndarray, "..."]
    ) -> Float64[ndarray, "..."]:
        """Return the nearest direction along which the gauge is finite for a short distance from the point `at`.

        If the gauge is finite everywhere, this is the direction itself.
        """
        return direction

    def checked(self, w: Any, name: str = "w") -> Float64[ndarray, "..."]:
        """Return w as a read-only float64 array of the right shape.

        Raises:
            InputError: w has NaN or infinite entries, or another shape.
        """
        array = real_array(w, name, ndim=_dimensions(w, name))
        self.refuse_shape(array.shape, f"{name} has shape")
        return frozen(array)

    def refuse_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise an `InputError` if points cannot have this shape."""
        expected = self.shape
        if expected is not None and shape != expected:
            raise InputError(
                f"{what} {shape}, {expected} is expected: that of the weights of {type(self).__name__}"
            )


def _dimensions(w: Any, name: str) -> int:
    try:
        ndim = np.ndim(w)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"{name} is not an array of numbers: {error}") from error
    # A single number is not a point. With ndim = 1 the check reports that an array is expected.
    return max(ndim, 1)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(index(size) for size in (shape if np.iterable(shape) else (shape,)))
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise InputError(
            f"shape is {shape!r}, a positive number of entries or a shape is expected: type shape=(20, 20)"
        )
    return sizes
