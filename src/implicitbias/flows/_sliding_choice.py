"""The choice between a flow from kink to kink and one that crosses kinks by short steps, by counted cost.

Steps that follow kinks have an event when a unit reaches or leaves its kink. Their number hardly depends on rtol, but
each of them costs several ordinary steps, and in a wide network some unit changes in each step. Ordinary steps become
short only where many units slide. The costs are counted in multiplications, so that a run repeats its choices.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from implicitbias.flows._algebra_sizes import Sizes

# A flow begins with events up to this number of units of all rows, and of multiplications in a step: for small networks
# events are cheap, and near-misses of a kink would matter most there.
_FEW_UNITS, _FEW_PRODUCTS = 1000, 3e6
# A step evaluates about this many gradients, the explicit method this many, and conjugate gradients two an iteration.
_GRADIENTS, _EXPLICIT, _PER_ITERATION = 14, 6, 2
# A stabilised step evaluates this many gradients besides its stages, which are counted as iterations.
_OTHERS = 4
# The iterations of the linear solves of a step that are expected where none have been counted.
_ITERATIONS = 120
# A step with events costs about _TIMES an ordinary one and _EVENT multiplications more, and compiling costs _COMPILE.
_TIMES, _EVENT, _COMPILE = 3.0, 1e7, 5e9
# A flow with events takes about _STEPS steps and _PER_EVENT for each event, but at most _CROWDED times as many as one
# without: in a crowd of events, many of them are treated in one step.
_STEPS, _PER_EVENT, _CROWDED = 60, 1.5, 2.0
# Events must promise to be this many times cheaper.
_WORTH = 1.5


class Part(NamedTuple):
    """A part of an integration without events: its times, its attempted steps, and its numbers of iterations."""

    begin: float
    end: float
    attempts: int
    iterations: int


class EventCosts(NamedTuple):
    """The sizes on which the costs of steps without and with events depend.

    Attributes:
        plain: the sizes of the system without events.
        gated: the sizes of the system with events.
        rows: the number n of rows.
        units: the number of piecewise linear units of all rows.
    """

    plain: Sizes
    gated: Sizes
    rows: int
    units: int

    @property
    def begins_with_events(self) -> bool:
        """Whether the flow is integrated from kink to kink from its start."""
        return self.units <= _FEW_UNITS and self.gated.multiplications(self.gated.direct()) <= _FEW_PRODUCTS

    def promised(self, name: str, part: Part, changed: int, end: float) -> float:
        """Return the multiplications of the rest of the flow with events, and 0 if it is cheaper without events.

        Both are judged by the last part without events.

        Args:
            name: the name of the algebra in that part.
            part: the part.
            changed: the number of units that changed sides between the ends of the part.
            end: the end time of the flow.
        """
        if part.attempts == 0 or part.begin <= 0.0 or part.end <= part.begin:
            return 0.0
        # The steps may grow like the time; if not, the number of parts is the larger one of the two.
        parts = min(
            (end - part.end) / (part.end - part.begin),
            math.log(end / part.end) / math.log(part.end / part.begin),
        )
        steps = part.attempts * parts
        sliding = min(_STEPS + _PER_EVENT * changed * parts, _CROWDED * steps)
        with_events = sliding * self.step_with_events()
        without = steps * self._step(self.plain, name, part.iterations / part.attempts)
        return with_events if without > _WORTH * with_events + _COMPILE else 0.0

    def step_with_events(self) -> float:
        """Return the multiplications of an attempted step with events."""
        return _TIMES * self._step(self.gated, self._direct(), _ITERATIONS) + _EVENT

    def _direct(self) -> str:
        costs = {
            name: self._step(self.gated, name, _ITERATIONS) for name in (self.gated.direct(), "products")
        }
        return min(costs, key=lambda name: costs[name])

    def _step(self, sizes: Sizes, name: str, iterations: float) -> float:
        """Return the multiplications of an attempted step with this algebra."""
        # Each row uses each parameter of a dense network once forwards and twice backwards.
        gradient = 3.0 * self.rows * sizes.p
        if name == "stabilised":
            return (_OTHERS + iterations) * gradient
        if name == "explicit":
            return _EXPLICIT * gradient
        solves = (_GRADIENTS + _PER_ITERATION * iterations) * gradient
        if name in ("products", "lagged", "nystrom", "exact", ""):
            return solves
        return sizes.multiplications(name) + _GRADIENTS * gradient


def changed_sides(before: ndarray, after: ndarray) -> int:
    """Return the number of pre-activations whose sign differs."""
    return int(np.count_nonzero((before > 0.0) != (after > 0.0)))
