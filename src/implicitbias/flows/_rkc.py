"""The stabilised explicit Runge-Kutta-Chebyshev method of order 2, whose number of stages follows the stiffness.

A step of size h with s stages is stable for eigenvalues up to 0.65 s^2 / h, so that the evaluations of a stiff step
grow like the square root of its stiffness. It solves no linear systems. Kinks of a model only cost it accuracy.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._growth_modes import Modes
from implicitbias.flows._method import Method, Probe, Trial
from implicitbias.flows._system import FIRST_POWERS, System, largest_curvature

# Sommeijer, Shampine & Verwer, J. Comput. Appl. Math. 88 (1998), 315-326 (key sommeijer1998rkc): the damping, and the
# number of stages for a step, (2.5) to (2.7).
_DAMPING, _STAGES = 2.0 / 13.0, 1.54
# The error estimate is of size h^3.
ORDER = 3
# The largest curvature is found by this many power iterations after as many accepted steps, and taken this much larger.
_POWERS, _AGE, _SAFETY = 4, 5, 1.2
# The most stages of a step. At rest the error is 0 for steps of any size, and one to t = 1e300 would never end.
_MOST_STAGES = 1000


class RkcMemory(NamedTuple):
    """What the next step uses.

    Attributes:
        slope: the slope at the present state.
        vector: an approximate eigenvector of the largest curvature, (p,).
        radius: the largest curvature.
        age: the number of accepted steps since it was found.
    """

    slope: Any
    vector: Any
    radius: Any
    age: Any


def stages(h: Any, radius: Any) -> Any:
    """Return the number of stages that a step of size h needs for this largest curvature, before rounding up."""
    return 1.0 + (_STAGES * h * _SAFETY * radius + 1.0) ** 0.5


@compiled
def _first(system: System, u: Any, start: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    u = jnp.asarray(u)
    vector, radius = largest_curvature(
        system.hessian_product(u), start / jnp.linalg.norm(start), FIRST_POWERS
    )
    return system.complete(system.moving(u))[1], vector, radius


class Rkc(Method):
    """The Runge-Kutta-Chebyshev method of a system that gives its slope and the products with its curvature."""

    @property
    def order(self) -> int:
        return ORDER

    @property
    def cost(self) -> tuple[int, int]:
        # The stages of the steps are counted as iterations.
        return 1, 0

    @property
    def probe(self) -> Probe:
        return Probe(0.25, 0.3)

    def attempt(
        self, system: System, cursor: Any, h: jax.Array, rtol: jax.Array, modes: Modes | None
    ) -> Trial:
        u, x, memory = cursor.u, system.moving(cursor.u), cursor.memory

        def searched() -> tuple[jax.Array, jax.Array]:
            return largest_curvature(system.hessian_product(u), memory.vector, _POWERS)

        due = memory.age >= _AGE
        vector, radius = jax.lax.cond(due, searched, lambda: (memory.vector, memory.radius))
        count = jnp.maximum(jnp.floor(stages(h, radius)), 2.0)
        end = _last_stage(system, x, memory.slope, h, count)
        whole, slope = system.complete(end)
        change, low, high = end - x, h * memory.slope, h * slope
        # The estimate of the paper, (2.9).
        embedded = end - (0.8 * -change + 0.4 * (low + high))
        curve = jnp.stack([low, 3 * change - 2 * low - high, low + high - 2 * change, jnp.zeros_like(x)])
        after = RkcMemory(slope, vector, radius, jnp.where(due, 0, memory.age) + 1)
        return Trial(whole, embedded, curve, after, count.astype(int))

    def longest(self, memory: Any) -> Any:
        radius = jnp.maximum(memory.radius, jnp.finfo(jnp.float64).tiny)
        return (_MOST_STAGES - 1.0) ** 2 / (_STAGES * _SAFETY * radius)

    def first_memory(self, system: System, u: ndarray) -> Any:
        start = np.cos(1.0 + np.arange(system.state_size(len(u))))
        slope, vector, radius = (np.asarray(part) for part in _first(system, u, start))
        return RkcMemory(slope, vector, radius, np.asarray(np.int64(0)))

    def kept(self, before: Any, after: Any, accepted: jax.Array) -> Any:
        # After a rejected step, the curvature is not searched again at the same state.
        again = before._replace(
            vector=after.vector, radius=after.radius, age=jnp.minimum(before.age, _AGE - 1)
        )
        return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), after, again)


class _Chebyshev(NamedTuple):
    """The values of a Chebyshev polynomial, of its first and second derivatives at w_0, and b_j and a_j."""

    value: Any
    first: Any
    second: Any
    b: Any
    a: Any


def _next(w: Any, last: _Chebyshev, before: _Chebyshev) -> _Chebyshev:
    value = 2 * w * last.value - before.value
    first = 2 * (last.value + w * last.first) - before.first
    second = 2 * (2 * last.first + w * last.second) - before.second
    b = second / first**2
    return _Chebyshev(value, first, second, b, 1 - b * value)


def _last_stage(system: System, x: jax.Array, slope: jax.Array, h: jax.Array, count: jax.Array) -> jax.Array:
    """Return the last of `count` stages from x, where the slope is given."""
    w = 1 + _DAMPING / count**2
    zero, one = jnp.zeros(()), jnp.ones(())
    # T_0 = 1 and T_1 = w; the coefficients b_0 and b_1 are b_2.
    begin = _Chebyshev(one, zero, zero, zero, zero), _Chebyshev(w, one, zero, zero, zero)
    second = _next(w, begin[1], begin[0])
    first, start = (part._replace(b=second.b, a=1 - second.b * part.value) for part in begin[::-1])
    last = jax.lax.fori_loop(
        2, count.astype(int) + 1, lambda _, pair: (_next(w, *pair), pair[0]), (first, start)
    )[0]
    scale = last.first / last.second

    def stage(_: jax.Array, state: Any) -> Any:
        (y, y_before), (t, t_before) = state
        new = _next(w, t, t_before)
        mu, nu, pull = 2 * new.b * w / t.b, -new.b / t_before.b, 2 * new.b * scale / t.b
        moved = system.slope(y)
        point = (1 - mu - nu) * x + mu * y + nu * y_before + h * pull * (moved - t.a * slope)
        return (point, y), (new, t)

    state = ((x + h * first.b * scale * slope, x), (first, start))
    end: jax.Array = jax.lax.fori_loop(2, count.astype(int) + 1, stage, state)[0][0]
    return end
