r"""Growth times: how long a coordinate takes to grow from nothing under a force of 1, to either sign.

`Diagonal.growth_times` says what they are. This file has the formulas that several maps share, on NumPy arrays.
"""

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._split_rules import EntropySplit, PowerSplit

# The trapezoidal rule in ln t: the integrand is analytic for |Im ln t| < pi, so that the error of a spacing h is about
# exp(-2 pi^2 / h) = 4e-22, and 1e-16 at depth 20, from which on it shrinks with the depth; each tail stops where it has
# fallen to exp(-38) = 3e-17.
_SPACING, _SPACED_DEPTH, _TAIL = 0.4, 20, 38.0
# Coordinates at a time: some hundred nodes each.
_CHUNK = 4096
# ln of the largest ratio of sizes: with their squares and the tails it stays within float64.
_WIDEST = 280.0


def two_layer_growth(p: Float64[ndarray, "..."], q: Float64[ndarray, "..."], rate: int, rest: str) -> Growth:
    r"""Return the growth of $w = \kappa (p^2 - q^2)$ where $p = p_0 e^{c z}$, $q = q_0 e^{-c z}$, $z = -\int \nabla L$.

    From $(p_0, q_0) = \alpha (p, q)$ a positive coordinate is $\kappa p^2 e^{2 c z - 2 \ln(1/\alpha)}$: visible at
    $z = \ln(1/\alpha) / c$, with $m^+ = \kappa p^2$; a negative one has $m^- = \kappa q^2$.

    Args:
        p: what grows under a positive force, in the direction of the start; 0 where w never becomes positive.
        q: the same for negative values.
        rate: the number c, which is $2 \kappa$.
        rest: what it means for the parameters that p = q = 0.

    Raises:
        InputError: p = q = 0 in some coordinate.
    """
    upwards, downwards = p != 0.0, q != 0.0
    refuse_rest(~(upwards | downwards), rest)
    plus, minus = np.where(upwards, 1.0 / rate, np.inf), np.where(downwards, 1.0 / rate, np.inf)
    with np.errstate(divide="ignore"):  # ln 0 = -inf is the weight of a sign that is never taken
        weights = [np.log(rate / 2) + 2.0 * np.log(np.abs(size)) for size in (p, q)]
    return Growth(plus, minus, 2, EntropySplit(*weights))


def product_growth(u: Float64[ndarray, "..."], v: Float64[ndarray, "..."]) -> Growth:
    """Return the growth of u * v: (u + v) / sqrt2 grows under a positive force and (u - v) / sqrt2 under a negative."""
    root = np.sqrt(2.0)
    return two_layer_growth((u + v) / root, (u - v) / root, 1, "u = v = 0")


def refuse_rest(resting: Bool[ndarray, "..."], reason: str) -> None:
    """Raise an `InputError` for coordinates at a critical point of the map, which never move, whatever the loss."""
    places = np.argwhere(resting)
    if len(places):
        raise InputError(
            f"direction has {reason} in {len(places)} coordinate(s), the first at "
            f"[{', '.join(str(int(i)) for i in places[0])}]: from there the flow never moves it; "
            "use a direction without zeros, or leave those columns out"
        )


def deep_growth(layers: Float64[ndarray, "..."]) -> Growth:
    r"""Return the growth of $\prod_j a_j$ for three layers or more, the rows of `layers`.

    Let $c$ be the smallest size with the sign of the product, $\mu_j^2 = a_j^2 - c^2$ for the other layers. Then
    $t^\pm = T(\pm c)$ with $T(c) = \int_c^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx$, where $x$ is the layer that
    grows. For $c \ge 0$, $t = x^2 - c^2$ makes it $\frac12 \int_0^\infty \prod_{j \le D} (t + a_j^2)^{-1/2} dt$, which
    is Carlson's $R_F$ at depth 3; and $T(-c) = 2 \int_0^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx - T(c)$.
    """
    sizes = np.sort(np.abs(layers.reshape(len(layers), -1)), axis=0).T  # (d, depth), ascending
    smallest, others = sizes[:, :1], sizes[:, 1:]
    shape = layers.shape[1:]
    refuse_rest((others[:, 0] == 0.0).reshape(shape), "two layers that vanish")
    with np.errstate(divide="ignore"):  # the logarithm of 0 is meant
        logs = np.log(sizes)
    _refuse_width(logs)
    # A tie for the smallest: that layer and the other never change sign.
    apart = others[:, 0] > smallest[:, 0]
    # (b - a)(b + a) keeps the digits that b^2 - a^2 would lose near a tie.
    line = np.log(others[apart] - smallest[apart]) + np.log(others[apart] + smallest[apart])
    same = _integral(2 * logs)
    other = np.full_like(same, np.inf)
    other[apart] = 2 * _integral(np.insert(line, 0, -np.inf, axis=1)) - same[apart]
    _refuse_range(np.append(same, other[apart]))
    positive = np.prod(np.sign(layers), axis=0).ravel() >= 0.0
    plus, minus = np.where(positive, same, other), np.where(positive, other, same)
    return Growth(plus.reshape(shape), minus.reshape(shape), len(layers), PowerSplit(len(layers)))


def _integral(logs: Float64[ndarray, "d depth"]) -> Float64[ndarray, " d"]:
    r"""$\frac12 \int_0^\infty \prod_j (t + p_j)^{-1/2} dt$ from ln p_j, ascending; the first may be -inf.

    In ln t the integrand grows like $t^{1/2}$ or faster below the p_j and falls like $t^{1 - D/2}$ above them. The unit
    of t is the largest p_j.
    """
    result, depth = np.empty(len(logs)), logs.shape[1]
    spacing = _SPACING * min(1.0, _SPACED_DEPTH / depth)
    for begin in range(0, len(logs), _CHUNK):
        part = logs[begin : begin + _CHUNK]
        top = part[:, -1:]
        low = part - top
        lowest = np.where(np.isfinite(low[:, :1]), low[:, :1], low[:, 1:2]) - 2 * _TAIL
        length = 2 * _TAIL / (depth - 2) - float(np.min(lowest, initial=0.0))
        t = np.exp(lowest + spacing * np.arange(np.ceil(length / spacing)))
        integrand = 0.5 * t
        for p in np.exp(low).T:
            integrand /= np.sqrt(t + p[:, None])
        with np.errstate(over="ignore", under="ignore"):  # refused by the caller
            unit = np.exp(top[:, 0] * (1 - depth / 2))
            result[begin : begin + _CHUNK] = unit * (spacing * np.sum(integrand, axis=1))
    return result


def _refuse_width(logs: Float64[ndarray, "d depth"]) -> None:
    """Sizes further apart than float64 can square; the smallest may be 0."""
    second = np.where(np.isfinite(logs[:, 0]), logs[:, 0], logs[:, 1])
    width = logs[:, -1] - second
    worst = int(np.argmax(width))
    if width[worst] > _WIDEST:
        raise InputError(
            f"direction has layers of sizes 1e{second[worst] / np.log(10):.0f} and "
            f"1e{logs[worst, -1] / np.log(10):.0f} in one coordinate, at most a factor 1e{_WIDEST / np.log(10):.0f} "
            "is expected; set to 0 what does not count"
        )


def _refuse_range(times: Float64[ndarray, " m"]) -> None:
    if np.any(~np.isfinite(times) | (times < 1e-290)):
        raise InputError(
            "direction gives growth times beyond float64: its entries are too large or too small; "
            "move the common factor into the scale, "
            "type direction = tuple(numpy.asarray(direction) / numpy.abs(direction).max())"
        )
