"""Frozen values with a content hash: their fields are set once, in the constructor, and never change."""

from typing import Any

from numpy import ndarray

from implicitbias._core.fingerprints import fingerprint
from implicitbias._core.settled import Settled, sealed

# The hash covers this many entries of an array.
_HASHED = 16


class Fingerprinted:
    """A value with a content hash."""

    def fingerprint(self) -> str:
        """Return a hash of the content, which is equal for equal values in all processes and on all machines.

        The hash covers the class, the settings, and the type, shape and bytes of arrays. For a function it covers the
        byte code, the constants, the defaults, the variables that it closes over and the global variables that it uses.
        The fingerprint of a value with a function may therefore change with the minor version of Python.

        Returns:
            64 hexadecimal digits (SHA-256).

        Raises:
            InputError: the value holds an object of unknown content; the message says which object and where it is.
        """
        return fingerprint(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling loses the read-only flag of arrays, so it is set again.
        vars(self).update({name: sealed(item) for name, item in state.items()})


class Hashed(Fingerprinted):
    """A value that is a pytree of arrays, numbers and functions, and can be the key of a dictionary.

    Values that are equal as pytrees have equal hashes.
    """

    def __hash__(self) -> int:
        import jax

        leaves, structure = jax.tree.flatten(self)
        return hash((structure, *map(_hashable, leaves)))


def _hashable(leaf: Any) -> Any:
    """Return the shape and some entries of an array, and other leaves as they are."""
    return (leaf.shape, *leaf.ravel()[:_HASHED].tolist()) if isinstance(leaf, ndarray) else leaf


class Value(Settled, Fingerprinted):
    """A frozen value whose fields are set once by `_settle`; the fingerprint covers these fields."""
