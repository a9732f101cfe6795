"""Conversion of a PyTorch module into a model in JAX: export, translation of the operators, comparison."""

from typing import Any

import jax
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.problems._torch_export import exported
from implicitbias.problems._torch_inputs import checked_batch, refuse_module
from implicitbias.problems._torch_model import TorchModel
from implicitbias.problems._torch_translation import translated

# Outputs and gradients are compared on so many rows.
_ROWS = 8


def from_torch(module: Any, example: Any) -> tuple[TorchModel, dict[str, ndarray]]:
    r"""Return $(f, \theta)$: the function f(params, X) that a PyTorch module computes, and its parameters.

    The module is exported by `torch.export`, and its operators are translated into those of JAX. The model does not need
    PyTorch any more. All floating-point types become float64, also those of casts inside the module. At the end,
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
        InputError: the module is not one, is not on the CPU, has dropout or batch norm in training mode, or weights that
            are not finite. It uses an operator that is not known, which is named. It fails on the example, or fixes the
            number of rows.

    Reference:
        ansel2024pytorch describe the compiler behind `torch.export`.

    Examples:
        >>> import importlib.util, numpy as np, implicitbias as ib
        >>> X, y = np.eye(3), np.ones((3, 1))
        >>> if importlib.util.find_spec("torch"):  # pip install "implicitbias[torch]"
        ...     import torch
        ...     module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        ...     model, params = ib.from_torch(module, X)
        ...     problem = ib.Problem(model, X, y)
        ...     assert np.allclose(problem.predict(params)[:, None], module(torch.eye(3)).detach(), atol=1e-5)
    """
    refuse_module(module)
    batch = checked_batch(example, module)
    model, params = translated(exported(module, batch), module)
    _refuse_differences(module, batch, model, params)
    return model, params


def _refuse_differences(module: Any, batch: Any, model: TorchModel, params: dict[str, ndarray]) -> None:
    """Raise an `InputError` unless outputs and gradients agree with PyTorch to half of the digits of the module.

    The number of rows differs from that of the export, so that a module that fixes it is found.
    """
    import torch

    rows = torch.cat([batch, batch[:1]])[-_ROWS:]
    arrays = dict(module.named_parameters())
    weights = [arrays[name] for name in params]
    with torch.enable_grad():
        expected = module(rows)
        direction = torch.cos(torch.arange(expected.numel())).reshape(expected.shape).to(expected.dtype)
        slopes = torch.autograd.grad(expected, weights, direction, allow_unused=True)
    with double_precision():
        X = rows.double().numpy() if rows.is_floating_point() else rows.numpy()
        out, pull = jax.vjp(jax.jit(lambda theta: model(theta, X)), params)
        if out.shape != tuple(expected.shape):
            raise InputError(
                f"the converted module returns the shape {out.shape}, PyTorch {tuple(expected.shape)}"
            )
        pulled = pull(direction.double().numpy().astype(out.dtype))[0]
    # The gradient of a parameter that PyTorch does not reach is zero.
    named = [
        (f"the derivative in {name!r}", pulled[name], 0 * weight if slope is None else slope)
        for name, weight, slope in zip(params, weights, slopes, strict=True)
    ]
    hint = {
        "the output": "report this module as an error of ib.from_torch, or write the model with jax.numpy",
        "": "the likely cause is .detach() or torch.no_grad() in its forward, whose derivative is not the true one; "
        "remove it",
    }
    size = max(float(slope.double().abs().max()) for _, _, slope in named if slope.numel())
    for what, ours, theirs in [("the output", out, expected), *named]:
        exact = theirs.detach().double().numpy()
        scale = np.abs(exact).max(initial=0.0) if what == "the output" else size
        error = np.abs(np.asarray(ours) - exact).max(initial=0.0)
        if not error <= np.sqrt(torch.finfo(theirs.dtype).eps) * max(scale, 1e-30):
            raise InputError(
                f"{what} of the converted module differs from that of PyTorch by {error:.2g} on the example; "
                f"{hint.get(what, hint[''])}"
            )
