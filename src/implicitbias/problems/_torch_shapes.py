"""Operators of PyTorch that select, reorder or join entries, written with `jax.numpy`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def _at(x: Any, dim: int, where: Any) -> tuple[Any, ...]:
    """Return the index that selects `where` along one axis and everything along the others."""
    return (slice(None),) * (dim % x.ndim) + (where,)


def _reshape(x: Any, size: Sequence[Any]) -> Any:
    return jnp.reshape(x, tuple(size))


def _permute(x: Any, dims: Sequence[int]) -> Any:
    return jnp.transpose(x, tuple(dims))


def _expand(x: Any, size: Sequence[Any], implicit: bool = False) -> Any:
    kept = (1,) * (len(size) - x.ndim) + x.shape
    return jnp.broadcast_to(x, tuple(old if new == -1 else new for old, new in zip(kept, size, strict=True)))


def _squeeze(x: Any, dims: Sequence[int]) -> Any:
    """Remove the axes that have the size 1; PyTorch ignores the others."""
    return jnp.squeeze(x, tuple(dim for dim in dims if x.shape[dim] == 1))


def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return x[_at(x, dim, slice(start, end, step))]


def _select(x: Any, dim: int, index: int) -> Any:
    return x[_at(x, dim, index)]


def _slice_scatter(
    x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    return x.at[_at(x, dim, slice(start, end, step))].set(source)


def _copy(x: Any, source: Any, non_blocking: bool = False) -> Any:
    return jnp.broadcast_to(source, x.shape).astype(x.dtype)


def _split(x: Any, sizes: Sequence[Any], dim: int = 0) -> tuple[Any, ...]:
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return tuple(_slice(x, dim, end - size, end) for end, size in zip(ends, sizes, strict=True))


def _concatenate(arrays: Sequence[Any], dim: int = 0) -> Any:
    return jnp.concatenate(tuple(arrays), axis=dim)


def _pad(x: Any, pad: Sequence[int], value: Any = 0) -> Any:
    """Pad with a value; the pairs count from the last axis, and negative numbers cut entries off."""
    pairs = [(pad[index], pad[index + 1], 0) for index in range(0, len(pad), 2)]
    widths = [(0, 0, 0)] * (x.ndim - len(pairs)) + pairs[::-1]
    return jax.lax.pad(x, jnp.asarray(value, x.dtype), widths)


def _index(x: Any, indices: Sequence[Any]) -> Any:
    """Return entries of x; an index outside gives NaN, where JAX would take the last entry."""
    place = x.at[tuple(slice(None) if index is None else index for index in indices)]
    return place.get(mode="fill", fill_value=math.nan if jnp.issubdtype(x.dtype, jnp.floating) else None)


def _index_put(x: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    place = x.at[tuple(slice(None) if index is None else index for index in indices)]
    return place.add(values) if accumulate else place.set(values)


def _gather(x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    # The index may be shorter than x along the other axes, where PyTorch then ignores the rest of x.
    dim = dim % x.ndim
    kept = tuple(slice(None) if axis == dim else slice(size) for axis, size in enumerate(index.shape))
    return jnp.take_along_axis(x[kept], _not_negative(index, x.shape[dim]), axis=dim)


def _index_select(x: Any, dim: int, index: Any) -> Any:
    return jnp.take(x, _not_negative(index, x.shape[dim]), axis=dim)


def _not_negative(index: Any, size: int) -> Any:
    """Return an index in which negative numbers, which PyTorch refuses here, are outside; they give NaN."""
    return jnp.where(index < 0, size, index)


def _embedding(
    weight: Any, index: Any, padding: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Return rows of `weight`; a row number outside gives NaN, which the library reports."""
    rows = jnp.take(weight, _not_negative(index, len(weight)), axis=0, mode="fill", fill_value=math.nan)
    if padding < 0:
        return rows
    # PyTorch does not train the row of the padding token.
    return jnp.where((index == padding)[..., None], jax.lax.stop_gradient(rows), rows)


def _size(x: Any, dim: int) -> int:
    return x.shape[dim]


SHAPES: dict[str, Callable[..., Any]] = {
    "cat.default": _concatenate,
    "constant_pad_nd.default": _pad,
    "copy.default": _copy,
    "embedding.default": _embedding,
    "expand.default": _expand,
    "flip.default": lambda x, dims: jnp.flip(x, tuple(dims)),
    "gather.default": _gather,
    "index.Tensor": _index,
    "index_put.default": _index_put,
    "index_select.default": _index_select,
    "permute.default": _permute,
    "repeat.default": lambda x, repeats: jnp.tile(x, tuple(repeats)),
    "select.int": _select,
    "slice.Tensor": _slice,
    "slice_scatter.default": _slice_scatter,
    "split_with_sizes.default": _split,
    "squeeze.dims": _squeeze,
    "sym_size.int": _size,
    "unsqueeze.default": jnp.expand_dims,
    "view.default": _reshape,
}
