"""The dual s = q + X^T nu with a bound on its rounding error, by plain products or by error-free ones."""

import math

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias._core.linear_maps import LinearMap
from implicitbias.limits._tolerances import EPSILON

_SPLITTER = 2.0**27 + 1.0


def plain_dual(
    columns: LinearMap, q: Float64[ndarray, " d"], nu: Float64[ndarray, " n"]
) -> tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]:
    """Return (s, bound on its error).

    The error of s_i is at most n units of rounding of sum_j |x_ji| |nu_j|, which is at most ||x_i|| ||nu||.
    """
    size = float(np.max(np.abs(nu), initial=0.0)) or 1.0  # the square of nu may overflow or underflow
    length = size * float(np.linalg.norm(nu / size))
    return q + columns.rmatvec(nu), len(nu) * EPSILON * length * columns.norms


def exact_dual(
    columns: LinearMap, q: Float64[ndarray, " d"], parts: Float64[ndarray, "m n"], coarse: Bool[ndarray, " d"]
) -> tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]:
    """Return (s, bound on its error) for nu = sum of `parts`.

    The coordinates in `coarse` are computed by error-free products (Dekker) and exact sums, with one rounding at the
    end. The others are computed by plain products.
    """
    s, bound = plain_dual(columns, q, np.sum(parts, axis=0))
    for i in np.flatnonzero(coarse):
        terms, column = [q[i]], columns.take(np.array([i]))[:, 0]
        for part in parts:
            product, error = _two_product(column, part)
            terms += [*product.tolist(), *error.tolist()]
        s[i] = math.fsum(terms)
        bound[i] = EPSILON * abs(s[i])
    return s, bound


def two_sum(
    a: Float64[ndarray, " n"], b: Float64[ndarray, " n"]
) -> tuple[Float64[ndarray, " n"], Float64[ndarray, " n"]]:
    """Return the rounded sum a + b and its exact rounding error (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _two_product(a: ndarray, b: ndarray) -> tuple[ndarray, ndarray]:
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(a: ndarray) -> tuple[ndarray, ndarray]:
    shifted = _SPLITTER * a
    high = shifted - (shifted - a)
    return high, a - high
