"""Progress reports of long computations; the caller decides how to show them."""

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""A function that is called with the finished fraction in [0, 1] and a short text. The library itself never prints."""


def silent(fraction: float, text: str) -> None:
    """Ignore a progress report."""
