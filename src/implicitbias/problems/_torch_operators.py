"""The core operators of PyTorch, written with `jax.numpy`.

`OPERATORS` maps the name of an operator to a function with the same arguments. All floating-point types become the one
precision in which JAX computes, which is float64 in the library. At kinks the derivatives are those of PyTorch.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from implicitbias.problems._torch_layers import LAYERS
from implicitbias.problems._torch_shapes import SHAPES


def _kind(dtype: str | None, value: Any = 0.0) -> Any:
    """Return the type of JAX for "float", "bool" or an integer type; without a name, that of the value."""
    if dtype is None or dtype == "float":
        return jnp.result_type(float if dtype or isinstance(value, float) else type(value))
    return jax.dtypes.canonicalize_dtype(dtype)


def _cast(x: Any, dtype: str | None = None) -> Any:
    return x if dtype is None else jnp.asarray(x).astype(_kind(dtype))


def _abs(x: Any) -> Any:
    # The derivative of jnp.abs at 0 is 1.
    return jnp.where(x == 0, jnp.zeros_like(x), jnp.abs(x))


def _add(x: Any, y: Any, alpha: Any = 1) -> Any:
    return jnp.add(x, y if alpha == 1 else alpha * y)


def _subtract(x: Any, y: Any, alpha: Any = 1) -> Any:
    return jnp.subtract(x, y if alpha == 1 else alpha * y)


def _divide(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return jnp.floor_divide(x, y)
    quotient = jnp.true_divide(x, y)
    return quotient if rounding_mode is None else jnp.trunc(quotient).astype(jnp.result_type(x, y))


def _power(x: Any, exponent: Any) -> Any:
    if not isinstance(exponent, (int, float)):
        return jnp.power(x, exponent)
    if exponent == 0.5:
        return jnp.sqrt(x)
    # A whole exponent has derivatives at 0 too. An integer array to a power that is a float is a float.
    whole = float(exponent).is_integer()
    x = x if isinstance(exponent, int) else _cast(x, "float")
    return x ** int(exponent) if whole else jnp.power(x, exponent)


def _clamp(x: Any, low: Any = None, high: Any = None) -> Any:
    """Return x between two numbers; the derivative is 0 at the bounds, as in PyTorch."""
    x = x if low is None else jnp.where(x <= low, low, x)
    return x if high is None else jnp.where(x >= high, high, x)


def _clamp_by_arrays(x: Any, low: Any = None, high: Any = None) -> Any:
    """Return x between two arrays; the derivative is 1/2 at the bounds, as in PyTorch."""
    x = x if low is None else jnp.maximum(x, low)
    return x if high is None else jnp.minimum(x, high)


def _leaky_relu(x: Any, slope: Any = 0.01) -> Any:
    return jnp.where(x > 0, x, slope * x)


def _elu(x: Any, alpha: Any = 1.0, scale: Any = 1.0, input_scale: Any = 1.0) -> Any:
    # The exponential of a large positive number would overflow in the branch that is not selected.
    low = alpha * jnp.expm1(jnp.where(x > 0, 0.0, x) * input_scale)
    return scale * jnp.where(x > 0, x, low)


def _softplus(x: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Any:
    # As for _elu, the exponential must not overflow in the branch that is not selected.
    large = beta * x > threshold
    return jnp.where(large, x, jnp.log1p(jnp.exp(jnp.where(large, 0.0, beta * x))) / beta)


def _gelu(x: Any, approximate: str = "none") -> Any:
    return jax.nn.gelu(x, approximate=approximate == "tanh")


def _axes(dim: Any) -> Any:
    """Return the axes of a reduction: a number, a tuple, or None for all of them, as which () counts too."""
    return tuple(dim) or None if isinstance(dim, (tuple, list)) else dim


def _reduction(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def over(x: Any, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
        return reduce(_cast(x, dtype), axis=_axes(dim), keepdims=keepdim)

    return over


def _norm(x: Any, order: Any = 2, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
    x, axes = _cast(x, dtype), _axes(dim)
    if order != 2:
        return jnp.linalg.vector_norm(x, axis=axes, keepdims=keepdim, ord=order)
    # The derivative at 0 is 0; that of the square root would be NaN.
    square = jnp.sum(x * x, axis=axes, keepdims=keepdim)
    zero = square == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))


def _variance(x: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False) -> Any:
    return jnp.var(x, axis=_axes(dim), ddof=1 if correction is None else correction, keepdims=keepdim)


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    """Return (values, indices); the derivative is that of the first largest entry, as in PyTorch."""

    def over(x: Any, dim: int, keepdim: bool = False) -> tuple[Any, Any]:
        index = choose(x, axis=dim, keepdims=True)
        found = jnp.take_along_axis(x, index, axis=dim)
        return (found, index) if keepdim else (jnp.squeeze(found, dim), jnp.squeeze(index, dim))

    return over


def _position(choose: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: choose(x, axis=dim, keepdims=keepdim)


def _cumulative_sum(x: Any, dim: int, dtype: str | None = None) -> Any:
    return jnp.cumsum(_cast(x, dtype), axis=dim)


def _softmax(x: Any, dim: int, half_to_float: bool = False) -> Any:
    return jax.nn.softmax(x, axis=dim)


def _log_softmax(x: Any, dim: int, half_to_float: bool = False) -> Any:
    return jax.nn.log_softmax(x, axis=dim)


def _full(size: Sequence[Any], value: Any, dtype: str | None = None) -> Any:
    return jnp.full(tuple(size), value, dtype=_kind(dtype, value))


def _full_like(x: Any, value: Any, dtype: str | None = None) -> Any:
    return jnp.full(jnp.shape(x), value, dtype=_kind(dtype) if dtype else x.dtype)


def _empty(size: Sequence[Any], dtype: str | None = None) -> Any:
    """Return NaN, so that an entry that the module never writes is noticed; integers are 0."""
    kind = _kind(dtype)
    return jnp.full(tuple(size), jnp.nan if jnp.issubdtype(kind, jnp.floating) else 0, dtype=kind)


def _range(start: Any, end: Any, step: Any = 1, dtype: str | None = None) -> Any:
    return jnp.arange(start, end, step, dtype=_kind(dtype, 1.0 * step if _real(start, end) else step))


def _real(*numbers: Any) -> bool:
    return any(isinstance(number, float) for number in numbers)


def _scalar(value: Any, dtype: str | None = None) -> Any:
    return jnp.asarray(value, dtype=_kind(dtype, value))


def _ignored(*_: Any, **__: Any) -> None:
    """Do nothing: PyTorch checks the type of a tensor, which JAX keeps in another precision."""


CHECK = "aten._assert_async.msg"
"""The operator that raises unless its argument is true; here it returns this argument."""

_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "acos": jnp.arccos,
    "acosh": jnp.arccosh,
    "asin": jnp.arcsin,
    "asinh": jnp.arcsinh,
    "atan": jnp.arctan,
    "atanh": jnp.arctanh,
    "bitwise_not": jnp.bitwise_not,
    "ceil": jnp.ceil,
    "cos": jnp.cos,
    "cosh": jnp.cosh,
    "elu": _elu,
    "erf": jax.scipy.special.erf,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "floor": jnp.floor,
    "gelu": _gelu,
    "hardtanh": lambda x, low=-1.0, high=1.0: _clamp(x, low, high),
    "isinf": jnp.isinf,
    "isnan": jnp.isnan,
    "leaky_relu": _leaky_relu,
    "log": jnp.log,
    "log10": jnp.log10,
    "log1p": jnp.log1p,
    "log2": jnp.log2,
    "logical_not": jnp.logical_not,
    "neg": jnp.negative,
    "reciprocal": jnp.reciprocal,
    "relu": jax.nn.relu,
    "round": jnp.round,
    "rsqrt": jax.lax.rsqrt,
    "sigmoid": jax.nn.sigmoid,
    "sign": jnp.sign,
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "softplus": _softplus,
    "sqrt": jnp.sqrt,
    "tan": jnp.tan,
    "tanh": jnp.tanh,
    "trunc": jnp.trunc,
    "alias": lambda x: x,
    "clone": lambda x: x,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "full": _full,
    "full_like": _full_like,
    "scalar_tensor": _scalar,
    "linalg_vector_norm": _norm,
    "_to_copy": _cast,
    "_assert_tensor_metadata": _ignored,
    "mean": _reduction(jnp.mean),
    "prod": _reduction(jnp.prod),
    "max": _reduction(jnp.max),
    "min": _reduction(jnp.min),
    "any": _reduction(jnp.any),
    "amax": _reduction(jnp.max),
    "amin": _reduction(jnp.min),
    "argmax": _position(jnp.argmax),
    "argmin": _position(jnp.argmin),
    "cumsum": _cumulative_sum,
    "clamp": _clamp,
}
# Operators of two arrays (.Tensor) or of an array and a number (.Scalar).
_BINARY: dict[str, Callable[..., Any]] = {
    "add": _add,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "eq": jnp.equal,
    "fmod": jnp.fmod,
    "ge": jnp.greater_equal,
    "gt": jnp.greater,
    "le": jnp.less_equal,
    "lt": jnp.less,
    "mul": jnp.multiply,
    "ne": jnp.not_equal,
    "remainder": jnp.remainder,
}
_OVERLOADS: dict[str, Callable[..., Any]] = {
    CHECK.removeprefix("aten."): lambda holds, *_: holds,
    "any.dim": _reduction(jnp.any),
    "any.dims": _reduction(jnp.any),
    "arange.start_step": _range,
    "atan2.default": jnp.arctan2,
    "clamp.Tensor": _clamp_by_arrays,
    "div.Tensor": _divide,
    "div.Tensor_mode": _divide,
    "empty.memory_format": _empty,
    "logical_and.default": jnp.logical_and,
    "logical_or.default": jnp.logical_or,
    "logical_xor.default": jnp.logical_xor,
    "max.dim": _extreme(jnp.argmax),
    "maximum.default": jnp.maximum,
    "mean.dim": _reduction(jnp.mean),
    "min.dim": _extreme(jnp.argmin),
    "minimum.default": jnp.minimum,
    "pow.Scalar": jnp.power,
    "pow.Tensor_Scalar": _power,
    "pow.Tensor_Tensor": _power,
    "prod.dim_int": _reduction(jnp.prod),
    "sub.Tensor": _subtract,
    "sum.dim_IntList": _reduction(jnp.sum),
    "var.correction": _variance,
    "where.self": jnp.where,
}
# What Python computes with the number of rows.
_NUMBERS = ("add", "sub", "mul", "floordiv", "mod", "getitem")

OPERATORS: dict[str, Callable[..., Any]] = {
    **{f"aten.{name}.default": function for name, function in _ELEMENTWISE.items()},
    **{
        f"aten.{name}.{kind}": function for name, function in _BINARY.items() for kind in ("Tensor", "Scalar")
    },
    **{f"aten.{name}": function for name, function in (_OVERLOADS | SHAPES | LAYERS).items()},
    **{f"operator.{name}": getattr(operator, name) for name in _NUMBERS},
}
