"""Weight decay: one number for all parameters, or a pytree of numbers and arrays like the parameters."""

from numbers import Real
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.trees import TreeShape

_EXPECTED = (
    "a finite number >= 0, or a pytree of such numbers like the parameters is expected, for instance "
    'weight_decay={"W": 1e-3, "b": 0.0}'
)


def checked_weight_decay(weight_decay: Any) -> Any:
    """Return the weight decay as a float, or as a pytree whose leaves are floats and read-only arrays.

    Leaves that are functions or flags, as in modules of equinox, become None.

    Raises:
        InputError: a number is negative or not finite, or a leaf is no number and no array of numbers.
    """
    if not jax.tree.leaves(weight_decay):
        raise InputError(f"weight_decay is {weight_decay!r}, {_EXPECTED}")
    if jax.tree_util.all_leaves([weight_decay]):
        return _checked_leaf("weight_decay", weight_decay)
    named = jax.tree_util.tree_leaves_with_path(weight_decay)
    leaves = [
        None
        if callable(leaf) or isinstance(leaf, bool)
        else _checked_leaf(f"weight_decay{jax.tree_util.keystr(path)}", leaf)
        for path, leaf in named
    ]
    return jax.tree.unflatten(jax.tree.structure(weight_decay), leaves)


def decays_at(weight_decay: Any, shape: TreeShape) -> float | Float64[ndarray, " p"]:
    """Return one number if it is the same for all parameters, and otherwise the decay of each entry (p,).

    A leaf of the weight decay may stand for a whole subtree of the parameters.

    Raises:
        InputError: the pytree does not fit the parameters, or an array does not fit a leaf.
    """
    if isinstance(weight_decay, float):
        return weight_decay
    names = iter(shape.names)
    blank = [np.empty(size) for size in shape.shapes]

    def spread(decay: Any, part: Any) -> Any:
        return jax.tree.map(lambda leaf: _fitted(decay, leaf.shape, next(names)), part)

    try:
        tree = jax.tree.map(spread, weight_decay, jax.tree.unflatten(shape.treedef, blank))
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"weight_decay has the structure {jax.tree.structure(weight_decay)}, and the parameters have "
            f"{shape.treedef}; a pytree of the same structure is expected, or one number: type "
            "weight_decay=jax.tree.map(lambda leaf: 1e-3, params), and set some of its leaves to 0.0"
        ) from error
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
    return float(flat[0]) if np.all(flat == flat[0]) else frozen(flat)


def weight_decay_text(weight_decay: Any) -> str:
    """Return the weight decay as it is shown in the text of a flow."""
    return f"{weight_decay:g}" if isinstance(weight_decay, float) else repr(weight_decay)


def _checked_leaf(name: str, leaf: Any) -> Any:
    plain = not isinstance(leaf, bool) and (isinstance(leaf, (Real, ndarray)) or hasattr(leaf, "__array__"))
    array = np.asarray(leaf) if plain else np.empty(0)
    if (
        array.size == 0
        or array.dtype.kind not in "iuf"
        or not np.all(np.isfinite(array))
        or np.any(array < 0)
    ):
        raise InputError(f"{name} is {leaf!r}, {_EXPECTED}")
    array = array.astype(np.float64) + 0.0  # -0.0 becomes 0.0, of which 1 / lam is infinite and positive
    return float(array) if array.ndim == 0 else frozen(array)


def _fitted(decay: Any, shape: tuple[int, ...], name: str) -> ndarray:
    try:
        return np.broadcast_to(decay, shape)
    except ValueError as error:
        raise InputError(
            f"weight_decay for the parameter {name} has shape {np.shape(decay)}, a number or an array that "
            f"broadcasts to {shape} is expected"
        ) from error
