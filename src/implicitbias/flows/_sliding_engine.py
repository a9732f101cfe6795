"""The engine of gradient flows of models with piecewise linear units, which slide along kinks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.precision import double_precision
from implicitbias._core.status import Status
from implicitbias.flows._dense import CurveOutput, Output, filled
from implicitbias.flows._engine import Engine, RosenbrockEngine
from implicitbias.flows._gauss_newton import GaussNewtonSystem
from implicitbias.flows._ros34pw2 import Rosenbrock
from implicitbias.flows._sliding_choice import EventCosts, Part, changed_sides
from implicitbias.flows._sliding_rest import sliding_rest
from implicitbias.flows._sliding_stepper import Carry, Program, look, slide
from implicitbias.flows._sliding_system import Look, SlidingSystem, Stand
from implicitbias.flows._vanishing_rest import vanishing_rest
from implicitbias.predictors import pre_activations
from implicitbias.trajectories import Stats

# Predictions are tiny if they change the derivatives of the loss by less than this share.
_TINY = 1e-3
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
# Events are given up when they have cost this many times as much as the rest of the flow was expected to cost.
_PATIENCE = 2.0
# After _MANY steps without events, a network slides along kinks where more than the share _SLIDES of them are rejected.
# Steps with events follow no growth modes, so that their errors add up to a time lag; they are held to _TIGHTER rtol.
_MANY, _SLIDES, _TIGHTER = 256, 0.3, 0.3
# The step after an event in which no slope has changed is this part of the previous one.
_GRAZING = 0.25


@dataclass
class SlidingEngine(Engine):
    """An engine that holds units at their kinks where that is worth its cost.

    Attributes:
        inner: the engine without events, which has the position and the limits.
        base: the system of the model with given slopes; its predictor is a `GatedPredictor`.
        costs: what steps cost without and with events.
        factorized: a function that returns `base` with the algebra for steps with events.
        plain: whether steps are taken without events at present.
    """

    inner: RosenbrockEngine
    base: GaussNewtonSystem
    costs: EventCosts
    factorized: Callable[[], GaussNewtonSystem]
    plain: bool = field(init=False)
    stand: Stand = field(init=False)
    events: int = field(init=False, default=0)
    most_held: int = field(init=False, default=0)
    seen: Any = field(init=False, default=None)
    crowded: bool = field(init=False, default=False)
    costly: bool = field(init=False, default=False)
    promised: float = field(init=False, default=0.0)
    spent: float = field(init=False, default=0.0)
    arriving: ndarray | None = field(init=False, default=None)
    sweeps: int = field(init=False, default=0)
    tiny: bool = field(init=False, default=False)

    saved = (
        "plain", "stand", "events", "most_held", "seen", "crowded", "costly", "promised", "spent", "arriving", "sweeps",
        "tiny",
    )  # fmt: skip

    def __post_init__(self) -> None:
        self.first = self.inner.first
        self.inner.search = self._plain_rest
        self.plain = not self.costs.begins_with_events or self._is_tiny()
        self.stand = self._stand(np.asarray(self.inner.cursor.u))

    @cached_property
    def program(self) -> Program:
        """The system with held units, for compiled functions."""
        return Program(SlidingSystem(self.factorized(), self.stand))

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "inner": self.inner.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        super().restore(snapshot)
        self.inner.restore(snapshot["inner"])

    def state(self) -> Float64[ndarray, " size"]:
        return self.inner.state()

    def status(self) -> Status | None:
        status = self.inner.status()
        self.ending_note = self.inner.ending_note
        return status

    def advance(self) -> Output | None:
        limits, inner = self.inner.limits, self.inner
        if self.plain:
            return self._without_events()
        if self.seen is None:
            self._begin()
        # In the logarithm of the time the loss tends to 0 at infinity, where no rest is searched.
        searches = inner.attempts > 0 and self.base.log_time is None
        rest = inner.at_rest(self._rest) if searches else None
        if rest is not None:
            self.t = inner.t
            return rest
        # There is no exact Jacobian to change to, so that slow steps are no reason to search for rest each time.
        if inner.slow and inner.tried is None:
            inner.tried = inner.attempts
        self.tiny = self.tiny and self._is_tiny()
        pieces: list[CurveOutput] = []
        count = 0
        while count < _STEPS and inner.status() is None and not self.plain:
            steps_left = limits.max_steps - inner.attempts
            rtol = limits.rtol * (_TIGHTER if self.tiny else 1.0)
            ends = np.asarray(limits.end), np.asarray(rtol), np.asarray(steps_left)
            position = self.stand, inner.cursor, self.seen, np.asarray(self._arrival())
            with one_blas_thread(inner.guide.few_products):
                carry = slide(self.program, self.program.arrays, *position, ends)
            taken = int(carry.chunk.filled)
            if taken:
                pieces.append(filled(inner.system, carry.chunk))
            count += taken
            self._spend(
                inner.count(self.program.algebra, Rosenbrock().cost, taken, int(carry.cursor.rejected))
            )
            self._take(carry)
        self.t = inner.t
        return pieces[0].joined(pieces) if pieces else None

    def _spend(self, attempts: int) -> None:
        """Count the cost of steps with events, and take none any more if they cost far more than they promised to."""
        if self.costs.begins_with_events:
            return
        # An event without a step computes the slopes of the held units, which takes a factorisation of their normals.
        normals = self.costs.plain.p * len(self.stand.places) ** 2
        self.spent += attempts * self.costs.step_with_events() + (1 + attempts) * normals
        self.costly = self.spent > _PATIENCE * self.promised
        self.plain = self.plain or self.costly

    def _without_events(self) -> Output | None:
        """Return the next part without events, and compare the costs of the rest of the flow."""
        inner = self.inner
        t, attempts, iterations = inner.t, inner.attempts, int(inner.cursor.iterations)
        rejected = inner.rejected
        name, before = inner.way.name, inner.cursor.u
        output = inner.advance()
        self.t = inner.t
        if self.crowded or self.costly or inner.status() is not None:
            return output
        part = Part(t, inner.t, inner.attempts - attempts, int(inner.cursor.iterations) - iterations)
        if self.costs.begins_with_events:
            slides = inner.attempts >= _MANY and inner.rejected - rejected > _SLIDES * part.attempts
            self.tiny = self._is_tiny()
            self.plain = self.tiny and not slides
            self.stand = self._stand(inner.cursor.u)
            return output
        # With no change of sides, events are as cheap as they can be.
        if self.costs.promised(name, part, 0, inner.limits.end):
            changed = changed_sides(self._pre_activations(before), self._pre_activations(inner.cursor.u))
            self.promised = self.costs.promised(name, part, changed, inner.limits.end)
            self.plain, self.spent = self.promised == 0.0, 0.0
            self.stand = self._stand(inner.cursor.u)
        return output

    def _is_tiny(self) -> bool:
        """Return whether the predictions are too small to change the derivatives of the loss.

        Then the parameters grow, and only steps without events follow growth modes in closed form. With events, the
        errors of many steps would add up to a time lag.
        """
        f = self.base.split(np.asarray(self.inner.cursor.u))[1]
        with double_precision():
            pull, at_zero = (np.asarray(self.base.mean_loss.pull(jnp.asarray(one))) for one in (f, 0.0 * f))
        # Predictions that are exactly 0, as those of a start at 0, have no growth modes to follow.
        return bool(0.0 < np.linalg.norm(pull - at_zero) < _TINY * np.linalg.norm(at_zero))

    def _pre_activations(self, u: Any) -> ndarray:
        return pre_activations(self.base.predictor, np.asarray(u)[: self.base.shape.size])

    def _stand(self, u: Any) -> Stand:
        """Return the slopes of the units at u, none of which is held."""
        slopes = np.where(self._pre_activations(u) > 0.0, 1.0, 0.0)
        return Stand(slopes, np.zeros(_PLACES, dtype=np.int64), np.zeros(_PLACES, dtype=bool))

    def _rest(self, u: ndarray, rtol: float, *, vanished: bool) -> tuple[ndarray, str] | None:
        if self.arriving is not None:
            return None
        found = self._vanishing(u, self.stand) if vanished else None
        return found or sliding_rest(self.program, self.stand, u, rtol)

    def _plain_rest(self, u: ndarray, rtol: float, *, vanished: bool) -> tuple[ndarray, str] | None:
        """Return what `System.rest` of the inner engine returns, with a certificate at kinks where all vanishes."""
        found = self._vanishing(u, self._stand(u)) if vanished else None
        return found or self.inner.system.rest(u, rtol, vanished=vanished)

    def _vanishing(self, u: ndarray, stand: Stand) -> tuple[ndarray, str] | None:
        # Kinks that are not followed have no slopes that could be fixed.
        predictor: Any = self.base.predictor
        known = self.base.log_time is None and not predictor.missed
        return vanishing_rest(self.program, stand, u) if known else None

    def _arrival(self) -> int:
        """Return how the next call of the loop begins, see `slide`."""
        if self.arriving is None:
            return 0
        return 2 if self.sweeps < _SWEEPS else 1

    def _begin(self) -> None:
        """Hold the units that are exactly at their kink at the start, if the flow does not leave it."""
        u = self.inner.cursor.u
        self.seen = self._look(u)
        # Pre-activations that do not depend on the parameters here, as those of a row of zeros, have the rate 0.
        z, q, rate = (np.asarray(part) for part in (self.seen.z, self.seen.q, self.seen.rate))
        at_kink = np.flatnonzero((z == 0.0) & (q > 0.0) & (rate != 0.0))
        if len(at_kink):
            self._balance(at_kink, u)

    def _take(self, carry: Carry) -> None:
        """Go to the position that the loop has reached, and change slopes and held units there."""
        cursor = carry.cursor._replace(t=np.asarray(carry.cursor.t), h=np.asarray(carry.cursor.h))
        self.seen, self.stand = carry.seen, self.stand._replace(slopes=np.asarray(carry.slopes))
        wrong, leaving = np.flatnonzero(carry.violation.wrong), np.asarray(carry.violation.leaving)
        if not carry.fits and self.arriving is not None:
            # The forces and normals have changed with the slopes, so the slopes are computed again.
            self.sweeps += 1
            self._balance(self.arriving, cursor.u)
        else:
            self.arriving, self.sweeps = None, 0
        if len(wrong) or leaving.any():
            before = _situation(self.stand)
            self._event(wrong, leaving, cursor.u)
            changed = before != _situation(self.stand)
            self.events += changed
            cursor = cursor._replace(h=cursor.h if changed else cursor.h * _GRAZING)
        self.inner.cursor, self.inner.t = cursor, float(cursor.t)

    def _event(self, wrong: ndarray, leaving: ndarray, u: Any) -> None:
        """Change the slopes and the held units at an event."""
        q, slopes, used = np.asarray(self.seen.q), np.array(self.stand.slopes), np.asarray(self.stand.held)
        flipped = wrong[q[wrong] <= 0.0]
        slopes[flipped] = 1.0 - np.round(slopes[flipped])
        places, pull = np.asarray(self.stand.places)[used], np.asarray(self.seen.pull)[used]
        # Where q <= 0 nothing holds a unit any more; it goes to the side to which the force pulls it.
        gone = leaving[used] & (q[places] <= 0.0)
        slopes[places[gone]] = (slopes[places] * q[places] + pull > 0.0)[gone]
        self.stand = self.stand._replace(slopes=slopes)
        self._balance(np.concatenate([places[~gone], wrong[q[wrong] > 0.0]]), u)

    def _balance(self, units: ndarray, u: Any) -> None:
        """Compute the slopes of units at their kink together, and hold those whose slope lies between 0 and 1.

        The slopes s minimise |force + B^T (q s_old) - B^T (q s)| over [0, 1], with B the gradients of the
        pre-activations. With several layers, B and q depend on the slopes, so this may be repeated.
        """
        if len(units) > _MOST:
            self.crowded = self.plain = True
            return
        self.arriving = units
        self._hold(units)
        if len(units):
            slopes = np.array(self.stand.slopes)
            with one_blas_thread():
                slopes[units] = found = _balanced(self._look(u), units, slopes)
            self.stand = self.stand._replace(slopes=slopes)
            self._hold(units[(found > 0.0) & (found < 1.0)])
        # The loop looks at the units again when it arrives; only the shapes count until then.
        size, p = len(self.stand.places), np.shape(self.seen.normals)[1]
        self.seen = self.seen._replace(normals=np.zeros((size, p)), pull=np.zeros(size))

    def _look(self, u: Any) -> Look:
        return look(self.program, self.program.arrays, self.stand, u)

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
        predictor: Any = self.base.predictor
        missed = ", ".join(sorted(predictor.missed))
        if missed:
            notes = (f"Kinks inside {missed} are not followed; there the flow takes small steps.", *notes)
        if self.plain and not (self.crowded or self.costly or self.costs.begins_with_events):
            units = f"The model has {self.costs.units} units max(z, 0), counted for each row."
            notes = (
                f"{units} Their kinks were crossed by short steps, which costs less here than events.",
                *notes,
            )
        if self.costly:
            notes = ("Events cost far more than was expected, and the flow went on without them.", *notes)
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


def _balanced(seen: Look, candidates: ndarray, slopes: ndarray) -> ndarray:
    """Return the slopes of units at their kink that bring the force as near to their kinks as slopes in [0, 1] can."""
    q, found = np.asarray(seen.q)[candidates], np.array(slopes[candidates])
    attracting = q > 0.0
    columns = (np.asarray(seen.normals)[: len(candidates)].T * q)[:, attracting]
    if attracting.any():
        right = np.asarray(seen.force) + columns @ found[attracting]
        # The problem has the same solutions after a rotation, which leaves as many rows as columns.
        rotation, columns = np.linalg.qr(columns)
        right = rotation.T @ right
        free = np.linalg.lstsq(columns, right)[0]
        # Without active bounds, which is frequent, this is the solution.
        inside = bool(np.all((free >= 0.0) & (free <= 1.0)))
        found[attracting] = free if inside else _bounded_least_squares(columns, right)
    found[~attracting] = np.round(found[~attracting])
    found[found < _BOUND], found[found > 1.0 - _BOUND] = 0.0, 1.0
    return found


def _bounded_least_squares(columns: ndarray, right: ndarray) -> ndarray:
    """Return x in [0, 1]^m with the smallest |columns x - right|."""
    # Imported here, because the module takes a tenth of a second, which runs without kinks need not pay.
    from scipy.optimize import lsq_linear

    return lsq_linear(columns, right, bounds=(0.0, 1.0), method="bvls").x


def _situation(stand: Stand) -> tuple[bytes, bytes]:
    """Return the held units and the slopes of the others in a form that can be compared."""
    places, slopes = np.sort(stand.places[stand.held]), np.array(stand.slopes)
    slopes[places] = 0.5
    return places.tobytes(), slopes.tobytes()
