r"""Newton's method for maximum margins in Schatten norms, on the face that an approximate solution identifies.

For the nuclear norm the face fixes the rank r of $W = L R^\top$, and for the spectral norm that of the dual
$Z = L R^\top$. The optimality conditions are then smooth equations, and Newton's method reaches rounding errors.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.linalg import LinAlgError, lstsq

from implicitbias.gauges import Gauge, Nuclear, Schatten, Spectral
from implicitbias.limits._margin_certificate import margin_certificate
from implicitbias.limits._singular_functions import Decomposed, Power
from implicitbias.problems._margins import Margins, Separator

_MOST_STEPS = 8
_MOST_FACES = 6
# The largest exponent for which the dual variables are the unknowns.
DUAL = 3.0
# The gap at which the polish stops.
_FINEST = 1e-13
# The largest number of unknowns of the dense linear systems.
_LARGEST = 2500
# Singular values of a linear system below this share of the largest one count as 0.
_RANK = 1e-11


class _Face(NamedTuple):
    """The rows that are support vectors, and the rank of the primal or of the dual matrix."""

    rows: Int64[ndarray, " k"]
    rank: int


class _Equations(NamedTuple):
    """The data of the optimality conditions on a face.

    Attributes:
        X: (k, p, q) the signed matrices of the support vectors.
        B: (k, r) the coefficients of their intercepts.
    """

    X: Float64[ndarray, "k p q"]
    B: Float64[ndarray, "k r"]


def polished(margins: Margins, p: float, start: Separator) -> tuple[Separator, bool | None]:
    """Return a more accurate classifier in the Schatten norm with this exponent, and whether it is the only one."""
    gauge: Gauge = Nuclear() if p == 1.0 else Spectral() if np.isinf(p) else Schatten(p)
    best = start.scaled(margins, gauge)
    gap = _gap(margins, gauge, best)
    face = _face(margins, p, best)
    for _ in range(_MOST_FACES):
        answer = _on_face(margins, p, best, face)
        if answer is None:
            break
        candidate = answer._replace(multipliers=np.maximum(answer.multipliers, 0.0)).scaled(margins, gauge)
        reached = _gap(margins, gauge, candidate)
        if reached < gap:
            best, gap = candidate, reached
        changed = _changed(margins, answer, face)
        if gap <= _FINEST or np.array_equal(changed.rows, face.rows):
            break
        face = changed
    return best, _unique(margins, p, best)


def _gap(margins: Margins, gauge: Gauge, separator: Separator) -> float:
    """Return the larger one of the gap and of the imbalance of the weights, without which the gap bounds nothing."""
    certificate = margin_certificate(margins, gauge, separator, intercept=False)
    gap = np.inf if certificate.gap is None else certificate.gap
    return max(gap, certificate.residuals.get("dual_intercept", 0.0))


def _face(margins: Margins, p: float, at: Separator) -> _Face:
    """Return the face of a scaled classifier: of each complementary pair, the larger member counts as positive."""
    slack = margins.values(at.w, at.b) - 1.0
    rows = np.flatnonzero(at.multipliers > slack * np.max(at.multipliers))
    primal = np.linalg.svd(at.w, compute_uv=False)
    dual = np.linalg.svd(margins.combination(at.multipliers), compute_uv=False)
    primal, dual = primal / primal[0], dual / dual[0]
    if p == 1.0:
        return _Face(rows, int(np.count_nonzero(primal > 1.0 - dual)))
    return _Face(rows, int(np.count_nonzero(dual > 1.0 - primal)))


def _changed(margins: Margins, answer: Separator, face: _Face) -> _Face:
    """Return the face without the rows of negative weight and with those of too small a margin."""
    slack = margins.values(answer.w, answer.b) - 1.0
    kept = face.rows[answer.multipliers[face.rows] > 0.0]
    return _Face(np.union1d(kept, np.flatnonzero(slack < -_FINEST)), face.rank)


def _on_face(margins: Margins, p: float, start: Separator, face: _Face) -> Separator | None:
    """Return the solution of the equations of a face by Newton's method; None if the system is too large or fails."""
    domain = margins.linear_map.domain
    every = np.arange(margins.linear_map.shape[1])
    X = margins.part(face.rows, every).reshape(len(face.rows), *domain)
    size = float(np.max(np.abs(X), initial=0.0)) or 1.0
    equations = _Equations(X / size, margins.free[face.rows])
    q = start.multipliers[face.rows] * size
    method = _nuclear if p == 1.0 else _spectral if np.isinf(p) else _smooth if p <= DUAL else _primal
    try:
        solved = method(equations, face.rank, start.w * size, start.b, q, p)
    except LinAlgError:
        return None
    if solved is None or not all(np.all(np.isfinite(part)) for part in solved):
        return None
    multipliers = np.zeros(len(start.multipliers))
    multipliers[face.rows] = solved[2] / size
    return Separator(solved[0] / size, solved[1], multipliers)


def _nuclear(
    equations: _Equations, rank: int, w: ndarray, b: ndarray, q: ndarray, p: float
) -> tuple[ndarray, ndarray, ndarray] | None:
    r"""Solve $Z R = L$, $Z^\top L = R$, $\langle X_i, L R^\top \rangle + B_i b = 1$ and $B^\top q = 0$."""
    X, B = equations
    k, rows, columns = X.shape
    sizes = [rows * rank, columns * rank, k, B.shape[1]]
    if sum(sizes) > _LARGEST:
        return None
    at = Decomposed.of(w)
    root = np.sqrt(at.sizes[:rank])
    L, R = at.left[:, :rank] * root, at.right[:, :rank] * root
    for _ in range(_MOST_STEPS):
        Z = np.tensordot(q, X, axes=1)
        XR = (X @ R).reshape(k, -1)
        XL = (np.swapaxes(X, 1, 2) @ L).reshape(k, -1)
        eye = np.eye(rank)
        matrix = _symmetric(
            [
                [-np.eye(sizes[0]), np.kron(Z, eye), XR.T, None],
                [None, -np.eye(sizes[1]), XL.T, None],
                [None, None, np.zeros((k, k)), B],
                [None, None, None, np.zeros((sizes[3], sizes[3]))],
            ]
        )
        missing = np.concatenate(
            [
                (L - Z @ R).ravel(),
                (R - Z.T @ L).ravel(),
                1.0 - np.einsum("kij,ij->k", X, L @ R.T) - B @ b,
                -B.T @ q,
            ]
        )
        dL, dR, dq, db = _parts(_least_squares(matrix, missing), sizes)
        L, R, q, b = L + dL.reshape(L.shape), R + dR.reshape(R.shape), q + dq, b + db
        if _small((dL, L), (dR, R), (dq, q)):
            break
    return L @ R.T, b, q


def _spectral(
    equations: _Equations, rank: int, w: ndarray, b: ndarray, q: ndarray, p: float
) -> tuple[ndarray, ndarray, ndarray] | None:
    r"""Solve $W R = t L$, $W^\top L = t R$, $\sum_i q_i X_i = L R^\top$, the margins and $B^\top q = 0$."""
    X, B = equations
    k, rows, columns = X.shape
    entries = rows * columns
    sizes = [entries, rows * rank, columns * rank, k, 1, B.shape[1]]
    if sum(sizes) > _LARGEST:
        return None
    flat = X.reshape(k, entries)
    at = Decomposed.of(np.tensordot(q, X, axes=1))
    root = np.sqrt(at.sizes[:rank])
    L, R = at.left[:, :rank] * root, at.right[:, :rank] * root
    W, t = w, float(np.linalg.svd(w, compute_uv=False)[0])
    eye = np.eye(rank)
    for _ in range(_MOST_STEPS):
        # Derivatives of W R and of W^T L in W, and of L R^T in L and in R.
        in_left = np.kron(np.eye(rows), R.T)
        in_right = np.einsum("ia,jk->jaik", L, np.eye(columns)).reshape(sizes[2], entries)
        matrix = np.zeros((sum(sizes), sum(sizes)))
        W_, L_, R_, q_, t_, b_ = _slices(sizes)
        first, second, third = _slices([sizes[1], sizes[2], entries])
        matrix[first, W_], matrix[first, R_], matrix[first, t_] = in_left, np.kron(W, eye), -L.reshape(-1, 1)
        matrix[first, L_] = -t * np.eye(sizes[1])
        matrix[second, W_], matrix[second, L_], matrix[second, t_] = (
            in_right,
            np.kron(W.T, eye),
            -R.reshape(-1, 1),
        )
        matrix[second, R_] = -t * np.eye(sizes[2])
        matrix[third, L_], matrix[third, R_], matrix[third, q_] = -in_left.T, -in_right.T, flat.T
        after = sizes[1] + sizes[2] + entries
        matrix[after : after + k, W_], matrix[after : after + k, b_] = flat, B
        matrix[after + k, L_], matrix[after + k, R_] = L.ravel(), R.ravel()
        matrix[after + k + 1 :, q_] = B.T
        missing = np.concatenate(
            [
                (t * L - W @ R).ravel(),
                (t * R - W.T @ L).ravel(),
                (L @ R.T - np.tensordot(q, X, axes=1)).ravel(),
                1.0 - flat @ W.ravel() - B @ b,
                [(2.0 - np.sum(L * L) - np.sum(R * R)) / 2.0],
                -B.T @ q,
            ]
        )
        dW, dL, dR, dq, dt, db = _parts(_least_squares(matrix, missing), sizes)
        W, L, R = W + dW.reshape(W.shape), L + dL.reshape(L.shape), R + dR.reshape(R.shape)
        q, t, b = q + dq, t + float(dt[0]), b + db
        if _small((dW, W), (dL, L), (dR, R), (dq, q)):
            break
    return W, b, q


def _smooth(
    equations: _Equations, rank: int, w: ndarray, b: ndarray, q: ndarray, p: float
) -> tuple[ndarray, ndarray, ndarray] | None:
    r"""Solve $\langle X_i, \nabla F(Z) \rangle + B_i b = 1$ and $B^\top q = 0$ for the power F."""
    X, B = equations
    k = len(X)
    if k + B.shape[1] > _LARGEST:
        return None
    function = Power(p / (p - 1.0))
    at = Decomposed.of(np.tensordot(q, X, axes=1))
    level = np.einsum("kij,ij->k", X, at.gradient(function, 0.0))
    # The weights are scaled such that the gradient of F has the size of w.
    level_size = float(level @ q) / float(np.sum(q))
    q = q * level_size ** (1.0 - p)
    for _ in range(_MOST_STEPS):
        at = Decomposed.of(np.tensordot(q, X, axes=1))
        w = at.gradient(function, 0.0)
        features = at.features(function, 0.0, X)
        matrix = np.block([[features @ features.T, B], [B.T, np.zeros((B.shape[1], B.shape[1]))]])
        missing = np.concatenate([1.0 - np.einsum("kij,ij->k", X, w) - B @ b, -B.T @ q])
        dq, db = _parts(_least_squares(matrix, missing), [k, B.shape[1]])
        q, b = q + dq, b + db
        if _small((dq, q)):
            break
    return Decomposed.of(np.tensordot(q, X, axes=1)).gradient(function, 0.0), b, q


def _primal(
    equations: _Equations, rank: int, w: ndarray, b: ndarray, q: ndarray, p: float
) -> tuple[ndarray, ndarray, ndarray] | None:
    r"""Solve $\nabla F(W) = \sum_i q_i X_i$, $\langle X_i, W \rangle + B_i b = 1$, $B^\top q = 0$ for the power F."""
    X, B = equations
    k, d = len(X), w.size
    sizes = [d, k, B.shape[1]]
    if sum(sizes) > _LARGEST:
        return None
    unit = Schatten(p).value(w)
    flat, W, function = unit * X.reshape(k, d), w / unit, Power(p)
    q = q / float(np.sum(q))
    W_, q_, b_ = _slices(sizes)
    for _ in range(_MOST_STEPS):
        at = Decomposed.of(W)
        slope = at.gradient(function, 0.0).ravel()
        features = at.features(function, 0.0, np.eye(d).reshape(d, *W.shape))
        matrix = np.zeros((sum(sizes), sum(sizes)))
        matrix[W_, W_] = features @ features.T
        matrix[W_, q_], matrix[q_, W_] = -flat.T, flat
        matrix[q_, b_], matrix[b_, q_] = B, B.T
        missing = np.concatenate([q @ flat - slope, 1.0 - flat @ W.ravel() - B @ b, -B.T @ q])
        dW, dq, db = _parts(_least_squares(matrix, missing), sizes)
        W, q, b = W + dW.reshape(W.shape), q + dq, b + db
        if _small((dW, W), (dq, q)):
            break
    return unit * W, b, q


def _unique(margins: Margins, p: float, at: Separator) -> bool | None:
    """Return whether no other classifier has this margin; None if this is not known.

    The solutions have the form U S V^T with a positive semidefinite S for p = 1, and t (U V^T + U' N V'^T) with a
    contraction N for p = infinity, where U and V are singular vectors of the dual. The support vectors keep their
    margins. If only one S or N has these margins, the solution is unique. If several do and no inequality is tight, it
    is not.
    """
    if 1.0 < p < np.inf:
        return True
    q = at.multipliers
    support = np.flatnonzero(q > 1e-9 * np.max(q))
    slack = margins.values(at.w, at.b) - 1.0
    dual = Decomposed.of(margins.combination(q))
    relative = dual.sizes / dual.sizes[0]
    every = np.arange(margins.linear_map.shape[1])
    X = margins.part(support, every).reshape(len(support), *margins.linear_map.domain)
    primal = np.linalg.svd(at.w, compute_uv=False) / max(float(np.linalg.norm(at.w, 2)), 1e-300)
    if p == 1.0:
        r = int(np.count_nonzero(relative > 1.0 - 1e-7))
        core = dual.left[:, :r].T @ X @ dual.right[:, :r]
        i, j = np.triu_indices(r)
        moves = ((core + np.swapaxes(core, 1, 2)) / 2.0)[:, i, j] * np.where(i == j, 1.0, 2.0)
        inside = int(np.count_nonzero(primal > 1e-7)) == r
    else:
        r = int(np.count_nonzero(relative > 1e-7))
        left = np.linalg.svd(dual.left[:, :r], full_matrices=True)[0][:, r:]
        right = np.linalg.svd(dual.right[:, :r], full_matrices=True)[0][:, r:]
        moves = (left.T @ X @ right).reshape(len(support), -1)
        inside = int(np.count_nonzero(primal > 1.0 - 1e-7)) == r
    if moves.shape[1] == 0 or _injective(moves, margins.free[support]):
        return True
    others = np.setdiff1d(np.arange(len(q)), support)
    return False if inside and np.all(slack[others] > 1e-7) else None


def _injective(moves: Float64[ndarray, "k c"], free: Float64[ndarray, "k r"]) -> bool:
    """Return whether every change with the same margins leaves w as it is; a change of intercepts alone is allowed."""
    if free.shape[1]:
        basis = np.linalg.svd(free, full_matrices=False)
        kept = basis[0][:, basis[1] > _RANK * basis[1][0]]
        moves = moves - kept @ (kept.T @ moves)
    singular = np.linalg.svd(moves, compute_uv=False)
    return len(moves) >= moves.shape[1] and bool(singular[-1] > 1e-9 * singular[0])


def _least_squares(matrix: ndarray, right: ndarray) -> Any:
    """Return the least-squares solution of least norm; the null space holds rotations of the factors."""
    return lstsq(matrix, right, cond=_RANK, lapack_driver="gelsy", check_finite=False)[0]


def _symmetric(blocks: list[list[Any]]) -> ndarray:
    """Return the symmetric matrix with these blocks on and above the diagonal; None above it stands for zeros."""
    sizes = [row[i].shape[0] for i, row in enumerate(blocks)]
    ends = np.cumsum([0, *sizes])
    matrix = np.zeros((ends[-1], ends[-1]))
    for i, row in enumerate(blocks):
        for j in range(i, len(row)):
            if row[j] is not None:
                matrix[ends[i] : ends[i + 1], ends[j] : ends[j + 1]] = row[j]
                matrix[ends[j] : ends[j + 1], ends[i] : ends[i + 1]] = row[j].T
    return matrix


def _slices(sizes: list[int]) -> list[slice]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def _parts(vector: ndarray, sizes: list[int]) -> list[ndarray]:
    return np.split(vector, np.cumsum(sizes)[:-1])


def _small(*pairs: tuple[ndarray, ndarray]) -> bool:
    """Return whether all changes are rounding errors of their values."""
    return all(np.max(np.abs(step)) <= 1e-15 * np.max(np.abs(value)) for step, value in pairs)
