"""A module of equinox whose attributes are read at the speed of plain Python."""

from typing import TYPE_CHECKING

import equinox as eqx


class PlainModule(eqx.Module):
    """A module of equinox, but its methods are plain bound methods.

    Equinox makes a module, which is a pytree, of a method each time it is read, and looks at each attribute for that
    reason. This took an eighth of the time of a short flow. A method of a plain module is no argument of a compiled
    function, but it may be called within one.
    """

    if not TYPE_CHECKING:
        __getattribute__ = object.__getattribute__
