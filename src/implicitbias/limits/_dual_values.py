"""s = q + X^T nu with a bound on its rounding; exactly, where a plain product would lose too much."""

import math

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

EPSILON = float(np.finfo(np.float64).eps)
_SPLITTER = 2.0**27 + 1.0


def plain_dual(
    X: Float64[ndarray, "n d"], q: Float64[ndarray, " d"], nu: Float64[ndarray, " n"]
) -> tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]:
    """(s, bound on its error): n units of rounding of sum |x_ji| |nu_j|."""
    return q + nu @ X, len(nu) * EPSILON * (np.abs(nu) @ np.abs(X))


def exact_dual(
    X: Float64[ndarray, "n d"], q: Float64[ndarray, " d"], parts: Float64[ndarray, "m n"]
) -> tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]:
    """(s, bound on its error) for nu = sum of `parts`: error-free products (Dekker), exact sums, one rounding."""
    s = np.empty(X.shape[1])
    for i in range(X.shape[1]):
        terms = [q[i]]
        for part in parts:
            product, error = _two_product(X[:, i], part)
            terms += [*product.tolist(), *error.tolist()]
        s[i] = math.fsum(terms)
    return s, EPSILON * np.abs(s)


def two_sum(
    a: Float64[ndarray, " n"], b: Float64[ndarray, " n"]
) -> tuple[Float64[ndarray, " n"], Float64[ndarray, " n"]]:
    """a + b as a rounded sum and its error (Knuth)."""
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
