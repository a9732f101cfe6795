"""Content hashes of functions, classes and modules, as parts of the fingerprint of a value."""

import dataclasses
import dis
import functools
import inspect
import sys
import types
from importlib import metadata
from typing import Any

import numpy as np

# The functions and classes of these packages are identified by their name and the version of the package.
_PACKAGES = frozenset(
    {
        "numpy",
        "scipy",
        "jax",
        "jaxlib",
        "equinox",
        "diffrax",
        "lineax",
        "optimistix",
        "optax",
        "flax",
        "haiku",
    }
)
_PACKAGES |= {"einops", "jaxtyping", "pandas", "sklearn", "torch", "numba", "xarray"}
# Methods that matter only if the class is called.
_CONSTRUCTORS = frozenset({"__init__", "__new__", "__post_init__"})
# Methods that dataclasses may generate.
_GENERATED = _CONSTRUCTORS | {"__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__"}
_GENERATED |= {"__setattr__", "__delattr__", "__replace__"}


def write_function(writer: Any, value: Any, where: str) -> bool:
    """Write a function of a known package by its name and version, and any other function by its code."""
    offered = _offered_name(value)
    if isinstance(value, types.ModuleType):
        if not _is_known(value.__name__):
            return False  # It is not known which of its variables are used.
        _write_module(writer, value, set(), where)
    elif isinstance(value, type):
        write_class(writer, value, where, called=True)
    elif isinstance(value, functools.partial):
        parts = (("func", value.func), ("args", value.args), ("keywords", value.keywords))
        writer.write_all("partial", parts, where)
    elif isinstance(value, types.MethodType):
        writer.write_all("method", (("self", value.__self__), ("func", value.__func__)), where)
    elif isinstance(value, np.ufunc):
        writer.put("ufunc", f"{value.__name__} {np.__version__}".encode())
    elif offered is not None:
        writer.put("offered", f"{offered} {_version(offered)}".encode())
    elif isinstance(value, types.FunctionType):
        _write_code_of(writer, value, where)
    elif isinstance(value, types.BuiltinMethodType):
        owner = value.__self__
        if isinstance(owner, types.ModuleType):  # A function of a compiled module.
            owner = f"{owner.__name__} {_version(owner.__name__)}"
        writer.write_all("builtin method", (("self", owner), ("name", value.__name__)), where)
    elif callable(getattr(value, "__wrapped__", None)):
        return _write_decorated(writer, value, where)
    else:
        return False
    return True


def _write_decorated(writer: Any, value: Any, where: str) -> bool:
    """Write an object around a function: the function that it wraps, its class and its own attributes.

    For instance, jax.custom_vjp keeps the functions of the derivative in attributes.
    """
    if not hasattr(value, "__dict__"):
        return False
    known = _is_known(type(value).__module__)
    state = [
        (name, item)
        for name, item in sorted(vars(value).items())
        if not name.startswith("_" if known else "__")  # The private attributes of a package are caches.
    ]
    write_class(writer, type(value), where)
    writer.write_all("wrapped", (("function", value.__wrapped__), *state), where)
    return True


def _write_module(
    writer: Any, module: types.ModuleType, names: set[str], where: str, parents: tuple[Any, ...] = ()
) -> None:
    """Write a known package by its version, and of any other module the variables with one of the given names."""
    writer.put("module", module.__name__.encode())
    if _is_known(module.__name__) or module.__name__.partition(".")[0] == "implicitbias":
        writer.put("version", _version(module.__name__).encode())
        return
    if any(parent is module for parent in parents):
        return
    for name in sorted(name for name in names if not name.startswith("__") and hasattr(module, name)):
        item = getattr(module, name)
        writer.put("name", name.encode())
        if isinstance(item, types.ModuleType):
            _write_module(writer, item, names, f"{where}.{name}", (*parents, module))
        else:
            writer.write(item, f"{where}.{name}")


def _is_known(module: Any) -> bool:
    """Return whether a module belongs to Python's standard library or to a package of `_PACKAGES`."""
    top = module.partition(".")[0] if isinstance(module, str) else ""
    return top in _PACKAGES or top in sys.stdlib_module_names


def _offered_name(value: Any) -> str | None:
    """Return the full name under which a known package offers this very object, or None."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not _is_known(module) or not isinstance(name, str) or "<" in name:
        return None
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}.{name}" if found is value else None


def _write_code_of(writer: Any, function: types.FunctionType, where: str) -> None:
    """Write the code, the defaults and the closure of a function, and the global variables that its code uses."""
    code, home = function.__code__, function.__globals__.get("__name__")
    names = _names(code)
    filled = [
        (name, cell.cell_contents)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
        if name != "__class__" and _is_filled(cell)  # The class of a method is written elsewhere.
    ]
    if _is_known(home):  # A known package made the function; for example, jax.vmap returned it.
        writer.put("made by", f"{home}.{code.co_qualname} {_version(str(home))}".encode())
        # Packages use a bare object() as the default of an argument that was not given.
        filled = [(name, None if type(item) is object else item) for name, item in filled]
        used: list[tuple[str, Any]] = []
    else:
        _write_code(writer, code, where)
        used = [
            (name, function.__globals__[name])
            for name in sorted(_global_names(code))
            if name in function.__globals__
        ]
        used += [(name, sys.modules[name]) for name in sorted(_imports(code)) if name in sys.modules]
        used += [item for item in sorted(vars(function).items()) if not item[0].startswith("__")]
    for label, items in (("globals", used), ("closure", filled)):
        for name, item in items:
            if isinstance(item, types.ModuleType):
                _write_module(writer, item, names, f"{where}.{name}")
        writer.write_all(label, [pair for pair in items if not isinstance(pair[1], types.ModuleType)], where)
    defaults = (("defaults", function.__defaults__), ("keyword defaults", function.__kwdefaults__))
    writer.write_all("defaults", defaults, where)


def _write_code(writer: Any, code: types.CodeType, where: str) -> None:
    """Write the instructions, names and constants of a code object, but not its file and line numbers."""
    writer.put("code", code.co_code)
    writer.put("handlers", code.co_exceptiontable)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    writer.write((counts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars), where)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _write_code(writer, constant, where)
        else:
            writer.write(constant, where)


def _all_codes(code: types.CodeType) -> list[types.CodeType]:
    """Return the code and all code nested in it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [code, *(nested for constant in inner for nested in _all_codes(constant))]


def _names(code: types.CodeType) -> set[str]:
    """Return the names of the global variables and attributes that the code uses."""
    return {name for part in _all_codes(code) for name in part.co_names}


def _global_names(code: types.CodeType) -> set[str]:
    """Return the names of the global variables that the code, or code nested in it, uses."""
    return _arguments(code, ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))


def _imports(code: types.CodeType) -> set[str]:
    """Return the names of the modules that the code imports when it runs."""
    return _arguments(code, ("IMPORT_NAME",))


def _arguments(code: types.CodeType, operations: tuple[str, ...]) -> set[str]:
    """Return the names that instructions of the given kinds act on."""
    return {
        instruction.argval
        for part in _all_codes(code)
        for instruction in dis.get_instructions(part)
        if instruction.opname in operations
    }


def _is_filled(cell: Any) -> bool:
    """Return whether the variable of a closure cell has been assigned."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # The variable is not assigned yet.
        return False
    return True


def write_class(writer: Any, kind: type, where: str, called: bool = False) -> None:
    """Write the name of a class and, if it is defined by the user, its methods and class attributes.

    The methods that make an instance are written only if the class may be `called`.
    """
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] == "implicitbias":
        # The version of this library is left out; code that stores results keeps it next to them.
        writer.put("class", name.encode())
        return
    if _is_known(kind.__module__) and kind.__module__ != "__main__":
        writer.put("class", f"{name} {_version(kind.__module__)}".encode())
        return
    writer.put("own class", kind.__qualname__.encode())
    for base in kind.__bases__:
        write_class(writer, base, where, called)
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    own: list[tuple[str, Any]] = []
    for key, member in sorted(vars(kind).items()):
        item = _undecorated(member)
        if isinstance(item, types.FunctionType):
            used = not _is_generated(kind, key, item) and (called or key not in _CONSTRUCTORS)
        else:
            plain = not key.startswith(("__", "_abc_")) and not inspect.isdatadescriptor(item)
            used = plain and (called or key not in fields)  # The instance holds its own values of the fields.
        if used:
            own.append((key, item))
    writer.write_all("members", own, where)


def _is_generated(kind: type, name: str, function: types.FunctionType) -> bool:
    """Return whether dataclasses or equinox made a special method; the fields determine what it does."""
    if not name.startswith("__"):
        return False
    made = dataclasses.is_dataclass(kind) and function.__code__.co_filename == "<string>"
    return (made and name in _GENERATED) or _is_known(function.__globals__.get("__name__"))


def _undecorated(item: Any) -> Any:
    """Return the function inside a static method, a class method, a property or another decorator."""
    for name in ("__func__", "fget", "func", "__wrapped__"):
        if isinstance(getattr(item, name, None), types.FunctionType):
            return getattr(item, name)
    return item


@functools.cache
def _version(package: str) -> str:
    """Return the version of the package of a module: Python's for the standard library, "" if it is unknown."""
    top = package.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        return metadata.version(top)
    except metadata.PackageNotFoundError:
        return ""
