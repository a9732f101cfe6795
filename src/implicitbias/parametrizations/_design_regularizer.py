"""From a wanted norm to a parametrization whose training ends near the interpolant of least norm."""

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NoReturn

import numpy as np

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.values import Fingerprinted
from implicitbias.parametrizations._hadamard import HadamardProduct
from implicitbias.parametrizations._parametrization_for import parametrization_for
from implicitbias.potentials import HyperbolicEntropy, Potential, SmoothedPNorm, SquaredNorm

# The smallest ln a and the smallest width relative to the size. Half the first one is ln of the entries of the start.
_LEAST_LOG_SCALE, _LEAST_WIDTH = -1380.0, 1e-60
# The largest entry of w in a table, relative to the size.
_LARGEST = 1e6
_BISECTIONS = 200


@dataclass(frozen=True, eq=False)
class RegularizerDesign(Fingerprinted):
    r"""A parametrization whose gradient flow from `start` ends near the interpolant of least l_p norm.

    Attributes:
        p: the exponent of the norm.
        d: the number of entries of w.
        size: the lower bound of the least norm that the design was made for.
        potential: the potential of the mirror flow of w.
        parametrization: w = G(theta).
        start: theta0, with G(theta0) = 0.
        bound: the largest relative excess of the norm over the least norm, where the least norm is at least `size`.

    Reference:
        woodworth2020kernel; li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> design = ib.design_regularizer("l1.5", 100, closeness=0.01)
        >>> round(1e6 * float(design.potential.width), 3)
        12.742
        >>> round(design.bound, 9), round(design.excess(10.0), 5)
        (0.01, 0.00315)
    """

    p: float
    d: int
    size: float
    potential: Potential
    parametrization: Any
    start: Any

    @property
    def bound(self) -> float:
        """The bound of the excess at the least norm `size`."""
        return self.excess(self.size)

    def excess(self, least_norm: Any) -> float:
        """Return a bound of the relative excess of the norm at the end, for interpolants of this least norm.

        Raises:
            InputError: least_norm is not a positive, finite number.
        """
        least = _positive(least_norm, "least_norm", "type the least norm of an interpolant, for instance 1.0")
        if self.p == 2.0:
            return 0.0
        if self.p == 1.0:
            return _entropy_excess(np.log(least) - float(self.potential.log_scale), self.d)  # type: ignore[attr-defined]
        width = float(self.potential.width)  # type: ignore[attr-defined]
        return _smoothed_excess(self.p, _smoothing(self.p, self.d) * (width / least) ** (self.p - 1.0))


def design_regularizer(wanted: Any, d: Any, closeness: Any = 0.1, size: Any = 1.0) -> RegularizerDesign:
    r"""Return a parametrization whose gradient flow ends near the interpolant of least l_p norm, for 1 <= p <= 2.

    On a least-squares problem with several minimisers, the gradient flow in theta from `start` ends at a w with
    $\lVert w \rVert_p \le (1 + \delta) \lVert \hat w \rVert_p$, where $\hat w$ is the minimiser of least norm and
    $\delta$ is the closeness. It bounds the norm and not the distance of w from $\hat w$, which may not be unique for
    p = 1. With $N = \lVert \hat w \rVert_p$:

    - p = 1: w = u * v from $u_0 = \sqrt{2a}$ and $v_0 = 0$, which minimises the hyperbolic entropy
      $\frac a2 \sum_i q(|w_i| / a)$ with $q(x) = x \operatorname{arcsinh} x - \sqrt{x^2 + 1} + 1$. Because q is convex
      and q(0) = 0,
      $d \, q(\lVert w \rVert_1 / (a d)) \le \sum_i q(|w_i| / a) \le \sum_i q(|\hat w_i| / a) \le q(N / a)$.
      The scale a with $d \, q((1 + \delta) N / (a d)) = q(N / a)$ is returned. It is about $N d^{-1/\delta - 1}$, so
      that a closeness below 0.01 needs very small starts.
    - 1 < p < 2: the map of `parametrization_for` for `SmoothedPNorm`, from theta0 = 0. With
      $k = p c \, d^{1-1/p} (\varepsilon / N)^{p-1}$ and its number c, `excess`, the end satisfies
      $t^p \le 1 + k t$ for $t = \lVert w \rVert_p / N$. The width $\varepsilon$ with equality at
      $t = 1 + \delta$ is returned.
    - p = 2: a linear map, whose end has the least norm exactly.

    On separable data of a `Classification`, the direction of w converges to that of `ib.max_margin` in the norm,
    whatever the closeness.

    Args:
        wanted: "l1", "l2", "l1.5" or another number after the l; or the number p.
        d: the number of entries of w.
        closeness: the largest relative excess $\delta > 0$ of the norm.
        size: a positive lower bound of N. For least squares with the targets y in the range of X,
            $N \ge \lVert y \rVert_2 / \max_j \lVert X_j \rVert_2$ for p = 1, and for other p the same number times
            $d^{1/p - 1}$.

    Returns:
        A `RegularizerDesign`: `parametrization`, `start`, `potential`, `bound`, and `excess(least_norm)`.

    Raises:
        InputError: the norm is none of those; d, the closeness or the size is not positive; float64 has no start that
            is small enough.

    Reference:
        woodworth2020kernel; li2022implicit.

    Examples:
        >>> import implicitbias as ib
        >>> design = ib.design_regularizer("l1", 20, closeness=0.1)
        >>> design.parametrization, round(float(design.potential.log_scale), 3)
        (HadamardProduct(), -32.211)
        >>> ib.design_regularizer("l2", 20).bound
        0.0
    """
    p, entries = _exponent(wanted), _entries(d)
    delta = _positive(
        closeness, "closeness", "type closeness=0.1 for a norm of at most 1.1 times the least one"
    )
    least = _positive(size, "size", "type a lower bound of the least norm, for instance size=1.0")
    if p == 1.0:
        return _for_l1(entries, delta, least)
    zero = np.zeros(entries)
    potential = SquaredNorm() if p == 2.0 else _smoothed(p, entries, delta, least)
    G = parametrization_for(potential, zero, _LARGEST * least)
    return RegularizerDesign(p, entries, least, potential, G, G.start)


def _for_l1(d: int, delta: float, size: float) -> RegularizerDesign:
    """Return the design for the l1 norm."""
    # The excess decreases in ln(N / a). A scale above the size is of no use.
    log_ratio = _root(lambda at: _jensen(at, np.log1p(delta), d), 0.0, 1e9)
    log_scale = float(np.log(size) - log_ratio)
    if log_scale < _LEAST_LOG_SCALE:
        best = _entropy_excess(np.log(size) - _LEAST_LOG_SCALE, d)
        _too_close(delta, f"a start of entries 1e{log_scale / 2 / np.log(10.0):.0f}", best, "L1()")
    u = frozen(np.full(d, np.sqrt(2.0) * np.exp(log_scale / 2.0)))
    potential = HyperbolicEntropy(log_scale=log_scale)
    return RegularizerDesign(1.0, d, size, potential, HadamardProduct(), (u, frozen(np.zeros(d))))


def _smoothed(p: float, d: int, delta: float, size: float) -> Potential:
    """Return the smoothed p-norm whose least value has at most the relative excess delta in the norm."""
    k = np.expm1(p * np.log1p(delta)) / (1.0 + delta)
    log_width = np.log(k / _smoothing(p, d)) / (p - 1.0)
    if log_width < np.log(_LEAST_WIDTH):
        best = _smoothed_excess(p, _smoothing(p, d) * _LEAST_WIDTH ** (p - 1.0))
        _too_close(delta, f"a width of {np.exp(log_width):.1g} times the size", best, f"Lp({p:g})")
    # A width above the size is of no use.
    return SmoothedPNorm(p, size * np.exp(min(log_width, 0.0)))


def _smoothing(p: float, d: int) -> float:
    """Return k for a width of N, with |w|_1 <= d^(1 - 1/p) |w|_p."""
    return float(p * SmoothedPNorm(p, 1.0).excess * d ** (1.0 - 1.0 / p))


def _smoothed_excess(p: float, k: float) -> float:
    """Return t - 1 for the positive root t of t^p = 1 + k t."""
    largest = np.log1p(k) / (p - 1.0)
    return float(np.expm1(_root(lambda at: p * at - np.logaddexp(0.0, np.log(k) + at), 0.0, largest)))


def _entropy_excess(log_ratio: float, d: int) -> float:
    """Return t - 1 for the t with d q(t r / d) = q(r), where r is the exponential of log_ratio."""
    return float(np.expm1(_root(lambda at: _jensen(log_ratio, at, d), 0.0, np.log(d) / 2.0)))


def _jensen(log_ratio: float, log_t: float, d: int) -> float:
    """Return ln(d q(t r / d) / q(r)), which increases in t and in r."""
    return np.log(d) + _log_q(log_ratio + log_t - np.log(d)) - _log_q(log_ratio)


def _log_q(log_x: float) -> float:
    """Return ln q(x) from ln x, for q(x) = x arcsinh(x) - sqrt(x^2 + 1) + 1."""
    if log_x > 20.0:  # up to terms of relative size 1 / x^2
        return float(log_x + np.log(log_x + np.log(2.0) - 1.0 + np.exp(-log_x)))
    x = np.exp(max(log_x, -300.0))
    # sqrt(x^2 + 1) - 1 is written without cancellation.
    return float(2.0 * log_x + np.log(np.arcsinh(x) / x - 1.0 / (1.0 + np.hypot(1.0, x))))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return a point at which an increasing function is 0, or `low` where it is not negative."""
    if function(low) >= 0.0:
        return low
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if not low < middle < high:
            break
        low, high = (low, middle) if function(middle) >= 0.0 else (middle, high)
    return high


def _too_close(delta: float, needed: str, best: float, gauge: str) -> NoReturn:
    raise InputError(
        f"closeness={delta:g} needs {needed}, which float64 does not hold; the closest possible is "
        f"closeness={best:.3g}. These are bounds: with a larger closeness the "
        f"end may still be as near, which ib.certify(problem, w, ib.MinNorm(ib.gauges.{gauge})) decides"
    )


def _exponent(wanted: Any) -> float:
    """Return p."""
    text = wanted[1:] if isinstance(wanted, str) and wanted.startswith("l") else "a number"
    try:
        p = float(wanted) if isinstance(wanted, Real) and not isinstance(wanted, bool) else float(text)
    except ValueError:
        p = np.nan
    if not 1.0 <= p <= 2.0:
        raise InputError(
            f'wanted is {wanted!r}, "l1", "l2", "l1.5" or a number p between 1 and 2 is expected; above 2 the second '
            "derivative of the potential is 0 at w = 0, where no parametrization can start: type "
            "ib.MirrorFlow(problem, ib.PNorm(3)), and ib.Cosh() in place of ib.PNorm(3) for the maximum norm"
        )
    return p


def _entries(d: Any) -> int:
    if isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < 1:
        raise InputError(
            f"d is {d!r}, the number of entries of w is expected; type X.shape[1] for a linear model X w"
        )
    return int(d)


def _positive(value: Any, name: str, advice: str) -> float:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not 0.0 < float(value) < np.inf:
        raise InputError(f"{name} is {value!r}, a positive, finite number is expected; {advice}")
    return float(value)
