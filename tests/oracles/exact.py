"""Algorithm 1 of pesme2023saddle in exact fractions, by brute force over supports: for small integer designs."""

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy import ndarray

Vector = list[Fraction]


class ExactPath(NamedTuple):
    """Row k: the jump time, the dual s there, the saddle's fit Xw and one w with that fit (unique or not)."""

    times: Vector
    s: list[Vector]
    fits: list[Vector]
    w: list[Vector]
    losses: Vector

    def boundary(self, row: int) -> list[int]:
        """Coordinates with |s_i| = 1 at the jump."""
        return [i for i, s in enumerate(self.s[row]) if abs(s) == 1]


def _solve(A: list[Vector], b: Vector) -> Vector | None:
    """The solution of A x = b by Gauss-Jordan elimination, None where A is singular."""
    k = len(b)
    rows = [[*A[i], b[i]] for i in range(k)]
    for column in range(k):
        pivot = next((i for i in range(column, k) if rows[i][column] != 0), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for i in range(k):
            factor = rows[i][column]
            if i != column and factor != 0:
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[-1] for row in rows]


class _Data:
    """Integer or rational data as fractions, with its Gram matrix."""

    def __init__(self, X: ndarray, y: ndarray) -> None:
        self.n, self.d = X.shape
        self.columns = [[Fraction(float(value)) for value in column] for column in X.T]
        self.y = [Fraction(float(value)) for value in y]
        self.gram = [[_dot(a, b) for b in self.columns] for a in self.columns]
        self.target = [_dot(column, self.y) for column in self.columns]

    def fit(self, w: Vector) -> Vector:
        return [sum((w[j] * self.columns[j][i] for j in range(self.d)), Fraction(0)) for i in range(self.n)]

    def correlation(self, i: int, w: dict[int, Fraction]) -> Fraction:
        """x_i^T (y - X w)."""
        return self.target[i] - sum((self.gram[i][j] * value for j, value in w.items()), Fraction(0))


def _dot(a: Vector, b: Vector) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def _signed_minimiser(data: _Data, boundary: list[int], s: Vector, near: set[int]) -> dict[int, Fraction]:
    """A minimiser with independent columns: the first subset of the boundary that meets the KKT conditions.

    Such a subset exists (Caratheodory); those close to the last support are tried first.
    """
    sizes = range(min(len(boundary), data.n) + 1)
    subsets = [subset for size in sizes for subset in combinations(boundary, size)]
    for subset in sorted(subsets, key=lambda subset: len(near.symmetric_difference(subset))):
        gram = [[data.gram[i][j] for j in subset] for i in subset]
        values = _solve(gram, [data.target[i] for i in subset])
        if values is None or any(v * s[i] <= 0 for i, v in zip(subset, values, strict=True)):
            continue
        w = dict(zip(subset, values, strict=True))
        if all(data.correlation(i, w) * s[i] <= 0 for i in boundary):
            return w
    raise AssertionError("no subset meets the KKT conditions: the oracle is wrong")


def exact_path(X: ndarray, y: ndarray, start: ndarray | None = None) -> ExactPath:
    """The whole path. With a start, row 0 is the refit on its signs (not the start itself)."""
    data = _Data(np.asarray(X, dtype=float), np.asarray(y, dtype=float))
    s = [Fraction(int(np.sign(value))) for value in (np.zeros(data.d) if start is None else start)]
    time, support = Fraction(0), set[int]()
    path = ExactPath([], [], [], [], [])
    while True:
        boundary = [i for i in range(data.d) if abs(s[i]) == 1]
        sparse = _signed_minimiser(data, boundary, s, support)
        support = set(sparse)
        w = [sparse.get(i, Fraction(0)) for i in range(data.d)]
        fit = data.fit(w)
        residual = [a - b for a, b in zip(data.y, fit, strict=True)]
        path.times.append(time)
        path.s.append(list(s))
        path.fits.append(fit)
        path.w.append(w)
        path.losses.append(_dot(residual, residual) / (2 * data.n))
        c = [data.correlation(i, sparse) / data.n for i in range(data.d)]
        waits = [((1 if c[i] > 0 else -1) - s[i]) / c[i] for i in range(data.d) if c[i] != 0]
        if not waits:
            return path
        wait = min(waits)
        time += wait
        s = [a + wait * b for a, b in zip(s, c, strict=True)]


def floats(rows: list[Vector]) -> ndarray:
    """Fractions as float64."""
    return np.array([[float(value) for value in row] for row in rows])
