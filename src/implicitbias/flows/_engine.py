"""Engines: they integrate a flow part by part and report how the integration ended."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.blas_threads import one_blas_thread
from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dense import Output, constant_output, filled
from implicitbias.flows._guide import Guide, Report, Settled, Way
from implicitbias.flows._limits import Limits
from implicitbias.flows._stepper import Chunk, Cursor, advance, first_cursor, stuck
from implicitbias.flows._stopwatch import Stopwatch
from implicitbias.flows._system import System
from implicitbias.trajectories import Stats

# The default byte budget of dense Jacobians and kernels.
MATRIX_BYTES = 2 * 2**30
# The integration counts as a blow-up if the norm of the state is more than _BLOWN_UP times that of the start, and the
# speed times the elapsed time is more than _FAST times the norm of the state.
_BLOWN_UP, _FAST = 10.0, 1e3
# From a start of a norm below _TINY, a state of a norm below _SMALL has not blown up.
_TINY, _SMALL = 1e-3, 10.0
# Steps are slow if the time has grown at most _SLOW times since the last part; parts but the first have _PART steps.
# Rest is searched again when the time has grown _AGAIN times. A step is short if it moves the state by less than the
# share _SHORT rtol^(1/3).
_SLOW, _PART, _AGAIN, _SHORT = 2.0, 32, 1.3, 0.1
# A state that is smaller than this share of the largest one has vanished, and its rest point is 0 if it has one. Steps
# that shrink it further become short where squares underflow.
_VANISHED = 1e-20
# Steps with the exact Jacobian are kept if the first _TRIED of them make the next step _LONGER times longer. Otherwise
# they are tried again after _LATER times as many steps.
_TRIED, _LONGER, _LATER = 8, 4.0, 4
# The search for values that are not finite after the last state goes ahead by at most the fraction _AHEAD of the
# elapsed time, in at most _LOOKS steps.
_AHEAD, _LOOKS = 1e-2, 200


class Engine(ABC):
    """An integration in progress.

    Attributes:
        first: the output at t = 0.
        t: the value of the clock's variable that has been reached, which is the time if the clock is plain.
        ending_note: a note for the reader on why the integration stopped early; empty if it did not.
        saved: the names of the fields of a snapshot besides `t` and `ending_note`: those that change during the
            integration and that the rest of it depends on.
    """

    first: Output
    t: float = 0.0
    ending_note: str = ""
    saved: ClassVar[tuple[str, ...]]

    @abstractmethod
    def advance(self) -> Output | None:
        """Integrate the next part and return its output, or None if no step was accepted."""

    @abstractmethod
    def status(self) -> Status | None:
        """Return why the integration has ended, or None if it has not."""

    @abstractmethod
    def state(self) -> Float64[ndarray, " size"]:
        """Return the state at time `t`."""

    def notes(self) -> tuple[str, ...]:
        """Return notes for the reader of the result; call it after the integration."""
        return ()

    @abstractmethod
    def stats(self, seconds: float) -> Stats:
        """Return the cost of the integration so far."""

    def snapshot(self) -> dict[str, Any]:
        """Return what a new engine of the same flow needs to go on from here; call it between two parts."""
        return {name: getattr(self, name) for name in ("t", "ending_note", *self.saved)}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go to the place of a snapshot, from which the integration gives the same numbers as without a break."""
        for name in ("t", "ending_note", *self.saved):
            setattr(self, name, snapshot[name])


class Spent(NamedTuple):
    """The attempted steps in a way, and the evaluations and factorisations in each of them."""

    attempts: int
    cost: tuple[int, int]


class Position(NamedTuple):
    """A position between two parts of an integration: time, number of attempted steps, and state."""

    t: float
    attempts: int
    state: Float64[ndarray, " size"]


@dataclass
class RosenbrockEngine(Engine):
    """An engine that takes adaptive steps, in the way that its guide chooses.

    By default these are steps of ROS34PW2 with the matrices of the system. A `search` for rest may replace that of the
    system.
    """

    system: System
    start: jax.Array | ndarray
    shape: TreeShape
    limits: Limits
    guide: Guide = field(default_factory=Settled)
    accepted: int = field(init=False, default=0)
    rejected: int = field(init=False, default=0)
    cursor: Cursor = field(init=False)
    way: Way = field(init=False)
    spent: dict[str, Spent] = field(init=False, default_factory=dict)
    before: Position | None = field(init=False, default=None)
    slow: bool = field(init=False, default=False)
    exact: bool = field(init=False, default=False)
    tried: int | None = field(init=False, default=None)
    searched: float = field(init=False, default=0.0)
    largest: float = field(init=False, default=0.0)
    rest_note: str = field(init=False, default="")
    search: Callable[..., tuple[ndarray, str] | None] | None = field(init=False, default=None)

    saved = (
        "accepted",
        "rejected",
        "cursor",
        "spent",
        "before",
        "slow",
        "exact",
        "tried",
        "searched",
        "largest",
        "rest_note",
    )

    def __post_init__(self) -> None:
        u = np.asarray(self.start)
        self.first = constant_output(self.system, u)
        self.way = self.guide.first(self.system)
        self.cursor = first_cursor(
            self.system, u, self.limits.end, self.way.first_memory(u), self.guide.modes, self.guide.step
        )

    def snapshot(self) -> dict[str, Any]:
        return {**super().snapshot(), "guide": self.guide.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        if snapshot["exact"]:
            self._use(self.system.with_exact_jacobian())
        super().restore(snapshot)
        self.way = self.guide.restore(snapshot["guide"], self.way)

    @property
    def attempts(self) -> int:
        """The number of accepted and rejected steps."""
        return self.accepted + self.rejected

    def state(self) -> Float64[ndarray, " size"]:
        state: ndarray = self.system.states(np.asarray(self.cursor.u)[None])[0]
        return state

    def advance(self) -> Output | None:
        search = self.search or self.system.rest
        rest = self.at_rest(search) if self.attempts and self.system.may_rest else None
        if rest is not None:
            return rest
        if self.slow and not self.exact and (self.tried is None or self.attempts >= _LATER * self.tried):
            self._switch()
        way = self.way
        whole = self.t == 0.0 or not (self.system.may_rest and way.implicit)
        part = min(self.guide.pace(), self.limits.max_steps if whole else _PART)
        cursor, chunk, seconds = self._timed(min(self.limits.max_steps - self.attempts, part))
        count = int(chunk.filled)
        output = filled(self.system, chunk) if count else None
        covered = float(cursor.t) - self.t
        # A keyboard interrupt is raised when the compiled loop returns. The attributes are updated only after the
        # output is made, so that an interrupt leaves no gap between the recorded output and the position.
        self.cursor, self.t = cursor, float(cursor.t)
        attempts = self.count(way.name, way.method.cost, count, int(cursor.rejected))
        if self.status() is None:
            self.way = self.guide.next(way, Report(cursor, attempts, covered, seconds))
        if self.way is not way:
            self.cursor = cursor._replace(memory=self.way.first_memory(np.asarray(cursor.u)))
        return output

    def count(self, name: str, cost: tuple[int, int], accepted: int, rejected: int) -> int:
        """Count `accepted` more steps in a way, with `rejected` steps in all so far; return the attempts among them."""
        before = self.attempts
        self.accepted, self.rejected = self.accepted + accepted, rejected
        attempts = self.attempts - before
        spent = self.spent.get(name, Spent(0, cost))
        self.spent[name] = spent._replace(attempts=spent.attempts + attempts)
        return attempts

    def _timed(self, budget: int) -> tuple[Cursor, Chunk, float]:
        """Return the position and the steps after at most `budget` attempts, and the seconds without compilation."""
        # NumPy arrays are passed, because making JAX arrays here takes longer than a step.
        t1, rtol = np.asarray(self.limits.end), np.asarray(self.limits.rtol)
        system, method = self.way.system, self.way.method
        if self.guide.uses_times and self.way.name not in self.spent:
            advance(system, method, self.cursor, t1, rtol, np.asarray(0))
        watch = Stopwatch()
        with one_blas_thread(self.guide.few_products):
            cursor, chunk = advance(system, method, self.cursor, t1, rtol, np.asarray(budget))
            jax.block_until_ready(cursor.t)
        return cursor, chunk, watch.seconds()

    def at_rest(self, search: Callable[..., tuple[ndarray, str] | None]) -> Output | None:
        """Return the output until the end if the flow is at rest, which is examined where the state hardly moves.

        `search` is `System.rest` of the system in use.
        """
        before, self.before = self.before, Position(self.t, self.attempts, self.state())
        size, moved = float(np.linalg.norm(self.before.state)), np.inf
        if before is not None:
            moved = float(np.linalg.norm(self.before.state - before.state))
        # Explicit steps are short where the flow is stiff, which the guide knows.
        self.slow = self.exact or (self.way.implicit and self._is_slow(before, moved, size))
        still = moved < self.limits.rtol * size
        self.largest = max(self.largest, size)
        vanished = size < _VANISHED * self.largest
        due = (self.slow and self.tried is None) or self.t > _AGAIN * self.searched
        # A search takes as long as a part of explicit steps, whose number until the end is known if they are stiff.
        few = not self.way.implicit and self.limits.end - self.t < _PART * float(self.cursor.h)
        if not (self.slow or still or vanished) or not due or few or self.t >= self.limits.end:
            return None
        self.searched = self.t
        u = np.asarray(self.cursor.u)
        found = search(u, self.limits.rtol, vanished=vanished)
        if found is None:
            return None
        point, note = found
        self.rest_note = f"From {self._place(4)} on {note}."
        output = constant_output(self.system, point, self.t, self.limits.end - self.t)
        self.cursor = self.cursor._replace(t=np.asarray(self.limits.end), u=point)
        self.t, self.accepted = self.limits.end, self.accepted + 1
        return output

    def _switch(self) -> None:
        """Use the exact Jacobian from now on, if it is known and not too large, and if it makes steps longer.

        Where the flow is not at rest and its steps are slow, an inexact Jacobian may be the reason. At a tight rtol the
        accuracy may be it. A few steps tell, which count as rejected, because one with the exact Jacobian takes many
        times longer.
        """
        self.tried, exact = self.attempts, self.system.with_exact_jacobian()
        if exact is self.system:
            return
        way, limits = Settled("exact").first(exact), self.limits
        begin = self.cursor._replace(memory=way.first_memory(np.asarray(self.cursor.u)))
        tried, chunk = advance(
            exact, way.method, begin, np.asarray(limits.end), np.asarray(limits.rtol),
            np.asarray(min(_TRIED, limits.max_steps - self.attempts)),
        )  # fmt: skip
        rejected = int(tried.rejected) + int(chunk.filled)
        self.count(way.name, way.method.cost, 0, rejected)
        self.cursor = self.cursor._replace(rejected=np.asarray(rejected, self.cursor.rejected.dtype))
        if float(tried.h) >= _LONGER * float(self.cursor.h) or float(tried.t) >= limits.end:
            self._use(exact)

    def _use(self, exact: System) -> None:
        """Take steps with the exact Jacobian."""
        self.exact, self.system, self.guide = True, exact, Settled("exact")
        self.way = self.guide.first(exact)
        self.cursor = self.cursor._replace(memory=self.way.first_memory(np.asarray(self.cursor.u)))

    def status(self) -> Status | None:
        if self.t >= self.limits.end:
            return Status.REACHED_TIME
        if bool(stuck(self.t, float(self.cursor.h))):
            return self._cause()
        return Status.MAX_STEPS if self.attempts >= self.limits.max_steps else None

    def stats(self, seconds: float) -> Stats:
        n = self.attempts
        evaluations = sum(spent.attempts * spent.cost[0] for spent in self.spent.values())
        factorizations = sum(spent.attempts * spent.cost[1] for spent in self.spent.values())
        algebras = tuple((name, spent.attempts) for name, spent in self.spent.items() if name)
        iterations = int(self.cursor.iterations)
        return Stats(
            n, self.accepted, n - self.accepted, evaluations, factorizations, seconds, iterations, algebras
        )

    @np.errstate(
        over="ignore"
    )  # Sizes near the largest float have infinite norms, which the comparisons allow for.
    def _cause(self) -> Status:
        """Return why the steps became too small: values that are not finite, a blow-up, or another reason."""
        u = jnp.asarray(self.cursor.u)
        known = self.system.diagnosis(u)
        if known is not None:
            self.ending_note = f"The integration stopped at {self._place(6)}: {known[1]}."
            return known[0]
        speed = np.asarray(self.system.field(u))
        state = np.asarray(self.system.state(u))
        if not bool(self.cursor.finite) or not np.all(np.isfinite(speed)):
            reason = self._not_finite_ahead(speed) or "values just after this time are not finite"
            self.ending_note = f"The integration stopped at {self._place(6)}: {reason}."
            return Status.NOT_FINITE
        # Near the edge of the domain of a root or a logarithm the speed grows, and beyond it values are not finite.
        reason = self._not_finite_ahead(speed)
        size, rate = float(np.linalg.norm(state)), float(np.linalg.norm(speed))
        # The clock is logarithmic only for losses of margins. They are positive, so that their flows do not blow up.
        grown = self.limits.clock.plain and size > _BLOWN_UP * self._size_at_start()
        if not reason and grown and rate * self.t > _FAST * size:
            sizes = f"|state| = {size:.3g} and |state'| = {rate:.3g}"
            self.ending_note = f"The integration stopped at {self._place(10)}, where {sizes}."
            # Growth of degree 3 or more from a tiny start ends like a blow-up if t is so large that its rounding errors
            # are longer than the jump, but the state is then still small.
            if self._size_at_start() < _TINY and size < _SMALL:
                self.ending_note += (
                    " The growth from this start takes so long that the change that follows is shorter than rounding "
                    "errors of the time; use a start of a larger scale."
                )
                return Status.STEP_UNDERFLOW
            return Status.BLEW_UP
        self.ending_note = f"The integration stopped at {self._place(10)}" + (
            f": {reason}." if reason else "."
        )
        return Status.NOT_FINITE if reason else Status.STEP_UNDERFLOW

    def _is_slow(self, before: Position | None, moved: float, size: float) -> bool:
        """Return whether the steps of the last part were short for another reason than the accuracy of the state."""
        if before is None or self.t > _SLOW * before.t:
            return False
        # A step that the accuracy limits moves the state by about the share rtol^(1/3).
        return moved < _SHORT * (self.attempts - before.attempts) * self.limits.rtol ** (1 / 3) * size

    def notes(self) -> tuple[str, ...]:
        notes = self.system.notes(np.asarray(self.start), np.asarray(self.cursor.u))
        watch = self.cursor.watch
        lost = (
            ""
            if watch is None
            else watch.lost.note(self.limits.clock.text(float(watch.lost.when), 4), self.limits.rtol)
        )
        return (*notes, *filter(None, (lost, self.rest_note)))

    def _place(self, digits: int) -> str:
        return self.limits.clock.text(self.t, digits)

    def _size_at_start(self) -> float:
        size = np.linalg.norm(np.asarray(self.system.state(jnp.asarray(self.start))))
        return max(float(size), 1e-300)

    def _not_finite_ahead(self, speed: Float64[ndarray, " m"]) -> str:
        """Return which values become infinite or NaN just after the last state, or "" if none do."""
        u = np.asarray(self.cursor.u)
        step, direction = 0.0, np.where(np.isfinite(speed), speed, 0.0)
        for _ in range(_LOOKS):
            ahead = u + step * direction
            step = max(2 * step, float(self.cursor.h), 1e-300)
            bad = np.flatnonzero(~np.isfinite(np.asarray(self.system.field(jnp.asarray(ahead)))))
            entry = self.system.entry_name(int(bad[0])) if len(bad) else ""
            if entry:
                return f"{entry} not finite just after this time"
            if step > _AHEAD * self.t or step * np.linalg.norm(direction) > 2 * np.linalg.norm(u):
                break
        return ""
