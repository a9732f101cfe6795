"""The function `forecast_grokking`, which computes when a model generalises from the state at which training starts."""

from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress, silent
from implicitbias.flows import GradientFlow, simulate
from implicitbias.grokking._course import Course, Piece, kept_times
from implicitbias.grokking._first_stretch import Stretch, first_stretch
from implicitbias.grokking._forecast import Forecast
from implicitbias.grokking._held_out import COLUMNS, Gauge, gauge_of
from implicitbias.grokking._times import interval_of, rest_tolerance, times_of
from implicitbias.grokking._trust import Trust
from implicitbias.grokking._trust_of import Evidence, of_the_verdict, trust_of
from implicitbias.trajectories import Trajectory

# The flow is followed to this slow time lam t, and then _FARTHER times as far, until it is at rest or at _FARTHEST.
_FIRST, _FARTHER, _FARTHEST = 10.0, 2.0, 400.0
# The flow is at rest if over the last part from t / _FARTHER to t the test error changed by at most `rest_tolerance`,
# and the test loss and the norm by this share of themselves, or by its square times the first ones.
_REST = 3e-3
# The second forecast, from which the interval of the grokking time follows, has a tolerance this many times larger.
_LOOSER = 10.0


def forecast_grokking(
    problem: Any,
    params: Any,
    *,
    weight_decay: float,
    test: Any,
    learning_rate: float | None = None,
    optimizer: str = "gradient_descent",
    progress: Progress | None = None,
    rtol: float = 1e-4,
) -> Forecast:
    r"""Return when training with a weight decay will generalise, and to which error, without training to the end.

    Training follows $\dot\theta = -\nabla F(\theta) - \lambda \theta$ from `params`. A model that groks fits its
    training data early, and its test error falls at times of the order of $1/\lambda$. With a learning rate, the
    forecast begins with real gradient descent, until descent and flow agree over as many further steps as were taken:
    early steps are often too large for the flow. Then the flow is integrated to its rest point, in a number of steps
    that hardly grows with $1/\lambda$.

    The norm drift, which is the limit of a vanishing weight decay, is not used, because it does not save time. On a
    softplus network with 704 parameters, the flow takes 0.03 s for lam = 1e-3, 1e-4 and 1e-5 alike, and its test loss
    is accurate to 0.2 %. The drift takes 0.02 s, but its start, `ib.interpolation_limit`, takes 0.14 s, and its test
    loss is off by 3 %, 0.4 % and 0.02 %. `benchmarks/drift_or_flow.py` repeats this.

    The error is the misclassified fraction for classification losses, and for the squared loss if the targets are
    one-hot or +-1; otherwise the mean squared error, summed over outputs.

    Args:
        problem: the training problem, for instance `ib.Problem(model, X, y)`.
        params: the parameters at which training starts, or goes on: a pytree of arrays.
        weight_decay: the weight decay lam > 0, which adds lam/2 ||theta||^2 to the loss.
        test: the pair (X, y) of test inputs and test targets, like those of the problem.
        learning_rate: the step size of gradient descent; None to forecast the flow itself.
        optimizer: the name of the optimiser that will be used. The forecast is that of "gradient_descent"; another name
            makes its trust low.
        progress: a function that is called from time to time with (fraction, text).
        rtol: the tolerance of the flow, as for `ib.simulate`.

    Returns:
        A `Forecast`: `groks`, `memorization_time`, `grokking_time` with `grokking_interval`, `final_test_error`, the
        whole `curve`, and `trust` with reasons.

    Raises:
        InputError: an argument is out of range, the test rows do not belong to the problem, gradient descent diverges,
            or predictions are not finite.

    Reference:
        boursier2025grokking.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> rng = np.random.default_rng(0)
        >>> X, X_test = rng.standard_normal((10, 20)), rng.standard_normal((50, 20))
        >>> w = np.zeros(20)
        >>> problem, start = ib.LeastSquares(X, X @ w), 3.0 * rng.standard_normal(20)
        >>> forecast = ib.forecast_grokking(problem, start, weight_decay=1e-4, test=(X_test, X_test @ w))
        >>> (
        ...     forecast.groks,
        ...     round(1e-4 * forecast.grokking_time, 2),
        ... )  # the mean squared error decays like e^(-2 lam t)
        (True, 0.29)
    """
    _refuse_numbers(weight_decay, learning_rate)
    if not isinstance(optimizer, str):
        raise InputError(
            f"optimizer is {optimizer!r}, a name such as 'gradient_descent' or 'adam' is expected"
        )
    flow, report = GradientFlow(problem, float(weight_decay)), progress or silent
    shape, start = flow.checked_start(params)
    gauge = gauge_of(problem, shape, start, test)
    stretch = None
    if learning_rate is not None:
        stretch = first_stretch(
            problem, params, gauge, float(learning_rate), float(weight_decay), rtol, report
        )
    # A model with kinks can take so many steps that the dense output of all of them does not fit into memory.
    sampled = flow.flags(shape, start).not_smooth
    first = _Plan(flow, gauge, params, [] if stretch is None else stretch.pieces, rtol, sampled, {})
    followed = _followed(first, lambda part, text: report(0.6 * part, text))
    found = times_of(followed.course)
    second = _second(first, followed.course)
    other = times_of(_followed(second, lambda part, text: report(0.6 + 0.3 * part, text)).course)
    resolution = 1.0 / gauge.test_rows if gauge.kind.counts else 0.0
    report(0.9, "trust")
    evidence = Evidence(
        problem, gauge, followed.course, stretch, optimizer, followed.settled, followed.stopped
    )
    trust = trust_of(evidence, flow, start, learning_rate, (found.memorized, found.grokked))
    interval = interval_of(found, other, resolution, learning_rate or 0.0)
    trust = Trust((*trust.reasons, *of_the_verdict(found, other, interval, resolution)))
    report(1.0, "done")
    columns = {"t": frozen(found.curve.times)}
    columns |= {name: frozen(found.curve.of(name).copy()) for name in COLUMNS}
    return Forecast(
        memorization_time=found.memorized,
        grokking_time=found.grokked,
        grokking_interval=interval,
        test_error_at_memorization=found.error_then,
        final_test_error=found.final,
        unit=found.unit,
        weight_decay=float(weight_decay),
        learning_rate=np.nan if learning_rate is None else float(learning_rate),
        error_kind=gauge.kind.text,
        method=_method(stretch, followed, float(weight_decay)),
        trust=trust,
        columns=columns,
    )


def _refuse_numbers(weight_decay: Any, learning_rate: Any) -> None:
    for name, value in (("weight_decay", weight_decay), ("learning_rate", learning_rate)):
        if name == "learning_rate" and value is None:
            continue
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not 0.0 < float(value) < np.inf:
            hint = (
                "; without weight decay there is no slow phase to forecast: type "
                "ib.simulate(ib.GradientFlow(problem), params, t1=...)"
                if name == "weight_decay"
                else ""
            )
            raise InputError(f"{name} is {value!r}, a positive, finite number is expected{hint}")


class _Plan(NamedTuple):
    """A forecast before the flow is integrated.

    Attributes:
        flow: the flow.
        gauge: the training and the test rows.
        params: the parameters at the start.
        pieces: the pieces of gradient descent.
        rtol: the tolerance of the flow.
        sampled: whether the flow is kept at chosen times only, and not at all times.
        known: the rows that were measured on these pieces.
    """

    flow: GradientFlow
    gauge: Gauge
    params: Any
    pieces: list[Piece]
    rtol: float
    sampled: bool
    known: dict[float, ndarray]

    def flowed(self, state: Any, begin: float, end: float, progress: Progress) -> Trajectory:
        """Return the flow from a state at the time `begin` to the time `end`."""
        if not self.sampled:
            return simulate(self.flow, state, end - begin, rtol=self.rtol, progress=progress)
        times = kept_times(begin, end) - begin
        return simulate(self.flow, state, times=times, rtol=self.rtol, progress=progress)


def _second(first: _Plan, course: Course) -> _Plan:
    """Return the plan of a less accurate forecast, which begins with the same steps of descent, but for the last."""
    pieces = first.pieces[:-1]
    known = course.known_until(pieces[-1].end if pieces else 0.0)
    return first._replace(pieces=pieces, rtol=min(_LOOSER * first.rtol, 0.1), known=known)


class _Followed(NamedTuple):
    """The whole course, whether it ends at rest, why it stopped early ("" if it did not), and the steps of the flow."""

    course: Course
    settled: bool
    stopped: str
    steps: int


def _followed(plan: _Plan, progress: Progress) -> _Followed:
    """Return the course of the flow to its rest point, after the pieces of gradient descent."""
    course = Course(plan.gauge, list(plan.pieces), dict(plan.known))
    state, steps, reached = plan.params, 0, 0.0
    if course.pieces:
        state, reached = course.pieces[-1].trajectory.final, course.end
    slow = max(_FIRST, 2.0 * plan.flow.weight_decay * reached)
    while True:

        def told(part: float, text: str, slow: float = slow) -> None:
            progress(part * min(1.0, slow / (_FIRST * _FARTHER)), f"the flow to lam t = {slow:g}, {text}")

        trajectory = plan.flowed(state, reached, slow / plan.flow.weight_decay, told)
        course.pieces.append(Piece(reached, trajectory))
        steps += trajectory.stats.steps
        if not trajectory.status.ok:
            return _Followed(course, False, trajectory.status.value, steps)
        reached, state = course.end, trajectory.final
        settled = _at_rest(course)
        if settled or slow * _FARTHER > _FARTHEST:
            return _Followed(course, settled, "", steps)
        slow *= _FARTHER


def _at_rest(course: Course) -> bool:
    """Return whether the curves have stopped changing at the end of a course."""
    first, before, last = course.measured(np.array([0.0, course.end / _FARTHER, course.end]))
    change = np.abs(last - before)
    error, loss, norm = (COLUMNS.index(name) for name in ("test_error", "test_loss", "norm"))
    counts = course.gauge.kind.counts
    unit, resolution = (1.0, 1.0 / course.gauge.test_rows) if counts else (float(first[error]), 0.0)
    errors = bool(change[error] <= rest_tolerance(unit, resolution))
    scale = np.maximum(np.abs(last), _REST * first)
    return errors and bool(np.all(change[[loss, norm]] <= _REST * scale[[loss, norm]]))


def _method(stretch: Stretch | None, followed: _Followed, weight_decay: float) -> str:
    """Return which parts of a forecast are gradient descent, and which are the flow."""
    flow = (
        f"the gradient flow with the weight decay {weight_decay:g} to t = {followed.course.end:.3g} "
        f"({followed.steps} steps of the solver)"
    )
    if followed.course.gauge.train.mean_loss.loss.of_margins is not None:
        # This loss has no end without weight decay, so that readers may expect another limit.
        flow += f", whose margins tend to about ln(1/lam) = {-np.log(weight_decay):.3g} where it separates the labels"
    if stretch is None:
        return f"Method: {flow}."
    steps = 2 * stretch.agreement.steps
    agreed = "until both agreed" if stretch.agreement.holds else "which did not agree with the flow yet"
    return f"Method: {steps} steps of gradient descent, {agreed}, then {flow}."
