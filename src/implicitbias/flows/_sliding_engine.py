"""The engine of gradient flows of models with piecewise linear units, which slide along kinks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import lsq_linear

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.status import Status
from implicitbias.flows._dense import CurveOutput, Output, filled
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._ros34pw2 import Rosenbrock
from implicitbias.flows._sliding_stepper import Carry, Program, look, slide
from implicitbias.flows._sliding_system import Look, SlidingSystem, Stand
from implicitbias.trajectories import Stats

# The smallest number of places for held units; it grows by this factor, and each size is compiled once.
_PLACES, _WIDER = 16, 4
# The largest number of held units. Above it, the flow is integrated further without holding any.
_MOST = 1024
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
    program: Program
    algebra: str
    stand: Stand
    events: int = 0
    most_held: int = 0
    seen: Any = None
    crowded: bool = False

    def __post_init__(self) -> None:
        self.first = self.inner.first

    def state(self) -> Float64[ndarray, " size"]:
        return self.inner.state()

    def status(self) -> Status | None:
        status = self.inner.status()
        self.ending_note = self.inner.ending_note
        return status

    def advance(self) -> Output | None:
        limits, inner = self.inner.limits, self.inner
        if self.seen is None:
            self._begin()
        if self.crowded:
            output = inner.advance()
            self.t = inner.t
            return output
        pieces: list[CurveOutput] = []
        count = 0
        while count < _STEPS and inner.status() is None and not self.crowded:
            budget = np.asarray(limits.max_steps - inner.attempts)
            ends = np.asarray(limits.end), np.asarray(limits.rtol), budget
            with one_blas_thread(inner.guide.few_products):
                carry = slide(self.program, self.program.arrays, self.stand, inner.cursor, self.seen, *ends)
            taken = int(carry.chunk.filled)
            if taken:
                pieces.append(filled(inner.system, carry.chunk))
            count += taken
            inner.count(self.algebra, Rosenbrock().cost, taken, int(carry.cursor.rejected))
            self._take(carry)
        self.t = inner.t
        return pieces[0].joined(pieces) if pieces else None

    def _begin(self) -> None:
        """Hold the units that are exactly at their kink at the start, if the flow does not leave it."""
        u = self.inner.cursor.u
        self.seen = self._look(u)[1]
        # Pre-activations that do not depend on the parameters here, as those of a row of zeros, have the rate 0.
        z, q, rate = (np.asarray(part) for part in (self.seen.z, self.seen.q, self.seen.rate))
        at_kink = np.flatnonzero((z == 0.0) & (q > 0.0) & (rate != 0.0))
        if len(at_kink):
            self._resolve(at_kink, u)

    def _take(self, carry: Carry) -> None:
        """Go to the position that the loop has reached, and change slopes and held units there."""
        cursor, self.seen = (
            carry.cursor._replace(t=np.asarray(carry.cursor.t), h=np.asarray(carry.cursor.h)),
            carry.seen,
        )
        self.stand = self.stand._replace(slopes=np.asarray(carry.slopes))
        wrong, leaving = np.flatnonzero(carry.violation.wrong), np.asarray(carry.violation.leaving)
        if len(wrong) or leaving.any():
            before = _situation(self.stand)
            u = self._event(wrong, leaving, cursor.u)
            changed = before != _situation(self.stand)
            self.events += changed
            cursor = cursor._replace(u=u, h=cursor.h if changed else cursor.h * _GRAZING)
        self.inner.cursor, self.inner.t = cursor, float(cursor.t)

    def _event(self, wrong: ndarray, leaving: ndarray, u: Any) -> Any:
        """Change the slopes and the held units at an event; return the point on the surface of the held units."""
        q, slopes, used = np.asarray(self.seen.q), np.array(self.stand.slopes), np.asarray(self.stand.held)
        flipped = wrong[q[wrong] <= 0.0]
        slopes[flipped] = 1.0 - np.round(slopes[flipped])
        places, pull = np.asarray(self.stand.places)[used], np.asarray(self.seen.pull)[used]
        # Where q <= 0 nothing holds a unit any more; it goes to the side to which the force pulls it.
        gone = leaving[used] & (q[places] <= 0.0)
        slopes[places[gone]] = (slopes[places] * q[places] + pull > 0.0)[gone]
        self.stand = self.stand._replace(slopes=slopes)
        return self._resolve(np.concatenate([places[~gone], wrong[q[wrong] > 0.0]]), u)

    def _resolve(self, candidates: ndarray, u: Any) -> Any:
        """Compute the slopes of units at their kink together, and hold those whose slope lies between 0 and 1.

        The slopes s minimise |force + B^T (q s_old) - B^T (q s)| over [0, 1], with B the gradients of the
        pre-activations. With several layers, B and q depend on the slopes, so this is repeated. Return the point moved
        onto the surface of the held units.
        """
        if len(candidates) > _MOST:
            self.crowded = True
            return u
        for _ in range(_SWEEPS):
            self._hold(candidates)
            seen = self._look(u)[1] if len(candidates) else None
            if seen is not None:
                found = _balanced(seen, candidates, self.stand.slopes)
                slopes = np.array(self.stand.slopes)
                slopes[candidates] = found
                self.stand = self.stand._replace(slopes=slopes)
                self._hold(candidates[(found > 0.0) & (found < 1.0)])
            moved, self.seen = self._look(u, moves=1)
            if seen is None or _fits(self.seen, self.stand, candidates):
                break
        return moved

    def _look(self, u: Any, moves: int = 0) -> tuple[Any, Look]:
        """Return the point u, moved onto the surface of the held units if `moves` is 1, and the situation there."""
        return look(self.program, self.program.arrays, self.stand, u, np.asarray(moves))

    def _hold(self, units: ndarray) -> None:
        """Hold these units and no others."""
        size = _PLACES
        while size < len(units):
            size *= _WIDER
        places = np.zeros(size, dtype=np.int64)
        places[: len(units)] = units
        self.stand = self.stand._replace(places=places, held=np.arange(size) < len(units))
        self.most_held = max(self.most_held, len(units))

    def notes(self) -> tuple[str, ...]:
        notes = self.inner.notes()
        if self.crowded:
            more = f"More than {_MOST} pre-activations would have stayed at 0 at the same time."
            notes = (f"{more} None were held from there on, which costs many steps.", *notes)
        if self.events:
            held = f"at most {self.most_held} pre-activations z were held at 0 at the same time"
            passed = f"{self.events} times a unit max(z, 0) of the model crossed, reached or left its kink"
            notes = (f"The flow was integrated from kink to kink: {passed}, and {held}.", *notes)
        return notes

    def stats(self, seconds: float) -> Stats:
        return self.inner.stats(seconds)._replace(events=self.events, held=self.most_held)


def sliding_engine(inner: RosenbrockEngine, base: Any) -> SlidingEngine:
    """Return the engine from the position of an engine; the system `base` has a `GatedPredictor`."""
    slopes = np.ravel(base.predictor.slopes)
    stand = Stand(slopes, np.zeros(_PLACES, dtype=np.int64), np.zeros(_PLACES, dtype=bool))
    return SlidingEngine(inner, Program(SlidingSystem(base, stand)), base.algebra.name, stand)


def _balanced(seen: Look, candidates: ndarray, slopes: ndarray) -> ndarray:
    """Return the slopes of units at their kink that bring the force as near to their kinks as slopes in [0, 1] can."""
    q, found = np.asarray(seen.q)[candidates], np.array(slopes[candidates])
    attracting = q > 0.0
    columns = (np.asarray(seen.normals)[: len(candidates)].T * q)[:, attracting]
    if attracting.any():
        right = np.asarray(seen.force) + columns @ found[attracting]
        free = np.linalg.lstsq(columns, right)[0]
        # Without active bounds, which is frequent, this is the solution.
        inside = bool(np.all((free >= 0.0) & (free <= 1.0)))
        found[attracting] = free if inside else lsq_linear(columns, right, bounds=(0.0, 1.0), method="bvls").x
    found[~attracting] = np.round(found[~attracting])
    found[found < _BOUND], found[found > 1.0 - _BOUND] = 0.0, 1.0
    return found


def _fits(seen: Look, stand: Stand, candidates: ndarray) -> bool:
    """Return whether the held units are held by slopes in [0, 1]; the situation has changed with the slopes."""
    used = np.asarray(stand.held)
    places = np.asarray(stand.places)[used]
    q, load = (
        np.asarray(seen.q)[places],
        np.asarray(seen.pull)[used] + stand.slopes[places] * np.asarray(seen.q)[places],
    )
    return bool(np.all((q > 0.0) & (load >= 0.0) & (load <= q)))


def _situation(stand: Stand) -> tuple[bytes, bytes]:
    """Return the held units and the slopes of the others in a form that can be compared."""
    places, slopes = np.sort(stand.places[stand.held]), np.array(stand.slopes)
    slopes[places] = 0.5
    return places.tobytes(), slopes.tobytes()
