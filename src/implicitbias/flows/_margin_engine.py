"""The engine of the norm drift under margins, which goes from event to event: rows reach the level or stop pulling."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.status import Status
from implicitbias.flows._dense import CurveOutput, Output, constant_output
from implicitbias.flows._engine import Engine
from implicitbias.flows._limits import Limits
from implicitbias.flows._margin_system import STABLE, MarginSystem, Pulls
from implicitbias.flows._stepper import stuck
from implicitbias.flows._tsit5 import DENSE, EMBEDDED, ORDER, STAGES
from implicitbias.trajectories import Stats

# The shares of a step at which rows are examined for events.
_LOOKS = (0.25, 0.5, 0.75, 1.0)
# A free margin may be below the level by this share of it, and a pull below 0 by this share of the largest one.
_SLACK = 1e-9
# The numbers of secant steps to an event on the dense output, and of steps that are repeated to end at it.
_SECANTS, _REPEATED = 40, 8
# Free rows whose margins are at the level up to this share may be held from an event on.
_NEAR = 1e-7
# The largest number of accepted steps in one output.
_STEPS = 16
# The first step, and the limits of the factor between two steps.
_FIRST, _SAFETY, _SHRINK, _GROW = 1e-3, 0.9, 0.2, 5.0
# The number of exchanges in blocks, after which rows are exchanged one by one.
_BLOCKS = 10


class Step(NamedTuple):
    """A step of size h: its end, the slope there, the coefficients of dense output (4, m), and its error in rtol."""

    h: float
    end: Float64[ndarray, " m"]
    slope: Float64[ndarray, " m"]
    curve: Float64[ndarray, "4 m"]
    error: float


@dataclass
class MarginEngine(Engine):
    """An engine that integrates a `MarginSystem` by steps of Tsit5, each of which ends at the first event in it.

    Attributes:
        base: the system; the rows that it holds are replaced by `held`.
        u: the inner variable, which is that of the start at first.
        limits: the end, the tolerance and the largest number of steps.
        held: (N,) the rows that are held.
        counts: the accepted steps, the rejected ones, the repeated ones, the events, and the most rows held at a time.
        words: notes for the reader.
    """

    base: MarginSystem
    u: Float64[ndarray, " m"]
    limits: Limits
    held: Bool[ndarray, " N"]
    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    words: tuple[str, ...] = ()
    h: float = field(init=False)
    slope: Float64[ndarray, " m"] = field(init=False)

    saved = ("u", "held", "counts", "h", "slope")

    def __post_init__(self) -> None:
        self.first = constant_output(self.base, self.u)
        self.h = _FIRST * self.limits.end
        self._hold(_allowed(self.base, self.u, self.held))

    def advance(self) -> Output | None:
        pieces: list[CurveOutput] = []
        while len(pieces) < _STEPS and self.status() is None:
            begin, u, step = self.t, self.u, self._accepted()
            if step is not None:
                ends = np.full(1, begin), np.full(1, self.t - begin)
                pieces.append(
                    CurveOutput(self.base, *ends, u[None], step.curve[None], np.zeros(1, dtype=bool))
                )
        return pieces[0].joined(pieces) if pieces else None

    def status(self) -> Status | None:
        if self.t >= self.limits.end:
            return Status.REACHED_TIME
        if bool(stuck(self.t, self.h)):
            self.ending_note = (
                f"The integration stopped at {self.limits.clock.text(self.t, 6)}, where no step keeps the margins at "
                "the level, for instance because units die or rows depend on each other."
            )
            return Status.STEP_UNDERFLOW
        return Status.MAX_STEPS if self.counts[0] + self.counts[1] >= self.limits.max_steps else None

    def state(self) -> Float64[ndarray, " size"]:
        state: ndarray = self.base.states(self.u[None])[0]
        return state

    def stats(self, seconds: float) -> Stats:
        accepted, rejected, repeated, events, held = self.counts
        work = (len(STAGES) + 1) * (accepted + rejected + repeated)
        return Stats(accepted + rejected, accepted, rejected, work, work, seconds, events=events, held=held)

    def notes(self) -> tuple[str, ...]:
        return self.words

    @property
    def _system(self) -> MarginSystem:
        return replace(self.base, held=self.held)

    def _hold(self, held: Bool[ndarray, " N"]) -> None:
        """Hold these rows from now on."""
        self.held = held
        self.counts = (*self.counts[:4], max(self.counts[4], int(np.sum(held))))
        self.slope = _field(self._system, self.u)

    def _count(self, accepted: int = 0, rejected: int = 0, repeated: int = 0, events: int = 0) -> None:
        more = (accepted, rejected, repeated, events)
        self.counts = (*(a + b for a, b in zip(self.counts, more, strict=False)), self.counts[4])  # type: ignore[assignment]

    def _accepted(self) -> Step | None:
        """Take a step to its end or to the first event in it and return it, or None if its error is too large."""
        left = self.limits.end - self.t
        step = self._tried(min(self.h, left))
        # The comparison is false for NaN.
        factor = _SAFETY * max(step.error, 1e-10) ** (-1.0 / ORDER) if step.error < np.inf else _SHRINK
        proposal = step.h * min(max(factor, _SHRINK), _GROW)
        if not step.error <= 1.0:
            self._count(rejected=1)
            self.h = proposal
            return None
        row, share = self._first_event(step)
        if row is not None:
            whole, (step, row) = step.h, self._to_event(row, share * step.h)
            # The pulls may overflow in a repeated step, for instance where the margins of the model are bounded.
            if not step.error < np.inf:
                self._count(rejected=1)
                self.h = _SHRINK * whole
                return None
        # A step that the end or an event cut short does not shorten the next one.
        self.h = max(proposal, self.h) if step.h < self.h else proposal
        last = step.h >= left
        self.t, self.u, self.slope = self.limits.end if last else self.t + step.h, step.end, step.slope
        self._count(accepted=1, events=int(row is not None))
        if row is not None:
            self._hold(_allowed(self.base, self.u, self.held, row))
        return step

    def _tried(self, h: float) -> Step:
        """Return a step of size h."""
        system, slopes = self._system, [self.slope]
        for row in STAGES:  # Stages that overflow make the error infinite.
            point = self.u + h * (np.asarray(row) @ np.stack(slopes))
            if row is STAGES[-1]:
                end, slope = map(np.asarray, _complete(system, point))
            else:
                slope = _field(system, point)
            slopes.append(slope)
        stages = h * np.stack(slopes)
        curve = DENSE.T @ stages
        # The polynomial ends at the end of the step, which is corrected.
        curve[3] += end - self.u - np.sum(curve, axis=0)
        error = float(_error(system, self.u, end, self.u + np.asarray(EMBEDDED) @ stages)) / self.limits.rtol
        return Step(h, end, slope, curve, error if np.all(np.isfinite(curve)) else np.inf)

    def _first_event(self, step: Step) -> tuple[int | None, float]:
        """Return the row of the first event in a step and its share of the step, located on the dense output."""

        def room(share: float) -> ndarray:
            return _room(self._system, self.u + share ** np.arange(1, 5) @ step.curve)

        at = np.stack([room(share) for share in _LOOKS])
        late = np.flatnonzero(np.min(at, axis=1) < -_SLACK)
        if not len(late):
            return None, 1.0
        index = int(late[0])
        high, above = _LOOKS[index], at[index]
        low, below = (_LOOKS[index - 1], at[index - 1]) if index else (0.0, room(0.0))
        for count in range(_SECANTS):
            row = int(np.argmin(above))
            if above[row] >= -10.0 * _SLACK or high - low <= 1e-14:
                break
            # Secant steps of the row that is latest, and bisection in between.
            drop = below[row] - above[row]
            share = 0.5 if count % 3 == 2 or not 0.0 < drop < np.inf else (below[row] + 3.0 * _SLACK) / drop
            middle = low + min(max(share, 1e-3), 1.0 - 1e-3) * (high - low)
            inside = room(middle)
            if np.min(inside) < -_SLACK:
                high, above = middle, inside
            else:
                low, below = middle, inside
        return int(np.argmin(above)), high

    def _to_event(self, row: int, h: float) -> tuple[Step, int]:
        """Return the step that ends at an event near the size h, and its row, from repeated steps.

        The dense output is less accurate than the end of a step, so that the size is corrected by the secant method.
        """
        sizes, rooms = [0.0], [_room(self._system, self.u)]
        for _ in range(_REPEATED):
            h = max(h, float(np.nextafter(self.t, np.inf)) - self.t)
            step = self._tried(h)
            self._count(repeated=1)
            room = _room(self._system, step.end)
            row = int(np.argmin(room)) if np.min(room) < -10.0 * _SLACK else row
            drop = (rooms[-1][row] - room[row]) / (h - sizes[-1]) if h != sizes[-1] else 0.0
            if -10.0 * _SLACK <= room[row] <= 0.0 or not 0.0 < drop < np.inf:
                break
            sizes, rooms = [*sizes, h], [*rooms, room]
            h += (room[row] + 3.0 * _SLACK) / drop
        return step, row


def _allowed(
    system: MarginSystem,
    u: Float64[ndarray, " m"],
    held: Bool[ndarray, " N"],
    changed: int | None = None,
) -> Bool[ndarray, " N"]:
    """Return the rows to hold from u on: pulls are not negative, and margins at the level do not fall below it.

    This is a linear complementarity problem, whose rows are exchanged in blocks, and one by one if this does not end
    (Murty's rule, which ends for positive definite kernels).

    Args:
        system: the system.
        u: the inner variable.
        held: the rows that were held before.
        changed: the row of an event, which reached the level or stopped pulling.
    """
    at = jax.tree.map(np.asarray, _looked(system, u)[0])
    near = held | (at.margins <= float(np.exp(u[-1])) * (1.0 + _NEAR))
    held = held.copy()
    if changed is not None:
        near[changed] = True
        held[changed] = not held[changed]
    largest = np.max(np.abs(at.fall), initial=0.0)
    for count in range(_BLOCKS * (len(held) + 2)):
        q = np.zeros(len(held))
        if np.any(held):
            kernel = at.kernel[np.ix_(held, held)]
            stable = STABLE * np.max(np.diag(kernel)) * np.eye(len(kernel))
            q[held] = np.linalg.solve(kernel + stable, at.fall[held])
        wrong = held & (q < -_SLACK * np.max(np.abs(q)))
        wrong |= near & ~held & (at.fall - at.kernel @ q > _SLACK * largest)
        if not np.any(wrong):
            break
        held = held ^ (wrong if count < _BLOCKS else np.arange(len(held)) == np.flatnonzero(wrong)[-1])
    return held


@compiled
def _looked(system: MarginSystem, u: Any) -> tuple[Pulls, jax.Array]:
    """Return what the rows do at u, and the derivative of u; one program for both is compiled faster than two."""
    u = jnp.asarray(u)
    at = system.pulls(u)
    return at, system.moved(u, at.q)


@compiled
def _complete(system: MarginSystem, u: Any) -> tuple[jax.Array, jax.Array]:
    return system.complete(jnp.asarray(u))


@compiled
def _error(system: MarginSystem, u: Any, end: Any, embedded: Any) -> jax.Array:
    return system.error(jnp.asarray(u), jnp.asarray(end), jnp.asarray(embedded))


def _field(system: MarginSystem, u: Float64[ndarray, " m"]) -> Float64[ndarray, " m"]:
    return np.asarray(_looked(system, u)[1])


def _room(system: MarginSystem, u: Float64[ndarray, " m"]) -> Float64[ndarray, " N"]:
    """Return how far each row is from an event: its pull if it is held, else its margin above the level, both scaled.

    NaN counts as an event.
    """
    at = _looked(system, u)[0]
    q, margins = np.asarray(at.q), np.asarray(at.margins)
    pulls = q / (np.max(np.abs(q), initial=0.0) or 1.0)
    room = np.where(system.held, pulls, margins / np.exp(u[-1]) - 1.0)
    return np.where(np.isnan(room), -np.inf, room)
