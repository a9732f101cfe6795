r"""Rest points of flows with held units, certified as those of smooth flows are.

With A the held units and B the gradients of their pre-activations, a rest point satisfies $z_A = 0$ and
$-\nabla F - \lambda\theta = 0$ for slopes of the held units in [0, 1]. The search is Newton's method on the surface
$z_A = 0$: the Hessian is that with fixed slopes, projected on the surface, and the step towards the surface is added.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._rest import Curvature, Rest, rest_near
from implicitbias.flows._sliding_stepper import Program, held_slopes
from implicitbias.flows._sliding_system import SlidingSystem, Stand

# The largest number of parameters for which rest is searched, because the whole Hessian is computed.
_MOST_FOR_REST = 1500
# A free pre-activation below this multiple of the largest one counts as 0, on either side of its kink.
_NOISE = 1e-12
# Where the flow comes to rest numerically is up to a few rtol away from its rest point, because each step has an error
# of up to rtol and is followed by a projection. The rest point itself is certified by its own speed and Hessian.
_NEAR = 5.0
# How often the held units are changed in a search.
_CHANGES = 8


class _Place(NamedTuple):
    """The situation at a point.

    Attributes:
        speed: the projected speed plus the step to the surface, (p,).
        hessian: the projected Hessian plus the identity on the normals, (p, p).
        terms: the norm of the terms of the speed, which cancel at rest.
        slopes: the slopes, where those of held units are clipped to [0, 1], flat.
        wrong: which free units are not on the side of their slope, flat.
        leaving: which entries of the held places have no slope between 0 and 1 that holds them.
        predictions: the predictions there, flat.
    """

    speed: Any
    hessian: Any
    terms: Any
    slopes: Any
    wrong: Any
    leaving: Any
    predictions: Any

    def fits(self) -> bool:
        """Return whether the units may stay as they are."""
        return not (np.any(self.wrong) or np.any(self.leaving))

    def fitting(self, stand: Stand) -> Stand:
        """Return the units with those released and moved to their other side that do not fit."""
        slopes, places = np.array(self.slopes), np.asarray(stand.places)
        released = places[self.leaving]
        slopes[released] = np.round(slopes[released])
        slopes[self.wrong] = 1.0 - slopes[self.wrong]
        return Stand(slopes, places, np.asarray(stand.held) & ~self.leaving)


def sliding_rest(program: Program, stand: Stand, u: ndarray, rtol: float) -> tuple[ndarray, str] | None:
    """Return the rest point that the flow at u has reached within rtol, and a note, or None if there is none."""
    if program.parameters > _MOST_FOR_REST:
        return None
    for _ in range(_CHANGES):
        found, place = _found(program, stand, u, rtol)
        if found is None:
            return None
        if place.fits():
            note = (
                f"the flow is at rest, with {int(np.sum(stand.held))} pre-activations held at 0: |theta'| = "
                f"{found.speed:.1e} at the rest point, and the least eigenvalue of the Hessian along the flow is "
                f"{found.least:.1e}. The remaining time was crossed in one step"
            )
            return np.concatenate([found.point, place.predictions]), note
        # Near a rest point on the border of two such surfaces, the flow would hover for long before it changes sides.
        stand = place.fitting(stand)
    return None


def _found(program: Program, stand: Stand, u: ndarray, rtol: float) -> tuple[Rest | None, _Place]:
    """Return the rest point within rtol of u with these held units, or None, and the last place of the search."""
    last: list[_Place] = []

    def curvature(theta: ndarray) -> Curvature:
        place = jax.tree.map(np.asarray, _place(program, program.arrays, stand, theta))
        last[:] = [place]
        return Curvature(place.speed, place.hessian, float(place.terms), float(np.linalg.norm(theta)))

    def near(theta: ndarray) -> bool:
        return bool(np.asarray(_error(program, program.arrays, stand, u, theta)) <= _NEAR * rtol)

    found = rest_near(curvature, u[: program.parameters], near)
    return found, last[0]


@partial(compiled, static_argnums=0)
def _error(program: Program, arrays: list[Any], stand: Stand, u: Any, theta: Any) -> jax.Array:
    u = jnp.asarray(u)
    return program.system(arrays).at(stand).error(u, u.at[: len(theta)].set(theta), u)


@partial(compiled, static_argnums=0)
def _place(program: Program, arrays: list[Any], stand: Stand, theta: Any) -> _Place:
    """Return the situation at theta with the slopes that hold the held units there."""
    theta = jnp.asarray(theta)
    system = program.system(arrays).at(stand)
    f = system.gated.evaluate(theta, system.gated.slopes, None)[0]
    u = jnp.concatenate([theta, f.ravel()])
    first = system.look(u)
    system = system.at(system.stand._replace(slopes=held_slopes(system, first)))
    seen, surface = system.look(u), system.surface(theta)
    _, places, held = system.stand
    decay = system.base.weight_decay * theta

    def slope(point: jax.Array) -> jax.Array:
        predictions, back = jax.vjp(lambda at: system.gated.evaluate(at, system.gated.slopes, None)[0], point)
        return back(system.base.mean_loss.pull(predictions))[0]

    hessian = jax.jacfwd(slope)(theta) + system.base.weight_decay * jnp.eye(len(theta))
    # Q has orthonormal rows, which span the normals.
    Q = jax.scipy.linalg.solve_triangular(surface.factor, surface.normals, lower=True)
    tangent = hessian - Q.T @ (Q @ hessian)
    tangent = tangent - (tangent @ Q.T) @ Q + Q.T @ Q
    outside = surface.lifts(jnp.where(held, seen.z[places], 0.0)) @ surface.normals
    speed = seen.force - surface.outside(seen.force) - outside
    back = jax.vjp(lambda at: system.gated.evaluate(at, system.gated.slopes, None)[0], theta)[1]
    terms = jnp.linalg.norm(back(jnp.abs(system.base.mean_loss.pull(f)))[0]) + jnp.linalg.norm(decay)
    wrong, leaving = _misfits(system, first.z, first.q)
    return _Place(speed, (tangent + tangent.T) / 2, terms, system.stand.slopes, wrong, leaving, f.ravel())


def _misfits(system: SlidingSystem, z: jax.Array, q: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return which free units are on another side than their slope, and which held units no slope holds."""
    slopes, places, held = system.stand
    noise = _NOISE * jnp.max(jnp.abs(z), initial=0.0)
    free = ~jnp.zeros(len(z), dtype=bool).at[places].max(held)
    sides = jnp.where(slopes > 0.5, z >= -noise, z <= noise)
    inside = (q[places] > 0.0) & (slopes[places] > 0.0) & (slopes[places] < 1.0)
    return free & ~sides, held & ~inside
