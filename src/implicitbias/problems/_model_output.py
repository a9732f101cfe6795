"""Checks of the shape and type of a model's output; JAX traces the model and computes nothing."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.trees import TreeShape


class Statement(NamedTuple):
    """A model and the parts of the problem with which its output must agree."""

    model: Any
    X: ndarray
    y: ndarray
    loss_function: Any


def refuse_output(problem: Statement, shape: TreeShape, flat: ndarray) -> None:
    """Raise an `InputError` if the output of the model or of an `ib.Loss` has a wrong shape or type.

    Call this function inside `double_precision`.
    """
    got = _traced_shape(problem, shape, flat)
    y, n = problem.y, len(problem.y)
    hint = ""
    if problem.loss_function == "cross_entropy":
        right, expected = len(got) == 2 and got[0] == n, f"({n}, k) with one column for each class"
    elif problem.loss_function == "squared":
        right, expected = got == y.shape, f"{y.shape}, the shape of y,"
    elif isinstance(problem.loss_function, str):
        right, expected = got == (n,), f"({n},)"
    else:
        right, expected = len(got) in (1, 2) and got[0] == n, f"({n},) or ({n}, k)"
    if got == (n, 1) and y.shape == (n,):
        hint = "; type model = lambda params, X: your_model(params, X)[:, 0]"
    elif got == (n,) and y.shape == (n, 1):
        hint = "; type y = numpy.ravel(y)"
    elif len(got) == 0 or got[0] != n:
        hint = "; a model of one row is applied to all by jax.vmap(model, in_axes=(None, 0))"
    if not right:
        raise InputError(
            f"the model returns predictions of shape {got} for X of shape {problem.X.shape} and y of shape {y.shape}; "
            f"{expected} is expected for the loss {problem.loss_function!r}{hint}"
        )
    if problem.loss_function == "cross_entropy":
        _refuse_classes(int(y.max()), got[1])
    elif not isinstance(problem.loss_function, str):
        _refuse_loss(problem, got[1:])


def _traced_shape(problem: Statement, shape: TreeShape, flat: ndarray) -> tuple[int, ...]:
    """Return the shape of the predictions, or raise an `InputError` if the model fails or returns no float array."""
    # The leaves are cut by NumPy, because JAX would compile a program for each of them.
    params, X = jax.tree.map(_on_device, shape.numpy_tree(flat)), jax.device_put(problem.X)
    try:
        out = eqx.filter_eval_shape(problem.model, params, X)
    except Exception as error:  # The user's model may raise any exception.
        raise InputError(_failure(problem, params, error)) from error
    got, kind = getattr(out, "shape", None), getattr(out, "dtype", None)
    if got is None or kind is None or not jnp.issubdtype(kind, jnp.floating):
        what = f"an array of {kind}" if kind is not None else _kind_of(out)
        hint = (
            "; type return ..., without a trailing comma" if isinstance(out, tuple) and len(out) == 1 else ""
        )
        hint = "; return the first member alone" if isinstance(out, tuple) and len(out) > 1 else hint
        hint = "; is a `return` missing?" if out is None else hint
        raise InputError(f"the model returns {what}, an array of floats (n,) or (n, k) is expected{hint}")
    return tuple(got)


def _on_device(leaf: Any) -> Any:
    return jax.device_put(leaf) if isinstance(leaf, ndarray) else leaf


def _failure(problem: Statement, params: Any, error: Exception) -> str:
    shapes = ", ".join(str(leaf.shape) for leaf in jax.tree.leaves(params) if eqx.is_array(leaf))
    hint = "check that model takes (params, X) in this order and that the arrays fit each other"
    concrete = (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
        jax.errors.NonConcreteBooleanIndexError,
    )
    if isinstance(error, concrete):
        hint = "JAX traces the model: write it with jax.numpy in place of numpy, and jax.numpy.where in place of if"
    elif isinstance(problem.model, eqx.Module):
        hint = "a module goes into params: type model=lambda net, X: jax.vmap(net)(X)"
    return (
        f"the model failed on parameters of shapes {shapes} and X of shape {problem.X.shape}: "
        f"{in_one_line(error)}; {hint}"
    )


def _kind_of(out: Any) -> str:
    if isinstance(out, (tuple, list)):
        return f"a {type(out).__name__} of {len(out)}"
    return "None" if out is None else f"a {type(out).__name__}"


def _refuse_classes(largest: int, outputs: int) -> None:
    if outputs == 1:
        raise InputError(
            "the model has one output, one for each class is expected for loss='cross_entropy'; "
            "for two classes and one output type loss='logistic' and model(params, X)[:, 0]"
        )
    if largest >= outputs:
        raise InputError(
            f"y holds class {largest}, the model has outputs for classes 0 ... {outputs - 1}; "
            "type y = numpy.unique(y, return_inverse=True)[1], or give the model more outputs"
        )


def _refuse_loss(problem: Statement, columns: tuple[int, ...]) -> None:
    """Raise an `InputError` unless the user's loss gives a number, a derivative (k,) and a root (k, k) for one row."""
    loss, name = problem.loss_function, type(problem.loss_function).__name__
    row = jax.ShapeDtypeStruct(columns or (1,), np.float64)
    target = jax.ShapeDtypeStruct(problem.y.shape[1:], problem.y.dtype)
    expected = {"value": (), "derivative": row.shape, "root": 2 * row.shape}
    for method, right in expected.items():
        try:
            out = eqx.filter_eval_shape(getattr(loss, method), row, target)
        except Exception as error:  # The user's loss may raise any exception.
            raise InputError(
                f"{name}.{method} failed on a prediction of shape {row.shape} and a target of shape {target.shape}: "
                f"{in_one_line(error)}"
            ) from error
        got, kind = getattr(out, "shape", None), getattr(out, "dtype", None)
        if got != right or kind is None or not jnp.issubdtype(kind, jnp.floating):
            what = _kind_of(out) if got is None else f"{kind} of shape {got}"
            hint = "; sum over the outputs: type jax.numpy.sum(...)" if method == "value" else ""
            raise InputError(
                f"{name}.{method} returns {what} for a prediction of shape {row.shape} and a target of shape "
                f"{target.shape}, floats of shape {right} are expected{hint}"
            )
