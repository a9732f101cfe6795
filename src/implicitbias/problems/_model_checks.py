"""What a model does that a flow must know of: less than float64 inside, or a derivative that jumps."""

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
    """What was seen in a model; empty for most."""

    single_precision: bool
    not_smooth: bool
    sentences: tuple[str, ...]


_MEMORY: OrderedDict[Any, ModelFlags] = OrderedDict()


def model_flags(problem: TrainingProblem, shape: TreeShape, flat: Float64[ndarray, " size"]) -> ModelFlags:
    """Whether the model computes in less than float64 somewhere, and whether its derivative jumps.

    Both are first read off the traced program. Roundings, maxima and comparisons are but candidates for a jump, as
    softplus and softmax have them too: a numerical test on lines through the parameters decides (`jump_on_lines`).
    It looks at 32 rows at most, and where it finds no jump in its time, none is reported. The answer is remembered
    for the model and the shapes; the parameters of the first call decide.

    Args:
        problem: any problem.
        shape: the `TreeShape` of the parameters, as `checked_params` returned it.
        flat: their entries.
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
    """The structure and the functions as they are, arrays by their shape and type."""
    leaves, structure = jax.tree.flatten((readout, shape))
    return structure, tuple((leaf.shape, str(leaf.dtype)) if eqx.is_array(leaf) else leaf for leaf in leaves)


def _flags(readout: Readout, shape: TreeShape, flat: ndarray) -> ModelFlags:
    program = Program.traced(readout, shape, flat)
    sentences = []
    if program.narrow:
        what = ", ".join(f"{kind} ({operation})" for kind, operation in sorted(program.narrow.items()))
        sentences.append(
            f"The model computes in {what}, though its parameters and X are float64: its predictions, and what a flow "
            "makes of them, are good to that precision only. Remove the casts (dtype=..., .astype) from the model."
        )
    jumps = bool(program.kinks) and jump_on_lines(_few_rows(readout, shape, flat), shape, flat, program.noise)
    if jumps:
        sentences.append(
            f"The model is not smooth: it is made with {', '.join(sorted(program.kinks))}, and it or its derivative "
            "jumps where they switch. A flow takes small steps at each jump, on one side at a time; theory that "
            "assumes a smooth model does not apply there."
        )
    return ModelFlags(bool(program.narrow), jumps, tuple(sentences))


def _few_rows(readout: Readout, shape: TreeShape, flat: ndarray) -> Readout:
    """The readout on its first rows, where the model takes any number of them."""
    few = readout.first_rows(_ROWS)
    if few is readout:
        return readout
    try:
        out = eqx.filter_eval_shape(few, shape.unflatten(jnp.asarray(flat)))
    except Exception:  # the caller's model asks for all its rows
        return readout
    return few if np.shape(out)[:1] == (_ROWS,) else readout
