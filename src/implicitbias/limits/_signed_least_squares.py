"""min ||y - X w|| over w that vanish off a boundary set and keep given signs on it."""

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError
from implicitbias.limits._qr_kernels import Factors, Pool, refit


class SignedLeastSquares:
    """A pool of signed columns and the factorisation of those with a non-zero coefficient.

    Columns join and leave the pool one by one; the factors are up- and downdated, never rebuilt.
    """

    def __init__(self, X: ndarray, y: ndarray, norms: ndarray) -> None:
        n, d = X.shape
        self._X, self._y, self._norms = X, np.ascontiguousarray(y), norms
        self._y_norm = float(np.sqrt(y @ y))
        self._capacity = min(n, d)
        self._pool = Pool(np.empty((0, n)), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
        self._index = np.empty(0, dtype=np.int64)
        self._slots: dict[int, int] = {}
        self._factors = Factors(np.empty((0, n)), np.zeros((0, 0)), np.empty(0, dtype=np.int64), np.empty(0))
        self._k = 0
        self.r = self._y.copy()
        self.changes = 0

    @property
    def count(self) -> int:
        """Columns in the pool."""
        return len(self._slots)

    @property
    def support(self) -> Int64[ndarray, " k"]:
        """Indices of the columns with a coefficient, in factor order."""
        support: ndarray = self._index[self._factors.member[: self._k]]
        return support

    @property
    def coefficients(self) -> Float64[ndarray, " k"]:
        """Their coefficients."""
        return self._factors.w[: self._k].copy()

    @property
    def scale(self) -> float:
        """||y|| + sum ||x_i|| |w_i|: what rounding errors of the residual are relative to."""
        norms = self._pool.norms[self._factors.member[: self._k]]
        return self._y_norm + float(norms @ np.abs(self._factors.w[: self._k]))

    def outside(self) -> Int64[ndarray, " m"]:
        """Pool columns without a coefficient, ascending."""
        free = self._pool.place[: self.count] < 0
        return np.sort(self._index[: self.count][free])

    def add(self, indices: Int64[ndarray, " m"], signs: Float64[ndarray, " m"]) -> None:
        """Columns reach the boundary with these signs."""
        for index, sign in zip(indices.tolist(), signs.tolist(), strict=True):
            slot = self.count
            if slot == len(self._index):
                size = max(16, 2 * slot)
                self._pool = Pool(*(_grown(array, size) for array in self._pool))
                self._index = _grown(self._index, size)
            self._pool.columns[slot] = self._X[:, index]
            self._pool.signs[slot], self._pool.norms[slot] = sign, self._norms[index]
            self._pool.place[slot], self._index[slot] = -1, index
            self._slots[index] = slot

    def discard(self, index: int) -> None:
        """A column without a coefficient leaves the boundary; the last slot moves into its place."""
        slot = self._slots.pop(index)
        last = len(self._slots)
        if slot != last:
            for array in (*self._pool, self._index):
                array[slot] = array[last]
            self._slots[int(self._index[slot])] = slot
            if self._pool.place[slot] >= 0:
                self._factors.member[self._pool.place[slot]] = slot

    def refit(self, rounding: float) -> None:
        """Move to the minimiser; columns whose gradient is below `rounding`, relatively, stay out."""
        needed = min(self._capacity, self.count)
        if needed > len(self._factors.w):
            self._factors = _larger(self._factors, self._k, min(self._capacity, max(2 * needed, 32)))
        self._k, changes = refit(
            self._pool, self.count, self._factors, self._k, self._y, self.r, rounding, self.scale
        )
        if changes < 0:
            raise ImplicitBiasError(
                "signed least squares did not settle: its columns are too close to dependent for float64; "
                "scale the columns of X to norm 1, or drop near-duplicates"
            )
        self.changes += changes


def _grown(array: ndarray, size: int) -> ndarray:
    new = np.empty((size, *array.shape[1:]), dtype=array.dtype)
    new[: len(array)] = array
    return new


def _larger(old: Factors, k: int, size: int) -> Factors:
    R = np.zeros((size, size))
    R[:k, :k] = old.R[:k, :k]
    return Factors(_grown(old.Q, size), R, _grown(old.member, size), _grown(old.w, size))
