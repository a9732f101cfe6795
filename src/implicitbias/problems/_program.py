"""What a traced model is made of: types narrower than float64, and operations that may have kinks."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.readouts import Readout
from implicitbias._core.trees import TreeShape

# Primitives of JAX whose value or derivative may jump. `select_n` counts where its predicate depends on the parameters.
KINKS = frozenset(
    {"max", "min", "abs", "sign", "clamp", "select_n", "floor", "ceil", "round", "rem", "nextafter"}
)
KINKS |= {"sort", "top_k", "approx_top_k", "argmax", "argmin", "cond", "while", "reduce_precision"}
KINKS |= {"reduce_max", "reduce_min", "cummax", "cummin", "reduce_window_max", "reduce_window_min"}
KINKS |= {"reduce_window", "select_and_gather_add", "reduce_and", "reduce_or"}
# Their inner programs take other arguments than they do, or take them round and round.
_LOOPS = frozenset({"scan", "while", "cond"})


class Program(NamedTuple):
    """What was found in a program.

    Attributes:
        narrow: floating-point types narrower than float64 that the parameters or inputs pass through, each with the
            first operation that makes it.
        kinks: operations on the parameters that may jump.
        noise: the relative rounding of the narrowest type.
    """

    narrow: dict[str, str]
    kinks: set[str]
    noise: float

    @classmethod
    def traced(cls, readout: Readout, shape: TreeShape, flat: ndarray) -> "Program":
        """The program of the predictions; called under double precision."""
        arrays, rest = eqx.partition(readout, eqx.is_array)
        jaxpr = jax.make_jaxpr(lambda held, point: eqx.combine(held, rest)(shape.unflatten(point)))(
            arrays, jnp.asarray(flat)
        ).jaxpr
        # Marks: 1 for what depends on the data, 2 on the parameters, which come last.
        marks = dict.fromkeys(jaxpr.invars[:-1], 1) | {jaxpr.invars[-1]: 2}
        found = cls({}, set(), 0.0)
        _walk(jaxpr, marks, found)
        noise = max((float(jnp.finfo(kind).eps) for kind in found.narrow), default=np.finfo(np.float64).eps)
        return found._replace(noise=float(noise))


def _walk(jaxpr: Any, marks: dict[Any, int], found: Program) -> None:
    """Follow what depends on data and parameters through a program and those inside it."""
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
    if name in ("select_n", "cond"):
        return inputs[0] == 2
    if name == "convert_element_type":  # a comparison taken for a number, or a number cut to an integer
        kinds = (equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype)
        return inputs[0] == 2 and not all(jnp.issubdtype(kind, jnp.inexact) for kind in kinds)
    return name in KINKS and 2 in inputs


def _note_narrow(equation: Any, name: str, found: Program) -> None:
    if name == "convert_element_type" and equation.invars[0].aval.dtype == np.bool_:
        return  # 0 and 1 lose nothing
    for var in equation.outvars:
        kind = getattr(var.aval, "dtype", None)
        if kind is not None and jnp.issubdtype(kind, jnp.floating) and kind.itemsize < 8:
            found.narrow.setdefault(str(kind), name)


def _programs(values: Any) -> Iterator[Any]:
    """The programs among the parameters of an operation: open, closed, or in tuples of either."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _programs(value)
        elif hasattr(value, "eqns"):
            yield value.jaxpr if hasattr(value, "jaxpr") else value
