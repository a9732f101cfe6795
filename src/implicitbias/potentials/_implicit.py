"""Inverse mirror maps without a closed form, by Newton's method that JAX traces."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

_MOST_STEPS = 1000
# An end may overflow where the other one is finite.
_MOST = 1e300
_SEPARABLE_STEPS = 200
_SOLVED = 1e-9
# The multiple of the identity, relative to the largest entry, that makes a singular Hessian invertible.
_RIDGE = 1e-13


def solved(
    value: Callable[[jax.Array], jax.Array], mirror: Callable[[jax.Array], jax.Array], z: jax.Array
) -> jax.Array:
    """Return the minimiser w of value(w) - <z, w>, at which mirror(w) = z, by a damped Newton method from 0.

    The result is NaN if the method fails, for instance because w leaves float64.
    """
    hessian = jax.jacfwd(mirror)

    def go_on(state: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (state[1] > 0.0) & (state[2] < _MOST_STEPS)

    def step(state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        w, _, count = state
        rest = z - mirror(w)
        direction = _newton_direction(hessian(w), rest)
        # Both vectors are scaled to size 1, because their product may overflow.
        ray, unit = direction / _size(direction), _size(rest)
        slope = jnp.dot(rest / unit, ray)

        def too_far(size: jax.Array) -> jax.Array:
            # The derivative along the direction must not have changed its sign beyond half of its first value.
            end = jnp.dot((z - mirror(w + size * direction)) / unit, ray)
            return ~(end >= -0.5 * slope) & (size > 0.0)

        size = jax.lax.while_loop(too_far, lambda size: size / 2.0, jnp.asarray(1.0, dtype=z.dtype))
        new = w + size * direction
        moved = jnp.max(jnp.abs(new - w)) > 4e-16 * jnp.max(jnp.abs(new))
        better = jnp.max(jnp.abs(z - mirror(new))) < jnp.max(jnp.abs(rest))
        keep = better & jnp.all(jnp.isfinite(new))
        return (
            jnp.where(keep | (size < 1.0), new, w),
            jnp.where(moved & (keep | (size < 1.0)), 1.0, 0.0),
            count + 1,
        )

    start = (jnp.zeros_like(z), jnp.asarray(1.0), jnp.asarray(0))
    w = jax.lax.while_loop(go_on, step, start)[0]
    return jnp.where(jnp.max(jnp.abs(z - mirror(w))) <= _SOLVED * _size(z), w, jnp.nan)


def _newton_direction(hessian: jax.Array, rest: jax.Array) -> jax.Array:
    """Return H^{-1} rest; where H is singular, as for w^4 at 0, a small multiple of the identity is added to it."""
    plain, size = jnp.linalg.solve(hessian, rest), jnp.max(jnp.abs(hessian))
    ridge = jnp.where(size > 0.0, _RIDGE * size, 1.0)
    raised = jnp.linalg.solve(hessian + ridge * jnp.eye(len(rest)), rest)
    return jnp.where(jnp.all(jnp.isfinite(plain)), plain, raised)


@eqx.filter_jit
def inverted(potential: Any, z: jax.Array) -> jax.Array:
    """Return `solved` for a potential; calls with one structure of the potential share one compiled program."""
    return solved(potential.value_formula, potential.mirror_formula, z)


@eqx.filter_jit
def inverse_hessian(potential: Any, z: jax.Array, v: jax.Array) -> jax.Array:
    """Return the product of the inverse Hessian at the w with mirror(w) = z and v, by a dense Hessian."""
    return jnp.linalg.solve(jax.jacfwd(potential.mirror_formula)(inverted(potential, z)), v)


def solved_between(
    mirror: Callable[[jax.Array], jax.Array],
    slope: Callable[[jax.Array], jax.Array],
    ends: tuple[jax.Array, jax.Array],
    z: jax.Array,
) -> jax.Array:
    """Return the w with mirror(w) = z between two ends, for an increasing map of single coordinates.

    Args:
        mirror: the map.
        slope: its derivative.
        ends: two points with the solution between them, in any order.
        z: (d,) the values.
    """
    low, high = jnp.clip(jnp.minimum(*ends), -_MOST, _MOST), jnp.clip(jnp.maximum(*ends), -_MOST, _MOST)

    def step(
        index: Any, state: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        low, high, w = state
        rest = z - mirror(w)
        low, high = jnp.where(rest > 0.0, w, low), jnp.where(rest < 0.0, w, high)
        newton = w + rest / slope(w)
        # Newton's method may only halve w at each step, so that every other step divides the interval.
        inside = (newton > low) & (newton < high) & jnp.isfinite(newton) & (index % 2 == 1)
        return low, high, jnp.where(rest == 0.0, w, jnp.where(inside, newton, _middle(low, high)))

    return jax.lax.fori_loop(0, _SEPARABLE_STEPS, step, (low, high, _middle(low, high)))[2]


def _middle(low: jax.Array, high: jax.Array) -> jax.Array:
    """Return the geometric mean of two numbers of one sign, which may differ by many orders; 0 between two signs."""
    sizes = [jnp.sqrt(jnp.maximum(jnp.abs(end), 1.0 / _MOST)) for end in (low, high)]
    return jnp.where((low < 0.0) & (high > 0.0), 0.0, jnp.sign(low + high) * sizes[0] * sizes[1])


def _size(v: jax.Array) -> jax.Array:
    size = jnp.max(jnp.abs(v))
    return jnp.where(size > 0.0, size, 1.0)
