r"""Maximum margins in Schatten norms of large exponents p, by a barrier method for the classifier itself.

The dual function $\sum_i \sigma_i^{p'}$ with $1/p + 1/p' = 1$ has unbounded curvature at 0 if p > 2, whereas that of
$\sum_i \sigma_i^p$ is bounded on bounded sets.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias.gauges import L2, Schatten
from implicitbias.limits._entrywise_margins import entrywise_separator
from implicitbias.limits._singular_functions import Decomposed, Power
from implicitbias.problems._margins import Margins, Separator

_FASTER = 8.0
# The share of the objective at which the sum of the complementary products is small.
_FINEST = 1e-12
_MOST_STEPS = 300
_CENTRED = 0.1
_SHORTEST = 1e-10
_RIDGE = 1e-15


class _Primal(NamedTuple):
    r"""The program: minimise $\frac1p \sum_i \sigma_i(W)^p - \mu \sum_i \log(\langle X_i, W \rangle + B_i b - 1)$.

    Attributes:
        rows: (m, p q) X_i.
        columns: (m, r) B.
        function: the power of the singular values.
        shape: (p, q).
    """

    rows: Float64[ndarray, "m d"]
    columns: Float64[ndarray, "m r"]
    function: Power
    shape: tuple[int, ...]

    def slack(self, x: Float64[ndarray, " u"]) -> Float64[ndarray, " m"]:
        """Return the margins minus 1 at x = (W, b)."""
        d = self.rows.shape[1]
        return self.rows @ x[:d] + self.columns @ x[d:] - 1.0

    def at(self, x: Float64[ndarray, " u"]) -> Decomposed:
        """Return the decomposition of W."""
        return Decomposed.of(x[: self.rows.shape[1]].reshape(self.shape))

    def value(self, x: Float64[ndarray, " u"], mu: float) -> float:
        """Return the objective; infinite where a margin is at most 1."""
        slack = self.slack(x)
        if not np.min(slack) > 0.0:
            return np.inf
        return self.function.value(self.at(x).sizes, 0.0) - mu * float(np.sum(np.log(slack)))


def primal_separator(margins: Margins, p: float) -> Separator:
    """Return a classifier whose margin in the Schatten norm is nearly the largest, for separable data."""
    first = entrywise_separator(margins, L2())[0].scaled(margins, L2())
    unit = Schatten(p).value(first.w)
    m, d = margins.linear_map.shape
    rows = margins.part(np.arange(m), np.arange(d)) * unit
    program = _Primal(rows, margins.free, Power(p), margins.linear_map.domain)
    # All margins of twice the Euclidean classifier are at least 2.
    x = 2.0 * np.concatenate([first.w.ravel() / unit, first.b])
    if not np.min(program.slack(x)) > 0.0:
        return first
    mu = p * program.function.value(program.at(x).sizes, 0.0) / m
    for _ in range(_MOST_STEPS):
        moved = _step(program, x, mu)
        if moved is None:
            break
        x, decrement = moved
        if decrement <= _CENTRED * mu:
            if m * mu <= _FINEST * p * program.function.value(program.at(x).sizes, 0.0):
                break
            mu /= _FASTER
    return Separator(unit * x[:d].reshape(program.shape), x[d:], mu / program.slack(x))


def _step(
    program: _Primal, x: Float64[ndarray, " u"], mu: float
) -> tuple[Float64[ndarray, " u"], float] | None:
    """Return the point after a damped Newton step, and the squared decrement; None if there is no such step."""
    at, slack, d = program.at(x), program.slack(x), program.rows.shape[1]
    every = np.hstack([program.rows, program.columns]) / slack[:, None]
    matrix = mu * every.T @ every
    features = at.features(program.function, 0.0, np.eye(d).reshape(d, *program.shape))
    matrix[:d, :d] += features @ features.T
    gradient = -mu * np.sum(every, axis=0)
    gradient[:d] += at.gradient(program.function, 0.0).ravel()
    matrix[np.diag_indices(len(matrix))] *= 1.0 + _RIDGE
    matrix[np.diag_indices(len(matrix))] += _RIDGE * np.max(np.diag(matrix))
    try:
        step = cho_solve(cho_factor(matrix, lower=True, check_finite=False), -gradient, check_finite=False)
    except (LinAlgError, ValueError):
        return None
    decrement = float(-gradient @ step)
    if not np.all(np.isfinite(step)) or not decrement >= 0.0:
        return None
    value, size = program.value(x, mu), 1.0
    while size > _SHORTEST:
        new = x + size * step
        if program.value(new, mu) <= value - 0.1 * size * decrement + 1e-13 * abs(value):
            return new, decrement
        size /= 2.0
    return None
