"""Frozen values with a content hash: their fields are set once, in the constructor, and never change."""

from typing import Any

from implicitbias._core.fingerprints import fingerprint
from implicitbias._core.settled import Settled, sealed


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


class Value(Settled, Fingerprinted):
    """A frozen value whose fields are set once by `_settle`; the fingerprint covers these fields."""
