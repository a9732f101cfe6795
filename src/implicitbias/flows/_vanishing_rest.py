r"""Flows of piecewise linear models whose parameters tend to 0, certified where the Hessian at 0 proves nothing.

At 0 all units are at their kinks, and the Hessian depends on their slopes s. Two certificates hold nevertheless.

For given slopes the gradient is $\nabla F_s(\theta) = R(s)\,\theta + J_0^\top S J_0\,\theta + O(|\theta|^2)$. If
R(s) = 0 for all slopes, then $\frac{d}{dt} \tfrac12 |\theta|^2 \le -\lambda |\theta|^2 (1 - o(1))$ on any side of the
kinks. This is so for models of degree three or more, and where the loss is minimal at the predictions 0. R is a
polynomial in s, so that it vanishes if it does at random slopes.

Otherwise the flow near 0 is linear as long as the units keep their slopes, $\theta(t) = e^{-M t} \theta$, with M the
Hessian at 0 for these slopes, projected on the surface of the held units. Pre-activations and the bounds on the slopes
of held units are linear in theta, so that along the flow they are sums $\sum_k a_k e^{-\mu_k t}$ with ascending rates.
By partial summation, such a sum has no zero at t >= 0 if all its partial sums have the same sign. If this is so for all
conditions, and all rates are positive, then the flow tends to 0.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._sliding_stepper import Program
from implicitbias.flows._sliding_system import SlidingSystem, Stand

# The largest numbers of parameters, and of entries in the Jacobian of the conditions.
_MOST_PARAMETERS, _MOST_ENTRIES = 1500, 4_000_000
# The flow counts as linear if its speed differs from the linear one by less than this share, in each block.
_LINEAR = 1e-8
# The random slopes and directions at which a polynomial is tested for zero.
_DRAWS = 4
# Rounding errors of a condition, relative to its gradient and the parameters in it; rates that differ by less than the
# second share of the largest one are equal.
_NOISE, _SAME_RATE = 1e-12, 1e-12
# The share of a gradient along the surface of the held units that is a rounding error of the projection.
_FLAT = 1e-9
_CROSSED = "The remaining time was crossed in one step"


class _Linear(NamedTuple):
    """The flow near 0 for given slopes.

    Attributes:
        slope: the gradient of the objective at 0 without weight decay, (p,).
        speed: the projected speed at theta, (p,).
        matrix: M on the tangent space of the surface of the held units, and 0 on their normals, (p, p).
        outside: the projection on these normals, (p, p).
        conditions: what has to stay positive: the pre-activations times their sides, and for held units the distances
            of the slope to 0 and 1, times q; (c,).
        gradients: their gradients at theta, (c, p).
        counts: which of them are conditions: not those of unused places, or of held units' pre-activations, (c,).
        predictions: the predictions at 0, flat.
    """

    slope: Any
    speed: Any
    matrix: Any
    outside: Any
    conditions: Any
    gradients: Any
    counts: Any
    predictions: Any


def vanishing_rest(program: Program, stand: Stand, u: ndarray) -> tuple[ndarray, str] | None:
    """Return 0 as the rest point of a flow that has shrunk to u, and a note, or None if no certificate holds."""
    p = program.parameters
    if p > _MOST_PARAMETERS or p * (len(stand.slopes) + 2 * len(stand.places)) > _MOST_ENTRIES:
        return None
    theta, least = u[:p], float(np.min(_decay(program)))
    if least <= 0.0:
        return None
    near: _Linear = jax.tree.map(np.asarray, _linear(program, program.arrays, stand, theta))
    if np.any(near.slope != 0.0):
        return None
    found = np.concatenate([np.zeros(p), near.predictions])
    if _curvature_of_units(program, stand, theta) <= _LINEAR * least:
        return found, (
            "the flow tends to 0, which is a rest point: whatever the slopes of the units are, the gradient of the "
            f"loss is much smaller near 0 than that of the weight decay {least:.3g}. {_CROSSED}"
        )
    rate = _least_rate(near, theta)
    if rate is None:
        return None
    return found, (
        f"the flow tends to 0, which is a rest point: near 0 it is linear with rates of decay of at least {rate:.1e}, "
        f"and no unit max(z, 0) changes its side or reaches or leaves its kink. {_CROSSED}"
    )


def _least_rate(near: _Linear, theta: ndarray) -> float | None:
    """Return the least rate of decay if the linear flow satisfies all conditions for all times, else None."""
    # Imported here, because runs whose parameters do not vanish need not wait for it.
    from scipy.sparse.csgraph import connected_components

    largest = float(np.max(np.abs(near.matrix)))
    # Parameters that do not act on each other have modes of their own, whose sizes may be far apart. Rounding errors
    # outside the surface of the held units are given to the fastest modes.
    whole = near.matrix + 2.0 * len(theta) * largest * near.outside
    _, labels = connected_components(whole != 0.0, directed=False)
    gap = near.speed + near.matrix @ theta
    # The normals of the held units of different parameters are orthogonal only up to rounding errors.
    along = near.gradients - near.gradients @ near.outside
    sizes = np.linalg.norm(near.gradients, axis=1, keepdims=True)
    along[
        (np.abs(along) <= _NOISE * sizes) | (np.linalg.norm(along, axis=1, keepdims=True) <= _FLAT * sizes)
    ] = 0.0
    rates, parts = np.zeros(len(theta)), np.zeros_like(along)
    noise = np.zeros(len(near.conditions))
    # The modes of a block take the places of its parameters.
    for block in (np.flatnonzero(labels == label) for label in range(labels.max() + 1)):
        size = float(np.linalg.norm(theta[block]))
        if not np.linalg.norm(gap[block]) <= _LINEAR * largest * size:
            return None
        rates[block], modes = np.linalg.eigh(whole[np.ix_(block, block)])
        parts[:, block] = (along[:, block] @ modes) * (modes.T @ theta[block])
        noise += _NOISE * np.linalg.norm(near.gradients[:, block], axis=1) * size
    if rates.min() <= _LINEAR * largest:
        return None
    # A unit that cannot move, because others of its parameters are held, stays at its kink.
    counts = near.counts & (np.any(along != 0.0, axis=1) | (np.abs(near.conditions) > noise))
    if not np.any(counts):
        return float(rates.min())
    stay = _stay_positive(rates, parts[counts], near.conditions[counts], noise[counts])
    return float(rates.min()) if stay else None


def _stay_positive(rates: ndarray, parts: ndarray, conditions: ndarray, noise: ndarray) -> bool:
    """Return whether sums of `parts` (c, p) that decay at these rates stay positive, and are these conditions now."""
    order = np.argsort(rates)
    rates, sums = rates[order], np.cumsum(parts[:, order], axis=1)
    # Modes of the same rate keep their proportions, so that only the sum over all of them counts.
    last = np.append(np.diff(rates) > _SAME_RATE * rates[-1], True)
    linear = np.abs(sums[:, -1] - conditions) <= _LINEAR * np.abs(conditions) + noise
    # Sums over modes of parameters on which a condition does not depend are exactly 0.
    positive = np.all((sums > noise[:, None]) | (sums == 0.0) | ~last, axis=1) & (sums[:, -1] > noise)
    return bool(np.all(linear & positive))


def _decay(program: Program) -> ndarray:
    return np.asarray(program.system(program.arrays).base.weight_decay)


@partial(compiled, static_argnums=0)
def _linear(program: Program, arrays: list[Any], stand: Stand, theta: Any) -> _Linear:
    """Return the flow near 0 for the slopes and held units at theta."""
    system, theta = program.system(arrays).at(stand), jnp.asarray(theta)
    base, (slopes, places, held), zero = system.base, system.stand, jnp.zeros_like(theta)
    slope = partial(_slope, system, system.gated.slopes)
    surface = system.surface(theta)
    Q = jax.scipy.linalg.solve_triangular(surface.factor, surface.normals, lower=True)
    outside = Q.T @ Q
    tangent = jnp.eye(len(theta)) - outside
    matrix = tangent @ (jax.jacfwd(slope)(zero) + base.weight_decay * jnp.eye(len(theta))) @ tangent
    side = jnp.where(slopes > 0.5, 1.0, -1.0)

    def conditions(point: jax.Array) -> jax.Array:
        f = system.gated.evaluate(point, system.gated.slopes, None)[0]
        seen = system.look(jnp.concatenate([point, f.ravel()]))
        load = slopes[places] * seen.q[places] + seen.pull
        return jnp.concatenate([side * seen.z, load, seen.q[places] - load])

    free = ~jnp.zeros(len(slopes), dtype=bool).at[places].max(held)
    force = -slope(theta) - base.weight_decay * theta
    return _Linear(
        slope(zero),
        force - outside @ force,
        (matrix + matrix.T) / 2,
        outside,
        conditions(theta),
        jax.jacfwd(conditions)(theta),
        jnp.concatenate([free, held, held]),
        system.gated.evaluate(zero, system.gated.slopes, None)[0].ravel(),
    )


def _curvature_of_units(program: Program, stand: Stand, theta: ndarray) -> float:
    """Return the size of R(s) at random slopes, and of the change of the gradient to theta; infinite if not at rest."""
    rng = np.random.default_rng(0)
    slopes = rng.random((_DRAWS, len(stand.slopes)))
    directions = rng.standard_normal((_DRAWS, len(theta)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = [
        float(_change(program, program.arrays, stand, slopes[i], directions[i], theta)) for i in range(_DRAWS)
    ]
    return max(sizes)


@partial(compiled, static_argnums=0)
def _change(
    program: Program, arrays: list[Any], stand: Stand, slopes: Any, direction: Any, theta: Any
) -> jax.Array:
    """Return |R(s) v| for slopes s and a direction v of norm 1, or the size of higher terms at theta if it is larger.

    The result is infinite if 0 is no rest point at these slopes.
    """
    system = program.system(arrays).at(stand)
    theta, zero = jnp.asarray(theta), jnp.zeros(len(theta))
    given = jnp.reshape(slopes, system.gated.slopes.shape)
    size = jnp.linalg.norm(theta)
    predictions = system.gated.evaluate(zero, given, None)[0]
    pull = system.base.mean_loss.pull(predictions)

    def bent(point: jax.Array) -> jax.Array:
        return jax.grad(lambda at: jnp.sum(pull * system.gated.evaluate(at, given, None)[0]))(point)

    at_zero, along = jax.jvp(bent, (zero,), (jnp.asarray(direction),))
    slope, linear = jax.jvp(partial(_slope, system, given), (zero,), (theta,))
    rest = jnp.linalg.norm(_slope(system, given, theta) - linear) / size
    moving = jnp.any(at_zero != 0.0) | jnp.any(slope != 0.0)
    return jnp.where(moving, jnp.inf, jnp.maximum(jnp.linalg.norm(along), rest))


def _slope(system: SlidingSystem, slopes: Any, theta: jax.Array) -> jax.Array:
    """Return the gradient of the loss, without weight decay, with these slopes of the units."""
    predictions, back = jax.vjp(lambda at: system.gated.evaluate(at, slopes, None)[0], theta)
    gradient: jax.Array = back(system.base.mean_loss.pull(predictions))[0]
    return gradient
