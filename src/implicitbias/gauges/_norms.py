"""The norms l_1, l_2, l_infinity and l_p."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError
from implicitbias.gauges._entrywise import EntrywiseGauge, conjugate
from implicitbias.gauges._sides import PLAIN, Sides


@dataclass(frozen=True, eq=False)
class L1(EntrywiseGauge):
    r"""The gauge $\lVert w \rVert_1 = \sum_i |w_i|$, on arrays of any shape.

    Reference:
        tibshirani1996lasso.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.L1().value([3.0, -4.0])
        7.0
        >>> ib.gauges.L1().polar()
        LInf()
    """

    @property
    def exponent(self) -> float:
        """The exponent 1."""
        return 1.0

    @property
    def sides(self) -> Sides:
        """All weights are 1."""
        return PLAIN

    def polar(self) -> "LInf":
        """Return the l_infinity norm."""
        return LInf()


@dataclass(frozen=True, eq=False)
class L2(EntrywiseGauge):
    r"""The gauge $\lVert w \rVert_2 = (\sum_i w_i^2)^{1/2}$, on arrays of any shape (the Frobenius norm of matrices).

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.L2().value([3.0, -4.0])
        5.0
        >>> ib.gauges.L2().subgradient([3.0, -4.0]).tolist()
        [0.6, -0.8]
    """

    @property
    def exponent(self) -> float:
        """The exponent 2."""
        return 2.0

    @property
    def sides(self) -> Sides:
        """All weights are 1."""
        return PLAIN

    def polar(self) -> "L2":
        """Return the l_2 norm, which is its own polar."""
        return self


@dataclass(frozen=True, eq=False)
class LInf(EntrywiseGauge):
    r"""The gauge $\lVert w \rVert_\infty = \max_i |w_i|$, on arrays of any shape.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.LInf().value([3.0, -4.0])
        4.0
        >>> ib.gauges.LInf().face([1.0, -2.0]).point().tolist()
        [1.0, -1.0]
    """

    @property
    def exponent(self) -> float:
        """The exponent infinity."""
        return np.inf

    @property
    def sides(self) -> Sides:
        """All weights are 1."""
        return PLAIN

    def polar(self) -> L1:
        """Return the l_1 norm."""
        return L1()


@dataclass(frozen=True, eq=False)
class Lp(EntrywiseGauge):
    r"""The gauge $\lVert w \rVert_p = (\sum_i |w_i|^p)^{1/p}$, $1 \le p \le \infty$, on arrays of any shape.

    Args:
        p: the exponent.

    Raises:
        InputError: p < 1, for which the function is not convex, or p is not a number.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.Lp(3).value([1.0, 1.0]) == 2 ** (1 / 3)
        True
        >>> ib.gauges.Lp(3).polar()
        Lp(p=1.5)
    """

    p: Any

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, Real) or not float(self.p) >= 1.0:
            raise InputError(
                f"p is {self.p!r}, a number >= 1 is expected (below 1 the function is not convex); "
                "type ib.gauges.Lp(3), or ib.gauges.LInf() for infinity"
            )
        object.__setattr__(self, "p", float(self.p))

    @property
    def exponent(self) -> float:
        """The exponent p."""
        return self.p

    @property
    def sides(self) -> Sides:
        """All weights are 1."""
        return PLAIN

    def polar(self) -> "Lp":
        """Return the l_q norm with 1/p + 1/q = 1."""
        return Lp(conjugate(self.p))
