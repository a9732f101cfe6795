"""The lengths of rays in the sublevel sets of a potential."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision

_BISECTIONS = 120
_LONGEST = 690.0  # the largest logarithm of a length


def log_lengths_formula(potential: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Return the function of w (d,) and levels c (m,) that finds ln of the largest t with phi(t w) <= c by bisection.

    Values that are NaN or infinite count as larger than every level.
    """

    def log_lengths(w: jax.Array, levels: jax.Array) -> jax.Array:
        def step(_: Any, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            low, high = ends
            middle = (low + high) / 2.0
            values = jax.vmap(lambda log: potential.value_formula(jnp.exp(log) * w))(middle)
            within = values <= levels
            return jnp.where(within, middle, low), jnp.where(within, high, middle)

        start = jnp.full(len(levels), -_LONGEST), jnp.full(len(levels), _LONGEST)
        return jax.lax.fori_loop(0, _BISECTIONS, step, start)[0]

    return log_lengths


def ray_lengths(potential: Any, directions: Any, levels: Any) -> Float64[ndarray, "k m"]:
    r"""Return the largest t with $\phi(t u) \le c$ for each direction u and each level c.

    Args:
        potential: a `Potential`.
        directions: (k, d) directions u, or (k, p, q) for potentials of matrices, none of them 0.
        levels: (m,) levels c, above phi(0).

    Raises:
        InputError: an argument has another shape, or a level is not above phi(0).
    """
    u = real_array(directions, "directions", ndim=max(np.ndim(directions), 2))
    c = real_array(levels, "levels", ndim=1)
    start = potential.value(np.zeros(u.shape[1:]))
    if not np.all(c > start):
        raise InputError(
            f"the lowest level is {np.min(c):g}, levels above phi(0) = {start:g} are expected, because rays begin at 0"
        )
    with double_precision():
        formula = jax.jit(jax.vmap(log_lengths_formula(potential), in_axes=(0, None)))
        return frozen(np.exp(np.asarray(formula(jnp.asarray(u), jnp.asarray(c)))))
