"""The translation of an exported PyTorch program into a `TorchModel` and its parameters."""

import re
from typing import Any

from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.problems._torch_export import batch_node, takes_fixed_rows
from implicitbias.problems._torch_model import Call, Ref, Rows, TorchModel
from implicitbias.problems._torch_operators import OPERATORS

# Options that say where and how PyTorch stores a tensor.
_STORAGE = frozenset({"device", "layout", "memory_format", "non_blocking", "pin_memory"})
_SOURCE = re.compile(r'File "([^"]+)", line (\d+), in .+\n\s*(.+)')


def translated(program: Any, module: Any) -> tuple[TorchModel, dict[str, ndarray]]:
    """Return the model and its parameters.

    Raises:
        InputError: an operator is unknown or random, a buffer is changed, or the output is not one tensor.
    """
    output = _output(program)
    if program.graph_signature.buffers_to_mutate:
        name = next(iter(program.graph_signature.buffers_to_mutate.values()))
        raise InputError(
            f"the forward of the module changes its buffer {name!r}, a module that computes the same at each call is "
            "expected; type module.eval()"
        )
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    _refuse_operators(nodes)
    parameters, constants, values = _stored(program, module)
    if not values:
        raise InputError(
            "the output of the module depends on no parameter with requires_grad=True; type "
            "module.requires_grad_(True) to train all parameters"
        )
    calls = tuple(_call(node) for node in nodes)
    model = TorchModel(type(module).__name__, _rows(program), parameters, constants, calls, output)
    return model, values


def lowest_precision(program: Any) -> float:
    """Return the largest relative rounding error among the floating-point types of a program."""
    import torch

    kinds = {getattr(node.meta.get("val"), "dtype", None) for node in program.graph.nodes}
    return max(torch.finfo(kind).eps for kind in kinds if kind is not None and kind.is_floating_point)


def _output(program: Any) -> str:
    names = program.graph_signature.user_outputs
    if len(names) != 1 or not isinstance(names[0], str):
        raise InputError(
            f"the module returns {len(names)} values, one tensor (n,) or (n, k) is expected; put it into another "
            "module whose forward returns one of them, as in `return self.module(x)[0]`"
        )
    kind = next(node for node in program.graph.nodes if node.name == names[0]).meta["val"].dtype
    if not kind.is_floating_point:
        raise InputError(
            f"the module returns a tensor of {kind}, floating-point predictions are expected; return the logits in "
            "place of classes"
        )
    return names[0]


def _stored(program: Any, module: Any) -> tuple[dict[str, str], dict[str, ndarray], dict[str, ndarray]]:
    """Return the names of the trained parameters in the graph, the other arrays, and the values of the parameters."""
    signature = program.graph_signature
    shared = dict(module.named_parameters(remove_duplicate=False))
    first = {id(tensor): name for name, tensor in module.named_parameters()}
    tensors = {**program.state_dict, **program.constants}
    stored = (
        signature.inputs_to_parameters
        | signature.inputs_to_buffers
        | signature.inputs_to_lifted_tensor_constants
    )
    parameters: dict[str, str] = {}
    constants: dict[str, ndarray] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder" or not node.users or node.name not in stored:
            continue
        name = stored[node.name]
        if name in shared and shared[name].requires_grad:
            parameters[node.name] = first[id(shared[name])]
        else:
            constants[node.name] = _array(tensors[name])
    return parameters, constants, {name: _array(shared[name]) for name in parameters.values()}


def _array(tensor: Any) -> ndarray:
    tensor = tensor.detach()
    return frozen((tensor.double() if tensor.is_floating_point() else tensor).numpy().copy())


def _rows(program: Any) -> Rows:
    node = batch_node(program)
    rows, *shape = node.meta["val"].shape
    kind = _type(node.meta["val"].dtype)
    if takes_fixed_rows(program):
        return Rows(node.name, tuple(shape), kind, single=True)
    limits = program.range_constraints[rows.node.expr]
    # A lower limit of 2 is no condition of the module: torch.export takes each axis that may change as larger than 1.
    least = int(limits.lower) if limits.lower > 2 else 1
    most = int(limits.upper) if limits.upper.is_Integer else None
    return Rows(node.name, tuple(shape), kind, False, least, most)


def _type(dtype: Any) -> str:
    return "float" if dtype.is_floating_point else str(dtype).removeprefix("torch.")


def _name(node: Any) -> str:
    """Return the name of an operator of PyTorch, or of a function of Python as `operator.add`."""
    target = node.target
    if getattr(target, "__module__", "") == "_operator":
        return f"operator.{target.__name__}"
    return str(target)


def _call(node: Any) -> Call:
    options = {name: _plain(item) for name, item in node.kwargs.items() if name not in _STORAGE}
    return Call(node.name, _name(node), _plain(node.args), options, _place(node))


def _plain(item: Any) -> Any:
    """Return an argument without objects of PyTorch: a `Ref` for a node, and the name of a type."""
    import torch

    if isinstance(item, torch.fx.Node):
        return Ref(item.name)
    if isinstance(item, (tuple, list)):
        return tuple(_plain(part) for part in item)
    return _type(item) if isinstance(item, torch.dtype) else item


def _place(node: Any) -> str:
    """Return in words where in the module an operator comes from; "" if this is not known."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    found = _SOURCE.findall(node.meta.get("stack_trace") or "")
    own = [item for item in found if "/torch/" not in item[0].replace("\\", "/")] or found
    parts = [f"in {path!r}"] if path else []
    if own:
        file, line, text = own[-1]
        parts.append(f"{file.replace(chr(92), '/').rpartition('/')[2]}, line {line}: {text.strip()}")
    return f" ({', '.join(parts)})" if parts else ""


def _refuse_operators(nodes: list[Any]) -> None:
    unknown = [node for node in nodes if _name(node) not in OPERATORS]
    if not unknown:
        return
    import torch

    node, name = unknown[0], _name(unknown[0])
    random = torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    if random:
        raise InputError(
            f"the module draws random numbers by {name}{_place(node)}, a module that computes the same at each call is "
            "expected; the likely cause is dropout in training mode: type module.eval()"
        )
    if "_local_scalar_dense" in name:
        raise InputError(
            f"the module reads a value out of a tensor{_place(node)}, which cannot be traced; leave .item() away"
        )
    others = sorted({_name(node) for node in unknown} - {name})
    also = f"; it also uses {', '.join(others)}" if others else ""
    raise InputError(
        f"the module uses the operator {name}{_place(node)}, which ib.from_torch does not know{also}; write this part "
        "with other operators of PyTorch, or write the model as a function of (params, X) with jax.numpy"
    )
