"""Objects whose fields are set once, in the constructor, and never change."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any

from numpy import ndarray

from implicitbias._core.arrays import frozen

_SETTLED = "_settled"


class Settled:
    """An object whose constructor calls `_settle` once with all fields; other attributes are caches."""

    def _settle(self, fields: Mapping[str, Any]) -> None:
        """Set the fields. Pickling and the fingerprint use these fields and no other attributes."""
        vars(self).update(fields)
        vars(self)[_SETTLED] = tuple(fields)

    def _fields(self) -> dict[str, Any]:
        """Return the fields and their values by name."""
        return {name: vars(self)[name] for name in vars(self)[_SETTLED]}

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(_refusal(self, f"set {name!r}", name))

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(_refusal(self, f"delete {name!r}", name))

    def __getstate__(self) -> dict[str, Any]:
        return self._fields()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._settle({name: sealed(item) for name, item in state.items()})


def sealed(item: Any) -> Any:
    """Return an array, a sparse matrix or a tuple of them with read-only arrays, and other items unchanged."""
    if isinstance(item, ndarray):
        return frozen(item)
    if type(item) is tuple:
        return tuple(sealed(part) for part in item)
    if type(item).__module__.startswith("scipy.sparse"):
        for array in (item.data, item.indices, item.indptr):
            array.flags.writeable = False
    return item


def _refusal(value: Settled, attempt: str, name: str) -> str:
    kind = type(value).__name__
    hint = f"make a new one: type ib.{kind}(..., {name}=...)" if name in vars(value) else "make a new one"
    return f"cannot {attempt}: a {kind} is a frozen value that never changes; {hint}"
