"""Values as JSON and a table of arrays, without pickled code: numbers, text, arrays, containers and named tuples."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError


def stored(value: Any, arrays: dict[str, ndarray]) -> Any:
    """Return a value in a form that JSON can represent, and put its arrays into `arrays`.

    Floats are written in hexadecimal, so that infinite ones and NaN are kept, and every one to its last bit.

    Raises:
        InputError: the value has a part of another type.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and not isinstance(value, np.generic):
        return {"float": value.hex()}
    if isinstance(value, (tuple, list)):
        kind = type(value).__name__
        return {"kind": kind, "items": [stored(item, arrays) for item in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"kind": "dict", "items": [[key, stored(item, arrays)] for key, item in value.items()]}
    if hasattr(value, "__array__") and np.asarray(value).dtype != object:
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name}
    raise InputError(f"a {type(value).__name__} cannot be stored; numbers, text, arrays and containers can")


def restored(content: Any, arrays: dict[str, ndarray], kinds: Iterable[type] = ()) -> Any:
    """Return the value that `stored` was called with; its arrays are NumPy arrays.

    Args:
        content: what `stored` has returned.
        arrays: the arrays by name.
        kinds: the classes of named tuples that the value may contain.

    Raises:
        ValueError, KeyError or TypeError: the content has another form, or an unknown named tuple.
    """
    known: dict[str, Any] = {kind.__name__: kind._make for kind in kinds}  # type: ignore[attr-defined]
    known |= {"tuple": tuple, "list": list, "dict": dict}

    def built(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        if "float" in part:
            return float.fromhex(part["float"])
        if "array" in part:
            return arrays[part["array"]]
        pairs = part["kind"] == "dict"
        items = [(item[0], built(item[1])) if pairs else built(item) for item in part["items"]]
        return known[part["kind"]](items)

    return built(content)
