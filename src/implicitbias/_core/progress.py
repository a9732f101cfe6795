"""Progress reports of long computations; the caller decides how to show them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[float, str], None]
"""A function that is called with the finished fraction in [0, 1] and a short text. The library itself never prints."""


def silent(fraction: float, text: str) -> None:
    """Ignore a progress report."""


_listener: ContextVar[Progress] = ContextVar("listener", default=silent)


def tell_progress(fraction: float, text: str) -> None:
    """Report how far the run of a sweep is, from within its function; outside of a sweep this does nothing.

    Args:
        fraction: the finished fraction in [0, 1].
        text: what is done at the moment, in a few words.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> def end(scale):
        ...     flow = ib.MirrorFlow(ib.LeastSquares(np.eye(2), [1.0, 0.5]), ib.HyperbolicEntropy(scale))
        ...     run = ib.simulate(flow, np.zeros(2), t1=500.0, progress=ib.studies.tell_progress)
        ...     return run.final.round(6).tolist()
        >>> ib.studies.sweep(end, {"scale": [1e-1]}).values
        [[1.0, 0.5]]
    """
    _listener.get()(fraction, text)


@contextmanager
def progress_told_to(listener: Progress) -> Iterator[None]:
    """A scope in which `tell_progress` calls a function."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)
