"""Progress of long work: the library reports, the caller draws."""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the fraction done in [0, 1] and a short text. Nothing in the library prints."""


def silent(fraction: float, text: str) -> None:
    """Ignore the progress."""
