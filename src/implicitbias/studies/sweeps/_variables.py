"""Values of runs as named arrays with dimensions, which a store can keep."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from implicitbias._core.errors import InputError, as_unicode
from implicitbias._core.labelled import is_dataset

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""{name: (dimensions, values)}."""

# Names that the opened store gives to what it knows about each run.
RESERVED = ("state", "seconds", "code", "error")
# The variable with the attributes of the one run of a command, as JSON; only the library writes it.
ATTRIBUTES = "attributes"
# The dimension along which the values of several runs are stacked.
RUN = "run"
_NUMBERS_AND_TEXTS = "biufcU"


def variables_of(value: Any) -> Variables:
    """Return {name: (dimensions, values)} of an `xarray.Dataset`, a mapping of arrays, or one number or array.

    One number or array gets the name `value`. An array without named dimensions gets the dimensions name_0, name_1...

    Raises:
        InputError: the value holds objects that are no numbers and no texts.
    """
    if is_dataset(value):
        found: Any = {
            name: (tuple(map(str, item.dims)), item.values) for name, item in value.variables.items()
        }
    elif isinstance(value, Mapping):
        found = {name: (None, item) for name, item in value.items()}
    else:
        found = {"value": (None, value)}
    if not found:
        raise InputError(
            "the function returned no variables; return a dict of numbers and arrays, or a Dataset"
        )
    return {_checked_name(name): _checked(str(name), dims, item) for name, (dims, item) in found.items()}


def _checked_name(name: Any) -> str:
    taken = (*RESERVED, RUN, ATTRIBUTES)
    if not isinstance(name, str) or not name.isidentifier() or name in taken:
        raise InputError(
            f"the function returned a variable named {name!r}; a name of Python other than {', '.join(taken)} is "
            "expected"
        )
    return name


def _checked(name: str, dims: tuple[str, ...] | None, item: Any) -> tuple[tuple[str, ...], np.ndarray]:
    if isinstance(item, np.ma.MaskedArray):
        raise InputError(
            f"the function returned {name} with a mask, which a store cannot keep; type {name}.filled()"
        )
    if RUN in (dims or ()):
        raise InputError(f"the function returned {name} with a dimension named {RUN}; give it another name")
    array = np.asarray(item)
    if array.dtype in (np.longdouble, np.clongdouble) and array.dtype not in (np.float64, np.complex128):
        raise InputError(
            f"the function returned {name} as {array.dtype}, which a store cannot keep; return float64 or complex128"
        )
    if array.dtype.kind == "U" and any(as_unicode(text) != text for text in array.ravel().tolist()):
        raise InputError(
            f"the function returned {name} with half of a surrogate pair, which is no text of Unicode"
        )
    if array.dtype.kind not in _NUMBERS_AND_TEXTS:
        raise InputError(
            f"the function returned {name} as {type(item).__name__}, which a store cannot keep; return numbers, texts "
            "and arrays of them, for instance {'loss': loss, 'w': trajectory.final}"
        )
    return tuple(f"{name}_{k}" for k in range(array.ndim)) if dims is None else dims, array


def layout_of(variables: Variables) -> str:
    """Return a text that is equal for values that can be stacked: names, dimensions, types and shapes."""
    return ";".join(
        f"{name}{list(dims)}{array.dtype.str if array.dtype.kind != 'U' else 'U'}{array.shape}"
        for name, (dims, array) in sorted(variables.items())
    )


def stacked(values: list[Variables]) -> Variables:
    """Return the values of several runs of one layout, stacked along the new first dimension `run`."""
    first = values[0]
    return {
        name: ((RUN, *dims), np.stack([value[name][1] for value in values]))
        for name, (dims, _) in first.items()
    }


def all_finite(variables: Variables) -> bool:
    """Return whether no number is NaN or infinite."""
    return all(bool(np.isfinite(a).all()) for _, a in variables.values() if a.dtype.kind in "fc")
