"""`simulate`: a flow and a start in, a trajectory out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.progress import Progress, silent
from implicitbias._core.status import Status
from implicitbias.flows._dense import filled, resting
from implicitbias.flows._flow import Flow
from implicitbias.flows._recorder import Observe, Recorder
from implicitbias.flows._stepper import advance, first_cursor, stuck
from implicitbias.flows._system import System
from implicitbias.trajectories import Stats, Trajectory


def simulate(
    flow: Flow,
    start: Any,
    t1: float | None = None,
    *,
    log_t1: float | None = None,
    times: Any = None,
    rtol: float = 1e-4,
    observe: Observe | None = None,
    max_steps: int = 100_000,
    progress: Progress | None = None,
) -> Trajectory:
    r"""Integrate a flow of training from `start` to t1 by a linearly implicit method that uses its structure.

    Args:
        flow: for instance `MirrorFlow(problem, potential)`.
        start: what the flow moves, at t = 0: w (d,) for a `MirrorFlow`.
        t1: end time, in the flow's own time t.
        log_t1: its natural logarithm instead.
        times: (m,) ascending times to keep; without them the steps' ends are kept and output is dense.
        rtol: local relative error allowed in the state.
        observe: {"name": fn(t, state)}, evaluated at the kept times.
        max_steps: most accepted and rejected steps together.
        progress: called with (fraction of t1, text) now and then.

    Returns:
        A `Trajectory`. Where the integration stopped early its `status` says why, and what was reached is there.
        A keyboard interrupt returns what has been kept until then. The first call for a shape compiles; another scale,
        start, t1 or rtol does not.

    Raises:
        InputError: t1 missing or not positive, unsorted times, rtol outside (0, 0.1], a start of the wrong shape, an
            `observe` that is no mapping of functions.
        ImplicitBiasError: dense output over 2 GiB; pass `times`.

    Reference:
        rang2005rosenbrock (the method).

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> problem = ib.LeastSquares(np.eye(2), [1.0, -1.0])
        >>> flow = ib.MirrorFlow(problem, ib.HyperbolicEntropy(log_scale=-100.0))
        >>> trajectory = ib.simulate(
        ...     flow, np.zeros(2), t1=300.0, observe={"loss": lambda t, w: problem.loss(w)}
        ... )
        >>> trajectory.status.name
        'REACHED_TIME'
        >>> bool(trajectory.observables["loss"][-1] < 1e-8)
        True
    """
    if not isinstance(flow, Flow):
        raise InputError(
            f"flow is a {type(flow).__name__}, a flow such as ib.MirrorFlow(problem, potential) is expected"
        )
    for name, value in (("t1", t1), ("log_t1", log_t1), ("rtol", rtol), ("max_steps", max_steps)):
        if value is not None and not isinstance(value, Integral if name == "max_steps" else Real):
            raise InputError(f"{name} is {value!r}, a number is expected")
    grid = _checked_times(times)
    end = _end_time(t1, log_t1, grid)
    if not 0.0 < rtol <= 0.1:
        raise InputError(f"rtol is {rtol}, a number in (0, 0.1] is expected")
    if max_steps < 1:
        raise InputError(f"max_steps is {max_steps}, a positive number is expected")
    _refuse_observe(observe)
    point = flow.checked_start(start)
    begin = time.perf_counter()
    with double_precision():
        system, inner = flow.system(point)
        run = _Run(system, Recorder(grid, observe or {}), max_steps, progress or silent)
        status = _integrate(run, inner, end, rtol)
    return run.trajectory(point, status, time.perf_counter() - begin)


def _checked_times(times: Any) -> Float64[ndarray, " m"] | None:
    if times is None:
        return None
    grid = real_array(times, "times", ndim=1)
    if len(grid) == 0 or grid[0] < 0.0 or np.any(np.diff(grid) <= 0.0):
        raise InputError(
            "times must be non-negative and strictly ascending, for instance numpy.linspace(0, t1, 100)"
        )
    return grid


def _end_time(t1: float | None, log_t1: float | None, grid: ndarray | None) -> float:
    if t1 is not None and log_t1 is not None:
        raise InputError("t1 and log_t1 are both given, one is expected")
    if t1 is None and log_t1 is None:
        if grid is None:
            raise InputError("no end time is given; type simulate(flow, start, t1=...)")
        t1 = float(grid[-1])
    with np.errstate(over="ignore"):  # refused below
        end = float(np.exp(log_t1)) if t1 is None and log_t1 is not None else float(t1 or 0.0)
    if not (np.isfinite(end) and end > 0.0):
        raise InputError(f"the end time is {end}, a positive, finite number is expected")
    if grid is not None and grid[-1] > end:
        raise InputError(f"times reach {grid[-1]:g}, beyond the end time {end:g}")
    return end


def _refuse_observe(observe: Any) -> None:
    if observe is None:
        return
    if not (isinstance(observe, Mapping) and all(callable(function) for function in observe.values())):
        raise InputError(
            'observe is {"name": function of (t, state)}, for instance '
            'observe={"loss": lambda t, w: problem.loss(w)}'
        )
    taken = sorted({"state", "time", "coordinate"}.intersection(observe))
    if taken:
        raise InputError(
            f"observe has the name {taken[0]!r}, which the trajectory uses itself; choose another"
        )


def _integrate(run: "_Run", inner: Any, end: float, rtol: float) -> Status:
    """Advance chunk by chunk until the end or a reason to stop."""
    t1, tolerance = jnp.asarray(end), jnp.asarray(rtol)
    run.cursor = first_cursor(inner, t1)
    run.recorder.begin(resting(run.system, inner))
    try:
        while (status := run.status(end)) is None:
            budget = jnp.asarray(run.max_steps - run.attempts)
            cursor, chunk = advance(run.system, run.cursor, t1, tolerance, budget)
            run.accepted, run.rejected = run.accepted + int(chunk.filled), int(cursor.rejected)
            if int(chunk.filled):
                run.recorder.add(filled(run.system, chunk))
            # Only now: an interrupt is raised where the compiled loop returns, and must not leave a gap.
            run.cursor = cursor
            run.progress(min(1.0, float(run.cursor.t) / end), f"t = {float(run.cursor.t):.4g}")
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    return status


@dataclass
class _Run:
    """One integration in progress."""

    system: System
    recorder: Recorder
    max_steps: int
    progress: Progress
    accepted: int = 0
    rejected: int = 0
    cursor: Any = None

    @property
    def attempts(self) -> int:
        return self.accepted + self.rejected

    def status(self, end: float) -> Status | None:
        if float(self.cursor.t) >= end:
            return Status.REACHED_TIME
        if self.attempts >= self.max_steps:
            return Status.MAX_STEPS
        return Status.STEP_UNDERFLOW if bool(stuck(self.cursor.t, self.cursor.h)) else None

    def trajectory(self, start: ndarray, status: Status, seconds: float) -> Trajectory:
        n = self.attempts
        # Four stages and one speed for the quiet time an attempt; one factorisation.
        stats = Stats(n, self.accepted, n - self.accepted, 5 * n, n, seconds)
        times, dense, sampled = self.recorder.times, self.recorder.output(), self.recorder.grid is not None
        final = resting(self.system, self.cursor.u).state(np.zeros(1))[0]
        if status is Status.INTERRUPTED and len(times):
            # In a callback: the recorder holds a part of the chunk that the cursor has not entered.
            final = dense.state(times[-1:])[0]
        return Trajectory(
            times=times,
            start=frozen(start),
            final=frozen(final),
            status=status,
            stats=stats,
            observables=self.recorder.observables,
            dense=dense,
            sampled=sampled,
        )
