"""float64 through a scope: the caller's JAX configuration is never touched."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside; leave with NumPy arrays, or JAX demotes them outside."""
    import jax

    with jax.enable_x64(True):
        yield
