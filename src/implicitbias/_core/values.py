"""Frozen values with a content hash: what users construct is set once, in the constructor, and never changes."""

from typing import Any

from implicitbias._core.fingerprints import fingerprint
from implicitbias._core.settled import Settled, sealed


class Fingerprinted:
    """A value with a content hash."""

    def fingerprint(self) -> str:
        """Return a hash of the content: equal for equal values, in every process and on every machine.

        It covers the class, the settings, and the type, shape and bytes of arrays. A function counts by its byte code,
        its constants, its defaults, what it closes over and the global names that it uses; another minor version of
        Python may give such a value another fingerprint.

        Returns:
            64 hexadecimal digits (SHA-256).

        Raises:
            InputError: the value holds an object whose content is unknown; the message says which and where.
        """
        return fingerprint(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickling drops the read-only flag of arrays.
        vars(self).update({name: sealed(item) for name, item in state.items()})


class Value(Settled, Fingerprinted):
    """A frozen value: `_settle` sets its fields once, and they are what its fingerprint covers."""
