"""The tables that the compiled path reads and writes, and how they are enlarged."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.linear_maps import LinearMap
from implicitbias.limits import _path_kernels as kernels
from implicitbias.limits._tolerances import EPSILON
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

_LEAST_ROOM = 16


class PathTables:
    """The tables of one path; those of the pool, the factors and the supports grow with the path.

    Args:
        problem: the problem.
        growth: the growth of the network, with one threshold for each column.
        q: (d,) the dual s at the start.
    """

    def __init__(self, problem: LeastSquares, growth: Growth, q: Float64[ndarray, " d"]) -> None:
        self.n, self.d = n, d = problem.shape
        self.X = stored(problem.linear_map)
        columns = np.zeros((7, d))
        # A column of zeros never reaches a threshold. It is in the pool only if the start has a coefficient on it, and
        # that coefficient never changes.
        columns[kernels.NORM] = np.where(problem.column_norms > 0.0, problem.column_norms, 1.0)
        columns[kernels.LOWER], columns[kernels.UPPER] = -growth.t_minus, growth.t_plus
        columns[kernels.S] = q
        places = np.zeros((3, d), dtype=np.int64)
        places[kernels.SLOT] = -1
        counts = np.zeros(7, dtype=np.int64)
        counts[kernels.JUMPS] = -1
        counts[kernels.EXAMINED] = d  # this makes the walk examine all columns first
        clock = np.zeros(3)
        clock[kernels.ROUNDING] = 16 * EPSILON * np.sqrt(n)
        self.path = kernels.Path(columns, places, counts, clock)
        # All arrays are writable, because numba compiles a second version for read-only arrays.
        y = np.array(problem.y)
        self.vectors = kernels.Vectors(y, y.copy(), np.zeros(n), np.zeros(n), np.zeros(n))
        words = np.random.default_rng(0).integers(1, 2**63, size=d, dtype=np.uint64)
        self.supports = kernels.Supports(words, np.zeros(0, dtype=np.uint64))
        self.pool, self.factors = _new_pool(0, n), _new_factors(0, n)

    def count(self, what: int) -> int:
        """Return one of the counts that the kernels name."""
        return int(self.path.counts[what])

    def rows(self, arriving: int, jumps: int) -> kernels.Rows:
        """Enlarge the tables for the arriving columns, and return empty rows for this number of jumps."""
        n, d = self.n, self.d
        needed, visited = self.count(kernels.POOLED) + arriving, self.count(kernels.JUMPS) + 1 + jumps
        if needed > self.pool.places.shape[1]:
            self.pool = _filled(_new_pool(max(_LEAST_ROOM, 2 * needed), n), self.pool)
        if min(needed, n, d) > len(self.factors.member):
            size = min(max(_LEAST_ROOM, 2 * needed), n, d)
            self.factors = _filled(_new_factors(size, n), self.factors)
        if visited >= len(self.supports.visited):
            words = np.zeros(2 * visited, dtype=np.uint64)
            self.supports = _filled(kernels.Supports(self.supports.words, words), self.supports)
        width, boundary = len(self.factors.member), self.pool.places.shape[1]
        return kernels.Rows(
            numbers=np.empty((jumps, 3)),
            sizes=np.empty((jumps, 3), dtype=np.int64),
            nu=np.empty((jumps, n)),
            support=np.empty((jumps, width), dtype=np.int64),
            values=np.empty((jumps, width)),
            boundary=np.empty((jumps, boundary), dtype=np.int64),
        )


def stored(linear_map: LinearMap) -> kernels.Store:
    """Return the entries of X. Only a dense X that is not contiguous is copied."""
    storage, whole = linear_map.storage(), np.zeros(0, dtype=np.int32)
    if storage.dense is None:
        X = storage.sparse
        return _store(kernels.SPARSE, X.data[None], X.indices, X.indptr, storage.rows, storage.shift)
    X = storage.dense.view(np.ndarray)  # numba would compile a second version for the type of memory maps
    by_rows = X.flags.c_contiguous and not X.flags.f_contiguous
    values = X if by_rows else np.ascontiguousarray(X.T)
    kind = kernels.ROW_MAJOR if by_rows else kernels.COLUMN_MAJOR
    return _store(kind, values, whole, whole, storage.rows, storage.shift)


def _store(kind: int, *arrays: ndarray) -> kernels.Store:
    """Return a store of read-only views, because numba compiles a second version for writable arrays."""
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return kernels.Store(kind, *views)


def _new_pool(size: int, n: int) -> kernels.Pool:
    return kernels.Pool(np.empty((size, n)), np.empty((3, size)), np.zeros((3, size), dtype=np.int64))


def _new_factors(size: int, n: int) -> kernels.Factors:
    member = np.zeros(size, dtype=np.int64)
    return kernels.Factors(np.empty((size, n)), np.zeros((size, size)), np.empty((3, size)), member)


def _filled(new: Any, old: Any) -> Any:
    """Copy old tables into the leading parts of new ones."""
    for target, source in zip(new, old, strict=True):
        if target is not source:
            target[tuple(slice(length) for length in source.shape)] = source
    return new
