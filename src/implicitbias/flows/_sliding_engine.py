"""The engine of gradient flows of models with piecewise linear units, which slide along kinks."""

from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import lsq_linear

from implicitbias._core.status import Status
from implicitbias.flows._dense import Output, StageOutput, filled
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._sliding_stepper import Carry, look, settle, slide, with_slopes
from implicitbias.flows._sliding_system import SlidingSystem
from implicitbias.trajectories import Stats

# The smallest number of places for held units; it grows by this factor, and each size is compiled once.
_PLACES, _WIDER = 8, 4
# The largest number of accepted steps in one output.
_STEPS = 64
# The number of times that the slopes of held units are computed again with the forces that they lead to.
_SWEEPS = 5
# A slope nearer than this to 0 or 1 counts as 0 or 1.
_BOUND = 1e-9
# The step after an event in which no slope has changed is this part of the previous one.
_GRAZING = 0.25


@dataclass
class SlidingEngine(Engine):
    """An engine that holds units at their kinks; `inner` has the position, the limits and the plain system."""

    inner: RosenbrockEngine
    system: SlidingSystem
    events: int = 0
    most_held: int = 0
    z: Any = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.inner.first
        self.z = None

    def state(self) -> Float64[ndarray, " size"]:
        return self.inner.state()

    def status(self) -> Status | None:
        status = self.inner.status()
        self.ending_note = self.inner.ending_note
        return status

    def advance(self) -> Output | None:
        limits, inner = self.inner.limits, self.inner
        if self.z is None:
            self._begin()
        pieces: list[StageOutput] = []
        count = 0
        while count < _STEPS and inner.status() is None:
            budget = np.asarray(limits.max_steps - inner.attempts)
            carry = slide(
                self.system, inner.cursor, self.z, np.asarray(limits.end), np.asarray(limits.rtol), budget
            )
            filled_rows = int(carry.chunk.filled)
            if filled_rows:
                pieces.append(filled(inner.system, carry.chunk))
            count += filled_rows
            inner.accepted, inner.rejected = inner.accepted + filled_rows, int(carry.cursor.rejected)
            self._take(carry)
        self.t = inner.t
        return pieces[0].joined(pieces) if pieces else None

    def _begin(self) -> None:
        """Hold the units that are exactly at their kink at the start, if the flow does not leave it."""
        seen = look(self.system, self.inner.cursor.u)
        self.z = np.asarray(seen.z)
        at_kink = np.flatnonzero((self.z == 0.0) & (np.asarray(seen.q) > 0.0))
        self._resolve(at_kink, self.inner.cursor.u)

    def _take(self, carry: Carry) -> None:
        """Go to the position that the loop has reached, and change slopes and held units there."""
        cursor = carry.cursor
        self.system, self.z = carry.system, np.asarray(carry.z)
        wrong, leaving = np.asarray(carry.violation.wrong), np.asarray(carry.violation.leaving)
        if wrong.any() or leaving.any():
            changed = self._event(np.flatnonzero(wrong), leaving, cursor.u)
            if not changed:
                cursor = cursor._replace(h=cursor.h * _GRAZING)
            self.events += changed
            u, seen = settle(self.system, cursor.u)
            cursor, self.z = cursor._replace(u=u), np.asarray(seen.z)
        self.inner.cursor, self.inner.t = cursor, float(cursor.t)

    def _event(self, wrong: ndarray, leaving: ndarray, u: Any) -> bool:
        """Change the slopes and the held units at an event; return whether anything has changed."""
        seen, before = look(self.system, u), self._situation()
        q, slopes = np.asarray(seen.q), np.array(self.system.slopes)
        flipped = wrong[q[wrong] <= 0.0]
        slopes[flipped] = 1.0 - np.round(slopes[flipped])
        places = np.asarray(self.system.places)[np.asarray(self.system.held)]
        gone = np.asarray(leaving)[np.asarray(self.system.held)] & (q[places] <= 0.0)
        load = slopes[places] * q[places] + np.asarray(seen.pull)[np.asarray(self.system.held)]
        slopes[places[gone]] = (load[gone] > 0.0) * 1.0
        self.system = with_slopes(self.system, slopes)
        self._resolve(np.concatenate([places[~gone], wrong[q[wrong] > 0.0]]), u)
        return before != self._situation()

    def _situation(self) -> tuple[bytes, bytes]:
        """Return the held units and the slopes of the others in a form that can be compared."""
        places = np.sort(np.asarray(self.system.places)[np.asarray(self.system.held)])
        slopes = np.array(self.system.slopes)
        slopes[places] = 0.5
        return places.tobytes(), slopes.tobytes()

    def _resolve(self, candidates: ndarray, u: Any) -> None:
        """Compute the slopes of units at their kink together, and hold those whose slope lies between 0 and 1.

        The slopes s minimise |force + B^T (q s_old) - B^T (q s)| over [0, 1], with B the gradients of the
        pre-activations. With several layers, B and q depend on the slopes, so this is repeated.
        """
        held = np.empty(0, dtype=int)
        for _ in range(_SWEEPS if len(candidates) else 0):
            self._hold(candidates)
            seen = look(self.system, u)
            slopes, count = np.array(self.system.slopes), len(candidates)
            q = np.asarray(seen.q)[candidates]
            attracting = q > 0.0
            columns = np.asarray(seen.normals)[:count].T * q
            columns = columns[:, attracting]
            right = np.asarray(seen.force) + columns @ slopes[candidates[attracting]]
            found = slopes[candidates]
            if attracting.any():
                found[attracting] = lsq_linear(columns, right, bounds=(0.0, 1.0), method="bvls").x
            found[~attracting] = np.round(found[~attracting])
            found[found < _BOUND], found[found > 1.0 - _BOUND] = 0.0, 1.0
            now = candidates[(found > 0.0) & (found < 1.0)]
            change = np.max(np.abs(found - slopes[candidates]))
            slopes[candidates] = found
            self.system = with_slopes(self.system, slopes)
            if np.array_equal(now, held) and change < 1e-6:
                break
            held = now
        self._hold(held)

    def _hold(self, units: ndarray) -> None:
        """Hold these units and no others."""
        size = len(np.asarray(self.system.places))
        while size < len(units):
            size *= _WIDER
        places = np.zeros(size, dtype=np.int64)
        places[: len(units)] = units
        held = np.arange(size) < len(units)
        self.system = eqx.tree_at(lambda at: (at.places, at.held), self.system, (places, held))
        self.most_held = max(self.most_held, len(units))

    def notes(self) -> tuple[str, ...]:
        return self.inner.notes()

    def stats(self, seconds: float) -> Stats:
        return self.inner.stats(seconds)._replace(events=self.events, held=self.most_held)


def sliding_engine(inner: RosenbrockEngine, base: Any) -> SlidingEngine:
    """Return the engine from the position of an engine whose system has a `GatedPredictor`."""
    places = np.zeros(_PLACES, dtype=np.int64)
    return SlidingEngine(inner, SlidingSystem(base, places, np.zeros(_PLACES, dtype=bool)))
