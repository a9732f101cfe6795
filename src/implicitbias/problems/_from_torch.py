"""Conversion of a PyTorch module into a model in JAX: export, translation of the operators, comparison."""

from copy import deepcopy
from typing import Any

import jax
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.problems._torch_export import exported, other_rows, words
from implicitbias.problems._torch_inputs import checked_batch, refuse_module
from implicitbias.problems._torch_model import TorchModel
from implicitbias.problems._torch_translation import lowest_precision, translated

# Outputs and gradients are compared on so many rows.
_ROWS = 8
# Some derivatives of PyTorch have constants in float32, for instance that of the hard sigmoid.
_SLOPES = 1e-6
# A copy of the module in float64 computes the same function if its outputs differ by less.
_SAME = 1e-9


def from_torch(module: Any, example: Any) -> tuple[TorchModel, dict[str, ndarray]]:
    r"""Return $(f, \theta)$: the function f(params, X) that a PyTorch module computes, and its parameters.

    The module is exported by `torch.export`, and its operators are translated into those of JAX. The model does not
    need PyTorch any more. All floating-point types become float64, also those of casts inside the module. At the end,
    outputs and gradients on up to 8 rows of the example are compared with those of PyTorch.

    Args:
        module: a `torch.nn.Module` on the CPU whose forward takes one batch and returns one tensor, (n,) or (n, k).
            Dropout and batch norm must be in evaluation mode: type `module.eval()`.
        example: a batch (n, ...), an array or a tensor. Its first axis counts the rows, whose number may change later.
            Integers are tokens.

    Returns:
        A tuple (model, params). `ib.Problem(model, X, y)` takes the model. `params` maps names of
        `module.state_dict()` to read-only float64 arrays. It holds the parameters that are trained
        (`requires_grad=True`) and used. A shared parameter appears once, under its first name. Buffers are constants.
        Other parameters go back by
        `module.load_state_dict({name: torch.tensor(array) for name, array in params.items()}, strict=False)`.

    Raises:
        InputError: the module is not one, is not on the CPU, has dropout or batch norm in training mode, or weights
            that are not finite. It uses an operator that is not known, which is named. It fails on the example, or
            fixes the number of rows.

    Reference:
        ansel2024pytorch describe the compiler behind `torch.export`.

    Examples:
        >>> import importlib.util, numpy as np, implicitbias as ib
        >>> X, y = np.eye(3), np.ones((3, 1))
        >>> if importlib.util.find_spec("torch"):  # pip install "implicitbias[torch]"
        ...     import torch
        ...
        ...     module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        ...     model, params = ib.from_torch(module, X)
        ...     problem = ib.Problem(model, X, y)
        ...     assert np.allclose(problem.predict(params)[:, None], module(torch.eye(3)).detach(), atol=1e-5)
    """
    refuse_module(module)
    batch = checked_batch(example, module)
    program = exported(module, batch)
    model, params = translated(program, module)
    # PyTorch is exact to the lowest precision in the program; half of these digits have to agree.
    _refuse_differences(module, batch, model, params, tolerance=lowest_precision(program) ** 0.5)
    return model, params


def _refuse_differences(
    module: Any, batch: Any, model: TorchModel, params: dict[str, ndarray], tolerance: float
) -> None:
    """Raise an `InputError` unless outputs and gradients agree with PyTorch.

    The number of rows differs from that of the export, so that a module that depends on it is found.
    """
    import torch

    rows = torch.cat([batch, batch[:1]])[-_ROWS:]
    expected, direction, slopes = _of_pytorch(module, rows, tuple(params))
    with double_precision():
        inputs = (rows.double() if rows.is_floating_point() else rows).numpy()
        out, pull = jax.vjp(jax.jit(lambda theta: model(theta, inputs)), params)
    if out.shape != expected.shape or _distance([out], [expected]) > tolerance:
        hint = "this is an error of ib.from_torch: please report the module"
        if model.rows.single:
            hint = "the likely cause is that the prediction for a row depends on other rows, as with a batch norm"
        raise InputError(
            f"the converted module does not return what PyTorch returns for {len(rows)} rows of the example; {hint}, "
            "and write the model as a function of (params, X) with jax.numpy"
        )
    # Rounding errors hide small differences of the gradients, so that they are compared in float64 where possible.
    exact = _in_float64(module, rows, tuple(params))
    if exact is not None and _distance([out], [exact[0]]) <= _SAME:
        (_, direction, slopes), tolerance = exact, _SLOPES
    with double_precision():
        pulled = pull(direction)[0]
    found = [np.asarray(pulled[name]) for name in params]
    if not all(np.isfinite(array).all() for array in (*found, *slopes)):
        who = "PyTorch" if all(np.isfinite(array).all() for array in found) else "the converted module"
        raise InputError(
            f"the gradient of {who} is NaN or infinite on the example, although the outputs are finite; the likely "
            "cause is the derivative of a root at 0, or an overflow in a branch of torch.where that is not taken: "
            "change the argument there, as in torch.sqrt(x + 1e-12)"
        )
    if _distance(found, slopes) > max(tolerance, _SLOPES):
        raise InputError(
            "the gradient of the converted module is not that of PyTorch, although the outputs agree; the likely cause "
            "is .detach() or torch.no_grad() in its forward, after which PyTorch does not return the derivative of "
            "what it computes: remove it there"
        )


def _in_float64(
    module: Any, rows: Any, names: tuple[str, ...]
) -> tuple[ndarray, ndarray, list[ndarray]] | None:
    """Return what `_of_pytorch` does for a copy of the module in float64; None if it cannot compute in float64."""
    try:
        copy = deepcopy(module).double()
        return _of_pytorch(copy, rows.double() if rows.is_floating_point() else rows, names)
    except Exception:  # The user's module may raise any exception, for instance if it fixes a type.
        return None


def _of_pytorch(module: Any, rows: Any, names: tuple[str, ...]) -> tuple[ndarray, ndarray, list[ndarray]]:
    """Return the output of the module, a direction of the same shape, and its pull-back to the parameters."""
    import torch

    weights = dict(module.named_parameters())
    try:
        with torch.enable_grad():
            output = module(rows.clone())  # The module may change its input.
    except Exception as error:  # The user's module may raise any exception.
        raise InputError(other_rows(len(rows), error)) from error
    direction = torch.cos(torch.arange(output.numel())).reshape(output.shape).to(output.dtype)
    try:
        slopes = torch.autograd.grad(
            output, [weights[name] for name in names], direction, allow_unused=True, materialize_grads=True
        )
    except RuntimeError as error:
        raise InputError(
            f"PyTorch has no gradient of the module: {words(error)}; the likely cause is an assignment in place, as in "
            "h[:, 0] = ... or h.relu_(): type h = h.clone() before it, or use operators that have a derivative"
        ) from error
    expected, along, *others = (tensor.detach().double().numpy() for tensor in (output, direction, *slopes))
    if not np.isfinite(expected).all():
        raise InputError(
            "the module returns NaN or infinity on the example, finite predictions are expected; the likely cause is "
            "an overflow, or numbers in the example that are not finite: type module(example)"
        )
    return expected, along, others


def _distance(ours: list[Any], theirs: list[ndarray]) -> float:
    """Return the largest difference relative to the largest entry; infinity if there is NaN."""
    error = np.max([np.abs(np.asarray(a) - b).max(initial=0.0) for a, b in zip(ours, theirs, strict=True)])
    scale = max(np.abs(b).max(initial=0.0) for b in theirs)
    return float("inf") if np.isnan(error) else float(error / max(scale, np.finfo(float).tiny))
