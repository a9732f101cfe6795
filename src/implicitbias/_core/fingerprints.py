"""Content hashes of values: equal content gives equal hashes, in every process and on every machine.

Each object is written to the hash as a tag, a length and its bytes, so that different contents are always written
differently. The hash does not depend on memory addresses, on the order of sets, on the byte order of the machine or on
the memory layout of arrays.
"""

import dataclasses
import hashlib
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.function_fingerprints import write_class, write_function
from implicitbias._core.settled import Settled

# The number of array entries that are copied at a time.
_BLOCK = 2**20
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
    again, it can then use the program that was compiled for the first one. If a variable that a function uses has
    changed since it was first passed, its compiled program is out of date, and a copy of it is returned.
    """
    try:
        key = fingerprint(function)
        first = _SHARED.get(key, function)
        # A variable that the first function closes over may have been changed in place since then.
        if first is not function and fingerprint(first) != key:
            first = function
    except InputError:
        return function
    if first is function and any(other is function for name, other in _SHARED.items() if name != key):
        if not isinstance(function, types.FunctionType):
            return function  # It must not stand for another object with its present content.
        first = _copied(function)
    _SHARED[key] = first
    _SHARED.move_to_end(key)
    if len(_SHARED) > _REMEMBERED:
        _SHARED.popitem(last=False)
    return first


def _copied(function: types.FunctionType) -> types.FunctionType:
    """Return another function object with the same code and variables."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__, copy.__qualname__ = function.__kwdefaults__, function.__qualname__
    vars(copy).update(vars(function))
    return copy


class _Writer:
    """A writer of objects to a hash.

    Attributes:
        hash: the hash so far.
        open: the objects that are being written, to detect cyclic references.
        lowest: the first place in `open` to which a cyclic reference was found.
        known: the digests of functions and classes that were written in full. Functions that use each other are thus
            written once each; without this, the work grows exponentially with their number.
    """

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.open: list[Any] = []
        self.lowest = sys.maxsize
        self.known: dict[int, tuple[Any, bytes]] = {}

    def put(self, tag: str, content: bytes = b"") -> None:
        """Write one piece with its tag and length."""
        self.hash.update(f"{tag}:{len(content)}:".encode())
        self.hash.update(content)

    def write(self, value: Any, where: str) -> None:
        """Write an object; `where` describes its position for error messages."""
        for place, other in enumerate(self.open):
            if other is value:
                self.lowest = min(self.lowest, place)
                self.put("seen", str(len(self.open) - place).encode())
                return
        if _write_plain(self, value):
            return
        if isinstance(value, (types.FunctionType, type)):
            self.put("digest", self._digest(value, where))
        else:
            self._write_parts(value, where)

    def _digest(self, value: Any, where: str) -> bytes:
        """Return the digest of a function or a class."""
        if id(value) in self.known:
            return self.known[id(value)][1]
        outer, lowest = self.hash, self.lowest
        self.hash, self.lowest = hashlib.sha256(), sys.maxsize
        try:
            self._write_parts(value, where)
            digest = self.hash.digest()
            if self.lowest >= len(self.open):  # Otherwise the digest depends on what is around the object.
                self.known[id(value)] = (value, digest)
        finally:
            self.hash, self.lowest = outer, min(lowest, self.lowest)
        return digest

    def _write_parts(self, value: Any, where: str) -> None:
        """Write an object that has parts."""
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
    if value is None or isinstance(value, bool) or value is Ellipsis:
        writer.put("constant", repr(value).encode())
    elif isinstance(value, np.bool_):
        writer.put("constant", repr(bool(value)).encode())
    elif isinstance(value, Enum):
        writer.put("enum", f"{type(value).__module__}.{type(value).__qualname__}.{value.name}".encode())
        writer.write(value.value, value.name)
    elif isinstance(value, np.generic):
        _write_array(writer, np.asarray(value), "")
    elif isinstance(value, int):
        writer.put("int", str(value).encode())
    elif isinstance(value, (float, complex)):
        writer.put(type(value).__name__, np.asarray(value, dtype=complex).astype("<c16").tobytes())
    elif isinstance(value, str):
        writer.put("str", value.encode())
    elif isinstance(value, PurePath):
        writer.put("path", str(value).encode())
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
    if isinstance(value, np.ma.MaskedArray):
        writer.put("masked")
        _write_array(writer, np.ma.getmaskarray(value), where)
        value = value.data
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
        write_class(writer, type(value), where)
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
    write_class(writer, type(value), where)
    writer.write_all("fields", fields, where)
    return True


_WRITERS: tuple[Callable[[_Writer, Any, str], bool], ...] = (
    _write_sparse,
    _write_instance,
    _write_array,
    _write_container,
    write_function,
)
