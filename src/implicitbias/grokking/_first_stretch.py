"""The first stretch of a forecast: real gradient descent, until it agrees with the flow."""

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.progress import Progress
from implicitbias._core.status import Status
from implicitbias.flows import GradientDescent, GradientFlow, simulate
from implicitbias.grokking._course import Piece
from implicitbias.grokking._held_out import COLUMNS, Gauge
from implicitbias.trajectories import Trajectory

# The first number of steps after which descent and flow are compared, and the largest one.
FIRST, MOST = 64, 4096
# Descent and flow agree if over the compared steps their test errors differ on average by at most this share of a unit,
# or by one test row, and their losses by this share of themselves (the training loss: of its value at the beginning).
ERRORS, LOSSES = 0.005, 0.01
# The number of steps at which they are compared, and of states that are kept.
_COMPARED, _KEPT = 8, 300
# Gradient descent diverges if the largest parameter grows by this factor.
_GROWN = 1e3


class Agreement(NamedTuple):
    """How far gradient descent and the flow from the same state come apart over as many steps as were taken before.

    Attributes:
        steps: the number of steps before the comparison.
        errors: the mean difference of the test errors, in units.
        losses: the largest relative difference of the losses.
        distance: the distance of the two ends, relative to the distance that descent moved.
        moved: the number of test rows on whose class the two ends disagree; 0 for squared errors.
        resolution: the share of one test row in the error; 0 for squared errors.
    """

    steps: int
    errors: float
    losses: float
    distance: float
    moved: int
    resolution: float

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        return self.errors <= max(ERRORS, 1.5 * self.resolution) and self.losses <= LOSSES


class Stretch(NamedTuple):
    """Pieces of gradient descent one after another, and the last comparison with the flow."""

    pieces: list[Piece]
    agreement: Agreement


def first_stretch(
    problem: Any,
    params: Any,
    gauge: Gauge,
    learning_rate: float,
    weight_decay: float,
    rtol: float,
    progress: Progress,
) -> Stretch:
    """Return gradient descent until it agrees with the flow, or for `MOST` steps.

    After N steps, the flow is integrated from the state of descent over the time of the next N steps, and its curves
    are compared with those of descent. If they agree, the stretch ends after 2 N steps; otherwise N is doubled.

    Raises:
        InputError: gradient descent diverges.
    """
    descent = GradientDescent(problem, learning_rate, weight_decay)
    flow = GradientFlow(problem, weight_decay)
    pieces = [Piece(0.0, _descended(descent, params, FIRST))]
    steps = FIRST
    while True:
        progress(0.0, f"gradient descent, {steps} steps")
        state = pieces[-1].trajectory.final
        ahead = _descended(descent, state, steps)
        pieces.append(Piece(steps * learning_rate, ahead))
        beside = simulate(flow, state, float(ahead.times[-1]), rtol=rtol)
        agreement = _compared(gauge, steps, ahead, beside)
        steps *= 2
        if agreement.holds or steps >= MOST:
            return Stretch(pieces, agreement)


def _descended(descent: GradientDescent, params: Any, steps: int) -> Trajectory:
    """Return gradient descent over some steps, of which about 300 are kept, closest together at the beginning."""
    kept = (
        np.unique(np.round(np.geomspace(1, steps, _KEPT))) if steps > _KEPT else np.arange(1.0, steps + 1.0)
    )
    times = np.concatenate([[0.0], kept]) * descent.learning_rate
    trajectory = simulate(descent, params, times=times)
    sizes = np.max(np.abs(trajectory.flat_states), axis=1)
    if trajectory.status is Status.NOT_FINITE or sizes[-1] > _GROWN * max(sizes[0], 1.0):
        raise InputError(
            f"gradient descent with learning_rate={descent.learning_rate:g} diverges within {steps} steps, where the "
            f"largest parameter grows from {sizes[0]:.3g} to {sizes[-1]:.3g} or beyond: the rate is too large for "
            f"this start; type learning_rate={descent.learning_rate / 10:g}"
        )
    return trajectory


def _compared(gauge: Gauge, steps: int, descent: Trajectory, flow: Trajectory) -> Agreement:
    """Return the comparison of both trajectories, which begin at the same state."""
    if not flow.status.ok:
        return Agreement(steps, np.inf, np.inf, np.inf, 0, 0.0)
    kept = np.unique(np.round(np.linspace(1, len(descent.times) - 1, _COMPARED)).astype(int))
    times = np.minimum(descent.times[kept], flow.times[-1])
    real, modelled = gauge.measured(descent.flat_states[kept]), gauge.measured(flow.dense.state(times))
    begin = gauge.measured(descent.flat_states[:1])[0]
    apart = np.max(np.abs(real - modelled), axis=0)
    unit = 1.0 if gauge.kind.counts else max(float(begin[COLUMNS.index("test_error")]), 1e-300)
    train, test = (COLUMNS.index(name) for name in ("train_loss", "test_loss"))
    test_apart = np.max(np.abs(real - modelled)[:, test] / np.maximum(real[:, test], 1e-300))
    ends = descent.flat_states[-1], flow.dense.state(flow.times[-1:])[0]
    travelled = max(float(np.linalg.norm(ends[0] - descent.flat_states[0])), 1e-300)
    return Agreement(
        steps,
        float(np.mean(np.abs(real - modelled)[:, COLUMNS.index("test_error")])) / unit,
        float(max(test_apart, apart[train] / max(begin[train], 1e-300))),
        float(np.linalg.norm(ends[0] - ends[1])) / travelled,
        _moved(gauge, *ends),
        1.0 / gauge.test_rows if gauge.kind.counts else 0.0,
    )


def _moved(gauge: Gauge, one: ndarray, other: ndarray) -> int:
    """Return the number of test rows on whose class two parameters disagree."""
    if not gauge.kind.counts:
        return 0
    first, second = gauge.test_predictions(one), gauge.test_predictions(other)
    if first.shape[1] == 1:
        return int(np.sum((first > 0.0) != (second > 0.0)))
    return int(np.sum(np.argmax(first, axis=1) != np.argmax(second, axis=1)))
