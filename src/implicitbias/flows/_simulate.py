"""The function `simulate`, which integrates a flow from a start and returns a trajectory."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.progress import Progress, silent
from implicitbias._core.status import Status
from implicitbias.flows._algebra_names import checked_algebra
from implicitbias.flows._engine import MATRIX_BYTES, Engine
from implicitbias.flows._flow import Flow
from implicitbias.flows._limits import Limits
from implicitbias.flows._recorder import CallbackError, Observe, Recorder, Until
from implicitbias.flows._saver import NoSaver, Saver
from implicitbias.trajectories import Clock, Trajectory


def simulate(
    flow: Flow,
    start: Any,
    t1: float | None = None,
    *,
    log_t1: float | None = None,
    times: Any = None,
    rtol: float = 1e-4,
    observe: Observe | None = None,
    until: Until | None = None,
    max_steps: int = 100_000,
    solver: Any = None,
    checkpoint: Any = None,
    progress: Progress | None = None,
) -> Trajectory:
    r"""Integrate a flow of training from `start` to time t1 with a linearly implicit method that uses its structure.

    Args:
        flow: `GradientFlow(problem, weight_decay)`, `MirrorFlow(problem, potential)`, `NormDrift(problem)` or
            `GradientDescent(problem, learning_rate, weight_decay)`.
        start: the state at t = 0: w for a `MirrorFlow`, and the parameters as a pytree of arrays for other flows.
        t1: the end time in the time t of the flow. For a `GradientDescent` it is the number of steps times
            learning_rate.
        log_t1: the natural logarithm of the end time, instead of t1. For a `MirrorFlow` of a `Classification`, and for
            a `GradientFlow` without weight decay of the losses "logistic", "exponential" and "cross_entropy", the time
            itself may leave float64, for instance log_t1=23_000.
        times: (m,) ascending times at which states are kept. By default, output is dense and the ends of the steps are
            kept; gradient descent keeps log-spaced steps.
        rtol: the largest local error of an array of the state relative to its size; for diagonal networks, of an entry.
            Directions in which the state grows from a tiny start are held to 10 rtol of their own size. If one became
            smaller than rounding errors of the state, `Trajectory.notes` says so.
        observe: {"name": fn(t, state)}, functions that are evaluated at the kept times; state has NumPy leaves. If one
            raises an exception or changes its shape after the start, the integration ends there with a note.
        until: a function until(t, state) that gives a truth value, or a number. The integration stops where it becomes
            true or positive. This moment is located between the steps, and it is the last of the kept times. It may be
            the distance to a predicted limit: `lambda t, w: 1e-6 - abs(w - limit).max()`. It is evaluated four times in
            each step. If it is a smooth number, its maximum between these points is found too. Gradient descent
            evaluates it only at the steps that it keeps.
        max_steps: the largest number of accepted and rejected steps; gradient descent always takes t1 / learning_rate.
        solver: the name of the algebra by which a `GradientFlow` solves the linear systems of its steps, or a
            `GaussNewtonRosenbrock` with other settings than the default ones. "layers" and "kernel" factorise an
            n k x n k matrix, "normal" a p x p matrix; "products" uses conjugate gradients, "lagged" preconditions them
            with the factor of an earlier step, and "nystrom" with the largest eigenvalues of its kernel; "explicit"
            takes steps of Tsit5, and "stabilised" those of a Runge-Kutta-Chebyshev method of order 2. By default the
            algebra is chosen by cost, and may change on the way; `Trajectory.stats.algebras` shows the choice. The cost
            is measured for large problems. For small ones operations are counted, so that a call repeats its numbers.
        checkpoint: the path of a file in which the run is kept, so that the same call goes on after an interrupt or the
            end of the process. The result equals that of a run without a break to the last bit (only
            `stats.seconds` differs), because the algebra is then chosen by counted operations and not by measured
            times. The functions of `observe` and `until` must depend on (t, state) only. The file is written after
            parts of the integration, at most about every 0.1 seconds and in at most a tenth of the time; what was
            computed since then is computed again. A finished run is returned from the file.
        progress: a function that is called from time to time with (fraction of t1, text).

    Returns:
        A `Trajectory`. If the integration stopped early, `status` says why, and the trajectory covers the integrated
        part. After a keyboard interrupt, the part that was kept is returned, unless nothing was kept. The first call
        for a model and its shapes compiles; later calls with other data, scales, weight decays, starts, t1 or rtol do
        not, unless another algebra is chosen for them for the first time.

    Raises:
        InputError: t1 is missing or not positive, times are not sorted, rtol is outside (0, 0.1], the start has a
            wrong shape, predictions at the start are not finite, or `observe` is not a mapping to functions; the
            checkpoint is damaged, cannot be written at the start, is used by another run, or belongs to a run with
            other arguments, functions or versions; or an argument has no fingerprint.
        ImplicitBiasError: dense output needs more than 2 GiB; pass `times` then.

    Reference:
        rang2005rosenbrock for the method.

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
    grid = _checked_times(times)
    _refuse_numbers(t1, log_t1, rtol, max_steps)
    t1 = _end_time(t1, log_t1, grid)
    _refuse_callbacks(observe, until)
    max_bytes, algebra = _solver_settings(solver)
    if algebra != "auto" and not flow.has_algebras:
        raise InputError(
            f"solver asks for the algebra {algebra!r}, but only a GradientFlow has a choice of algebras; "
            "leave out solver"
        )
    begin = time.perf_counter()
    with double_precision():
        shape, point = flow.checked_start(start)
        flags = flow.flags(shape, point)
        log_end = float(log_t1 or 0.0) if t1 is None else float(np.log(t1))
        clock = flow.clock(shape, point, log_end)
        end = _reading(clock, t1, log_t1)
        kept = None if grid is None else clock.readings(flow.snapped(grid))
        limits = Limits(end, float(rtol), int(max_steps), kept, algebra, clock, checkpoint is not None)
        recorder = Recorder(shape, limits, observe or {}, until)
        given = {"start": (shape.names, shape.shapes, shape.rest, point), "max_bytes": max_bytes}
        with _saver(checkpoint, flow, given, limits, recorder) as saver:
            engine = flow.engine(shape, point, limits, max_bytes)
            status = _integrate(engine, recorder, limits, progress or silent, saver)
        if status is Status.REACHED_TIME and flags.single_precision:
            status = Status.LOW_PRECISION
        final = _final(engine, recorder, status)
    return Trajectory(
        times=frozen(clock.times(recorder.times)),
        start=shape.numpy_tree(point),
        final=shape.numpy_tree(final),
        status=status,
        stats=engine.stats(time.perf_counter() - begin + saver.earlier),
        observables=recorder.observables,
        dense=recorder.output(),
        sampled=recorder.sampled,
        shape=shape,
        notes=(*filter(None, (engine.ending_note, saver.failure)), *engine.notes(), *flags.notes),
        clock=clock,
        readings=None if clock.plain else recorder.times,
    )


def _saver(
    checkpoint: Any, flow: Flow, given: dict[str, Any], limits: Limits, recorder: Recorder
) -> AbstractContextManager[Saver]:
    """Return the saver of a run; the module of checkpoints is imported only if needed."""
    if checkpoint is None:
        return nullcontext(NoSaver())
    from implicitbias.flows._checkpoint import checkpoint_at, described

    arguments = {"flow": type(flow).__name__, **flow._fields(), **given, "end time": limits.end}
    arguments |= {"rtol": limits.rtol, "max_steps": limits.max_steps, "times": limits.grid}
    arguments |= {"solver": limits.algebra, "observe": ", ".join(recorder.observe)}
    arguments |= {"until": None if recorder.until is None else "a function"}
    return checkpoint_at(checkpoint, described(arguments))


def _integrate(
    engine: Engine, recorder: Recorder, limits: Limits, progress: Progress, saver: Saver
) -> Status:
    """Integrate part by part and return the status at the end."""
    saver.start(engine, recorder)  # An interrupt here is not caught, because nothing has been kept yet.
    try:
        status = None
        while recorder.stopped is None:
            status = engine.status()
            if status is not None:
                break
            output = engine.advance()
            if output is not None:
                recorder.add(output)
            saver.save(engine, recorder)
            progress(min(1.0, engine.t / limits.end), limits.clock.text(engine.t))
        saver.save(engine, recorder, last=True)
    except KeyboardInterrupt:
        return Status.INTERRUPTED
    except CallbackError as failure:
        engine.ending_note = str(failure)
        return Status.CALLBACK_FAILED
    return status or Status.STOPPED_BY_CALLER


def _final(engine: Engine, recorder: Recorder, status: Status) -> Float64[ndarray, " size"]:
    """Return the state at which the integration ended."""
    if status is Status.STOPPED_BY_CALLER and recorder.stopped is not None:
        return recorder.last_state(recorder.stopped)
    if status in (Status.INTERRUPTED, Status.CALLBACK_FAILED) and len(recorder.times):
        # After an interrupt in a callback, or its failure, the recorder may hold only a part of what was integrated.
        state: ndarray = recorder.output().state(recorder.times[-1:])[0]
        return state
    return engine.state()


def _solver_settings(solver: Any) -> tuple[int, str]:
    """Return the byte budget and the algebra; the module of `GaussNewtonRosenbrock` is imported only if needed."""
    if solver is None:
        return MATRIX_BYTES, "auto"
    if isinstance(solver, str):
        return MATRIX_BYTES, checked_algebra(solver)
    from implicitbias.flows._solver import GaussNewtonRosenbrock

    if not isinstance(solver, GaussNewtonRosenbrock):
        raise InputError(
            f"solver is a {type(solver).__name__}, an ib.GaussNewtonRosenbrock or the name of an algebra is expected; "
            "for other solvers of diffrax type diffrax.diffeqsolve(flow.term(), ...)"
        )
    return solver.max_bytes, solver.algebra


def _checked_times(times: Any) -> Float64[ndarray, " m"] | None:
    if times is None:
        return None
    grid = real_array(times, "times", ndim=1)
    if len(grid) == 0 or grid[0] < 0.0 or np.any(np.diff(grid) <= 0.0):
        raise InputError(
            "times must be non-negative and strictly ascending, for instance numpy.linspace(0, t1, 100)"
        )
    return grid


def _refuse_numbers(t1: Any, log_t1: Any, rtol: Any, max_steps: Any) -> None:
    for name, value in (("t1", t1), ("log_t1", log_t1), ("rtol", rtol), ("max_steps", max_steps)):
        if value is not None and not isinstance(value, Integral if name == "max_steps" else Real):
            raise InputError(f"{name} is {value!r}, a number is expected")
    if not 0.0 < rtol <= 0.1:
        raise InputError(f"rtol is {rtol}, a number in (0, 0.1] is expected")
    if max_steps < 1:
        raise InputError(f"max_steps is {max_steps}, a positive number is expected")


def _end_time(t1: float | None, log_t1: float | None, grid: ndarray | None) -> float | None:
    """Return the end time, which is the last of the times if none is given, or None if its logarithm is given."""
    if t1 is not None and log_t1 is not None:
        raise InputError("t1 and log_t1 are both given, one is expected")
    if t1 is None and log_t1 is None:
        if grid is None:
            raise InputError("no end time is given; type simulate(flow, start, t1=...)")
        t1 = float(grid[-1])
    if t1 is None:
        log_end = float(log_t1 or 0.0)
        if not np.isfinite(log_end):
            with np.errstate(over="ignore"):
                end = float(np.exp(log_end))
            raise InputError(
                f"log_t1 is {log_end}, so that the end time is {end}; a finite number is expected"
            )
    elif not (np.isfinite(t1) and t1 > 0.0):
        raise InputError(f"the end time is {float(t1)}, a positive, finite number is expected")
    else:
        log_end = float(np.log(t1))
    if grid is not None and grid[-1] > 0.0 and np.log(grid[-1]) > log_end and not grid[-1] == t1:
        raise InputError(f"times reach {grid[-1]:g}, beyond the end time {np.exp(log_end):g}")
    return None if t1 is None else float(t1)


def _reading(clock: Clock, t1: float | None, log_t1: float | None) -> float:
    """Return the variable of the clock at the end time, or raise an `InputError` if it leaves float64."""
    if t1 is not None:
        return float(clock.readings(t1))
    assert log_t1 is not None  # `_end_time` has checked it
    end = float(clock.readings_of_logs(log_t1))
    if not (np.isfinite(end) and end > 0.0):
        raise InputError(
            f"log_t1 is {log_t1:g}, so that the end time is {end}; a positive, finite time is expected. Only flows of "
            "the losses 'logistic', 'exponential' and 'cross_entropy' without weight decay are integrated in the "
            "logarithm of the time; type t1=... with a smaller time for this flow"
        )
    return end


def _refuse_callbacks(observe: Any, until: Any) -> None:
    if until is not None and not callable(until):
        raise InputError(
            f"until is {until!r}, a function of (t, state) is expected that returns True to stop the integration"
        )
    if observe is None:
        return
    if not (
        isinstance(observe, Mapping)
        and all(isinstance(name, str) and callable(function) for name, function in observe.items())
    ):
        raise InputError(
            f"observe is {observe!r}, a dict of functions of (t, state) is expected: type "
            'observe={"loss": lambda t, w: problem.loss(w)}'
        )
    taken = sorted({"state", "time", "coordinate"}.intersection(observe))
    if taken:
        raise InputError(
            f"observe has the name {taken[0]!r}, which is reserved for the trajectory; choose another name"
        )
