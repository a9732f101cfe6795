"""The choice of the steps of a small problem by counted operations, so that runs repeat.

A step of the explicit method Tsit5 costs several times less than a factorised one, but a stiff flow limits its length
to `STABLE` divided by the largest curvature. The expected cost of the rest of the flow decides: at the start, and again
after each part of the integration, because curvatures change on the way. Where explicit steps are too short, steps are
factorised, or stabilised where these need few stages.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._algebra_sizes import Sizes
from implicitbias.flows._gauss_newton import GaussNewtonSystem
from implicitbias.flows._guide import Changing, Report, Way
from implicitbias.flows._limits import Limits
from implicitbias.flows._rkc import stages
from implicitbias.flows._stepper import first_step
from implicitbias.flows._system import System, radius_at, radius_of
from implicitbias.flows._tsit5 import ORDER, STABLE

# Microseconds on one core of a 2.5 GHz processor, fitted to dense, attention and softmax networks with 40 to 704
# parameters, where single steps differ from the fit by less than a factor of two: multiplications in a product of
# matrices and in a gradient, a call of a gradient, and what an explicit and a factorised step need besides.
_PRODUCT, _MULTIPLICATION, _CALL = 1e-4, 2.5e-4, 1.0
_EXPLICIT, _FACTORISED = 5.0, 50.0
# Gradients in a step: six stages with what belongs to them, and four stages with a Jacobian in factors.
_EXPLICIT_GRADIENTS, _FACTORISED_GRADIENTS = 6.5, 8.0
# A gradient takes about this many multiplications for each row and parameter.
_BY_ENTRY = 6.0
# The numbers of steps that the accuracy needs at a tolerance of _AT; a factorised step has order 3.
_EXPLICIT_STEPS, _FACTORISED_STEPS, _AT = 30, 50, 1e-4
# The share of its curvature at the start that a loss of margins with weight decay is expected to keep.
_FADED = 0.1
# From starts whose entries are all smaller, factorised steps follow growth modes in closed form, and their number
# hardly depends on the scale. Explicit steps are at most about as long as the time in which a mode grows e times.
_TINY = 1e-8
# Explicit steps are stiff from this share of the stable length on. The method is changed if the other one is expected
# to be this many times cheaper; a change from factorised or stabilised steps has to save this many microseconds before
# it is made, because it may compile.
_STIFF, _CHEAPER, _PATIENCE = 0.3, 1.5, 5e4
# Stabilised steps replace factorised ones where a step of the share _MEAN of the time that is left has at most _FEW
# stages. This share gave 12, 9, 7, 16, 20 and 86 for six small networks of the benchmark of default settings, and their
# steps had 8, 9, 11, 14, 20 and 28 stages on average. The processor times were 0.5, 0.8, 0.7, 0.9, 1.5 and 1.6 times
# those of factorised steps. They are used only in a flow with weight decay that lasts at least _SLOW / lam: without a
# slow phase, factorised steps grow faster. They have order 2, and are used only above the tolerance _LOOSE. Steps with
# _MANY stages are given up.
_MEAN, _FEW, _SLOW, _LOOSE, _MANY = 4e-3, 13.0, 1.0, 5e-5, 100.0
# With this number of stages on average, stabilised steps took as long in all as factorised ones in these networks.
_EQUAL = 15.0


class CountedChoice(Changing):
    """The guide of a small `GaussNewtonSystem` that chooses among Tsit5, stabilised steps and one factorisation."""

    saved = ("name", "regret", "patience")

    def __init__(
        self, system: GaussNewtonSystem, u: ndarray, sizes: Sizes, direct: str, limits: Limits
    ) -> None:
        self.system, self.sizes, self.direct, self.limits = system, sizes, direct, limits
        self.regret, self.patience = 0.0, _PATIENCE
        gradient = _CALL + _MULTIPLICATION * _BY_ENTRY * sizes.rows / sizes.outputs * sizes.p
        self.explicit = _EXPLICIT + _EXPLICIT_GRADIENTS * gradient
        products = _PRODUCT * sizes.multiplications(direct)
        self.factorised = _FACTORISED + products + _FACTORISED_GRADIENTS * gradient
        # The curvature of a loss of margins falls with the loss: to 0 if the model separates the labels, and to a small
        # value if a weight decay ends the fall. Its value at the start says little about the rest of the flow.
        fades = system.mean_loss.loss.of_margins is not None
        left = (_FADED if np.any(system.weight_decay) else 0.0) if fades else 1.0
        step, radius, self.slope = (np.asarray(part) for part in _look(system, u))
        self.step = float(step)
        self.grows = bool(system.unstable and 0.0 < np.max(np.abs(u[: system.shape.size])) < _TINY)
        cheap = (
            not self.grows
            and self._explicit_to_end(limits.end, left * float(radius)) < self._factorised_to_end()
        )
        self.name = "explicit" if cheap else self._stiff(limits.end, float(radius))

    def first(self, system: System) -> Way:
        way = self._way(self.name)
        return way._replace(memory=self.slope) if self.name == "explicit" else way

    def next(self, way: Way, report: Report) -> Way:
        if report.attempts == 0:
            return way
        step, left = float(report.cursor.h), self.limits.end - float(report.cursor.t)
        radius = self._radius(way, report)
        if way.name == "explicit":
            dear = self._explicit_to_end(left, radius) > _CHEAPER * self._factorised_to_end()
            stiff = step * radius > _STIFF * STABLE and dear
            return self._way(self._stiff(left, radius)) if stiff else way
        step = min(step, left)
        costs = {"explicit": self.explicit * max(0.5, step * radius / STABLE)}
        present = self.factorised
        if way.name == "stabilised":
            count = stages(step, radius)
            present, costs[self.direct] = self.factorised * count / _EQUAL, self.factorised
            if count > _MANY:
                return self._way(self.direct)
        other = min(costs, key=lambda name: costs[name])
        self.regret = max(0.0, self.regret + report.attempts * (present - _CHEAPER * costs[other]))
        if self.regret < self.patience:
            return way
        self.regret, self.patience = 0.0, 2 * self.patience
        return self._way(other)

    def _radius(self, way: Way, report: Report) -> float:
        """Return the largest curvature, which stabilised steps and the search for growth modes know."""
        cursor = report.cursor
        if way.name == "stabilised":
            return float(cursor.memory.radius)
        return radius_at(self.system, cursor.u) if cursor.watch is None else float(cursor.watch.modes.radius)

    def _stiff(self, left: float, radius: float) -> str:
        """Return the name of the way for the rest of the flow where explicit steps would be too short."""
        slow = np.max(self.system.weight_decay) * left >= _SLOW and self.limits.rtol >= _LOOSE
        few = not self.grows and slow and stages(_MEAN * left, radius) <= _FEW
        return "stabilised" if few else self.direct

    def _explicit_to_end(self, left: float, radius: float) -> float:
        """Return the expected cost of explicit steps; it is infinite if they use up the steps that are allowed."""
        accurate = _EXPLICIT_STEPS * (_AT / self.limits.rtol) ** (1 / ORDER)
        steps = accurate + left * radius / STABLE
        return self.explicit * steps if steps < self.limits.max_steps / 2 else np.inf

    def _factorised_to_end(self) -> float:
        return self.factorised * _FACTORISED_STEPS * (_AT / self.limits.rtol) ** (1 / 3)

    def _way(self, name: str) -> Way:
        self.name = name
        algebra = self.sizes.named(name)
        return Way(name, self.system.using(algebra), algebra.method)


@compiled
def _look(system: System, u: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the time of `first_step`, the largest curvature and the slope at the start, which one call computes."""
    moving = system.moving(jnp.asarray(u))
    slope = system.complete(moving)[1]
    return first_step(moving, slope), radius_of(system, jnp.asarray(u)), slope
