"""Algorithm 1 of pesme2023saddle, made safe for ties: from saddle to saddle of a least-squares problem.

The state is (t, s, nu): s in [-1, 1]^d moves at the speed c = X^T r / n and pushes on the sign-constrained
least squares of the coordinates with |s_i| = 1. Fit, s and t are unique whatever the ties: s = q + X^T nu, and
nu' is the projection of y / n on the tangent cone of {||q + X^T nu||_inf <= 1}.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from implicitbias._core.status import Status
from implicitbias.limits import _hitting_kernels as kernels
from implicitbias.limits._entropy_split import entropy_split
from implicitbias.limits._signed_least_squares import SignedLeastSquares
from implicitbias.problems import LeastSquares

EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Saddle:
    """One row of the path, with the numbers that its optimality is judged by."""

    time: float
    support: Int64[ndarray, " k"]
    values: Float64[ndarray, " k"]
    boundary: Int64[ndarray, " m"]
    nu: Float64[ndarray, " n"]
    loss: float
    unique: bool
    strict: bool
    stationarity: float


class Walk:
    """The walk in progress: `saddles` grows by one row a jump until `status` is set."""

    def __init__(self, problem: LeastSquares, start: Float64[ndarray, " d"]) -> None:
        self.problem, self.start = problem, start
        n, d = problem.shape
        self.q = np.sign(start)
        self.s = self.q.copy()
        self.time, self.nu = 0.0, np.zeros(n)
        self.saddles: list[Saddle] = []
        self.next_time = np.inf
        self.status: Status | None = None
        self._norms = problem.column_norms
        self._fit = SignedLeastSquares(problem.X, problem.y, self._norms)
        self._on_boundary: Bool[ndarray, " d"] = self.q != 0.0
        self._hits = np.empty(d, dtype=np.int64)
        self._visited: set[bytes] = set()
        self._rounding = 16 * EPSILON * np.sqrt(n)

    def run(self, max_jumps: int | None, t_max: float | None, on_saddle: Callable[[], bool]) -> None:
        """Walk until the loss is minimal or a limit is reached; `on_saddle` is called on each new row."""
        self._open()
        jumps = 0
        while self.status is None:
            c = self._speeds()
            if on_saddle():
                self.status = Status.STOPPED_BY_CALLER
            step = kernels.time_to_hit(c, self.s)
            self.next_time = self.time + step
            if self.status is not None or not self._may_go_on(jumps, max_jumps, t_max):
                return
            self._jump(c, step)
            jumps += 1

    def _open(self) -> None:
        """The start is row 0; the refit on its signs follows at time 0 where it differs."""
        support = np.flatnonzero(self.start)
        if len(support) == 0:
            return
        n = self.problem.shape[0]
        residual = self.problem.residual(self.start)
        loss = float(residual @ residual) / (2 * n)
        self.saddles.append(
            Saddle(0.0, support, self.start[support], support, self.nu.copy(), loss, True, True, np.nan)
        )
        self._fit.add(support, self.q[support])
        self._fit.refit(self._rounding)

    def _may_go_on(self, jumps: int, max_jumps: int | None, t_max: float | None) -> bool:
        if np.isinf(self.next_time):
            self.status = Status.CONVERGED
        elif max_jumps is not None and jumps >= max_jumps:
            self.status = Status.REACHED_COUNT
        elif t_max is not None and self.next_time > t_max:
            self.status = Status.REACHED_TIME
        elif self._returns():
            # No support can return while the loss falls: what is left of the gradient is rounding.
            self.status, self.next_time = Status.CONVERGED, np.inf
        return self.status is None

    def _returns(self) -> bool:
        key = np.sort(self._fit.support).tobytes()
        seen = key in self._visited
        self._visited.add(key)
        return seen

    def _speeds(self) -> Float64[ndarray, " d"]:
        """c = X^T r / n at the present saddle, which is recorded; coordinates that turn inward leave."""
        n = self.problem.shape[0]
        fit, support = self._fit, self._fit.support
        c = (fit.r @ self.problem.X) / n
        unit = fit.scale / n
        stationarity = float(np.max(np.abs(c[support]) / self._norms[support], initial=0.0))
        c[support] = 0.0
        outward = kernels.calm(c, self._norms, self._rounding * unit, self.s, self._on_boundary)
        outside = fit.outside()
        idle = outside[c[outside] == 0.0]
        self._record(idle, max(stationarity, outward) / unit if unit > 0 else 0.0)
        for index in outside[c[outside] != 0.0].tolist():
            fit.discard(index)
            self._on_boundary[index] = False
        return c

    def _record(self, idle: Int64[ndarray, " m"], stationarity: float) -> None:
        fit = self._fit
        order = np.argsort(fit.support)
        support, values = fit.support[order], fit.coefficients[order]
        split = (
            entropy_split(self.problem, self.start, self.s, (support, values), idle) if len(idle) else None
        )
        if split is not None:
            support, values = split
        boundary = np.flatnonzero(self._on_boundary)
        loss = float(fit.r @ fit.r) / (2 * self.problem.shape[0])
        saddle = Saddle(
            self.time,
            support,
            values,
            boundary,
            self.nu.copy(),
            loss,
            split is None,
            len(np.setdiff1d(idle, support)) == 0,
            stationarity,
        )
        if self.saddles and self.time == 0.0 and _same_point(self.saddles[-1], saddle):
            self.saddles.pop()
        self.saddles.append(saddle)

    def _jump(self, c: Float64[ndarray, " d"], step: float) -> None:
        fit = self._fit
        self.time += step
        found = kernels.advance(c, self.s, step, self.time, self._hits)
        hits = self._hits[:found]
        self.nu += (step / self.problem.shape[0]) * fit.r
        self._on_boundary[hits] = True
        fit.add(hits, self.s[hits])
        fit.refit(self._rounding)


def _same_point(first: Saddle, second: Saddle) -> bool:
    """Whether a start is already the refit on its own signs."""
    if not np.array_equal(first.support, second.support):
        return False
    return bool(np.allclose(first.values, second.values, rtol=1e-12, atol=0.0))
