"""Pytrees of float arrays as flat vectors, and back."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError


class TreeShape(eqx.Module):
    """How the floating-point leaves of a pytree lie in one vector of `size` entries.

    Everything else in the tree (functions, numbers, flags) is kept in `rest` and put back. Traced by JAX as a pytree
    whose structure is static: two trees of the same shape share a compilation.
    """

    rest: Any
    treedef: Any = eqx.field(static=True)
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    @property
    def sizes(self) -> list[int]:
        """Entries of each leaf."""
        return [int(np.prod(shape)) for shape in self.shapes]

    @property
    def size(self) -> int:
        """Entries of all leaves."""
        return sum(self.sizes)

    @property
    def key(self) -> Any:
        """Hashable; equal for trees of the same structure, shapes and functions."""
        leaves, structure = jax.tree.flatten(self)
        return structure, tuple(
            (leaf.shape, str(leaf.dtype)) if eqx.is_array_like(leaf) and hasattr(leaf, "shape") else leaf
            for leaf in leaves
        )

    def flatten(self, tree: Any) -> jax.Array:
        """The leaves of a tree of this shape, one after another."""
        leaves = jax.tree.leaves(eqx.filter(tree, _is_float))
        return jnp.concatenate([jnp.ravel(leaf) for leaf in leaves])

    def unflatten(self, flat: jax.Array) -> Any:
        """The tree whose leaves are these entries; JAX arrays."""
        return self._tree(self.pieces(flat))

    def numpy_tree(self, flat: Float64[ndarray, "*rows size"]) -> Any:
        """The tree with read-only NumPy leaves; leading axes of `flat` lead every leaf."""
        return self._tree([frozen(piece) for piece in self.pieces(flat)])

    def leaf_of(self, index: int) -> str:
        """The name of the leaf in which an entry of the flat vector lies."""
        ends = np.cumsum(self.sizes)
        return self.names[int(np.searchsorted(ends, index, side="right"))]

    def pieces(self, flat: Any) -> list[Any]:
        """The leaves in a flat vector, in their shapes; leading axes are kept."""
        ends = np.cumsum([0, *self.sizes])
        leading = flat.shape[:-1]
        return [
            flat[..., a:b].reshape((*leading, *shape))
            for a, b, shape in zip(ends[:-1], ends[1:], self.shapes, strict=True)
        ]

    def _tree(self, leaves: list[Any]) -> Any:
        return eqx.combine(jax.tree.unflatten(self.treedef, leaves), self.rest)


def tree_shape(tree: Any, name: str = "params") -> tuple[TreeShape, Float64[ndarray, " size"]]:
    """The shape of a pytree of parameters, and its entries as one checked float64 vector.

    Functions, flags and boolean arrays stay as they are, and so do the numbers of equinox modules (a dropout rate).

    Raises:
        InputError: no floating-point array, arrays of another type, bare Python numbers, NaN or infinite entries.
    """
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
    # The names are part of the compiled program: they must not depend on what the caller names the tree.
    names = tuple(jax.tree_util.keystr(path) or "params" for path, _ in leaves)
    with np.errstate(over="ignore"):  # a long double may become inf, which is refused next
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
    return shape, np.concatenate([value.ravel() for value in values])


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (ndarray, np.generic, jax.Array))


def _is_float(leaf: Any) -> bool:
    return _is_array(leaf) and bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def _refuse_kind(leaf: Any, label: str) -> None:
    """Leaves that could be neither trained nor left alone without a word."""
    if isinstance(leaf, np.ma.MaskedArray):
        raise InputError(
            f"{label} is a masked array, whose mask would be lost; type {label} = {label}.filled(0.0)"
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
                f"{label} is a {type(leaf).__name__}, which cannot be hashed, so that JAX cannot compile with it; "
                "keep it out of the parameters"
            ) from error


def _refuse_numbers(tree: Any, name: str) -> None:
    """Bare numbers in plain containers: constants to equinox, parameters to most readers."""
    outside = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: isinstance(node, eqx.Module))
    for path, leaf in outside:
        if isinstance(leaf, (int, float, complex)) and not isinstance(leaf, (bool, np.generic)):
            label = name + jax.tree_util.keystr(path)
            raise InputError(
                f"{label} is the Python number {leaf!r}, which could be a parameter or a constant; "
                f"type numpy.asarray({leaf!r}) to train it (numpy.asarray(...) of the whole list, if it is one array), "
                "or keep it out of the parameters"
            )
