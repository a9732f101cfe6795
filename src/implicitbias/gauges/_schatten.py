"""The Schatten norms of matrices, and the gauge that applies any norm to the singular values."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import ConicForm
from implicitbias.gauges._entrywise import conjugate
from implicitbias.gauges._faces import SinglePoint
from implicitbias.gauges._gauge import Face, Gauge
from implicitbias.gauges._matrices import MatrixGauge, Nuclear, Spectral, decomposed, singular_values
from implicitbias.gauges._norms import L2, Lp
from implicitbias.gauges._oracle import FromOracle
from implicitbias.gauges._sides import PLAIN


@dataclass(frozen=True, eq=False)
class Schatten(MatrixGauge):
    r"""The Schatten norm $\lVert W \rVert_{S_p} = (\sum_i \sigma_i(W)^p)^{1/p}$ of (m, k) matrices, 1 < p < infinity.

    Args:
        p: the exponent. The limits are `Nuclear` (p = 1) and `Spectral` (p = infinity); p = 2 is the Frobenius norm.

    Raises:
        InputError: p is not a finite number above 1.

    Reference:
        rockafellar1970convex, section 15; gunasekar2017implicit for norms of singular values.

    Examples:
        >>> import implicitbias as ib
        >>> round(ib.gauges.Schatten(3).value([[0.0, 1.0], [-2.0, 0.0]]) ** 3, 12)
        9.0
        >>> ib.gauges.Schatten(3).polar()
        Schatten(p=1.5)
    """

    p: Any

    def __post_init__(self) -> None:
        number = isinstance(self.p, Real) and not isinstance(self.p, bool)
        if not number or not 1.0 < float(self.p) < np.inf:
            raise InputError(
                f"p is {self.p!r}, a finite number above 1 is expected; type ib.gauges.Nuclear() for p = 1 and "
                "ib.gauges.Spectral() for p = infinity"
            )
        object.__setattr__(self, "p", float(self.p))

    @property
    def schatten(self) -> float | None:
        """The exponent p."""
        return float(self.p)

    def polar(self) -> "Schatten":
        """Return the Schatten norm with 1/p + 1/q = 1."""
        return Schatten(conjugate(self.p))

    def value_formula(self, w: Float64[ndarray, "m k"]) -> float:
        """Return the l_p norm of the singular values."""
        return Lp(self.p).value_formula(singular_values(w))

    def face_formula(self, z: Float64[ndarray, "m k"], tolerance: float) -> Face:
        """Return the only point of the face, which has the singular vectors of z."""
        left, sizes, right = decomposed(z)
        inside = Lp(self.p).face_formula(sizes, tolerance).point()
        return SinglePoint(self, z, frozen((left * inside) @ right.T))

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return None, because the library has no conic form of this norm."""
        return None


def of_singular_values(gauge: Gauge) -> Gauge:
    """Return the gauge of matrices that is a norm of their singular values.

    Args:
        gauge: a gauge of vectors of any length that does not change under permutations and changes of sign.
    """
    entrywise = gauge.entrywise
    if entrywise is not None and entrywise.sides is PLAIN:
        p = float(entrywise.exponent)
        named: dict[float, Gauge] = {1.0: Nuclear(), 2.0: L2(), np.inf: Spectral()}
        return named[p] if p in named else Schatten(p)

    def subgradient(w: Float64[ndarray, "m k"]) -> Float64[ndarray, "m k"]:
        left, sizes, right = decomposed(w)
        return (left * gauge.subgradient(sizes)) @ right.T

    def maximizer(z: Float64[ndarray, "m k"]) -> Float64[ndarray, "m k"]:
        left, sizes, right = decomposed(z)
        return (left * gauge.face(sizes).point()) @ right.T

    return FromOracle(lambda w: gauge.value(singular_values(w)), subgradient, maximizer)
