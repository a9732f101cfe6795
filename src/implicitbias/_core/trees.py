"""Conversion between pytrees of floating-point arrays and flat vectors."""

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError


@partial(jax.tree_util.register_dataclass, data_fields=["rest"], meta_fields=["treedef", "shapes", "names"])
@dataclass(frozen=True, eq=False)
class TreeShape:
    """The layout of the floating-point leaves of a pytree in one vector of `size` entries.

    Everything else in the tree (functions, numbers, flags) is stored in `rest` and put back by `unflatten`. For JAX the
    layout is a pytree with static structure, so that two trees of the same shape share a compiled program. It is no
    module of equinox, because each access to a method of a module makes a module, which adds up over a flow.
    """

    rest: Any
    treedef: Any
    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @cached_property
    def sizes(self) -> list[int]:
        """The number of entries of each leaf."""
        return [math.prod(shape) for shape in self.shapes]

    @cached_property
    def size(self) -> int:
        """The number of entries of all leaves."""
        return sum(self.sizes)

    @property
    def has_arrays(self) -> bool:
        """Whether the tree has arrays that are not parameters, for instance masks."""
        return any(_is_array(leaf) for leaf in jax.tree.leaves(self.rest))

    @property
    def key(self) -> Any:
        """A hashable key that is equal for trees with the same structure, shapes and functions."""
        leaves, structure = jax.tree.flatten(self)
        return structure, tuple(
            (leaf.shape, str(leaf.dtype)) if eqx.is_array_like(leaf) and hasattr(leaf, "shape") else leaf
            for leaf in leaves
        )

    def flatten(self, tree: Any) -> jax.Array:
        """Return the entries of a tree of this shape as one vector, leaf after leaf."""
        leaves = jax.tree.leaves(eqx.filter(tree, _is_float))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])

    def unflatten(self, flat: jax.Array) -> Any:
        """Return the tree with these entries; its leaves are JAX arrays."""
        return self._tree(self.pieces(flat))

    def numpy_tree(self, flat: Float64[ndarray, "*rows size"]) -> Any:
        """Return the tree with read-only NumPy leaves; leading axes of `flat` become leading axes of each leaf."""
        return self._tree([frozen(piece) for piece in self.pieces(flat)])

    def leaf_of(self, index: int) -> str:
        """Return the name of the leaf that contains this entry of the flat vector."""
        ends = np.cumsum(self.sizes)
        return self.names[int(np.searchsorted(ends, index, side="right"))]

    def pieces(self, flat: Any) -> list[Any]:
        """Return the leaves of a flat vector in their shapes; leading axes are kept."""
        ends = np.cumsum([0, *self.sizes])
        leading = flat.shape[:-1]
        return [
            flat[..., a:b].reshape((*leading, *shape))
            for a, b, shape in zip(ends[:-1], ends[1:], self.shapes, strict=True)
        ]

    def _tree(self, leaves: list[Any]) -> Any:
        return eqx.combine(jax.tree.unflatten(self.treedef, leaves), self.rest)


def tree_shape(tree: Any, name: str = "params") -> tuple[TreeShape, Float64[ndarray, " size"]]:
    """Return the layout of a pytree of parameters, and its entries as one checked float64 vector.

    Functions, flags and boolean arrays are not parameters, and neither are numbers of equinox modules such as a dropout
    rate.

    Raises:
        InputError: the tree has no floating-point array, or it holds arrays of another type, Python numbers outside
            equinox modules, or NaN or infinite entries.
    """
    known = _known_layout(tree)
    if known is not None:
        return known
    _refuse_numbers(tree, name)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _refuse_kind(leaf, name + jax.tree_util.keystr(path))
    parts, rest = eqx.partition(tree, _is_float)
    leaves = jax.tree_util.tree_leaves_with_path(parts)
    if sum(leaf.size for _, leaf in leaves) == 0:
        got = "whose arrays are empty" if leaves else "without a floating-point array"
        raise InputError(
            f"{name} is a {type(tree).__name__} {got}; a pytree of arrays is expected, "
            "for instance an equinox module, a dict or a tuple of numpy arrays"
        )
    # The names are part of the key of the compiled program, so they must not depend on the argument `name`.
    names = tuple(jax.tree_util.keystr(path) or "params" for path, _ in leaves)
    with np.errstate(over="ignore"):  # A long double may become inf; the next check rejects it.
        values = [np.asarray(leaf, dtype=np.float64) for _, leaf in leaves]
    for (path, _), value in zip(leaves, values, strict=True):
        bad = np.argwhere(~np.isfinite(value))
        if len(bad):
            where = ", ".join(str(int(i)) for i in bad[0])
            raise InputError(
                f"{name}{jax.tree_util.keystr(path)} holds {len(bad)} NaN or infinite value(s), the first at "
                f"[{where}]; finite numbers are expected"
            )
    shape = TreeShape(rest, jax.tree.structure(parts), tuple(value.shape for value in values), names)
    if not jax.tree.leaves(rest):
        if len(_LAYOUTS) >= _MOST_LAYOUTS:
            _LAYOUTS.clear()
        _LAYOUTS[jax.tree.structure(tree), shape.shapes] = shape
    return shape, np.concatenate([value.ravel() for value in values])


# Layouts that have passed the checks, for trees whose leaves are all parameters. Checking one takes longer than a small
# model, and observables of a flow ask again for each state.
_LAYOUTS: dict[tuple[Any, tuple[tuple[int, ...], ...]], TreeShape] = {}
_MOST_LAYOUTS = 64


def _known_layout(tree: Any) -> tuple[TreeShape, Float64[ndarray, " size"]] | None:
    """Return the layout and the entries of a tree of finite float64 arrays with a known layout, else None."""
    leaves, structure = jax.tree.flatten(tree)
    if not all(type(leaf) is ndarray and leaf.dtype == np.float64 for leaf in leaves):
        return None
    shape = _LAYOUTS.get((structure, tuple(leaf.shape for leaf in leaves)))
    if shape is None:
        return None
    flat = np.concatenate([leaf.ravel() for leaf in leaves])
    return (shape, flat) if np.all(np.isfinite(flat)) else None


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (ndarray, np.generic, jax.Array))


def _is_float(leaf: Any) -> bool:
    return _is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _refuse_kind(leaf: Any, label: str) -> None:
    """Raise an `InputError` for a leaf that is neither a valid parameter nor a valid constant."""
    if isinstance(leaf, np.ma.MaskedArray):
        raise InputError(
            f"{label} is a masked array, and its mask would be lost; type {label} = {label}.filled(0.0)"
        )
    if _is_array(leaf):
        allowed = (jnp.floating, np.bool_, jax.dtypes.prng_key)
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in allowed):
            raise InputError(
                f"{label} is an array of {leaf.dtype}, floating-point parameters are expected; "
                "type numpy.asarray(leaf, dtype=float) to train it, or keep constants out of the parameters"
            )
    elif hasattr(leaf, "__array__") or type(leaf).__module__.startswith("scipy.sparse"):
        raise InputError(
            f"{label} is a {type(leaf).__module__.partition('.')[0]} {type(leaf).__name__}, arrays of NumPy or JAX are "
            "expected; type numpy.asarray(leaf)"
        )
    else:
        try:
            hash(leaf)
        except TypeError as error:
            raise InputError(
                f"{label} is a {type(leaf).__name__}, which cannot be hashed, and JAX needs hashable constants; "
                "keep it out of the parameters"
            ) from error


def _refuse_numbers(tree: Any, name: str) -> None:
    """Raise an `InputError` for a Python number outside equinox modules.

    equinox would treat the number as a constant, but most users would expect it to be trained.
    """
    outside = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: isinstance(node, eqx.Module))
    for path, leaf in outside:
        if isinstance(leaf, (int, float, complex)) and not isinstance(leaf, (bool, np.generic)):
            label = name + jax.tree_util.keystr(path)
            raise InputError(
                f"{label} is the Python number {leaf!r}, which may be a parameter or a constant; "
                f"type numpy.asarray({leaf!r}) to train it (numpy.asarray(...) of the whole list, if it is one array), "
                "or keep it out of the parameters"
            )
