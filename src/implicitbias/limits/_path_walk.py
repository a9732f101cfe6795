"""Algorithm 1 of pesme2023saddle, made safe for ties: from saddle to saddle of a least-squares problem.

The state is (t, s, nu): s in [-1, 1]^d moves at the speed c = X^T r / n and pushes on the sign-constrained
least squares of the coordinates with |s_i| = 1. Fit, s and t are unique whatever the ties: s = q + X^T nu, and
nu' is the projection of y / n on the tangent cone of {||q + X^T nu||_inf <= 1}. The compiled walk does the jumps;
this module gives it room, takes its rows and settles ties.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import as_float
from implicitbias._core.errors import ImplicitBiasError
from implicitbias._core.status import Status
from implicitbias.limits import _walk_kernels as kernels
from implicitbias.limits._canonical_split import Split, canonical_split
from implicitbias.limits._column_kernels import storage
from implicitbias.limits._hit_kernels import Watch
from implicitbias.limits._qr_kernels import Factors, Pool
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

EPSILON = float(np.finfo(np.float64).eps)
_ROWS = 64


@dataclass(slots=True, eq=False)
class Saddle:
    """One row of the path, with the numbers that its optimality is judged by."""

    time: float
    point: Split
    boundary: Int64[ndarray, " m"]
    nu: Float64[ndarray, " n"]
    loss: float
    strict: bool
    stationarity: float


class Walk:
    """The walk in progress: `saddles` grows by one row a jump until `status` is set."""

    def __init__(self, problem: LeastSquares, start: Float64[ndarray, " d"], growth: Growth) -> None:
        n, d = problem.shape
        self.problem, self.start, self.growth = problem, start, growth
        self.q = growth.at_signs(start)
        self.saddles: list[Saddle] = []
        self.status: Status | None = None
        self._basic: Int64[ndarray, " k"] | None = None
        # A column of zeros never hits; it is here only where the start has a coefficient on it, which then stays.
        norms = np.where(problem.column_norms > 0.0, problem.column_norms, 1.0)
        words = np.random.default_rng(0).integers(1, 2**63, size=d, dtype=np.uint64)
        rounding = 16 * EPSILON * np.sqrt(n)
        y = np.ascontiguousarray(problem.y)
        self._data = kernels.Data(
            storage(problem.columns), y, norms, -growth.t_minus, growth.t_plus, rounding, words
        )
        self._state = kernels.State(
            r=y.copy(),
            nu=np.zeros(n),
            slot=np.full(d, -1),
            watch=_new_watch(self.q, n),
            hits=np.empty(d, dtype=np.int64),
            visited=np.zeros(0, dtype=np.uint64),
            counts=np.array([0, 0, -1]),
            clock=np.zeros(2),
        )
        self._pool, self._factors = _new_pool(0, n), _new_factors(0, n)

    @property
    def next_time(self) -> float:
        """When the next jump would be; inf where the path is complete."""
        return float(self._state.clock[1])

    @property
    def nu(self) -> Float64[ndarray, " n"]:
        """The dual variable at the last jump."""
        return self._state.nu.copy()

    def run(self, max_jumps: int | None, t_max: float | None, on_saddle: Callable[[], bool] | None) -> None:
        """Walk until the loss is minimal or a limit is reached; `on_saddle` is called on each new row."""
        step, found = 0.0, self._open()
        latest = np.inf if t_max is None else as_float(t_max)
        most = 1 if on_saddle or max_jumps is not None else _ROWS
        rows_before_jumps = 0
        while self.status is None:
            rows = self._make_room(found, most)
            settled, filled, step, found = kernels.walk(
                self._data, self._state, self._pool, self._factors, rows, step, found, latest
            )
            if not settled:
                raise ImplicitBiasError(
                    "signed least squares did not settle: its columns are too close to dependent for float64; "
                    "scale the columns of X to norm 1, or drop near-duplicates"
                )
            fresh = [self._record(rows, row) for row in range(filled)]
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

    def _open(self) -> int:
        """The start, if there is one, is row 0; its signs arrive at time 0. Returns how many."""
        support = np.flatnonzero(self.start)
        if len(support):
            residual = self.problem.residual(self.start)
            loss = float(residual @ residual) / (2 * len(residual))
            point = Split(support, self.start[support], unique=True, resolved=True)
            self.saddles.append(Saddle(0.0, point, support, self.nu, loss, True, np.nan))
            self._state.hits[: len(support)] = np.where(self.start[support] > 0.0, support, -1 - support)
        return len(support)

    def _record(self, rows: kernels.Rows, row: int) -> bool:
        """Append a saddle; False where only rounding separates it from the last one."""
        k, count, idle_count = rows.sizes[row].tolist()
        time, squares, worst = rows.numbers[row].tolist()
        order = np.argsort(rows.support[row, :k])
        support, values = rows.support[row, :k][order], rows.values[row, :k][order]
        if self._basic is not None and np.array_equal(support, self._basic):
            # What arrived depends on what was there: it takes no coefficient, and the loss stays.
            self.saddles[-1].stationarity = max(self.saddles[-1].stationarity, worst)
            return False
        self._basic = support
        split, strict = Split(support, values, unique=True, resolved=True), True
        if idle_count:
            split = self._split(support, values)
            # With the split, a coordinate that the factors left at 0 may be non-zero.
            strict = bool(np.isin(self._idle(), split.indices).all())
        boundary, nu = np.sort(rows.boundary[row, :count]), rows.nu[row].copy()
        saddle = Saddle(time, split, boundary, nu, squares / (2 * len(nu)), strict, worst)
        if len(self.saddles) == 1 and time == 0.0 and _same_point(self.saddles[0].point, split):
            self.saddles.pop()
        self.saddles.append(saddle)
        return True

    def _split(self, support: Int64[ndarray, " k"], values: Float64[ndarray, " k"]) -> Split:
        """Return the split that the network takes, where its growth knows it."""
        count = self._state.counts[1]
        signs = np.zeros(self.problem.shape[1])
        signs[self._pool.owner[:count]] = self._pool.signs[:count]
        return canonical_split(
            self.problem, self.start, signs, (support, values), self._idle(), self.growth.split
        )

    def _idle(self) -> Int64[ndarray, " m"]:
        """Boundary coordinates with neither coefficient nor gradient at the present saddle."""
        pool, count = self._pool, self._state.counts[1]
        return np.sort(pool.owner[:count][(pool.place[:count] < 0) & (pool.speeds[:count] == 0.0)])

    def _make_room(self, arriving: int, count: int) -> kernels.Rows:
        """Room for the columns that arrive, as many factor columns as can be independent, and `count` jumps."""
        n, d = self.problem.shape
        needed, jumps = int(self._state.counts[1]) + arriving, int(self._state.counts[2]) + 1 + count
        if needed > len(self._pool.owner):
            fresh = _new_pool(max(16, 2 * needed), n)
            self._pool = Pool(*(_enlarged(old, new) for old, new in zip(self._pool, fresh, strict=True)))
        if min(needed, n, d) > len(self._factors.w):
            self._factors = _grown(self._factors, _new_factors(min(max(16, 2 * needed), n, d), n))
        if jumps >= len(self._state.visited):
            visited = _enlarged(self._state.visited, np.zeros(2 * jumps, dtype=np.uint64))
            self._state = self._state._replace(visited=visited)
        width, boundary = len(self._factors.w), len(self._pool.owner)
        return kernels.Rows(
            numbers=np.empty((count, 3)),
            sizes=np.empty((count, 3), dtype=np.int64),
            nu=np.empty((count, n)),
            support=np.empty((count, width), dtype=np.int64),
            values=np.empty((count, width)),
            boundary=np.empty((count, boundary), dtype=np.int64),
        )


def _new_watch(q: Float64[ndarray, " d"], n: int) -> Watch:
    """As if every column had been recomputed: the first thing is a look at all."""
    d = len(q)
    drift, seen = np.zeros(n), np.zeros(n)
    near, near_s, near_c = np.empty(d, dtype=np.int64), np.empty(d), np.empty(d)
    return Watch(q.copy(), np.zeros(d), drift, seen, near, near_s, near_c, np.array([d, 0]))


def _new_pool(size: int, n: int) -> Pool:
    whole = np.zeros(size, dtype=np.int64)
    return Pool(np.empty((size, n)), whole, np.empty(size), np.empty(size), np.empty(size), whole.copy())


def _new_factors(size: int, n: int) -> Factors:
    member = np.zeros(size, dtype=np.int64)
    return Factors(np.empty((size, n)), np.zeros((size, size)), np.empty(size), member, np.empty(size))


def _enlarged(old: ndarray, new: ndarray) -> ndarray:
    new[: len(old)] = old
    return new


def _grown(old: Factors, new: Factors) -> Factors:
    size = len(old.w)
    new.R[:size, :size] = old.R
    for name in ("Q", "Qy", "member", "w"):
        _enlarged(getattr(old, name), getattr(new, name))
    return new


def _same_point(first: Split, second: Split) -> bool:
    """Whether a start is already the refit on its own signs."""
    if not np.array_equal(first.indices, second.indices):
        return False
    return bool(np.allclose(first.values, second.values, rtol=1e-12, atol=0.0))
