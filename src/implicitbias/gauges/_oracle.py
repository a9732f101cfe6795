"""A gauge that is given by functions of the user."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import ConicForm
from implicitbias.gauges._faces import KnownPoint
from implicitbias.gauges._gauge import Face, Gauge
from implicitbias.gauges._polar import Polar

# Largest relative difference between answers of an oracle that should agree.
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class FromOracle(Gauge):
    r"""A gauge from three functions: its value, a subgradient, and a maximiser of linear functions on its unit ball.

    The answers are checked against each other on every call: $\langle z, w \rangle = \gamma(w)$ for the subgradient z,
    and $\gamma(v) \le 1$ for the maximiser v. For the support function of a set C, `subgradient(w)` is a point of C
    that attains $\sup_{z \in C} \langle z, w \rangle$, and `value(w)` is that supremum.

    Args:
        value: w -> $\gamma(w)$, convex and positively homogeneous.
        subgradient: w -> one z with $\gamma^\circ(z) \le 1$ and $\langle z, w \rangle = \gamma(w)$.
        maximizer: z -> one w with $\gamma(w) \le 1$ that maximises $\langle z, w \rangle$.
        conic_form: shape -> `ConicForm`, or None. Without a conic form, limits that need a conic program are not found.

    Raises:
        InputError: an argument is not a function.

    Reference:
        rockafellar1970convex, sections 13 and 15.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> def largest(z):
        ...     return np.eye(2)[np.argmax(np.abs(z))] * np.sign(z)
        >>> gauge = ib.gauges.FromOracle(lambda w: np.abs(w).sum(), np.sign, largest)
        >>> gauge.value([3.0, -4.0]), gauge.polar().value([3.0, -4.0])
        (7.0, 4.0)
    """

    oracle: Callable[[Any], Any]
    subgradient_oracle: Callable[[Any], Any]
    maximizer: Callable[[Any], Any]
    conic_oracle: Callable[[Any], Any] | None

    def __init__(
        self,
        value: Any,
        subgradient: Any,
        maximizer: Any,
        conic_form: Any = None,
    ) -> None:
        for name, function in (("value", value), ("subgradient", subgradient), ("maximizer", maximizer)):
            if not callable(function):
                raise InputError(f"{name} is {function!r}, a function of one array is expected")
        if conic_form is not None and not callable(conic_form):
            raise InputError(f"conic_form is {conic_form!r}, a function of the shape or None is expected")
        object.__setattr__(self, "oracle", value)
        object.__setattr__(self, "subgradient_oracle", subgradient)
        object.__setattr__(self, "maximizer", maximizer)
        object.__setattr__(self, "conic_oracle", conic_form)

    def polar(self) -> Gauge:
        """Return the polar, which uses the maximiser."""
        return Polar(self)

    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return the value of the function, or raise an `InputError` if it is not a non-negative number."""
        number = self.oracle(w)
        if np.ndim(number) != 0 or not float(number) >= 0.0:
            raise InputError(
                f"value(w) returned {number!r}, a non-negative number is expected; "
                "a gauge is convex, positively homogeneous and at least 0"
            )
        return float(number)

    def subgradient(self, w: Any) -> Float64[ndarray, "..."]:
        """Return the subgradient of the function, or raise an `InputError` if it does not attain the value."""
        array = self.checked(w)
        z = self._array("subgradient(w)", self.subgradient_oracle(array), array)
        reached, expected = float(np.sum(z * array)), self.value_formula(array)
        if not abs(reached - expected) <= _TOLERANCE * (expected or float(np.sum(np.abs(z * array)))):
            raise InputError(
                f"subgradient(w) returned z with <z, w> = {reached:g}, value(w) = {expected:g} is expected; "
                "a subgradient of a gauge attains its value"
            )
        return z

    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return a face with the maximiser as its known point, or raise an `InputError` if that is outside the ball."""
        point = self._array("maximizer(z)", self.maximizer(z), z)
        size = self.value_formula(point)
        if not size <= 1.0 + _TOLERANCE:
            raise InputError(
                f"maximizer(z) returned w with value(w) = {size:g}, at most 1 is expected; divide it by its value"
            )
        return KnownPoint(self, z, point)

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the conic form of the function, or None if no function was given."""
        return None if self.conic_oracle is None else self.conic_oracle(shape)

    def _array(self, name: str, value: Any, like: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
        array = real_array(value, name, ndim=like.ndim)
        if array.shape != like.shape:
            raise InputError(f"{name} returned the shape {array.shape}, {like.shape} is expected")
        return frozen(array)
