"""Content hashes of values: equal content gives equal hashes, in every process and on every machine.

Each object is written to the hash as a tag, a length and its bytes, so that different contents are always written
differently. The hash does not depend on memory addresses, on the order of sets, on the byte order of the machine or on
the memory layout of arrays.
"""

import dataclasses
import dis
import functools
import hashlib
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from importlib import metadata
from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.settled import Settled

# The number of array entries that are copied at a time.
_BLOCK = 2**20
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
_PACKAGES |= {"einops", "jaxtyping", "pandas", "sklearn", "torch", "numba"}
# The number of functions that `shared_function` remembers.
_REMEMBERED = 64
_SHARED: OrderedDict[str, Any] = OrderedDict()


def fingerprint(value: Any) -> str:
    """Return 64 hexadecimal digits that depend only on the content of `value`.

    Raises:
        InputError: the content of an object is unknown; the message says which object and where it is.
    """
    writer = _Writer()
    writer.write(value, type(value).__name__)
    return writer.hash.hexdigest()


def shared_function(function: Any) -> Any:
    """Return the first function with equal content that was passed to this function, or `function` itself.

    JAX compiles once for each function object. If a function is defined again, for instance when a notebook cell is run
    again, it can then use the program that was compiled for the first one.
    """
    try:
        key = fingerprint(function)
        first = _SHARED.get(key, function)
        # A variable that the first function closes over may have been changed in place since then.
        if first is not function and fingerprint(first) != key:
            first = function
    except InputError:
        return function
    _SHARED[key] = first
    _SHARED.move_to_end(key)
    if len(_SHARED) > _REMEMBERED:
        _SHARED.popitem(last=False)
    return first


class _Writer:
    """A writer of objects to a hash; `open` lists the objects that are being written, to detect cyclic references."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.open: list[Any] = []

    def put(self, tag: str, content: bytes = b"") -> None:
        """Write one piece with its tag and length."""
        self.hash.update(f"{tag}:{len(content)}:".encode())
        self.hash.update(content)

    def write(self, value: Any, where: str) -> None:
        """Write an object; `where` describes its position for error messages."""
        for place, other in enumerate(self.open):
            if other is value:
                self.put("seen", str(place).encode())
                return
        if _write_plain(self, value):
            return
        self.open.append(value)
        try:
            if not any(write(self, value, where) for write in _WRITERS):
                raise InputError(
                    f"{where} is a {type(value).__module__}.{type(value).__qualname__}, whose content cannot be "
                    "fingerprinted; use arrays, numbers, strings, containers of them, dataclasses, equinox modules and "
                    "functions that close over such values only"
                )
        finally:
            self.open.pop()

    def write_all(self, tag: str, items: Iterable[tuple[str, Any]], where: str) -> None:
        """Write named parts in the given order."""
        pairs = list(items)
        self.put(tag, str(len(pairs)).encode())
        for name, item in pairs:
            self.put("name", name.encode())
            self.write(item, f"{where}.{name}")


def _write_plain(writer: _Writer, value: Any) -> bool:
    """Write a number, a string or another object without parts; return False for other objects."""
    if value is None or isinstance(value, (bool, np.bool_)) or value is Ellipsis:
        writer.put("constant", repr(value).encode())
    elif isinstance(value, Enum):
        writer.put("enum", f"{type(value).__module__}.{type(value).__qualname__}.{value.name}".encode())
    elif isinstance(value, np.generic):
        _write_array(writer, np.asarray(value), "")
    elif isinstance(value, int):
        writer.put("int", str(value).encode())
    elif isinstance(value, (float, complex)):
        writer.put(type(value).__name__, np.asarray(value, dtype=complex).astype("<c16").tobytes())
    elif isinstance(value, str):
        writer.put("str", value.encode())
    elif isinstance(value, (bytes, bytearray)):
        writer.put("bytes", bytes(value))
    elif isinstance(value, np.dtype):
        writer.put("dtype", value.str.encode())
    else:
        return False
    return True


def _write_array(writer: _Writer, value: Any, where: str) -> bool:
    """Write the type and shape of an array, and its entries in row order as little-endian bytes."""
    if not isinstance(value, ndarray):
        if not (hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")):
            return False
        try:
            value = np.asarray(value)
        except TypeError:  # Keys of jax.random cannot be converted to NumPy arrays.
            return False
    if value.dtype.kind == "O":
        writer.put("objects", repr(value.shape).encode())
        for index, item in enumerate(value.ravel().tolist()):
            writer.write(item, f"{where}[{index}]")
        return True
    little = value.dtype.newbyteorder("<")
    writer.put("array", f"{little.str}{value.shape}".encode())
    rows = value if value.ndim else value.reshape(1)
    step = max(1, _BLOCK // max(1, rows[:1].size))
    for begin in range(0, len(rows), step):
        writer.hash.update(np.ascontiguousarray(rows[begin : begin + step], dtype=little).tobytes())
    return True


def _write_sparse(writer: _Writer, value: Any, where: str) -> bool:
    """Write a matrix of scipy.sparse in canonical compressed form."""
    if not type(value).__module__.startswith("scipy.sparse"):
        return False
    copy = value.tocsc(copy=True)
    copy.sum_duplicates()
    writer.put("sparse", repr(value.shape).encode())
    for part in (copy.data, copy.indices.astype(np.int64), copy.indptr.astype(np.int64)):
        writer.write(part, where)
    return True


def _write_container(writer: _Writer, value: Any, where: str) -> bool:
    """Write a mapping, a set, a list, a tuple, a named tuple or a slice."""
    if isinstance(value, Mapping):
        pairs = sorted(
            ((fingerprint(key), key, item) for key, item in value.items()), key=lambda pair: pair[0]
        )
        writer.put("mapping", str(len(pairs)).encode())
        for digest, key, item in pairs:
            writer.put("key", digest.encode())
            writer.write(item, f"{where}[{key!r}]")
    elif isinstance(value, (set, frozenset)):
        writer.put("set", "".join(sorted(fingerprint(item) for item in value)).encode())
    elif isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        writer.put(type(value).__name__, str(len(value)).encode())
        for index, item in enumerate(value):
            writer.write(item, f"{where}[{index}]")
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        _write_class(writer, type(value), where)
        writer.write_all("namedtuple", zip(value._fields, value, strict=True), where)
    elif isinstance(value, slice):
        writer.write((value.start, value.stop, value.step), where)
    else:
        return False
    return True


def _write_instance(writer: _Writer, value: Any, where: str) -> bool:
    """Write the class and the fields of a frozen value or a dataclass; equinox modules are dataclasses."""
    if isinstance(value, Settled):
        fields: Iterable[tuple[str, Any]] = value._fields().items()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        fields = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    else:
        return False
    _write_class(writer, type(value), where)
    writer.write_all("fields", fields, where)
    return True


def _write_function(writer: _Writer, value: Any, where: str) -> bool:
    """Write a function of a known package by its name and version, and any other function by its code."""
    if isinstance(value, types.ModuleType):
        writer.put("module", f"{value.__name__} {_version(value.__name__)}".encode())
    elif isinstance(value, type):
        _write_class(writer, value, where)
    elif isinstance(value, functools.partial):
        parts = (("func", value.func), ("args", value.args), ("keywords", value.keywords))
        writer.write_all("partial", parts, where)
    elif isinstance(value, types.MethodType):
        writer.write_all("method", (("self", value.__self__), ("func", value.__func__)), where)
    elif isinstance(value, np.ufunc):
        writer.put("ufunc", f"{value.__name__} {np.__version__}".encode())
    elif _is_offered(value):
        writer.put(
            "offered", f"{value.__module__}.{value.__qualname__} {_version(value.__module__)}".encode()
        )
    elif isinstance(value, types.FunctionType):
        _write_code_of(writer, value, where)
    elif isinstance(value, types.BuiltinMethodType):
        writer.write_all("builtin method", (("self", value.__self__), ("name", value.__name__)), where)
    elif callable(
        getattr(value, "__wrapped__", None)
    ):  # The function was decorated, for instance by jax.jit.
        writer.put("wrapped", type(value).__qualname__.encode())
        writer.write(value.__wrapped__, where)
    else:
        return False
    return True


def _is_known(module: Any) -> bool:
    """Return whether a module belongs to Python's standard library or to a package of `_PACKAGES`."""
    top = module.partition(".")[0] if isinstance(module, str) else ""
    return top in _PACKAGES or top in sys.stdlib_module_names


def _is_offered(value: Any) -> bool:
    """Return whether a known package contains this very object under the name that the object has."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not _is_known(module) or not isinstance(name, str) or "<" in name:
        return False
    found: Any = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _write_code_of(writer: _Writer, function: types.FunctionType, where: str) -> None:
    """Write the code, the defaults and the closure of a function, and the global variables that its code uses."""
    code, home = function.__code__, function.__globals__.get("__name__")
    filled = [
        (name, cell.cell_contents)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
        if name != "__class__" and _is_filled(cell)  # The class of a method is written elsewhere.
    ]
    if _is_known(home):  # A known package made the function; for example, jax.vmap returned it.
        writer.put("made by", f"{home}.{code.co_qualname} {_version(str(home))}".encode())
        # Packages use a bare object() as the default of an argument that was not given.
        filled = [(name, None if type(item) is object else item) for name, item in filled]
    else:
        _write_code(writer, code, where)
        names = sorted(name for name in _global_names(code) if name in function.__globals__)
        writer.write_all("globals", ((name, function.__globals__[name]) for name in names), where)
    defaults = (("defaults", function.__defaults__), ("keyword defaults", function.__kwdefaults__))
    writer.write_all("parts", (*defaults, *filled), where)


def _write_code(writer: _Writer, code: types.CodeType, where: str) -> None:
    """Write the instructions, names and constants of a code object, but not its file and line numbers."""
    writer.put("code", code.co_code)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    writer.write((counts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars), where)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _write_code(writer, constant, where)
        else:
            writer.write(constant, where)


def _global_names(code: types.CodeType) -> set[str]:
    """Return the names of the global variables that the code, or code nested in it, uses."""
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return names.union(*(_global_names(constant) for constant in inner))


def _is_filled(cell: Any) -> bool:
    """Return whether the variable of a closure cell has been assigned."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # The variable is not assigned yet.
        return False
    return True


def _write_class(writer: _Writer, kind: type, where: str) -> None:
    """Write the name of a class, and also the code of its methods if it is defined by the user."""
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
        _write_class(writer, base, where)
    own = [(key, _undecorated(item)) for key, item in sorted(vars(kind).items())]
    # equinox and dataclasses add generated methods, whose names begin with two underscores.
    methods = [
        (key, item)
        for key, item in own
        if isinstance(item, types.FunctionType) and (not key.startswith("__") or key == "__call__")
    ]
    writer.write_all("methods", methods, where)


def _undecorated(item: Any) -> Any:
    """Return the function inside a static method, a class method, a property or another decorator."""
    for name in ("__func__", "fget", "__wrapped__"):
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


_WRITERS: tuple[Callable[[_Writer, Any, str], bool], ...] = (
    _write_sparse,
    _write_instance,
    _write_array,
    _write_container,
    _write_function,
)
