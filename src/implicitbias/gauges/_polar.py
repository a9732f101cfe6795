"""The polar of any gauge, computed from the faces of the gauge."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import ConicForm
from implicitbias.gauges._faces import KnownPoint
from implicitbias.gauges._gauge import Face, Gauge


@dataclass(frozen=True, eq=False)
class Polar(Gauge):
    r"""The polar $\gamma^\circ(z) = \sup \{\langle z, w \rangle : \gamma(w) \le 1\}$ of a gauge without a closed form.

    The supremum is attained at `gauge.face(z).point()`. If the polar of a gauge has its own class, `gauge.polar()`
    returns an instance of it.

    Args:
        gauge: the gauge whose polar this is.

    Raises:
        InputError: the argument is not a gauge.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.Polar(ib.gauges.L1()).value([3.0, -4.0])
        4.0
    """

    gauge: Any

    def __post_init__(self) -> None:
        if not isinstance(self.gauge, Gauge):
            raise InputError(
                f"gauge is {self.gauge!r}, a gauge such as ib.gauges.L1() is expected; type ib.gauges.Polar(gauge)"
            )

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of points of the gauge."""
        return self.gauge.shape

    def polar(self) -> Gauge:
        """Return the original gauge, because a closed gauge is the polar of its polar."""
        return self.gauge

    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return <w, v> for a v in the unit ball of the gauge that attains the supremum."""
        unit = float(np.max(np.abs(w), initial=0.0))
        if unit == 0.0:
            return 0.0
        scaled = w / unit
        return unit * float(np.sum(scaled * self.gauge.face(scaled).point()))

    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return a face whose known point is the subgradient of the gauge at z."""
        return KnownPoint(self, z, self.gauge.subgradient(z))

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the dual of the conic form of the gauge."""
        form = self.gauge.conic_form(shape)
        return None if form is None else form.dual()

    def refuse_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise an `InputError` if points of the gauge cannot have this shape."""
        self.gauge.refuse_shape(shape, what)
