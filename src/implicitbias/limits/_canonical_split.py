"""The canonical split of a fit among dependent columns, which is the limit of the true flow.

Several sign-feasible w may have the same fit. The flow of vanishing initialisation then tends to the minimiser of a
strictly convex sum of functions of |w_i|, which depend on the network. `parametrizations._split_rules` derives these
functions. This file computes the minimiser.
"""

from typing import Any, NamedTuple

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
# A Newton step that changes no coordinate by more than this share of it is near the minimum.
_NEAR = 1e-2
# After a whole Newton step of this relative size, the error is the square of it and therefore rounding.
_SETTLED = 3e-8
# The search starts from the sizes at the last saddle if no size has become smaller than this share of it.
_CLOSE_ENOUGH = 1e-2
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
    before: Float64[ndarray, " d"],
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
        before: (d,) sizes of the coefficients at the last saddle, from which the search starts if possible.

    Returns:
        The split, or None if float64 is too coarse for this method.
    """
    columns, signs = ties.columns, s[ties.columns]
    whole = np.zeros(len(s))
    whole[basic[0]] = basic[1]
    u = signs * whole[columns]
    null = signs[:, None] * ties.vectors * signs[ties.idle]
    inside = _interior(u, null, ties.idle, before[columns])
    if inside is None:
        return None
    try:
        shares = _minimiser(inside, null, rule.objective(columns, signs, start[columns]), ties.owner)
    except _UnresolvedError:
        return None
    whole[columns] = signs * shares
    indices = np.flatnonzero(whole)
    return Split(indices, whole[indices], unique=False, resolved=True)


def _interior(
    u: Float64[ndarray, " p"],
    null: Float64[ndarray, "p m"],
    idle: Int64[ndarray, " m"],
    before: Float64[ndarray, " p"],
) -> Float64[ndarray, " p"] | None:
    """Return a positive point with the same fit, near the sizes at the last saddle if possible.

    An idle column that was 0 at the last saddle gets half of what the other columns can spare. The result is None if
    rounding prevents a positive point.
    """
    point: Float64[ndarray, " p"] = u + null @ before[idle]
    new = before[idle] <= 0.0
    old = np.ones(len(u), dtype=bool)
    old[idle[new]] = False
    if not (point[old] > _CLOSE_ENOUGH * before[old]).all():
        point, new = u, np.ones(len(idle), dtype=bool)
    if new.any():
        falls = np.maximum(-null[:, new], 0.0)
        sharers = np.maximum(np.count_nonzero(falls, axis=1), 1)
        room = np.where(falls > 0.0, (point / sharers)[:, None] / np.where(falls > 0.0, falls, 1.0), np.inf)
        longest = room.min(axis=0)
        longest[np.isinf(longest)] = float(u.max(initial=0.0)) or 1.0
        point = point + null[:, new] @ (longest / 2)
    return point if (point > 0.0).all() else None


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
    w: Float64[ndarray, " m"],
    null: Float64[ndarray, "m k"],
    objective: SplitObjective,
    owner: Int64[ndarray, " m"] | None = None,
) -> Float64[ndarray, " m"]:
    """Return the minimiser of the objective over w + range(null), w > 0, by Newton's method.

    All iterates have the same fit. A step is shortened until all coordinates stay positive, and until the slope along
    the step at its end is at most the absolute slope at its beginning. There a convex function is not larger than at
    the beginning. If each coordinate occurs in one null vector only, `owner` gives the index of that vector.
    """
    direction = _shared_direction if owner is None else _diagonal_direction
    basis: Any = null if owner is None else (owner, null.sum(axis=1), null.shape[1])
    for _ in range(_STEPS):
        slope = objective.slope(w)
        step = direction(basis, slope, objective.spread(w))
        relative = step / w
        change, size = float(np.abs(relative).max()), 1.0
        # Near the minimum the whole step is taken without a look at its end, because Newton's method converges.
        if change > _NEAR:
            shrink = -float(relative.min())
            size = min(1.0, 0.9 / shrink) if shrink > 0.0 else 1.0
            descent = abs(float(slope @ step))
            while size > _SHORTEST and float(objective.slope(w + size * step) @ step) > descent:
                size /= 2
            step *= size
        w = w + step
        if change < _SETTLED:
            return w
    raise _UnresolvedError


def _diagonal_direction(
    basis: tuple[Int64[ndarray, " m"], Float64[ndarray, " m"], int],
    slope: Float64[ndarray, " m"],
    spread: Float64[ndarray, " m"],
) -> Float64[ndarray, " m"]:
    """Return the Newton step along null vectors of which each coordinate occurs in one, so that it is a quotient.

    The categories of several variables have such null vectors. The basis gives, for each coordinate, the null vector
    that it occurs in and its entry there, and the number of null vectors.
    """
    owner, entry, count = basis
    along = np.bincount(owner, entry * slope, minlength=count)
    curvature = np.bincount(owner, (entry / spread) ** 2, minlength=count)
    return entry * (-along / curvature)[owner]


def _shared_direction(
    basis: Float64[ndarray, "m k"], slope: Float64[ndarray, " m"], spread: Float64[ndarray, " m"]
) -> Float64[ndarray, " m"]:
    """Return the Newton step along any null vectors, which are the columns of the basis."""
    step: Float64[ndarray, " m"] = -basis @ _least_squares(basis / spread[:, None], spread * slope)
    return step


def _least_squares(A: Float64[ndarray, "m k"], b: Float64[ndarray, " m"]) -> Float64[ndarray, " k"]:
    """Return the solution of a least-squares problem, whose scales span half as many orders of magnitude as A^T A.

    The normal equations of normalised columns are accurate enough for a Newton step if their condition is moderate.
    """
    gram = A.T @ A
    norms = np.sqrt(gram.diagonal())
    if norms.min() > 0.0:
        factor, failed = linalg.lapack.dpotrf(gram / np.multiply.outer(norms, norms), lower=1)
        if failed == 0 and factor.diagonal().min() > _WELL_CONDITIONED:
            return linalg.lapack.dpotrs(factor, (b @ A) / norms, lower=1)[0] / norms
    return np.linalg.lstsq(A, b, rcond=None)[0]
