"""The walk from saddle to saddle of a least-squares problem: algorithm 1 of pesme2023saddle, extended to ties.

The state is (t, s, nu) with s = q + X^T nu in [-1, 1]^d. Between jumps s moves at the speed c = X^T r / n. The
equicorrelation set holds the coordinates with |s_i| = 1. At a jump, w becomes the least-squares point of these
coordinates under their signs. Fit, s and t are unique even with ties, because nu' is the projection of y / n on the
tangent cone of {||q + X^T nu||_inf <= 1}. The compiled walk does the jumps. This module enlarges its tables, reads its
rows and computes the canonical split where there are ties.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import as_float
from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.errors import ImplicitBiasError
from implicitbias._core.status import Status
from implicitbias.limits import _path_kernels as kernels
from implicitbias.limits._canonical_split import Split, canonical_split, split_by_null_vectors
from implicitbias.limits._null_vectors import NullVectorFinder
from implicitbias.limits._path_tables import PathTables
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

_ROWS = 64


@dataclass(slots=True, eq=False)
class Saddle:
    """One row of the path, with the numbers that measure its optimality."""

    time: float
    point: Split
    boundary: Int64[ndarray, " m"]
    nu: Float64[ndarray, " n"]
    loss: float
    strict: bool
    stationarity: float


class Walk:
    """A walk in progress. Each jump appends one row to `saddles`; `status` is None until the walk ends."""

    def __init__(self, problem: LeastSquares, start: Float64[ndarray, " d"], growth: Growth) -> None:
        self.problem, self.start, self.growth = problem, start, growth
        self.q = growth.at_signs(start)
        self.saddles: list[Saddle] = []
        self.status: Status | None = None
        self._basic: Int64[ndarray, " k"] | None = None
        self._tables = PathTables(problem, growth, self.q)
        self._null_vectors = NullVectorFinder(problem.shape[1])
        self._sizes = np.zeros(problem.shape[1])

    @property
    def next_time(self) -> float:
        """The slow time of the next jump; inf if the path is complete."""
        return float(self._tables.path.clock[kernels.NEXT])

    @property
    def nu(self) -> Float64[ndarray, " n"]:
        """The dual variable at the last jump."""
        return self._tables.vectors.nu.copy()

    def run(self, max_jumps: int | None, t_max: float | None, on_saddle: Callable[[], bool] | None) -> None:
        """Walk until the loss is minimal or a limit is reached; `on_saddle` is called on each new row."""
        step, found, tables = 0.0, self._record_start(), self._tables
        latest = np.inf if t_max is None else as_float(t_max)
        row_limit = 1 if on_saddle or max_jumps is not None else _ROWS
        rows_before_jumps = 0
        while self.status is None:
            rows = tables.rows(found, row_limit)
            settled, step, found = kernels.walk(
                tables.X, tables.path, tables.vectors, tables.pool, tables.factors, tables.supports,
                rows, step, found, latest,
            )  # fmt: skip
            if not settled:
                raise ImplicitBiasError(
                    "the least squares under fixed signs did not converge, because some columns of X are too close to "
                    "dependent for float64; scale the columns of X to norm 1, or drop near-duplicates"
                )
            fresh = [self._record(rows, row) for row in range(self._tables.count(kernels.WRITTEN))]
            asked = any(fresh) and on_saddle is not None and on_saddle()
            rows_before_jumps = rows_before_jumps or len(self.saddles)
            if np.isinf(step):
                self.status = Status.CONVERGED
            elif asked:
                self.status = Status.STOPPED_BY_CALLER
            elif max_jumps is not None and len(self.saddles) - rows_before_jumps >= max_jumps:
                self.status = Status.REACHED_COUNT
            elif self.next_time > latest:
                self.status = Status.REACHED_TIME

    def _record_start(self) -> int:
        """Record a start other than 0 as row 0, with its signs as arrivals at time 0; return the number of arrivals."""
        support = np.flatnonzero(self.start)
        if len(support):
            residual = self.problem.residual(self.start)
            loss = float(residual @ residual) / (2 * len(residual))
            point = Split(support, self.start[support], unique=True, resolved=True)
            self.saddles.append(Saddle(0.0, point, support, self.nu, loss, True, np.nan))
            self._tables.path.places[kernels.HITS, : len(support)] = np.where(
                self.start[support] > 0.0, support, -1 - support
            )
        return len(support)

    def _record(self, rows: kernels.Rows, row: int) -> bool:
        """Append a saddle and return True; return False if it differs from the last one by rounding only."""
        k, count, idle_count = (
            int(rows.sizes[row, what]) for what in (kernels.SUPPORT, kernels.BOUNDARY, kernels.IDLE)
        )
        time, squares, worst = (
            float(rows.numbers[row, what]) for what in (kernels.TIME, kernels.SQUARES, kernels.WORST)
        )
        order = np.argsort(rows.support[row, :k])
        support, values = rows.support[row, :k][order], rows.values[row, :k][order]
        if self._basic is not None and np.array_equal(support, self._basic):
            # The columns that arrived depend on the active ones, so they get no coefficient and the loss stays.
            self.saddles[-1].stationarity = max(self.saddles[-1].stationarity, worst)
            return False
        self._basic = support
        split, strict = Split(support, values, unique=True, resolved=True), True
        if idle_count:
            idle = self._idle()
            with one_blas_thread():
                split = self._split((support, values), idle)
            # The canonical split may give a coefficient to a coordinate that is 0 in the factorisation.
            strict = set(split.indices.tolist()).issuperset(idle.tolist())
        boundary, nu = np.sort(rows.boundary[row, :count]), rows.nu[row].copy()
        saddle = Saddle(time, split, boundary, nu, squares / (2 * len(nu)), strict, worst)
        if len(self.saddles) == 1 and time == 0.0 and _same_point(self.saddles[0].point, split):
            self.saddles.pop()
        self.saddles.append(saddle)
        return True

    def _split(
        self, basic: tuple[Int64[ndarray, " k"], Float64[ndarray, " k"]], idle: Int64[ndarray, " m"]
    ) -> Split:
        """Return the canonical split of the network, if its growth determines one."""
        pool, count, rule = self._tables.pool, self._tables.count(kernels.POOLED), self.growth.split
        signs = np.zeros(self.problem.shape[1])
        signs[pool.places[kernels.OWNER, :count]] = pool.numbers[kernels.SIGN, :count]
        ties = None if rule is None else self._null_vectors.find(self._tables, idle)
        split = None
        if rule is not None and ties is not None:
            # The split of the last saddle is a good guess, because most jumps change few coefficients much.
            split = split_by_null_vectors(self.start, signs, basic, ties, rule, self._sizes)
        if split is None:
            split = canonical_split(self.problem, self.start, signs, basic, idle, rule)
        self._sizes = np.zeros(len(self._sizes))
        self._sizes[split.indices] = np.abs(split.values)
        return split

    def _idle(self) -> Int64[ndarray, " m"]:
        """Return the boundary coordinates whose coefficient and gradient are both 0 at the present saddle."""
        pool, count = self._tables.pool, self._tables.count(kernels.POOLED)
        resting = (pool.places[kernels.FACTOR, :count] < 0) & (pool.numbers[kernels.INWARD, :count] == 0.0)
        return np.sort(pool.places[kernels.OWNER, :count][resting])


def _same_point(first: Split, second: Split) -> bool:
    """Return whether two points have the same support and, up to rounding, the same values."""
    if not np.array_equal(first.indices, second.indices):
        return False
    return bool(np.allclose(first.values, second.values, rtol=1e-12, atol=0.0))
