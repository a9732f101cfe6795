r"""Which of several coefficient vectors with the same fit a flow of vanishing initialisation tends to.

Where columns are dependent, several w >= 0 (in the signs of the path) share the fit. A diagonal network has
$w_i = g_i(s_i)$ with its own increasing $g_i$, and s = q + X^T nu, so that at a vanishing scale the flow takes the
minimiser of a strictly convex sum $\sum_i h_i(|w_i|)$ whose slopes $h_i'$ are the next order of the inverse of $g_i$.
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
        """Return 1 / sqrt(h_i''(u_i)), which spans half as many orders of magnitude as the curvature."""


class SplitRule(Value, ABC):
    """What a network minimises among dependent columns."""

    @abstractmethod
    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the objective of some coordinates.

        Args:
            indices: the coordinates.
            signs: +1 or -1, the sign that each may take.
            start: the coefficients at the start, 0 except for a pretrained start.
        """


class EntropySplit(SplitRule):
    r"""Two layers: $\sum_i |w_i| (\ln(|w_i| / m_i) - 1)$.

    A positive coordinate grows like $m_i^+ e^{(s_i - t_i) / \varepsilon}$, a negative one like $m_i^-$ times the same,
    with one $\varepsilon$ for all. A coordinate that starts at $w_{0,i} \ne 0$ has $m_i = |w_{0,i}|$ while it keeps its
    sign, and $m_i^+ m_i^- / |w_{0,i}|$ once it has changed it.

    Args:
        log_plus: ln m^+, shaped as w.
        log_minus: ln m^-, shaped as w.
    """

    log_plus: Float64[ndarray, "..."]
    log_minus: Float64[ndarray, "..."]

    def __init__(self, log_plus: Float64[ndarray, "..."], log_minus: Float64[ndarray, "..."]) -> None:
        self._settle({"log_plus": frozen(log_plus), "log_minus": frozen(log_minus)})

    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the entropy relative to the m_i of these signs and starts."""
        plus, minus = self.log_plus[indices], self.log_minus[indices]
        with np.errstate(divide="ignore"):  # ln 0 of a coordinate that starts at 0 is not taken
            size = np.log(np.abs(start))
        fresh = np.where(signs > 0.0, plus, minus)
        inherited = np.where(start * signs > 0.0, size, plus + minus - size)
        return _Entropy(np.where(start == 0.0, fresh, inherited))


class _Entropy(SplitObjective):
    """Sum of u (ln u - ln m - 1)."""

    def __init__(self, log_m: Float64[ndarray, " m"]) -> None:
        self.log_m = log_m

    def slope(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.log(u) - self.log_m

    def spread(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.sqrt(u)


class PowerSplit(SplitRule):
    r"""Order D >= 3: the largest $\sum_i |w_i|^{2/D}$, whatever the direction of the start.

    With x the layer that grows, $w_i = (\mathrm{scale} \cdot x)^D$ up to terms of relative order scale^2, and
    $t_i - |s_i| = \int_x^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx = \mathrm{scale}^{D-2} |w_i|^{-\kappa} / (D - 2)$,
    $\kappa = (D - 2) / D$. So $h_i' = c_i - |w_i|^{-\kappa}$ up to a common factor, with $c_i = 0$ from zero,
    $|w_{0,i}|^{-\kappa}$ where a start keeps its sign and $-|w_{0,i}|^{-\kappa}$ where it has changed it.

    Args:
        order: the number D >= 3 of layers.
    """

    order: int

    def __init__(self, order: int) -> None:
        self._settle({"order": order})

    def objective(
        self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"], start: Float64[ndarray, " m"]
    ) -> SplitObjective:
        """Return the sum of powers of these starts; the coordinates themselves do not matter."""
        kappa = (self.order - 2) / self.order
        kept, size = np.sign(start * signs), np.where(start == 0.0, 1.0, np.abs(start))
        return _Power(kappa, kept * size**-kappa)


class _Power(SplitObjective):
    """Sum of c u - u^(1 - kappa) / (1 - kappa)."""

    def __init__(self, kappa: float, shift: Float64[ndarray, " m"]) -> None:
        self.kappa, self.shift = kappa, shift

    def slope(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return self.shift - u**-self.kappa

    def spread(self, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
        return np.sqrt(u / self.kappa) * u ** (self.kappa / 2)


_RULES: dict[str, type[SplitRule]] = {rule.__name__: rule for rule in (EntropySplit, PowerSplit)}


def split_record(rule: SplitRule | None) -> tuple[str | None, dict[str, ndarray]]:
    """Return the name of a rule and its fields as arrays, for files; None and nothing for no rule."""
    if rule is None:
        return None, {}
    return type(rule).__name__, {name: np.asarray(value) for name, value in rule._fields().items()}


def split_of_record(name: str | None, fields: dict[str, ndarray]) -> SplitRule | None:
    """Return the rule that `split_record` wrote."""
    if name is None:
        return None
    values = {key: value.item() if value.ndim == 0 else value for key, value in fields.items()}
    return _RULES[name](**values)
