"""The relative error of a vector of parameters, which the steps of flows compare with rtol."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.trees import TreeShape

# The smallest error scale of a leaf, relative to the root mean square of all parameters.
LEAF_FLOOR = 1e-3
# The smallest error scale, in multiples of the smallest normal number. It is larger than 1 because the compiled program
# multiplies the scale by rtol, and the product must not underflow to 0.
_TINY = 1e12


def relative_error(
    shape: TreeShape, entrywise: bool, smallest: ArrayLike, size: jax.Array, apart: jax.Array
) -> jax.Array:
    """Return the largest error of a leaf, or of an entry if `entrywise`, relative to its size.

    Args:
        shape: the layout of the parameters.
        entrywise: whether each entry needs its own relative accuracy.
        smallest: the smallest size that an error is compared with.
        size: the absolute values of the parameters, (p,).
        apart: the absolute errors, (p,).
    """
    if entrywise:
        return jnp.max(apart / (size + smallest))
    floor = LEAF_FLOOR * jnp.sqrt(jnp.mean(size**2)) + smallest
    leaves = zip(shape.pieces(apart), shape.pieces(size), strict=True)
    return jnp.max(jnp.stack([rms(leaf) / jnp.maximum(rms(scale), floor) for leaf, scale in leaves]))


def smallest_size(theta: Any, entrywise: bool) -> Any:
    """Return the smallest size that errors are compared with, for a start theta (p,) of NumPy or JAX."""
    numerics: Any = np if isinstance(theta, ndarray) else jnp
    # If each entry grows at its own rate, the error of an entry is bounded relative to this entry.
    smallest = LEAF_FLOOR * numerics.sqrt(numerics.mean(theta**2)) if entrywise else 0.0
    return numerics.asarray(numerics.maximum(smallest, _TINY * np.finfo(theta.dtype).tiny), theta.dtype)


def rms(leaf: jax.Array) -> jax.Array:
    """Return the root mean square of the entries."""
    return jnp.sqrt(jnp.mean(leaf**2))
