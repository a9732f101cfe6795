"""The course of a forecast: pieces of gradient descent and of the flow, one after another, with the measured curves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.grokking._held_out import BLOCK, COLUMNS, Gauge
from implicitbias.trajectories import Trajectory

# The number of log-spaced points of the flow's part of a curve for each factor of 10 in time. Where the test error
# changes by more than _STEEP of its unit, and by more than one test row, from one point to the next, the interval is
# halved, at most _HALVINGS times: between two of 30 points a curve was up to 0.8 points off the straight line.
_PER_DECADE, _STEEP, _HALVINGS = 30, 0.005, 2
# The number of points for each factor of 10 in time where only chosen times of a flow are kept.
_KEPT_PER_DECADE = 100
# If chosen times of a flow from t = 0 are kept, the first one is this share of the last one.
_EARLIEST = 1e-9
# A crossing is located to this share of its time.
_LOCATED = 2e-4


class Piece(NamedTuple):
    """A trajectory that begins at the time `begin` of the course."""

    begin: float
    trajectory: Trajectory

    @property
    def end(self) -> float:
        """The last time."""
        return self.begin + float(self.trajectory.times[-1])

    def states(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m size"]:
        """Return the parameters at times of the course; between kept steps of gradient descent on the straight line."""
        local = np.clip(times - self.begin, 0.0, self.trajectory.times[-1])
        if not self.trajectory.sampled:
            return self.trajectory.dense.state(local)
        kept, rows = self.trajectory.times, self.trajectory.flat_states
        right = np.clip(np.searchsorted(kept, local), 1, len(kept) - 1)
        share = (local - kept[right - 1]) / (kept[right] - kept[right - 1])
        return rows[right - 1] + share[:, None] * (rows[right] - rows[right - 1])


@dataclass
class Course:
    """Pieces one after another; the first one begins at time 0. `known` has the rows that were measured, by time."""

    gauge: Gauge
    pieces: list[Piece] = field(default_factory=list)
    known: dict[float, ndarray] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """The last time."""
        return self.pieces[-1].end

    def states(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m size"]:
        """Return the parameters at ascending times."""
        ends = np.array([piece.end for piece in self.pieces])
        owner = np.minimum(np.searchsorted(ends, times), len(ends) - 1)
        found = [piece.states(times[owner == i]) for i, piece in enumerate(self.pieces) if np.any(owner == i)]
        return np.concatenate(found)

    def measured(self, times: Float64[ndarray, " m"]) -> Float64[ndarray, "m columns"]:
        """Return the columns `COLUMNS` at ascending times."""
        missing = [time for time in times.tolist() if time not in self.known]
        if missing:
            self.known |= zip(missing, self.gauge.measured(self.states(np.array(missing))), strict=True)
        return np.array([self.known[time] for time in times.tolist()])

    def known_until(self, time: float) -> dict[float, ndarray]:
        """Return the measured rows up to a time, for a course that begins with the same pieces."""
        return {at: row for at, row in self.known.items() if at <= time}

    def grid(self) -> Float64[ndarray, " m"]:
        """Return 0 and ascending times: every kept time where only some are kept, and log-spaced times elsewhere.

        The test error of gradient descent can go up and down from step to step, so that points between its steps, or
        only some of its steps, would show another curve.
        """
        return np.concatenate([[0.0], *(self._times_of(piece) for piece in self.pieces)])

    def _times_of(self, piece: Piece) -> Float64[ndarray, " m"]:
        """Return the times of the grid in one piece, without its beginning."""
        kept = piece.begin + piece.trajectory.times[1:]
        if piece.trajectory.sampled or len(kept) == 0:
            return kept
        if piece.begin > 0.0:
            return log_spaced(piece.begin, piece.end)[1:]
        return log_spaced(max(float(kept[0]), 1e-12 * self.end), piece.end)

    def halves(self, curve: "Curve") -> Float64[ndarray, " m"]:
        """Return the middles of the intervals, in log time, over which the test error changes too much."""
        stepped = max((piece.end for piece in self.pieces if piece.trajectory.sampled), default=0.0)
        errors = curve.of("test_error")
        counts = self.gauge.kind.counts
        bound = max(_STEEP, 1.5 / self.gauge.test_rows) if counts else _STEEP * errors[0]
        left, right = curve.times[:-1], curve.times[1:]
        steep = (np.abs(np.diff(errors)) > bound) & (left >= stepped) & (left > 0.0)
        middles: ndarray = np.sqrt(left[steep] * right[steep])
        return middles


def log_spaced(first: float, last: float, per_decade: int = _PER_DECADE) -> Float64[ndarray, " m"]:
    """Return times from the first to the last one, so many for each factor of 10."""
    times = np.geomspace(first, last, 2 + round(per_decade * np.log10(last / first)))
    times[-1] = last
    return times


def kept_times(begin: float, end: float) -> Float64[ndarray, " m"]:
    """Return the times of the course at which a flow from `begin` to `end` is kept, if not all times are."""
    times = log_spaced(max(begin, _EARLIEST * end), end, _KEPT_PER_DECADE)
    return times if begin > 0.0 else np.concatenate([[0.0], times])


class Curve(NamedTuple):
    """The measured columns at ascending times, which refinements extend."""

    times: Float64[ndarray, " m"]
    columns: Float64[ndarray, "m columns"]

    def of(self, name: str) -> Float64[ndarray, " m"]:
        """Return a column."""
        return self.columns[:, COLUMNS.index(name)]

    def at(self, name: str, time: float) -> float:
        """Return a column at a time, between two points on the straight line."""
        return float(np.interp(time, self.times, self.of(name)))


def curve_of(course: Course) -> Curve:
    """Return the curve on the grid of a course, with more points where the test error is steep."""
    grid = course.grid()
    curve = Curve(grid, course.measured(grid))
    for _ in range(_HALVINGS):
        inside = course.halves(curve)
        if len(inside) == 0:
            break
        curve = merged(curve, Curve(inside, course.measured(inside)))
    return curve


def located(
    course: Course, curve: Curve, reached: Callable[[ndarray], ndarray], after: float
) -> tuple[float, Curve]:
    """Return the first time from `after` on at which a condition on the columns holds, and the refined curve.

    The interval of the grid in which it first holds is divided again and again.

    Args:
        course: the course.
        curve: its curve so far.
        reached: the condition, from columns (m, 5) to booleans (m,).
        after: the first time that counts, which must be a point of the curve.

    Returns:
        The time, nan if the condition never holds.
    """
    for _ in range(20):
        holds = reached(curve.columns) & (curve.times >= after)
        if not np.any(holds):
            return np.nan, curve
        right = int(np.argmax(holds))
        high = float(curve.times[right])
        low = max(after, float(curve.times[right - 1])) if right else high
        if high - low <= _LOCATED * high:
            return high, curve
        # Where the interval begins at 0, it is divided in time, and otherwise in the logarithm of time.
        ends = low, high, 2 + BLOCK
        inside = np.geomspace(*ends)[1:-1] if low > 0.0 else np.linspace(*ends)[1:-1]
        curve = merged(curve, Curve(inside, course.measured(inside)))
    return high, curve


def merged(one: Curve, other: Curve) -> Curve:
    """Return the points of two curves in the order of time, each time once."""
    times, first = np.unique(np.concatenate([one.times, other.times]), return_index=True)
    return Curve(times, np.concatenate([one.columns, other.columns])[first])
