"""Maximum margins in entrywise gauges: working sets of rows and columns around the interior-point method."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias.gauges import conjugate
from implicitbias.limits._interior_point import Point, Program, interior_point
from implicitbias.limits._margin_faces import polished
from implicitbias.limits._separable_terms import Terms
from implicitbias.problems._margins import Margins, Separator

# The gap at which the last round stops, and the coarser gaps of the earlier rounds of a working set.
FINEST = 1e-12
_ROUNDS = (1e-2, 1e-4, FINEST)
_MOST_ROUNDS = 60
_LEVEL_ROUNDS = 8
# Up to these numbers, all rows or columns are used at once.
_FEW_ROWS = 300
_FEW_COLUMNS = 300
# A multiplier or a margin that differs by less than this share from its bound counts as equal to it.
_TIE = 1e-7


@dataclass(frozen=True, eq=False)
class ScaledColumns:
    """The columns of the margins in units in which the larger weight of each entry is 1.

    Entries whose weights are both 0 are free variables. Entries whose weights are both infinite are left out.

    Attributes:
        margins: the margins.
        exponent: p.
        counted: (d',) the positions of the entries that are neither free nor left out.
        unit: (d',) the size of w_j that has the length 1, for the sign of smaller weight.
        up: (d',) the reciprocal weight of positive entries, in these units.
        down: (d',) the reciprocal weight of negative entries, in these units.
        free: (m, r') the coefficients of all free variables: the intercepts, then the entries without cost.
        free_entries: the positions of the entries without cost.
        size: the common factor of rows, so that the working matrix has entries of size 1.
    """

    margins: Margins
    exponent: float
    counted: Int64[ndarray, " d"]
    unit: Float64[ndarray, " d"]
    up: Float64[ndarray, " d"]
    down: Float64[ndarray, " d"]
    free: Float64[ndarray, "m r"]
    free_entries: Int64[ndarray, " f"]
    size: float

    @classmethod
    def of(cls, margins: Margins, gauge: Any) -> "ScaledColumns":
        """Return the columns of the margins in the units of an entrywise gauge."""
        sides = gauge.sides.spread(margins.linear_map.domain).reciprocal
        up, down = np.asarray(sides.plus), np.asarray(sides.minus)
        free_entries = np.flatnonzero(np.isinf(up) & np.isinf(down))
        counted = (
            np.flatnonzero(np.maximum(up, down) > 0.0)
            if not len(free_entries)
            else np.flatnonzero((np.maximum(up, down) > 0.0) & ~(np.isinf(up) & np.isinf(down)))
        )
        up, down = up[counted], down[counted]
        larger = np.maximum(up, down)
        unit = np.where(
            np.isinf(larger), np.where(np.minimum(up, down) > 0.0, np.minimum(up, down), 1.0), larger
        )
        norms = margins.linear_map.norms[counted] * unit
        size = float(np.max(norms, initial=0.0)) or 1.0
        every = np.arange(len(margins.signs))
        extra = margins.part(every, free_entries) if len(free_entries) else np.zeros((len(every), 0))
        return cls(
            margins,
            gauge.exponent,
            counted,
            unit,
            up / unit,
            down / unit,
            np.hstack([margins.free, extra]),
            free_entries,
            size,
        )

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]) -> Float64[ndarray, "m k"]:
        """Return the working matrix of some rows and some counted columns."""
        scale = self.unit[columns] / self.size
        part = self.margins.part(rows, self.counted[columns])
        part *= scale
        return part

    def dual(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, " d"]:
        """Return the combination of the rows of the working matrix with the weights q."""
        return self.margins.combination(q).ravel()[self.counted] * (self.unit / self.size)

    def lengths(self, v: Float64[ndarray, " d"], columns: Any = slice(None)) -> Float64[ndarray, " d"]:
        """Return the lengths of entries v in these units."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(v == 0.0, 0.0, np.where(v > 0.0, v / self.up[columns], -v / self.down[columns]))

    def polar_lengths(self, z: Float64[ndarray, " d"], columns: Any = slice(None)) -> Float64[ndarray, " d"]:
        """Return the lengths of dual entries z in these units."""
        with np.errstate(invalid="ignore"):
            return np.where(z == 0.0, 0.0, np.where(z > 0.0, z * self.up[columns], -z * self.down[columns]))

    def separator(
        self, v: Float64[ndarray, " d"], b: Float64[ndarray, " r"], q: Float64[ndarray, " m"]
    ) -> Separator:
        """Return the classifier in the units of the problem, whose margins are those of the working matrix."""
        w = np.zeros(self.margins.linear_map.shape[1])
        w[self.counted] = v * (self.unit / self.size)
        intercepts = self.margins.free.shape[1]
        w[self.free_entries] = b[intercepts:]
        return Separator(w.reshape(self.margins.linear_map.domain), b[:intercepts], q)


class _Sets(NamedTuple):
    """The working sets: positions of rows, and of counted columns."""

    rows: Int64[ndarray, " m"]
    columns: Int64[ndarray, " k"]


def entrywise_separator(
    margins: Margins, gauge: Any, finest: float = FINEST
) -> tuple[Separator, bool | None]:
    """Return a classifier of the largest margin in an entrywise gauge, and whether it is the only one.

    Data that no classifier separates give an arbitrary classifier, which does not separate them. The second value is
    None if it is not known.
    """
    scaled = ScaledColumns.of(margins, gauge)
    sets, level = _first_sets(scaled), 0
    complete = len(sets.rows) == len(margins.signs) and len(sets.columns) == len(scaled.counted)
    rounds = (*_ROUNDS[:-1], finest)
    if complete:
        level = len(rounds) - 1
    for spent in range(_MOST_ROUNDS):
        last = level == len(rounds) - 1
        v, b, q, unique = _restricted(scaled, sets, rounds[level], last)
        grown, every = _grown(scaled, sets, (v, b, q), rounds[level])
        if last and grown is sets:
            break
        # Coarse solutions can drop and add the same rows in turn, so that each level gets a limited number of rounds.
        if every or spent % _LEVEL_ROUNDS == _LEVEL_ROUNDS - 1:
            level = min(level + 1, len(rounds) - 1)
        sets = grown
    everywhere = np.zeros(len(scaled.counted)), np.zeros(len(margins.signs))
    everywhere[0][sets.columns], everywhere[1][sets.rows] = v, q
    return scaled.separator(everywhere[0], b, everywhere[1]), unique


def improved(margins: Margins, gauge: Any, separator: Separator) -> tuple[Separator, bool | None]:
    """Return the exact solution near an approximate one, and whether it is unique (None: unknown)."""
    scaled = ScaledColumns.of(margins, gauge)
    every = np.arange(len(margins.signs)), np.arange(len(scaled.counted))
    program, factors = restricted_program(scaled, *every)
    judge = _Gauge(scaled, _Sets(*every), program, factors)
    w = separator.w.ravel()
    v = w[scaled.counted] / (scaled.unit / scaled.size)
    intercepts = np.concatenate([separator.b, w[scaled.free_entries]])
    q = separator.multipliers
    z = scaled.dual(q)
    low = float(np.min((program.A @ v + judge.free @ intercepts) / factors))
    power = norm(scaled.lengths(v), scaled.exponent) if scaled.exponent > 1.0 else low
    if not low > 0.0 or not power > 0.0 or not np.sum(q) > 0.0:
        return separator, None
    # The programs with right-hand side 0 have multipliers of a given sum, and the size of v follows from them.
    if scaled.exponent > 1.0:
        q = q * (-program.free_cost[0] / np.sum(q))
        dual = norm(scaled.polar_lengths(scaled.dual(q)), conjugate(scaled.exponent))
        ratio = 1.0 / power if np.isinf(scaled.exponent) else dual ** (1.0 / (scaled.exponent - 1.0)) / power
        v, intercepts, low = v * ratio, intercepts * ratio, low * ratio
        intercepts = np.concatenate([[low], intercepts])
    else:
        v, intercepts = v / low, intercepts / low
        q = q / (norm(scaled.polar_lengths(z), np.inf) or 1.0)
    point = _as_point(program, v, intercepts, q / factors)
    exact, unique = polished(program, point, judge.gap(point), judge.gap)
    return scaled.separator(program.terms.fold(exact.u), exact.b[judge.first :], exact.q * factors), unique


def _as_point(program: Program, v: ndarray, b: ndarray, q: ndarray) -> Point:
    """Return primal and dual vectors as a point of a program, with the slacks and bound multipliers that they imply."""
    terms = program.terms
    u = np.concatenate([np.maximum(v, 0.0), np.maximum(-v, 0.0)]) if terms.split else v
    slack = np.maximum(program.A @ v + program.B @ b - program.right, 0.0)
    z = terms.spread(program.A.T @ q)
    rest = terms.costs - z if terms.linear and terms.exponent == 1.0 else -z
    low, high = terms.has_lower, terms.has_upper
    return Point(
        u,
        b,
        slack,
        q,
        np.where(low, u - terms.lower, 1.0),
        np.where(high, terms.upper - u, 1.0),
        np.where(low, np.maximum(rest, 0.0), 0.0),
        np.where(high, np.maximum(-rest, 0.0), 0.0),
    )


def _restricted(
    scaled: ScaledColumns, sets: _Sets, tolerance: float, last: bool
) -> tuple[Float64[ndarray, " k"], Float64[ndarray, " r"], Float64[ndarray, " m"], bool | None]:
    """Solve the program of the working sets, and return v, the free variables, q and whether v is unique."""
    program, rows = restricted_program(scaled, sets.rows, sets.columns)
    gauge = _Gauge(scaled, sets, program, rows)
    point, gap = interior_point(program, gauge.gap, tolerance)
    unique: bool | None = None
    if last:
        point, unique = polished(program, point, gap, gauge.gap)
    return program.terms.fold(point.u), point.b[gauge.first :], point.q * rows, unique


class _Gauge:
    """The duality gap of the margin for iterates of a restricted program."""

    def __init__(
        self, scaled: ScaledColumns, sets: _Sets, program: Program, rows: Float64[ndarray, " m"]
    ) -> None:
        self.scaled, self.columns, self.program, self.rows = scaled, sets.columns, program, rows
        # In the programs with right-hand side 0 the first free variable is the margin itself.
        self.first = 0 if scaled.exponent == 1.0 else 1
        self.free = program.B[:, self.first :]

    def gap(self, at: Point) -> float:
        A, p = self.program.A, self.scaled.exponent
        v, b, q = self.program.terms.fold(at.u), at.b[self.first :], at.q
        low = float(np.min((A @ v + self.free @ b) / self.rows))
        value = norm(self.scaled.lengths(v, self.columns), p)
        z = A.T @ q
        polar = norm(self.scaled.polar_lengths(z, self.columns), conjugate(p))
        total = float(self.rows @ q)
        if polar == 0.0 or total == 0.0 or not np.isfinite(polar):
            return np.inf
        if value == 0.0:
            return 0.0 if low > 0.0 else np.inf
        outside = float(np.max(np.abs(self.free.T @ q), initial=0.0)) / total
        return abs(1.0 - (low / value) * (total / polar)) + outside


def norm(lengths: Float64[ndarray, " k"], p: float) -> float:
    """Return the l_p norm of non-negative lengths."""
    largest = float(np.max(lengths, initial=0.0))
    if largest == 0.0 or np.isinf(p) or not np.isfinite(largest):
        return largest
    return largest * float(np.sum((lengths / largest) ** p)) ** (1.0 / p)


def restricted_program(
    scaled: ScaledColumns, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " k"]
) -> tuple[Program, Float64[ndarray, " m"]]:
    r"""Return the program of some rows and columns, and the factors by which its rows were multiplied.

    For p = 1 it is: minimise $\gamma(v)$ over margins >= 1. For other p it is: maximise t - F(v) over margins >= t,
    with $F = \gamma^p / p$, or the bounds $\gamma(v) \le 1$ if p is infinite; t is the first free variable.
    """
    A, free = scaled.part(rows, columns), scaled.free[rows]
    lengths = np.sqrt(np.einsum("ij,ij->i", A, A))
    factors = 1.0 / np.where(lengths > 0.0, lengths, 1.0)
    A, free = A * factors[:, None], free * factors[:, None]
    up, down, p = scaled.up[columns], scaled.down[columns], scaled.exponent
    m, k = A.shape
    with np.errstate(divide="ignore"):
        weights, minus = 1.0 / up, 1.0 / down
    none = np.full(k, np.inf)
    if np.isinf(p):
        terms = Terms(p, False, np.zeros(k), -down, up, np.ones(k, dtype=bool))
    elif p == 1.0 or np.any(up != down):
        costs, used = np.concatenate([weights, minus]), np.isfinite(np.concatenate([weights, minus]))
        terms = Terms(p, True, np.where(used, costs, 1.0), np.zeros(2 * k), np.full(2 * k, np.inf), used)
    else:
        terms = Terms(p, False, weights, -none, none, np.ones(k, dtype=bool))
    if p == 1.0:
        return Program(A, free, factors, np.zeros(free.shape[1]), terms), factors
    cost = np.zeros(1 + free.shape[1])
    cost[0] = -float(
        np.max(factors)
    )  # the rows of small norm decide the margin, and get multipliers of size 1
    return Program(A, np.hstack([-factors[:, None], free]), np.zeros(m), cost, terms), factors


def _first_sets(scaled: ScaledColumns) -> _Sets:
    """Return the first working sets: all, or rows of small margins and columns of large correlations."""
    m, d = len(scaled.margins.signs), len(scaled.counted)
    rows, columns = np.arange(m), np.arange(d)
    mean = scaled.dual(np.full(m, 1.0 / m))
    few = max(_FEW_ROWS, 2 * min(d, 1000))
    if m > few:
        some = few // 2
        v = scaled.separator(mean, np.zeros(scaled.free.shape[1]), np.zeros(m))
        values = scaled.margins.values(v.w, v.b)
        # With an intercept the rows of smallest margin may all be of one class, so half of them are spread out.
        rows = np.union1d(np.argsort(values, kind="stable")[:some], np.arange(0, m, max(1, m // some)))
    few = max(_FEW_COLUMNS, 4 * min(len(rows), 1000))
    if scaled.exponent == 1.0 and d > few:
        order = np.argsort(-scaled.polar_lengths(mean), kind="stable")
        columns = np.sort(order[:few])
    return _Sets(rows, columns)


def _grown(
    scaled: ScaledColumns, sets: _Sets, point: tuple[ndarray, ndarray, ndarray], tolerance: float
) -> tuple[_Sets, bool]:
    """Return the working sets with the most violated rows and columns added, and whether these are all violated ones.

    If nothing is violated, the same sets are returned.
    """
    m, d = len(scaled.margins.signs), len(scaled.counted)
    rows, columns = sets
    v, b, q = point
    every = True
    if len(rows) < m:
        full = np.zeros(d)
        full[columns] = v
        separator = scaled.separator(full, b, np.zeros(m))
        values = scaled.margins.values(separator.w, separator.b)
        smallest = float(np.min(values[rows]))
        few = len(columns) + len(b) + 50
        grown, every = _added(rows, smallest - values, max(_slack(tolerance), FINEST) * abs(smallest), few)
        if grown is not rows and tolerance > FINEST:
            order = np.argsort(values[sets.rows], kind="stable")
            near = sets.rows[order[: 2 * few]]
            grown = np.union1d(near, np.setdiff1d(grown, sets.rows))
        rows = grown
    if len(columns) < d:
        multipliers = np.zeros(m)
        multipliers[sets.rows] = np.maximum(q, 0.0)
        sizes = scaled.polar_lengths(scaled.dual(multipliers))
        largest = float(np.max(sizes[columns]))
        kept = columns[(sizes[columns] > 0.6 * largest) | (v != 0.0) & (tolerance <= FINEST)]
        grown, all_columns = _added(
            columns, sizes - largest, _slack(tolerance) * largest, max(len(sets.rows), 100)
        )
        every = every and all_columns
        if len(grown) == len(columns):
            grown = columns
        elif tolerance > 1e-4:
            grown = np.union1d(kept, np.setdiff1d(grown, columns))
        columns = grown
    if rows is sets.rows and columns is sets.columns:
        return sets, True
    return _Sets(rows, columns), every


def _slack(tolerance: float) -> float:
    """Return the relative violation from which rows and columns are added; in the last round ties are added too."""
    return 0.1 * tolerance if tolerance > _TIE else -_TIE


def _added(
    held: Int64[ndarray, " k"], violation: Float64[ndarray, " m"], least: float, most: int
) -> tuple[Int64[ndarray, " j"], bool]:
    """Return the positions with at most `most` of the most violated others added, and whether these are all.

    If nothing is violated, the same array is returned.
    """
    outside = violation > least
    outside[held] = False
    new = np.flatnonzero(outside)
    if not len(new):
        return held, True
    some = new if len(new) <= most else new[np.argpartition(-violation[new], most - 1)[:most]]
    return np.union1d(held, some), len(some) == len(new)
