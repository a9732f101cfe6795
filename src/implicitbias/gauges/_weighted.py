"""Weighted norms of entries, with one weight for each entry or one for each sign of each entry."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from implicitbias._core.errors import InputError
from implicitbias.gauges._entrywise import EntrywiseGauge
from implicitbias.gauges._norms import LInf
from implicitbias.gauges._sides import PLAIN, Sides, checked_weights


@dataclass(frozen=True, eq=False)
class Weighted(EntrywiseGauge):
    r"""The gauge $\gamma(r)$ of the lengths $r_i = c_i^+ w_i^+ + c_i^- w_i^-$, where $\gamma$ is an $\ell_p$ norm.

    An infinite weight excludes its sign ($0 \cdot \infty = 0$), and entries with weight 0 cost nothing. The polar is
    the polar norm with the weights $1/c$.

    Args:
        norm: `L1()`, `L2()`, `LInf()` or `Lp(p)`.
        weights: weights of the entries, of the shape of points, or one for all; 0, infinity, or in [1e-140, 1e140].
        minus: weights of negative entries; None if they equal `weights`.

    Raises:
        InputError: weights are negative or NaN; the shapes disagree; the norm already has weights.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> gauge = ib.gauges.Weighted(ib.gauges.L2(), [3.0, 4.0])
        >>> gauge.value([1.0, -1.0])
        5.0
        >>> gauge.polar().value([3.0, 0.0])
        1.0
    """

    norm: Any
    weights: Any
    minus: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.norm, EntrywiseGauge) or self.norm.sides is not PLAIN:
            raise InputError(
                f"norm is {self.norm!r}, an l_p norm without weights is expected; "
                "type ib.gauges.Weighted(ib.gauges.L2(), weights)"
            )
        object.__setattr__(self, "weights", checked_weights(self.weights, "weights"))
        minus = self.weights if self.minus is None else checked_weights(self.minus, "minus")
        object.__setattr__(self, "minus", minus)
        _refuse_shapes("weights", self.weights, self.minus)

    @property
    def exponent(self) -> float:
        """The exponent of the norm."""
        return self.norm.exponent

    @cached_property
    def sides(self) -> Sides:
        """The weights of both signs."""
        return Sides(self.weights, self.minus)

    def polar(self) -> "Weighted":
        """Return the polar of the norm with the reciprocal weights."""
        polar = self.sides.reciprocal
        return Weighted(self.norm.polar(), polar.plus, polar.minus)


@dataclass(frozen=True, eq=False)
class WeightedL1(EntrywiseGauge):
    r"""The gauge $\sum_i c_i |w_i|$ with weights $c_i \in [0, \infty]$.

    An infinite weight excludes its entry ($0 \cdot \infty = 0$), and an entry with weight 0 costs nothing.

    Args:
        weights: weights of the shape of points, or one for all entries; 0, infinity, or in [1e-140, 1e140].

    Raises:
        InputError: weights are negative or NaN.

    Reference:
        tibshirani1996lasso.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> gauge = ib.gauges.WeightedL1([1.0, 2.0, np.inf, 0.0])
        >>> gauge.value([1.0, 1.0, 0.0, 5.0]), gauge.value([0.0, 0.0, 1.0, 0.0])
        (3.0, inf)
        >>> gauge.polar().value([1.0, 1.0, 7.0, 0.0])
        1.0
    """

    weights: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", checked_weights(self.weights, "weights"))

    @property
    def exponent(self) -> float:
        """The exponent 1."""
        return 1.0

    @cached_property
    def sides(self) -> Sides:
        """The same weights for both signs."""
        return Sides(self.weights, self.weights)

    def polar(self) -> Weighted:
        """Return the l_infinity norm with the reciprocal weights."""
        return Weighted(LInf(), self.sides.reciprocal.plus)


@dataclass(frozen=True, eq=False)
class TwoSidedL1(EntrywiseGauge):
    r"""The gauge $\sum_i t_i^+ w_i^+ + t_i^- w_i^-$, which a diagonal network with growth times $t^\pm$ minimises.

    From a pretrained start with signs q, the network minimises $\lVert w \rVert_1 - \langle q, w \rangle$, which is
    `TwoSidedL1(1 - q, 1 + q)`.

    Args:
        plus: weights of positive entries, of the shape of points, or one for all; 0, infinity, or in [1e-140, 1e140].
        minus: weights of negative entries.

    Raises:
        InputError: weights are negative or NaN; the shapes disagree.

    Reference:
        zhao2026gradient; decleves2026statistical for pretrained starts.

    Examples:
        >>> import implicitbias as ib
        >>> gauge = ib.gauges.TwoSidedL1([1.0, 1.0], [1.0, 3.0])
        >>> gauge.value([2.0, 2.0]), gauge.value([2.0, -2.0])
        (4.0, 8.0)
        >>> gauge.polar().value([0.0, -6.0])
        2.0
    """

    plus: Any
    minus: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "plus", checked_weights(self.plus, "plus"))
        object.__setattr__(self, "minus", checked_weights(self.minus, "minus"))
        _refuse_shapes("plus", self.plus, self.minus)

    @property
    def exponent(self) -> float:
        """The exponent 1."""
        return 1.0

    @cached_property
    def sides(self) -> Sides:
        """The weights of both signs."""
        return Sides(self.plus, self.minus)

    def polar(self) -> Weighted:
        """Return the gauge max_i max(z_i / plus_i, -z_i / minus_i)."""
        polar = self.sides.reciprocal
        return Weighted(LInf(), polar.plus, polar.minus)


def _refuse_shapes(name: str, plus: Any, minus: Any) -> None:
    if plus.shape != minus.shape:
        raise InputError(
            f"{name} has shape {plus.shape} and minus has shape {minus.shape}, one weight for each entry is "
            "expected in both, or one number in both"
        )
