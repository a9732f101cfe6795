"""Operators of PyTorch for layers (products, convolutions, normalisation and pooling), written with `jax.numpy`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _add_product(bias: Any, x: Any, weight: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    product = jnp.matmul(x, weight)
    return (bias if beta == 1 else beta * bias) + (product if alpha == 1 else alpha * product)


def _three_way_product(x: Any, y: Any, z: Any, *axes: Sequence[int], unroll_dim: int = 1) -> Any:
    """Return the sum over some axes of x y z, where each array gets axes of size 1 first; nn.Bilinear uses it."""
    wide = [jnp.expand_dims(array, tuple(new)) for array, new in zip((x, y, z), axes, strict=False)]
    return jnp.sum(wide[0] * wide[1] * wide[2], axis=tuple(axes[3]))


def _each(numbers: Sequence[int], count: int) -> list[int]:
    """Return one number for each axis; PyTorch may give a single one for all."""
    return list(numbers) if len(numbers) == count else [numbers[0]] * count


def _convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    axes = x.ndim - 2
    stride, padding, dilation, extra = (
        _each(numbers, axes) for numbers in (stride, padding, dilation, output_padding)
    )
    options: dict[str, Any] = {"window_strides": stride, "padding": [(p, p) for p in padding]}
    if transposed:
        # The transposed convolution is a convolution with the reversed kernel, of x with zeros between its entries.
        per_group = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:]).swapaxes(1, 2)
        reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        weight = jnp.flip(per_group.reshape(-1, *per_group.shape[2:]), tuple(range(2, 2 + axes)))
        widths = [(r - p, r - p + e) for r, p, e in zip(reach, padding, extra, strict=True)]
        options = {"window_strides": [1] * axes, "padding": widths, "lhs_dilation": stride}
    out = jax.lax.conv_general_dilated(
        x, weight, rhs_dilation=dilation, feature_group_count=groups, **options
    )
    return out if bias is None else out + bias.reshape(-1, *[1] * axes)


def _scaled(normal: Any, weight: Any, bias: Any) -> Any:
    normal = normal if weight is None else normal * weight
    return normal if bias is None else normal + bias


def _layer_norm(x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    axes = tuple(range(-len(shape), 0))
    mean = jnp.mean(x, axis=axes, keepdims=True)
    scale = jax.lax.rsqrt(jnp.var(x, axis=axes, keepdims=True) + eps)
    return _scaled((x - mean) * scale, weight, bias), mean, scale


def _group_norm(
    x: Any, weight: Any, bias: Any, rows: int, channels: int, size: int, groups: int, eps: float
) -> tuple[Any]:
    normal = _layer_norm(x.reshape(x.shape[0], groups, -1), (1,), None, None, eps)[0].reshape(x.shape)
    return (_scaled(normal, *_of_channels(x, weight, bias)),)


def _of_channels(x: Any, *arrays: Any) -> list[Any]:
    """Return arrays (channels,) in a shape that fits x (rows, channels, ...)."""
    return [None if array is None else array.reshape(-1, *[1] * (x.ndim - 2)) for array in arrays]


def _batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any]:
    """Normalise with stored means and variances."""
    weight, bias, mean, variance = _of_channels(x, weight, bias, mean, variance)
    return (_scaled((x - mean) * jax.lax.rsqrt(variance + eps), weight, bias),)


def _instance_norm(x: Any, weight: Any, bias: Any, training: bool, momentum: float, eps: float) -> tuple[Any]:
    """Normalise each channel over the first axis and the axes of space; instance norm puts a row's channels here."""
    axes = (0, *range(2, x.ndim))
    mean, variance = jnp.mean(x, axis=axes), jnp.var(x, axis=axes)
    return _batch_norm(x, weight, bias, mean, variance, momentum, eps)


class _Windows:
    """The windows of a pooling over the last two axes: sizes, strides, and padding of two sides."""

    def __init__(
        self, x: Any, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool
    ) -> None:
        axes, outer = 2, x.ndim - 2
        kernel = _each(kernel, axes)
        stride = _each(stride, axes) if stride else kernel
        self.inner = [(p, p) for p in _each(padding, axes)]
        sides = [
            (p, p + self._beyond(n + 2 * p, k, s, n + p) * ceil)
            for n, k, s, (p, _) in zip(x.shape[outer:], kernel, stride, self.inner, strict=True)
        ]
        self.sides = [(0, 0)] * outer + sides
        self.beyond = [(0, high - low) for low, high in sides]
        self.kernel, self.stride = (1,) * outer + tuple(kernel), (1,) * outer + tuple(stride)

    @staticmethod
    def _beyond(size: int, kernel: int, stride: int, inside: int) -> int:
        """Return how far the last window reaches beyond the end; a window has to begin before the padding ends."""
        count = -(-(size - kernel) // stride) + 1
        count -= (count - 1) * stride >= inside
        return max(0, (count - 1) * stride + kernel - size)

    def reduce(self, x: Any, start: float, combine: Callable[..., Any], sides: Any = None) -> Any:
        sides = self.sides if sides is None else sides
        return jax.lax.reduce_window(x, start, combine, self.kernel, self.stride, sides)


def _max_pool(
    x: Any,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Any]:
    if set(dilation) != {1}:
        raise ValueError("max pooling with a dilation is not supported")
    return (_Windows(x, kernel, stride, padding, ceil_mode).reduce(x, -jnp.inf, jax.lax.max),)


def _mean_pool(
    x: Any,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    windows = _Windows(x, kernel, stride, padding, ceil_mode)
    total = windows.reduce(x, 0.0, jax.lax.add)
    if divisor_override is not None:
        return total / divisor_override
    # The number of entries of each window; padding counts unless told not to, and what lies beyond it never counts.
    counted = np.ones(x.shape[-2:])
    counted = np.pad(counted, windows.inner, constant_values=float(count_include_pad))
    counted = np.pad(counted, windows.beyond)[(None,) * (x.ndim - 2)]
    return total / windows.reduce(counted.astype(x.dtype), 0.0, jax.lax.add, [(0, 0)] * x.ndim)


def _adaptive_mean_pool(x: Any, size: Sequence[int]) -> Any:
    rows, columns = (_averages(n, m) for n, m in zip(x.shape[-2:], size, strict=True))
    return jnp.einsum("ah,...hw,bw->...ab", rows.astype(x.dtype), x, columns.astype(x.dtype))


def _averages(entries: int, count: int) -> np.ndarray:
    """Return the matrix (count, entries) of the means over the ranges that PyTorch's adaptive pooling takes."""
    matrix = np.zeros((count, entries))
    for index in range(count):
        first, last = index * entries // count, -(-(index + 1) * entries // count)
        matrix[index, first:last] = 1 / (last - first)
    return matrix


LAYERS: dict[str, Callable[..., Any]] = {
    "_adaptive_avg_pool2d.default": _adaptive_mean_pool,
    "_native_batch_norm_legit.no_stats": _instance_norm,
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "_trilinear.default": _three_way_product,
    "addmm.default": _add_product,
    "avg_pool2d.default": _mean_pool,
    "bmm.default": jnp.matmul,
    "convolution.default": _convolution,
    "max_pool2d_with_indices.default": _max_pool,
    "mm.default": jnp.matmul,
    "native_group_norm.default": _group_norm,
    "native_layer_norm.default": _layer_norm,
}
