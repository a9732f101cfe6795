"""Maximum margins in norms of singular values, by a barrier method for the weights of the margins."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from implicitbias.limits._fixed_rank import DUAL, polished
from implicitbias.limits._primal_margins import primal_separator
from implicitbias.limits._singular_functions import Decomposed, SingularFunction, smooth_polar
from implicitbias.problems._margins import Margins, Separator

# The barrier parameter is divided by this number when the weights are near their centre.
_FASTER = 8.0
# The gap at which the barrier method stops; the polish continues from there.
_BARRIER_GAP = 1e-10
_MOST_STEPS = 400
_MOST_CENTRING = 25
# The square of the Newton decrement, relative to mu, at which the weights are near their centre.
_CENTRED = 0.1
_SHORTEST = 1e-12


class _Program(NamedTuple):
    r"""The program: minimise $F_\mu(\sum_i q_i X_i) - \sum_i q_i - \mu \sum_i \log q_i$ over $B^\top q = 0$.

    For a normalised function the sum of q is 1, which is one more column of B with the right-hand side 1, and the
    second term is left out.

    Attributes:
        matrices: (m, p, q) X_i.
        columns: (m, r) B.
        function: F.
        reward: the coefficient of the second term, 1 or 0.
    """

    matrices: Float64[ndarray, "m p q"]
    columns: Float64[ndarray, "m r"]
    function: SingularFunction
    reward: float

    def at(self, q: Float64[ndarray, " m"]) -> Decomposed:
        """Return the combination of the matrices with these weights."""
        return Decomposed.of(np.tensordot(q, self.matrices, axes=1))

    def value(self, q: Float64[ndarray, " m"], mu: float) -> float:
        """Return the objective; infinite outside of its domain."""
        if not np.min(q) > 0.0:
            return np.inf
        barrier = float(np.sum(np.log(q)))
        return self.function.value(self.at(q).sizes, mu) - self.reward * float(np.sum(q)) - mu * barrier


def singular_separator(margins: Margins, p: float) -> tuple[Separator, bool | None]:
    """Return a classifier of the largest margin in a Schatten norm, and whether it is the only one.

    The data must be separable. The weights follow the central path: the gradient of F at their combination is a matrix
    whose margins are 1 + mu / q. Then Newton's method solves the optimality conditions on the face that the last point
    identifies. There are as many unknowns as margins in the first part.
    """
    if DUAL < p < np.inf:
        return polished(margins, p, primal_separator(margins, p))
    m, d = margins.linear_map.shape
    domain = margins.linear_map.domain
    matrices = margins.part(np.arange(m), np.arange(d)).reshape(m, *domain)
    size = float(np.max(np.abs(matrices))) or 1.0
    matrices = matrices / size
    function = smooth_polar(p)
    columns = np.hstack([margins.free, np.ones((m, 1))]) if function.normalised else margins.free
    program = _Program(matrices, columns, function, 0.0 if function.normalised else 1.0)
    w, b, q = _central_point(program, _first_weights(margins))
    separator = Separator(w / size, b[: margins.free.shape[1]], q)
    return polished(margins, p, separator)


def _first_weights(margins: Margins) -> Float64[ndarray, " m"]:
    """Return positive weights q with B^T q = 0: equal shares for each kind of margin."""
    _, kinds, counts = np.unique(margins.free, axis=0, return_inverse=True, return_counts=True)
    q: ndarray = 1.0 / counts[kinds.ravel()]
    return q


def _central_point(
    program: _Program, q: Float64[ndarray, " m"]
) -> tuple[Float64[ndarray, "p q"], Float64[ndarray, " r"], Float64[ndarray, " m"]]:
    """Return the point of the central path at which the gap is small: the matrix, the intercepts and the weights."""
    function = program.function
    total = float(np.sum(q))
    q = q * function.scale(program.at(q).sizes, total)
    m, terms = len(q), min(program.matrices.shape[1:])
    pairs = m + function.gauge_parameter * terms
    mu = (float(np.sum(q)) if not function.normalised else float(np.sum(program.at(q).sizes))) / pairs
    steps, since = 0, 0
    b = np.zeros(program.columns.shape[1])
    while steps < _MOST_STEPS:
        moved = _step(program, q, mu)
        if moved is None:
            break
        q, b, decrement = moved
        steps, since = steps + 1, since + 1
        if decrement <= _CENTRED * mu or since > _MOST_CENTRING:
            size = float(np.sum(q)) if not function.normalised else float(np.sum(program.at(q).sizes))
            if pairs * mu <= _BARRIER_GAP * size:
                break
            mu, since = mu / _FASTER, 0
    w = program.at(q).gradient(function, mu)
    return w, b, q


def _step(
    program: _Program, q: Float64[ndarray, " m"], mu: float
) -> tuple[Float64[ndarray, " m"], Float64[ndarray, " r"], float] | None:
    """Return the weights after a damped Newton step, the multipliers of B, and the squared decrement.

    The unknowns are scaled by q, which makes the Hessian of the barrier a multiple of the identity.
    """
    at = program.at(q)
    features = at.features(program.function, mu, program.matrices) * q[:, None]
    matrix = features @ features.T
    matrix[np.diag_indices(len(q))] += mu
    slope = np.tensordot(program.matrices, at.gradient(program.function, mu), axes=2) - program.reward
    gradient = q * slope - mu
    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
        border = cho_solve(factor, q[:, None] * program.columns, check_finite=False)
        step = cho_solve(factor, -gradient, check_finite=False)
        inner = (q[:, None] * program.columns).T
        b = np.linalg.solve(inner @ border, inner @ step) if len(inner) else np.zeros(0)
    except (LinAlgError, ValueError):
        return None
    step = step - border @ b
    # The equations of B hold at q, up to rounding, so that the step only has to stay on them.
    decrement = float(-gradient @ step)
    if not np.all(np.isfinite(step)) or not decrement >= 0.0:
        return None
    value, size = program.value(q, mu), 1.0
    least = float(np.min(step))
    if least < 0.0:
        size = min(1.0, 0.99 / -least)
    while size > _SHORTEST:
        new = q * (1.0 + size * step)
        end = program.value(new, mu)
        # The decrease may be below the rounding of the value near the centre, where the full step is right.
        if end <= value - 0.1 * size * decrement + 1e-13 * abs(value):
            return new, b, decrement
        size /= 2.0
    return None
