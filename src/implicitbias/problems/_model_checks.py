"""Checks of a model before a flow is integrated: does it compute in float64, and is its derivative continuous?"""

from collections import OrderedDict
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.precision import double_precision
from implicitbias._core.readouts import Readout
from implicitbias._core.trees import TreeShape
from implicitbias.problems._jumps import jump_on_lines
from implicitbias.problems._program import Program
from implicitbias.problems._training import TrainingProblem

_REMEMBERED = 128
_ROWS = 32


class ModelFlags(NamedTuple):
    """The findings about a model: its precision, its smoothness, and notes for the reader of a result."""

    single_precision: bool
    not_smooth: bool
    notes: tuple[str, ...]


_MEMORY: OrderedDict[Any, ModelFlags] = OrderedDict()


def model_flags(problem: TrainingProblem, shape: TreeShape, flat: Float64[ndarray, " size"]) -> ModelFlags:
    """Return whether the model computes in a lower precision than float64, and whether its derivative has jumps.

    Both are first determined from the traced program. Roundings, maxima and comparisons in the program do not prove
    that there is a jump, because softplus and softmax contain them too. The numerical test `jump_on_lines` decides. It
    uses at most 32 rows, and if it finds no jump within its time limit, none is reported. The result is remembered for
    the model and the shapes, so that later calls with other parameters do not repeat the test.

    Args:
        problem: any problem.
        shape: the `TreeShape` of the parameters, as returned by `checked_params`.
        flat: the entries of the parameters.
    """
    with double_precision():
        readout = problem.double_objective.readout
        key = _key(readout, shape)
        if key in _MEMORY:
            _MEMORY.move_to_end(key)
            return _MEMORY[key]
        flags = _flags(readout, shape, flat)
    _MEMORY[key] = flags
    if len(_MEMORY) > _REMEMBERED:
        _MEMORY.popitem(last=False)
    return flags


def _key(readout: Readout, shape: TreeShape) -> Any:
    """Return a hashable key: the structure, the functions, and the shapes and types of the arrays."""
    leaves, structure = jax.tree.flatten((readout, shape))
    return structure, tuple((leaf.shape, str(leaf.dtype)) if eqx.is_array(leaf) else leaf for leaf in leaves)


def _flags(readout: Readout, shape: TreeShape, flat: ndarray) -> ModelFlags:
    program = Program.traced(readout, shape, flat)
    notes = []
    if program.narrow:
        what = ", ".join(f"{kind} ({operation})" for kind, operation in sorted(program.narrow.items()))
        notes.append(
            f"The model computes in {what}, although its parameters and X are float64. Its predictions and the "
            "trajectory are accurate only to that precision. Remove the casts (dtype=..., .astype) from the model."
        )
    jumps = bool(program.kinks) and jump_on_lines(_few_rows(readout, shape, flat), shape, flat, program.noise)
    if jumps:
        notes.append(
            f"The model is not smooth: it uses {', '.join(sorted(program.kinks))}, and the model or its derivative "
            "has a jump where they switch. Theory that assumes a smooth model does not apply there. The flow takes "
            "small steps at jumps other than the kinks of max(z, 0), which it follows."
        )
    return ModelFlags(bool(program.narrow), jumps, tuple(notes))


def _few_rows(readout: Readout, shape: TreeShape, flat: ndarray) -> Readout:
    """Return the readout on its first rows if the model accepts any number of rows, else the readout itself."""
    few = readout.first_rows(_ROWS)
    if few is readout:
        return readout
    try:
        out = eqx.filter_eval_shape(few, shape.unflatten(jnp.asarray(flat)))
    except Exception:  # The user's model may fail in any way if it needs all rows.
        return readout
    return few if np.shape(out)[:1] == (_ROWS,) else readout
