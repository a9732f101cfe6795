"""What drives a flow forward: pieces of output, one after another, and how it ended."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape
from implicitbias.flows._dense import Output, filled, resting
from implicitbias.flows._stepper import Cursor, advance, first_cursor, stuck
from implicitbias.flows._system import System
from implicitbias.trajectories import Stats

# Dense Jacobians and kernels, unless a solver says otherwise.
MATRIX_BYTES = 2 * 2**30
# An end this much larger than the start, reached at a speed that the clock cannot resolve, is a blow-up.
_BLOWN_UP, _FAST = 10.0, 1e3
# How far ahead to look for numbers that are not finite, in parts of the time passed.
_AHEAD, _LOOKS = 1e-2, 200


@dataclass(frozen=True)
class Limits:
    """Where an integration ends, at time `end` or after `max_steps`, and the times that will be asked for."""

    end: float
    rtol: float
    max_steps: int
    grid: Float64[ndarray, " m"] | None = None


class Engine(ABC):
    """One integration in progress; `first` is the state at t = 0, `detail` says more of how it ended."""

    first: Output
    t: float = 0.0
    detail: str = ""

    @abstractmethod
    def advance(self) -> Output | None:
        """The next piece of output; None if nothing was accepted."""

    @abstractmethod
    def status(self) -> Status | None:
        """Why it ended, None to go on."""

    @abstractmethod
    def state(self) -> Float64[ndarray, " size"]:
        """The state at `t`."""

    def remarks(self) -> tuple[str, ...]:
        """What a reader of the result should know of the integration, once it is over."""
        return ()

    @abstractmethod
    def stats(self, seconds: float) -> Stats:
        """What it cost so far."""


@dataclass
class RosenbrockEngine(Engine):
    """Adaptive steps of ROS34PW2."""

    system: System
    start: jax.Array | ndarray
    shape: TreeShape
    limits: Limits
    accepted: int = 0
    rejected: int = 0
    cursor: Cursor = field(init=False)

    def __post_init__(self) -> None:
        self.first = resting(self.system, self.start)
        self.cursor = first_cursor(np.asarray(self.start), self.limits.end)

    @property
    def attempts(self) -> int:
        """Accepted and rejected steps."""
        return self.accepted + self.rejected

    def state(self) -> Float64[ndarray, " size"]:
        return resting(self.system, self.cursor.u).state(np.zeros(1))[0]

    def advance(self) -> Output | None:
        # NumPy numbers: making JAX arrays of them takes longer than a step.
        t1, rtol = np.asarray(self.limits.end), np.asarray(self.limits.rtol)
        budget = np.asarray(self.limits.max_steps - self.attempts)
        cursor, chunk = advance(self.system, self.cursor, t1, rtol, budget)
        count = int(chunk.filled)
        output = filled(self.system, chunk) if count else None
        # Only now: an interrupt is raised where the compiled loop returns, and must not leave a gap.
        self.cursor, self.t = cursor, float(cursor.t)
        self.accepted, self.rejected = self.accepted + count, int(cursor.rejected)
        return output

    def status(self) -> Status | None:
        if self.t >= self.limits.end:
            return Status.REACHED_TIME
        if bool(stuck(self.cursor.t, self.cursor.h)):
            return self._cause()
        return Status.MAX_STEPS if self.attempts >= self.limits.max_steps else None

    def stats(self, seconds: float) -> Stats:
        n = self.attempts
        # Four stages and one speed for the quiet time an attempt; one factorisation.
        return Stats(n, self.accepted, n - self.accepted, 5 * n, n, seconds)

    def _cause(self) -> Status:
        """Why steps became too small: numbers that are not finite ahead, a blow-up, or neither."""
        u = jnp.asarray(self.cursor.u)
        speed = np.asarray(self.system.field(u))
        state = np.asarray(self.system.state(u))
        if not bool(self.cursor.finite) or not np.all(np.isfinite(speed)):
            self.detail = f"at t = {self.t:.6g}, {self._border(speed) or 'just ahead'}"
            return Status.NOT_FINITE
        # A root or logarithm at its border: the speed grows, then there is nothing.
        border = self._border(speed)
        size, rate = float(np.linalg.norm(state)), float(np.linalg.norm(speed))
        if not border and size > _BLOWN_UP * self._size_at_start() and rate * self.t > _FAST * size:
            self.detail = f"|state| = {size:.3g} at t = {self.t:.10g}, |state'| = {rate:.3g}"
            return Status.BLEW_UP
        self.detail = f"at t = {self.t:.10g}" + (f", {border}" if border else "")
        return Status.NOT_FINITE if border else Status.STEP_UNDERFLOW

    def remarks(self) -> tuple[str, ...]:
        return self.system.remarks(np.asarray(self.start), np.asarray(self.cursor.u), self.limits.rtol)

    def _size_at_start(self) -> float:
        size = np.linalg.norm(np.asarray(self.system.state(jnp.asarray(self.start))))
        return max(float(size), 1e-300)

    def _border(self, speed: Float64[ndarray, " m"]) -> str:
        """Where numbers cease to be finite a little ahead; empty where they do not."""
        u = np.asarray(self.cursor.u)
        step, direction = 0.0, np.where(np.isfinite(speed), speed, 0.0)
        for _ in range(_LOOKS):
            ahead = u + step * direction
            step = max(2 * step, float(self.cursor.h), 1e-300)
            bad = np.flatnonzero(~np.isfinite(np.asarray(self.system.field(jnp.asarray(ahead)))))
            place = self.system.place(int(bad[0])) if len(bad) else ""
            if place:
                return f"{place} not finite just ahead"
            if step > _AHEAD * self.t or step * np.linalg.norm(direction) > 2 * np.linalg.norm(u):
                break
        return ""
