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
from implicitbias.flows._gauss_newton import GaussNewtonSystem
from implicitbias.flows._stepper import Cursor, advance, first_cursor, stuck
from implicitbias.flows._system import System
from implicitbias.trajectories import Stats

# Dense Jacobians and kernels, unless a solver says otherwise.
MATRIX_BYTES = 2 * 2**30
# An end this much larger than the start, reached at a speed that the clock cannot resolve, is a blow-up.
_BLOWN_UP = 10.0
# How far ahead to look for numbers that are not finite, in parts of the time passed.
_AHEAD = 1e-2


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
        u = self.cursor.u
        speed = np.asarray(self.system.field(u))
        state = np.asarray(self.system.state(u))
        if not bool(self.cursor.finite) or not np.all(np.isfinite(speed)):
            self.detail = f"at t = {self.t:.6g}, {self._border(speed) or 'just ahead'}"
            return Status.NOT_FINITE
        size = float(np.linalg.norm(state))
        at_start = float(np.linalg.norm(np.asarray(self.system.state(jnp.asarray(self.start)))))
        if size > _BLOWN_UP * max(at_start, 1e-300):
            self.detail = f"|state| = {size:.3g} at t = {self.t:.10g}, |state'| = {np.linalg.norm(speed):.3g}"
            return Status.BLEW_UP
        # A root or logarithm at its border: the speed grows, then there is nothing.
        border = self._border(speed)
        self.detail = f"at t = {self.t:.10g}" + (f", {border}" if border else "")
        return Status.NOT_FINITE if border else Status.STEP_UNDERFLOW

    def _border(self, speed: Float64[ndarray, " m"]) -> str:
        """Where numbers cease to be finite a little ahead; empty where they do not."""
        u = np.asarray(self.cursor.u)
        step, direction = 0.0, np.where(np.isfinite(speed), speed, 0.0)
        while step <= _AHEAD * self.t and step * np.linalg.norm(direction) <= 2 * np.linalg.norm(u):
            ahead = u + step * direction
            step = max(2 * step, float(self.cursor.h))
            bad = np.flatnonzero(~np.isfinite(np.asarray(self.system.field(jnp.asarray(ahead)))))
            if len(bad) and isinstance(self.system, GaussNewtonSystem):
                return f"{_place(int(bad[0]), self.system)} not finite just ahead"
        return ""


def _place(index: int, system: GaussNewtonSystem) -> str:
    """An entry of the inner variable in words."""
    if index < system.shape.size:
        return f"the gradient in leaf {system.shape.leaf_of(index)} is"
    return f"the predictions (not the gradient in {', '.join(system.shape.names)}) are"
