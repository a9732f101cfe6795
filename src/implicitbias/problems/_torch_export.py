"""The export of a PyTorch module by `torch.export`, with a number of rows that may change."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from implicitbias._core.errors import InputError


def exported(module: Any, batch: Any) -> Any:
    """Return the `torch.export.ExportedProgram` of a module in core operators.

    Its number of rows is a symbol. Some operations, such as len(x) and an einsum of several batches, make
    torch.export fix this number. The program then takes a single row.

    Raises:
        InputError: the module fails on the batch, or cannot be traced, or works for one number of rows only.
    """
    _refuse_failure(module, batch)
    program = _traced(module, batch)
    if not takes_fixed_rows(program):
        return program
    try:
        return _traced(module, batch[:1])
    except InputError as error:
        raise InputError(other_rows(1, error.__cause__ or error)) from error


def other_rows(rows: int, error: BaseException) -> str:
    """Return in words that the module fails for another number of rows than that of the example."""
    return (
        f"the module works for the number of rows of the example, but not for {rows}, any number is expected: "
        f"{words(error)}; the likely cause is a view or a buffer with the number of rows: type x.flatten(1) or "
        "x.view(x.shape[0], -1) there"
    )


def batch_node(program: Any) -> Any:
    """Return the node of the inputs."""
    (name,) = program.graph_signature.user_inputs
    return next(node for node in program.graph.nodes if node.name == name)


def takes_fixed_rows(program: Any) -> bool:
    """Whether the number of rows is a number, not a symbol."""
    rows = batch_node(program).meta["val"].shape[0]
    return isinstance(rows, int) or rows.node.expr.is_number


def _traced(module: Any, batch: Any) -> Any:
    import torch

    rows = {0: torch.export.Dim.AUTO}
    try:
        with _quiet(), torch.enable_grad():
            program = torch.export.export(module, (batch,), dynamic_shapes=(rows,), strict=False)
            program = program.run_decompositions(_rules())
    except Exception as error:  # The user's module may raise any exception.
        raise InputError(
            f"torch.export cannot trace the module on the example {_what(batch)}: {words(error)}; the likely cause is "
            "a forward that depends on values of tensors, as in `if x.sum() > 0`, .item() or .numpy(): type "
            "torch.where(...) there"
        ) from error
    program.graph.eliminate_dead_code()
    return program


def _rules() -> Any:
    """Return the rules by which torch.export splits operators, without two that would lose derivatives.

    A softplus would have NaN far from 0, and a norm would have it at 0, where PyTorch does not.
    """
    import torch

    rules = torch.export.default_decompositions()
    for operator in (torch.ops.aten.softplus.default, torch.ops.aten.linalg_vector_norm.default):
        rules.pop(operator, None)
    return rules


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch.export logs, warns and prints, and switch off a kernel of attention without derivatives."""
    import torch

    level, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(level)


def _refuse_failure(module: Any, batch: Any) -> None:
    """Raise an `InputError` if the module fails on the batch itself, before torch.export fails in other words."""
    import torch

    try:
        with _quiet(), torch.no_grad():
            module(batch.clone())  # The module may change its input.
    except Exception as error:  # The user's module may raise any exception.
        hint = (
            "a forward that takes one batch is expected: put the module into another one whose forward splits it"
            if isinstance(error, TypeError)
            else "check that the example is a batch as the module takes it, with the rows along its first axis, and "
            "with integers for tokens only: for numbers type X.astype(float)"
        )
        raise InputError(f"the module fails on the example {_what(batch)}: {words(error)}; {hint}") from error


def _what(batch: Any) -> str:
    return f"of shape {tuple(batch.shape)} and type {batch.dtype}"


def words(error: BaseException) -> str:
    """Return the name of an error and the first line of what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
