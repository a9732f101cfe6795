"""Checks of a PyTorch module and its example before the export."""

from typing import Any

import numpy as np

from implicitbias._core.errors import InputError


def refuse_module(module: Any) -> None:
    """Raise an `InputError` unless this is a module on the CPU with finite real weights that computes a function."""
    from importlib.util import find_spec

    kind = type(module).__name__
    if find_spec("torch") is None:
        raise InputError(
            f"module is a {kind}, a torch.nn.Module is expected, and PyTorch is not installed; "
            'type pip install "implicitbias[torch]"'
        )
    import torch

    if not isinstance(module, torch.nn.Module):
        hint = "; make an instance first, module = Net()" if isinstance(module, type) else ""
        raise InputError(
            f"module is a {kind}, a torch.nn.Module is expected{hint}; ib.Problem takes functions model(params, X) "
            "written with jax.numpy, and modules of equinox and flax, as they are"
        )
    _refuse_compiled(torch, module)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        _refuse_tensor(torch, name, tensor)
    for name, part in module.named_modules():
        _refuse_part(torch, f"{name!r}" if name else "itself", part)


def _refuse_compiled(torch: Any, module: Any) -> None:
    compiled = hasattr(module, "_orig_mod")
    if compiled or isinstance(module, torch.jit.ScriptModule):
        hint = (
            "type module = module._orig_mod"
            if compiled
            else "load the weights into the class that it was made from"
        )
        by = "torch.compile" if compiled else "torch.jit"
        raise InputError(f"the module was compiled by {by}, a module before compilation is expected; {hint}")


def _refuse_tensor(torch: Any, name: str, tensor: Any) -> None:
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        raise InputError(
            f"the parameter {name!r} of the module has no shape yet, because it belongs to a lazy layer; "
            "type module(example) once, with a tensor"
        )
    if tensor.device.type != "cpu":
        what = "has no values" if tensor.device.type == "meta" else f"is on the device {tensor.device}"
        hint = "load its weights first" if tensor.device.type == "meta" else "type module = module.cpu()"
        raise InputError(
            f"the parameter {name!r} of the module {what}, a module on the CPU is expected; {hint}"
        )
    if tensor.is_complex():
        raise InputError(
            f"the parameter {name!r} of the module is complex, real parameters are expected; store real and imaginary "
            "parts as two parameters"
        )
    bad = int((~torch.isfinite(tensor.detach())).sum()) if tensor.requires_grad else 0
    if bad:
        raise InputError(
            f"the parameter {name!r} of the module is NaN or infinite in {bad} of {tensor.numel()} entries; the likely "
            "cause is a training that diverged: load an earlier checkpoint"
        )


def _refuse_part(torch: Any, name: str, part: Any) -> None:
    """Refuse dropout, which is random, and batch norm with the statistics of the batch, which joins the rows."""
    nn = torch.nn
    dropouts = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    random = isinstance(part, dropouts) and part.training and part.p > 0
    if random or (isinstance(part, norms) and part.training):
        raise InputError(
            f"the part {name} of the module is a {type(part).__name__} in training mode, a module that computes the "
            "same for each row at each call is expected; type module.eval()"
        )
    if isinstance(part, norms) and part.running_mean is None:
        raise InputError(
            f"the part {name} of the module is a {type(part).__name__} without running statistics, so that each row "
            "depends on the others; use layer norm, or track_running_stats=True and module.eval()"
        )


def checked_batch(example: Any, module: Any) -> Any:
    """Return the example as a tensor of at least two rows, with the floating-point type of the module."""
    import torch

    if isinstance(example, (tuple, list, dict)) or example is None:
        raise InputError(
            f"example is a {type(example).__name__}, one batch is expected, an array or a tensor (n, ...); a module "
            "with several inputs is put into another one whose forward takes one tensor and splits it"
        )
    try:
        batch = example.detach() if isinstance(example, torch.Tensor) else torch.tensor(np.asarray(example))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"example is a {type(example).__name__} that is not numeric, an array or a tensor (n, ...) is expected: "
            f"{error}"
        ) from error
    if batch.ndim == 0 or batch.numel() == 0 or batch.is_complex():
        raise InputError(
            f"example has shape {tuple(batch.shape)} and type {batch.dtype}, a batch (n, ...) of real numbers with at "
            "least one row is expected; for a single row x type x[None]"
        )
    if batch.is_floating_point():
        types = [tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()]
        batch = batch.to(types[0] if types else batch.dtype)
    batch = batch.cpu()
    # torch.export takes a single row for an axis that always has the size 1.
    return batch if len(batch) > 1 else torch.cat([batch] * 3)
