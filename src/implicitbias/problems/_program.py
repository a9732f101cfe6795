"""Analysis of a traced model: types of lower precision than float64, and operations that may have kinks."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.readouts import Readout
from implicitbias._core.trees import TreeShape

# Primitives of JAX whose value or derivative may have a jump. `select_n` and `cond` are counted only if their predicate
# depends on the parameters.
KINKS = frozenset(
    {"max", "min", "abs", "sign", "clamp", "select_n", "floor", "ceil", "round", "rem", "nextafter"}
)
KINKS |= {"sort", "top_k", "approx_top_k", "argmax", "argmin", "cond", "while", "reduce_precision"}
KINKS |= {"reduce_max", "reduce_min", "cummax", "cummin", "reduce_window_max", "reduce_window_min"}
KINKS |= {"reduce_window", "select_and_gather_add", "reduce_and", "reduce_or"}
# The arguments of the inner programs of these primitives differ from the arguments of the primitive itself.
_LOOPS = frozenset({"scan", "while", "cond"})


class Program(NamedTuple):
    """The findings about a traced program.

    Attributes:
        narrow: the floating-point types of lower precision than float64 in which values that depend on the parameters
            or inputs are computed, each with the first operation that produces it.
        kinks: the operations on the parameters that may have a jump in their value or derivative.
        noise: the relative rounding error of the type with the lowest precision.
    """

    narrow: dict[str, str]
    kinks: set[str]
    noise: float

    @classmethod
    def traced(cls, readout: Readout, shape: TreeShape, flat: ndarray) -> "Program":
        """Return the findings about the program of the predictions; call it inside `double_precision`."""
        arrays, rest = eqx.partition(readout, eqx.is_array)
        jaxpr = jax.make_jaxpr(lambda held, point: eqx.combine(held, rest)(shape.unflatten(point)))(
            arrays, jnp.asarray(flat)
        ).jaxpr
        # A variable is marked 1 if it depends on the data only, and 2 if it depends on the parameters (last argument).
        marks = dict.fromkeys(jaxpr.invars[:-1], 1) | {jaxpr.invars[-1]: 2}
        found = cls({}, set(), 0.0)
        _walk(jaxpr, marks, found)
        noise = max((float(jnp.finfo(kind).eps) for kind in found.narrow), default=np.finfo(np.float64).eps)
        return found._replace(noise=float(noise))


def _walk(jaxpr: Any, marks: dict[Any, int], found: Program) -> None:
    """Mark the variables of a program and of its inner programs that depend on the data or on the parameters."""
    for equation in jaxpr.eqns:
        inputs = [0 if hasattr(var, "val") else marks.get(var, 0) for var in equation.invars]
        mark = max(inputs, default=0)
        if mark == 0:
            continue
        for var in equation.outvars:
            marks[var] = mark
        name = equation.primitive.name
        inner = list(_programs(equation.params.values()))
        for program in inner:
            same = name not in _LOOPS and len(program.invars) == len(inputs)
            passed = inputs if same else [mark] * len(program.invars)
            _walk(program, dict(zip(program.invars, passed, strict=True)), found)
        if not inner:
            _note_narrow(equation, name, found)
        if _has_kink(equation, name, inputs):
            found.kinks.add(name)


def _has_kink(equation: Any, name: str, inputs: list[int]) -> bool:
    """Return whether an operation may have a jump as a function of the parameters."""
    if name in ("select_n", "cond"):
        return inputs[0] == 2
    if (
        name == "convert_element_type"
    ):  # A boolean converted to a number, or a number truncated to an integer.
        kinds = (equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype)
        return inputs[0] == 2 and not all(jnp.issubdtype(kind, jnp.inexact) for kind in kinds)
    return name in KINKS and 2 in inputs


def _note_narrow(equation: Any, name: str, found: Program) -> None:
    """Record the types of lower precision than float64 that an operation produces."""
    if name == "convert_element_type" and equation.invars[0].aval.dtype == np.bool_:
        return  # The values 0 and 1 are exact in every type.
    for var in equation.outvars:
        kind = getattr(var.aval, "dtype", None)
        if kind is not None and jnp.issubdtype(kind, jnp.floating) and kind.itemsize < 8:
            found.narrow.setdefault(str(kind), name)


def _programs(values: Any) -> Iterator[Any]:
    """Yield the inner programs among the parameters of an operation; they may be closed, or inside tuples."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _programs(value)
        elif hasattr(value, "eqns"):
            yield value.jaxpr if hasattr(value, "jaxpr") else value
