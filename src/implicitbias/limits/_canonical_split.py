"""The canonical split of a fit among dependent columns, which is the limit of the true flow.

Several sign-feasible w may have the same fit. The flow of vanishing initialisation then tends to the minimiser of a
strictly convex sum of functions of |w_i|, which depend on the network. `parametrizations._split_rules` derives these
functions. This file computes the minimiser.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import linalg

from implicitbias.limits._linear_programs import maximal_support
from implicitbias.limits._null_vectors import NullVectors
from implicitbias.limits._tolerances import RANK
from implicitbias.parametrizations import SplitObjective, SplitRule
from implicitbias.problems import LeastSquares

_STEPS = 200
# The line search never shortens a Newton step to less than this share of its length.
_SHORTEST = 1e-6
# The normal equations are used if no diagonal entry of their Cholesky factor is below this.
_WELL_CONDITIONED = 1e-3


class Split(NamedTuple):
    """The coefficients of a saddle.

    `indices` are ascending. `unique` says whether no other sign-feasible coefficients have the same fit. `resolved` is
    False if the coefficients are not unique and the canonical ones are not known, because the network is unknown or
    float64 is too coarse.
    """

    indices: Int64[ndarray, " p"]
    values: Float64[ndarray, " p"]
    unique: bool
    resolved: bool


def canonical_split(
    problem: LeastSquares,
    start: Float64[ndarray, " d"],
    s: Float64[ndarray, " d"],
    basic: tuple[Int64[ndarray, " k"], Float64[ndarray, " k"]],
    idle: Int64[ndarray, " m"],
    rule: SplitRule | None,
) -> Split:
    """Return the canonical split. If the coefficients are unique, return them unchanged.

    Args:
        problem: the problem.
        start: (d,) the start of the path.
        s: (d,) signs of the boundary coordinates.
        basic: indices and values of one minimiser.
        idle: the boundary coordinates that are 0 at this minimiser and have gradient 0.
        rule: the split of the network. If it is None, coefficients that are not unique are returned as unresolved.
    """
    candidates, values = np.concatenate([basic[0], idle]), np.concatenate([basic[1], np.zeros(len(idle))])
    norms = problem.column_norms[candidates]
    norms = np.where(norms > 0.0, norms, 1.0)
    columns = problem.linear_map.take(candidates) * (s[candidates] / norms)
    null = _row_and_null_space(columns)[1]
    tied = np.flatnonzero(np.max(np.abs(null), axis=1, initial=0.0) > RANK)
    if len(tied) == 0:
        return Split(*basic, unique=True, resolved=True)
    index = candidates[tied]
    if rule is None:
        # In every network the coefficient of a column of zeros stays at its start. For the other columns the split
        # depends on the network, which is unknown.
        stays = problem.column_norms[candidates] == 0.0
        values[stays] = start[candidates[stays]]
        return _as_split(candidates, values, resolved=bool(np.all(stays[tied])))
    u = np.abs(values[tied]) * norms[tied]
    try:
        share = _split_shares(columns[:, tied], u, norms[tied], (rule, index, s[index], start[index]))
    except _UnresolvedError:
        return Split(*basic, unique=False, resolved=False)
    if share is None:
        return Split(*basic, unique=True, resolved=True)
    values[tied] = s[index] * share / norms[tied]
    return _as_split(candidates, values, resolved=True)


def split_by_null_vectors(
    start: Float64[ndarray, " d"],
    s: Float64[ndarray, " d"],
    basic: tuple[Int64[ndarray, " k"], Float64[ndarray, " k"]],
    ties: NullVectors,
    rule: SplitRule,
    guess: Float64[ndarray, " m"],
) -> Split | None:
    """Return the canonical split if every idle column depends on the columns with a coefficient.

    All basic coefficients are different from 0. A small share for every idle column therefore keeps all signs, so that
    no linear program is needed to find out which coefficients can differ from 0, and the split is never unique.

    Args:
        start: (d,) the start of the path.
        s: (d,) signs of the boundary coordinates.
        basic: ascending indices and the values of one minimiser.
        ties: the null vectors of the idle columns.
        rule: the split of the network.
        guess: (m,) expected sizes of the idle coefficients.

    Returns:
        The split, or None if float64 is too coarse for this method.
    """
    columns, signs = ties.columns, s[ties.columns]
    whole = np.zeros(len(s))
    whole[basic[0]] = basic[1]
    u = signs * whole[columns]
    null = signs[:, None] * ties.vectors * signs[ties.idle]
    inside = _interior(u, null, guess)
    if inside is None:
        return None
    try:
        shares = _minimiser(inside, null, rule.objective(columns, signs, start[columns]))
    except _UnresolvedError:
        return None
    whole[columns] = signs * shares
    indices = np.flatnonzero(whole)
    return Split(indices, whole[indices], unique=False, resolved=True)


def _interior(
    u: Float64[ndarray, " p"], null: Float64[ndarray, "p m"], guess: Float64[ndarray, " m"]
) -> Float64[ndarray, " p"] | None:
    """Return a positive point with the same fit, near the guess if that is positive; None if rounding prevents it."""
    point: Float64[ndarray, " p"] = u + null @ guess
    if np.all(guess > 0.0) and np.all(point > 0.1 * u):
        return point
    falls = np.sum(np.maximum(-null, 0.0), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        longest = np.min(u[falls > 0.0] / falls[falls > 0.0], initial=np.inf)
    if np.isinf(longest):
        longest = float(np.max(u, initial=0.0)) or 1.0
    point = u + null @ np.full(null.shape[1], longest / 2)
    return point if np.all(point > 0.0) else None


def _as_split(indices: Int64[ndarray, " p"], values: Float64[ndarray, " p"], *, resolved: bool) -> Split:
    kept = np.flatnonzero(values)
    kept = kept[np.argsort(indices[kept])]
    return Split(indices[kept], values[kept], unique=False, resolved=resolved)


class _UnresolvedError(Exception):
    """The canonical split cannot be computed in float64."""


def _split_shares(
    columns: Float64[ndarray, "n m"],
    u: Float64[ndarray, " m"],
    norms: Float64[ndarray, " m"],
    taken: tuple[SplitRule, ndarray, ndarray, ndarray],
) -> Float64[ndarray, " m"] | None:
    """Return the u >= 0 that has the same fit and minimises the objective of the rule; None if u is unique.

    `taken` holds the rule, and the indices, the signs and the starts of the coordinates.
    """
    found = maximal_support(_row_and_null_space(columns)[0], u)
    if found is None:
        raise _UnresolvedError
    free, interior = found
    null = _row_and_null_space(columns[:, free])[1]
    if null.shape[1] == 0:
        return None
    # The interior point has the fit only up to the tolerance of the linear program. The projection makes it exact.
    inside = u[free] + null @ (null.T @ (interior[free] - u[free]))
    if np.any(inside <= 0.0):
        return None  # the feasible set is a single point up to rounding
    scale = norms[free]
    shares = np.zeros(len(u))
    rule, index, signs, start = taken
    objective = rule.objective(index[free], signs[free], start[free])
    shares[free] = scale * _minimiser(inside / scale, null / scale[:, None], objective)
    # Nearly dependent columns can have huge coefficients. The computed null space then changes the fit noticeably.
    fit, change = columns @ u, columns @ (shares - u)
    if np.max(np.abs(change)) > 1e-10 * np.max(np.abs(fit)) + 1e-14 * np.sum(shares):
        raise _UnresolvedError
    return shares


def _row_and_null_space(
    columns: Float64[ndarray, "n m"],
) -> tuple[Float64[ndarray, "r m"], Float64[ndarray, "m k"]]:
    """Return orthonormal bases of the row space (as rows) and of the null space (as columns)."""
    if columns.shape[0] > columns.shape[1]:
        # The square matrix R has the same row space and a cheaper singular value decomposition.
        columns = linalg.qr(columns, mode="r", check_finite=False)[0][: columns.shape[1]]
    _, singular, right = np.linalg.svd(columns, full_matrices=True)
    rank = int(np.sum(singular > RANK * singular[0])) if len(singular) else 0
    return right[:rank], right[rank:].T


def _minimiser(
    w: Float64[ndarray, " m"], null: Float64[ndarray, "m k"], objective: SplitObjective
) -> Float64[ndarray, " m"]:
    """Return the minimiser of the objective over w + range(null), w > 0, by Newton's method.

    All iterates have the same fit. A step is shortened until all coordinates stay positive, and until the slope along
    the step at its end is at most the absolute slope at its beginning. There a convex function is not larger than at
    the beginning.
    """
    for _ in range(_STEPS):
        slope, spread = objective.slope(w), objective.spread(w)
        step = -null @ _least_squares(null / spread[:, None], spread * slope)
        shrink = np.max(-step / w, initial=0.0)
        size = min(1.0, 0.9 / shrink) if shrink > 0.0 else 1.0
        descent = abs(float(slope @ step))
        while size > _SHORTEST and float(objective.slope(w + size * step) @ step) > descent:
            size /= 2
        w = w + size * step
        change = float(np.max(np.abs(step) / w))
        if change < 1e-13 or (size == 1.0 and change < 1e-9):
            return w
    raise _UnresolvedError


def _least_squares(A: Float64[ndarray, "m k"], b: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
    """Return the solution of a least-squares problem, whose scales span half as many orders of magnitude as A^T A.

    The normal equations of normalised columns are accurate enough for a Newton step if their condition is moderate.
    """
    norms = np.sqrt(np.einsum("ij,ij->j", A, A))
    if np.all(norms > 0.0):
        unit = A / norms
        factor, failed = linalg.lapack.dpotrf(unit.T @ unit, lower=1)
        if failed == 0 and np.min(np.diagonal(factor)) > _WELL_CONDITIONED:
            return linalg.lapack.dpotrs(factor, unit.T @ b, lower=1)[0] / norms
    return np.linalg.lstsq(A, b, rcond=None)[0]
