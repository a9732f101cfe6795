"""Lists of names as text for messages and notes."""

from collections.abc import Sequence


def some(names: Sequence[object], most: int = 5) -> str:
    """Return the first names and the number of the others as text.

    Examples:
        >>> some(["a", "b", "c"], 2)
        'a, b and 1 more'
    """
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
