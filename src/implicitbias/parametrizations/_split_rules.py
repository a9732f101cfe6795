r"""Split rules: they select one of several coefficient vectors with the same fit, as the flow of a network does.

If columns are dependent, several w with the signs of the path have the same fit. A diagonal network has
$w_i = g_i(s_i)$ with increasing functions $g_i$, and s = q + X^T nu. At a vanishing scale the flow therefore selects
the minimiser of a strictly convex sum $\sum_i h_i(|w_i|)$, where the slopes $h_i'$ are the next-order terms of the
inverse of $g_i$.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.values import Value


class SplitObjective(ABC):
    """The separable, strictly convex function of u = |w| > 0 that is minimised over all w with the same fit."""

    @abstractmethod
    def slope(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        """Return the first derivatives h_i'(u_i)."""

    @abstractmethod
    def spread(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        """Return 1 / sqrt(h_i''(u_i)), whose range in orders of magnitude is half of that of h_i''."""


class SplitRule(Value, ABC):
    """The rule of a network: the function that its flow minimises over the w with the same fit."""

    @abstractmethod
    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the objective of some coordinates.

        Args:
            indices: the coordinates.
            signs: the sign +1 or -1 that each coordinate may have.
            start: the coefficients at the start, which are 0 except for a pretrained start.
        """


class EntropySplit(SplitRule):
    r"""The rule of two-layer networks, which minimises $\sum_i |w_i| (\ln(|w_i| / m_i) - 1)$.

    A positive coordinate grows like $m_i^+ e^{(s_i - t_i) / \varepsilon}$, and a negative one grows like $m_i^-$ times
    an exponential with the same $\varepsilon$. A coordinate that starts at $w_{0,i} \ne 0$ has $m_i = |w_{0,i}|$ while
    it keeps its sign, and $m_i = m_i^+ m_i^- / |w_{0,i}|$ after its sign has changed.

    Args:
        log_plus: ln m^+ in the shape of w.
        log_minus: ln m^- in the shape of w.
    """

    log_plus: Float64[ndarray, "..."]
    log_minus: Float64[ndarray, "..."]

    def __init__(self, log_plus: Float64[ndarray, "..."], log_minus: Float64[ndarray, "..."]) -> None:
        self._settle({"log_plus": frozen(log_plus), "log_minus": frozen(log_minus)})

    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the entropy with the m_i for these signs and starts."""
        plus, minus = self.log_plus[indices], self.log_minus[indices]
        with np.errstate(divide="ignore"):  # The value ln 0 of a coordinate that starts at 0 is not used.
            size = np.log(np.abs(start))
        fresh = np.where(signs > 0.0, plus, minus)
        inherited = np.where(start * signs > 0.0, size, plus + minus - size)
        return _Entropy(np.where(start == 0.0, fresh, inherited))


class _Entropy(SplitObjective):
    """The sum of u (ln u - ln m - 1)."""

    def __init__(self, log_m: Float64[ndarray, " m"]) -> None:
        self.log_m = log_m

    def slope(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.log(u) - self.log_m

    def spread(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.sqrt(u)


class PowerSplit(SplitRule):
    r"""The rule of networks of order D >= 3, which maximises $\sum_i |w_i|^{2/D}$ for any direction of the start.

    Let x be the layer that grows. Then $w_i = (\mathrm{scale} \cdot x)^D$ up to terms of relative order scale^2, and
    $t_i - |s_i| = \int_x^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx = \mathrm{scale}^{D-2} |w_i|^{-\kappa} / (D - 2)$
    with $\kappa = (D - 2) / D$. Hence $h_i' = c_i - |w_i|^{-\kappa}$ up to a common factor, where $c_i = 0$ for a
    coordinate that starts at 0, $c_i = |w_{0,i}|^{-\kappa}$ while another coordinate keeps its sign, and
    $c_i = -|w_{0,i}|^{-\kappa}$ after its sign has changed.

    Args:
        order: the number of layers D >= 3.
    """

    order: int

    def __init__(self, order: int) -> None:
        self._settle({"order": order})

    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the sum of powers for these signs and starts; it does not depend on the indices."""
        kappa = (self.order - 2) / self.order
        kept, size = np.sign(start * signs), np.where(start == 0.0, 1.0, np.abs(start))
        return _Power(kappa, kept * size**-kappa)


class _Power(SplitObjective):
    """The sum of c u - u^(1 - kappa) / (1 - kappa)."""

    def __init__(self, kappa: float, shift: Float64[ndarray, " m"]) -> None:
        self.kappa, self.shift = kappa, shift

    def slope(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return self.shift - u**-self.kappa

    def spread(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.sqrt(u / self.kappa) * u ** (self.kappa / 2)


_RULES: dict[str, type[SplitRule]] = {rule.__name__: rule for rule in (EntropySplit, PowerSplit)}


def split_record(rule: SplitRule | None) -> tuple[str | None, dict[str, ndarray]]:
    """Return the name of a rule and its fields as arrays, for files; if there is no rule, return (None, {})."""
    if rule is None:
        return None, {}
    return type(rule).__name__, {name: np.asarray(value) for name, value in rule._fields().items()}


def split_of_record(name: str | None, fields: dict[str, ndarray]) -> SplitRule | None:
    """Return the rule with this `split_record`."""
    if name is None:
        return None
    values = {key: value.item() if value.ndim == 0 else value for key, value in fields.items()}
    return _RULES[name](**values)
