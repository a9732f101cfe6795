r"""Formulas of growth times that several maps share; `Diagonal.growth_times` has the definition."""

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._split_rules import EntropySplit, PowerSplit

# Settings of the trapezoidal rule in ln t. The integrand is analytic for |Im ln t| < pi, so the error of a spacing h is
# about exp(-2 pi^2 / h) = 4e-22, and 1e-16 at depth 20. For larger depths the spacing shrinks with the depth. Each tail
# is cut where the integrand has decreased to exp(-38) = 3e-17 of its size.
_SPACING, _SPACED_DEPTH, _TAIL = 0.4, 20, 38.0
# The number of coordinates that are integrated at a time; each has some hundred nodes.
_CHUNK = 4096
# The largest ln of a ratio of sizes for which the squares and the tails stay within the range of float64.
_WIDEST = 280.0


def two_layer_growth(p: Float64[ndarray, "..."], q: Float64[ndarray, "..."], rate: int, rest: str) -> Growth:
    r"""Return the growth of $w = \kappa (p^2 - q^2)$ with $p = p_0 e^{c z}$, $q = q_0 e^{-c z}$, $z = -\int \nabla L$.

    From $(p_0, q_0) = \alpha (p, q)$, a positive coordinate is $\kappa p^2 e^{2 c z - 2 \ln(1/\alpha)}$. It becomes
    visible at $z = \ln(1/\alpha) / c$ and has $m^+ = \kappa p^2$. A negative coordinate has $m^- = \kappa q^2$.

    Args:
        p: the part of the direction that grows under a positive force; 0 where w never becomes positive.
        q: the part of the direction that grows under a negative force; 0 where w never becomes negative.
        rate: the number c, which is $2 \kappa$.
        rest: the condition p = q = 0 in terms of the parameters, for messages.

    Raises:
        InputError: p = q = 0 in some coordinate.
    """
    upwards, downwards = p != 0.0, q != 0.0
    refuse_rest(~(upwards | downwards), rest)
    plus, minus = np.where(upwards, 1.0 / rate, np.inf), np.where(downwards, 1.0 / rate, np.inf)
    with np.errstate(divide="ignore"):  # The value ln 0 = -inf is the weight of a sign that w_i never has.
        weights = [np.log(rate / 2) + 2.0 * np.log(np.abs(size)) for size in (p, q)]
    return Growth(plus, minus, 2, EntropySplit(*weights))


def product_growth(u: Float64[ndarray, "..."], v: Float64[ndarray, "..."]) -> Growth:
    """Return the growth of u * v.

    (u + v) / sqrt2 grows under a positive force, and (u - v) / sqrt2 grows under a negative one.
    """
    root = np.sqrt(2.0)
    return two_layer_growth((u + v) / root, (u - v) / root, 1, "u = v = 0")


def refuse_rest(resting: Bool[ndarray, "..."], reason: str) -> None:
    """Raise an `InputError` for coordinates at a critical point of the map, which never move for any loss."""
    places = np.argwhere(resting)
    if len(places):
        raise InputError(
            f"direction has {reason} in {len(places)} coordinate(s), the first at "
            f"[{', '.join(str(int(i)) for i in places[0])}], and the flow never moves these coordinates; "
            "use a direction without zeros, or leave those columns out"
        )


def deep_growth(layers: Float64[ndarray, "..."]) -> Growth:
    r"""Return the growth of $\prod_j a_j$ for three or more layers, which are the rows of `layers`.

    Let $c$ be the smallest size with the sign of the product, and $\mu_j^2 = a_j^2 - c^2$ for the other layers. Then
    $t^\pm = T(\pm c)$ with $T(c) = \int_c^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx$, where $x$ is the layer that
    grows. For $c \ge 0$, the substitution $t = x^2 - c^2$ gives
    $T(c) = \frac12 \int_0^\infty \prod_{j \le D} (t + a_j^2)^{-1/2} dt$, which is Carlson's $R_F$ at depth 3. For the
    other sign, $T(-c) = 2 \int_0^\infty \prod_j (x^2 + \mu_j^2)^{-1/2} dx - T(c)$.
    """
    sizes = np.sort(np.abs(layers.reshape(len(layers), -1)), axis=0).T  # (d, depth), ascending
    smallest, others = sizes[:, :1], sizes[:, 1:]
    shape = layers.shape[1:]
    refuse_rest((others[:, 0] == 0.0).reshape(shape), "two layers that vanish")
    with np.errstate(divide="ignore"):  # The value ln 0 = -inf is intended.
        logs = np.log(sizes)
    _refuse_width(logs)
    # If the two smallest layers have equal sizes, neither ever changes its sign, and the other threshold is inf.
    apart = others[:, 0] > smallest[:, 0]
    # (b - a)(b + a) keeps digits that b^2 - a^2 would lose if a and b are close.
    line = np.log(others[apart] - smallest[apart]) + np.log(others[apart] + smallest[apart])
    same = _integral(2 * logs)
    other = np.full_like(same, np.inf)
    other[apart] = 2 * _integral(np.insert(line, 0, -np.inf, axis=1)) - same[apart]
    _refuse_range(np.append(same, other[apart]))
    positive = np.prod(np.sign(layers), axis=0).ravel() >= 0.0
    plus, minus = np.where(positive, same, other), np.where(positive, other, same)
    return Growth(plus.reshape(shape), minus.reshape(shape), len(layers), PowerSplit(len(layers)))


def _integral(logs: Float64[ndarray, "d depth"]) -> Float64[ndarray, " d"]:
    r"""Return $\frac12 \int_0^\infty \prod_j (t + p_j)^{-1/2} dt$ for ascending ln p_j, of which the first may be -inf.

    As a function of ln t, the integrand grows like $t^{1/2}$ or faster below the p_j and decreases like $t^{1 - D/2}$
    above them. The largest p_j is the unit of t.
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
        with np.errstate(over="ignore", under="ignore"):  # The caller rejects such values.
            unit = np.exp(top[:, 0] * (1 - depth / 2))
            result[begin : begin + _CHUNK] = unit * (spacing * np.sum(integrand, axis=1))
    return result


def _refuse_width(logs: Float64[ndarray, "d depth"]) -> None:
    """Raise an `InputError` if squares of ratios of sizes overflow; the smallest size may be 0."""
    second = np.where(np.isfinite(logs[:, 0]), logs[:, 0], logs[:, 1])
    width = logs[:, -1] - second
    worst = int(np.argmax(width))
    if width[worst] > _WIDEST:
        raise InputError(
            f"direction has layers of sizes 1e{second[worst] / np.log(10):.0f} and "
            f"1e{logs[worst, -1] / np.log(10):.0f} in one coordinate, at most a factor 1e{_WIDEST / np.log(10):.0f} "
            "is expected; set negligible entries to 0"
        )


def _refuse_range(times: Float64[ndarray, " m"]) -> None:
    """Raise an `InputError` if thresholds overflow or underflow."""
    if np.any(~np.isfinite(times) | (times < 1e-290)):
        raise InputError(
            "direction gives growth times outside the range of float64, because its entries are too large or too "
            "small; to move the common factor into the scale, "
            "type direction = tuple(numpy.asarray(direction) / numpy.abs(direction).max())"
        )
