r"""Projected gradient steps on the dual program of margins, with step sizes of Barzilai and Borwein.

They solve $\min_q \frac12 q^\top K q - \sum_i q_i$ subject to $0 \le q_i \le C$ by products with K alone. Where K is
well conditioned, as with many more features than rows, they need fewer operations than one factorization of K.
Otherwise they hardly decrease the gap, and they are given up early.

Reference: Barzilai & Borwein, Two-point step size gradient methods, IMA Journal of Numerical Analysis 8 (1988).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# The gap is looked at after this number of steps, and the steps go on while it has decreased by this factor since the
# last look. The first look accepts any gap below 1.
_LOOK, _DECREASE = 10, 0.5


class Approached(NamedTuple):
    """The multipliers q (m,), the products K q (m,) and the relative duality gap."""

    q: Float64[ndarray, " m"]
    products: Float64[ndarray, " m"]
    gap: float


def approached(
    product: Callable[[ndarray], ndarray],
    diagonal: Float64[ndarray, " m"],
    upper: float,
    gap_of: Any,
    target: float,
) -> Approached:
    """Return multipliers after as many steps as decrease the gap quickly, at most until it is `target`.

    Args:
        product: the function q -> K q.
        diagonal: the diagonal of K, whose mean is the first curvature.
        upper: the bound C.
        gap_of: the function (q, K q) -> relative duality gap.
        target: the gap at which the steps end.
    """
    q, Kq = np.zeros(len(diagonal)), np.zeros(len(diagonal))
    curvature, gap = float(np.mean(diagonal)), 1.0
    if not curvature > 0.0:
        return Approached(q, Kq, np.inf)
    for count in range(1, 1000):
        slope = Kq - 1.0
        step = np.clip(q - slope / curvature, 0.0, upper) - q
        ahead = product(step)
        square = float(step @ ahead)
        if not square > 0.0:
            break
        # The exact line search on the segment to the projected point keeps the objective decreasing.
        share = min(1.0, -float(slope @ step) / square)
        q, Kq = q + share * step, Kq + share * ahead
        # The two curvatures of Barzilai and Borwein along the step, in turn.
        curvature = float(ahead @ ahead) / square if count % 2 else square / float(step @ step)
        if count % _LOOK == 0:
            last, gap = gap, gap_of(q, Kq)
            if gap <= target or not gap < _DECREASE * last:
                break
    return Approached(q, Kq, gap_of(q, Kq))
