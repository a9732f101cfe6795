"""The export of a PyTorch module by `torch.export`, with a number of rows that may change."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from implicitbias._core.errors import InputError

# A second number of rows for a module whose export fixed the first one. It is prime, so that it is hardly that of
# another axis or of a product of axes, in which case torch.export fixes it.
_OTHER_ROWS = 101


def exported(module: Any, batch: Any) -> Any:
    """Return the `torch.export.ExportedProgram` of a module in core operators; its number of rows is a symbol.

    Raises:
        InputError: the module fails on the batch, or cannot be traced, or fixes the number of rows.
    """
    import torch

    program = _traced(module, batch)
    if not _is_fixed(program):
        return program
    repeats = [-(-_OTHER_ROWS // len(batch))] + [1] * (batch.ndim - 1)
    try:
        program = _traced(module, torch.Tensor.repeat(batch, repeats)[:_OTHER_ROWS])
    except InputError as error:
        raise InputError(_fixed(len(batch))) from error
    if _is_fixed(program):
        raise InputError(_fixed(len(batch)))
    return program


def batch_node(program: Any) -> Any:
    """Return the node of the inputs."""
    (name,) = program.graph_signature.user_inputs
    return next(node for node in program.graph.nodes if node.name == name)


def _is_fixed(program: Any) -> bool:
    return isinstance(batch_node(program).meta["val"].shape[0], int)


def _fixed(rows: int) -> str:
    return (
        f"the forward of the module works for {rows} rows only, any number is expected; the likely cause is a view or a "
        "buffer with the number of rows: type x.flatten(1) or x.view(len(x), -1) there"
    )


def _traced(module: Any, batch: Any) -> Any:
    import torch

    rows = {0: torch.export.Dim.AUTO}
    try:
        with _quiet(), torch.enable_grad():
            program = torch.export.export(module, (batch,), dynamic_shapes=(rows,), strict=False)
            program = program.run_decompositions()
    except Exception as error:  # The user's module may raise any exception.
        raise InputError(_failure(module, batch, error)) from error
    program.graph.eliminate_dead_code()
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back the log and the warnings of torch.export, and switch off a kernel of attention without derivatives."""
    import torch

    level, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(level)


def _failure(module: Any, batch: Any, error: Exception) -> str:
    """Return why the export failed: the module fails on the batch itself, or only if its values are not known."""
    import torch

    what = f"{tuple(batch.shape)} and type {batch.dtype}"
    try:
        with torch.no_grad():
            module(batch)
    except Exception as plain:  # The user's module may raise any exception.
        hint = (
            "a forward that takes one batch is expected: put the module into another one whose forward splits it"
            if isinstance(plain, TypeError)
            else "check that the example is a batch as the module takes it, with the rows along its first axis"
        )
        return f"the module fails on the example of shape {what}: {_words(plain)}; {hint}"
    return (
        f"torch.export cannot trace the module on the example of shape {what}: {_words(error)}; the likely cause is a "
        "forward that depends on values of tensors, as in `if x.sum() > 0`, .item() or .numpy(): type torch.where(...) "
        "there"
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
