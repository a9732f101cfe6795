r"""The dual program of margins: $\min_q \frac12 q^\top K q - \sum_i q_i$ subject to $0 \le q_i \le C$.

Proximal steps, which add $\frac\delta2 \lVert q - q_0 \rVert^2$ to the objective, are solved by exchanges of active
rows, and delta decreases as long as the exchanges end soon. The proximal term keeps the active part of K invertible, so
that dependent rows do no harm, and it vanishes where q no longer changes. Rows enter the program in rounds, the most
violated ones first, because most margins of a kernel machine are not active. Before that, projected gradient steps find
the first rows, and the whole answer where K is well conditioned.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias.limits._projected_gradient import Approached, approached
from implicitbias.limits._tangent_features import TangentFeatures

# The number of rows of the first round, and the most rounds.
_FIRST, _MOST_ROUNDS = 200, 200
# The growth of a round in which most rows have positive multipliers.
_GROWTH = 4
# The gap at which a round with some of the rows ends, and the gap at which the last one ends.
_COARSE, _FINE = 1e-2, 1e-12
# The first proximal term relative to the mean of the diagonal, its least value, and the factor between two of them.
_LARGEST, _LEAST, _FACTOR = 1e-2, 1e-15, 10.0
# A step that reduces the gap less is followed by one with a smaller proximal term, which needs a new factorization.
_CONTRACTION = 0.3
# The most exchanges of one proximal step without fewer wrong rows, and the most proximal steps of a round.
_PATIENCE, _MOST_STEPS = 5, 80
# Margins below 1 by less than this share of their terms count as met.
_ROUNDING = 1e-14
# A combination of the gradients counts as 0 if its norm relative to that of its terms is at most this number.
_VANISHING = 1e-7


class Solved(NamedTuple):
    """The end of the program.

    Attributes:
        q: (m,) the multipliers.
        vanishing: (m,) non-negative weights with the sum 1 for which the combination of the g_i is nearly 0, so that
            no h has a positive product with all of them; None if none were found.
    """

    q: Float64[ndarray, " m"]
    vanishing: Float64[ndarray, " m"] | None


def solve(
    gradients: TangentFeatures, upper: float = np.inf, ridge: float = 0.0, *, vanishing: bool = True
) -> Solved:
    """Return the multipliers of the program with the kernel K + ridge I and the bound C = upper.

    It stops at weights for which the combination of the g_i is nearly 0, unless `vanishing` is False.
    """
    m = gradients.number
    if gradients.kernel is None or m <= _FIRST:
        rows = np.unique(np.linspace(0, m - 1, min(m, _FIRST)).astype(np.int64))
    else:
        near = _approached(gradients, upper, ridge)
        if near.gap <= _FINE:
            return Solved(near.q, None)
        # The rows whose margins are smallest after a few gradient steps are likely to be active.
        rows = np.sort(np.argsort(near.products, kind="stable")[: 2 * _FIRST])
    q, best, worst = np.zeros(m), np.zeros(m), np.inf
    for _ in range(_MOST_ROUNDS):
        kernel = gradients.block(rows)
        kernel[np.diag_indices(len(rows))] += ridge
        last = len(rows) == m or worst < _COARSE
        q[rows], weights = _Part(kernel, upper, vanishing).solved(q[rows], _FINE if last else _COARSE)
        if weights is not None:
            every = np.zeros(m)
            every[rows] = weights
            return Solved(q, every)
        margins = gradients.products(q) + ridge * q
        gap = relative_gap(q, margins, upper)
        stalled = last and gap > 0.5 * worst
        if gap < worst:
            best, worst = q.copy(), gap
        if gap <= _FINE or (stalled and (worst < _COARSE**2 or len(rows) == m)):
            break
        rows = _next_rows(rows, q, margins)
    return Solved(best, None)


def _approached(gradients: TangentFeatures, upper: float, ridge: float) -> Approached:
    kernel = gradients.kernel
    assert kernel is not None
    return approached(
        lambda q: gradients.products(q) + ridge * q,
        np.diag(kernel) + ridge,
        upper,
        lambda q, products: relative_gap(q, products, upper),
        _FINE,
    )


def _next_rows(
    rows: Int64[ndarray, " k"], q: Float64[ndarray, " m"], margins: Float64[ndarray, " m"]
) -> Int64[ndarray, " j"]:
    """Return the rows with a positive multiplier and the most violated others.

    More of them enter if most of the rows of the round have positive multipliers, in the end all of them: rounds that
    differ by few rows would each need new factorizations.
    """
    used = np.flatnonzero(q > 0.0)
    most = 3 * len(used) > 2 * len(rows)
    if most and _GROWTH * len(used) >= len(q) > _GROWTH * _FIRST:
        return np.arange(len(q))
    count = max(_FIRST, len(rows)) * (_GROWTH if most else 1)
    below = np.flatnonzero((margins < 1.0) & (q == 0.0))
    return np.union1d(used, below[np.argsort(margins[below], kind="stable")][:count])


def relative_gap(q: Float64[ndarray, " m"], margins: Float64[ndarray, " m"], upper: float) -> float:
    """Return the relative duality gap of multipliers q, whose margins are K q.

    With upper = inf it is 1 minus the ratio of the margin to its bound, which needs positive margins; it is at least 1
    if there are none.
    """
    square, total = float(q @ margins), float(np.sum(q))
    if np.isinf(upper):
        return 1.0 - float(np.min(margins)) * total / square if square > 0.0 else np.inf
    primal = square / 2.0 + upper * float(np.sum(np.maximum(1.0 - margins, 0.0)))
    return 1.0 - (total - square / 2.0) / primal if primal > 0.0 else 0.0


class _Part(NamedTuple):
    """The program of some rows.

    Attributes:
        kernel: their kernel.
        upper: the bound C.
        vanishing: whether to look for a combination that is nearly 0.
    """

    kernel: Float64[ndarray, "k k"]
    upper: float
    vanishing: bool

    def solved(
        self, q: Float64[ndarray, " k"], target: float
    ) -> tuple[Float64[ndarray, " k"], Float64[ndarray, " k"] | None]:
        """Return the multipliers at which the gap is at most `target`, and the vanishing weights, if there are any."""
        scale = float(np.mean(np.diag(self.kernel)))
        if not scale > 0.0:  # Any weights have the combination 0.
            return q, np.full(len(q), 1.0 / len(q))
        delta, free, gap = _LARGEST * scale, q > 0.0, np.inf
        factor = None
        if not free.any():
            free = np.ones(len(q), dtype=bool)
        top = (q >= self.upper) & free
        for _ in range(_MOST_STEPS):
            found = self._exchanged(q, delta, free & ~top, top, factor)
            if found is None:  # A larger proximal term makes the next exchanges end sooner.
                delta, factor = delta * _FACTOR**2, None
                continue
            before, (q, free, top, factor) = q, found
            products = self.kernel @ q
            vanishing = self._weights(q, q - before, products)
            if vanishing is not None:
                return q, vanishing
            last, gap = gap, relative_gap(q, products, self.upper)
            if gap <= target or (delta <= _LEAST * scale and gap >= 0.5 * last):
                break
            if gap > _CONTRACTION * last:
                delta, factor = max(delta / _FACTOR, _LEAST * scale), None
        return q, None

    def _weights(
        self, q: Float64[ndarray, " k"], moved: Float64[ndarray, " k"], products: Float64[ndarray, " k"]
    ) -> Float64[ndarray, " k"] | None:
        """Return the weights in the direction in which q grows without bound, if it does."""
        if not self.vanishing or not np.isinf(self.upper):
            return None
        norms = np.sqrt(np.diag(self.kernel))
        for weights, product in ((np.maximum(moved, 0.0), None), (q, products)):
            terms = float(norms @ weights)
            if terms == 0.0:
                continue
            square = float(weights @ (self.kernel @ weights if product is None else product))
            if square <= (_VANISHING * terms) ** 2:
                return weights / np.sum(weights)
        return None

    def _exchanged(
        self,
        centre: Float64[ndarray, " k"],
        delta: float,
        free: Bool[ndarray, " k"],
        top: Bool[ndarray, " k"],
        factor: Any,
    ) -> tuple[Float64[ndarray, " k"], Bool[ndarray, " k"], Bool[ndarray, " k"], Any] | None:
        """Return the solution of a proximal step, its free and upper rows and the Cholesky factor; None if it fails."""
        target = 1.0 + delta * centre
        fewest, patience = len(target) + 1, _PATIENCE
        size = float(np.max(np.abs(target))) + float(np.max(np.diag(self.kernel))) * float(
            np.max(centre, initial=0.0)
        )
        while patience > 0:
            q = np.where(top, self.upper, 0.0) if top.any() else np.zeros(len(target))
            try:
                factor = self._factor(free, delta) if factor is None else factor
            except LinAlgError:
                return None
            if free.any():
                right = target[free] - (self.kernel[np.ix_(free, top)] @ q[top] if top.any() else 0.0)
                q[free] = cho_solve(factor, right, check_finite=False)
            slope = self.kernel @ q + delta * q - target
            tolerance = _ROUNDING * size
            down, up = free & (q < 0.0), free & (q > self.upper)
            back = ~free & np.where(top, slope > tolerance, slope < -tolerance)
            count = int(np.count_nonzero(down | up | back))
            if count == 0:
                return np.clip(q, 0.0, self.upper), free | top, top, factor
            patience = _PATIENCE if count < fewest else patience - 1
            fewest = min(count, fewest)
            free, top, factor = (free & ~down & ~up) | back, (top & ~back) | up, None
        return None

    def _factor(self, free: Bool[ndarray, " k"], delta: float) -> Any:
        if not free.any():
            return None
        part = self.kernel.copy() if free.all() else self.kernel[np.ix_(free, free)]
        part[np.diag_indices(len(part))] += delta
        return cho_factor(part, lower=True, overwrite_a=True, check_finite=False)
