"""float64 through a scope: the caller's JAX configuration is as it was once the scope ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from implicitbias._core.compile_cache import compile_cache


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside; leave with NumPy arrays, because JAX demotes its own arrays outside."""
    import jax

    with jax.enable_x64(True), compile_cache():
        yield
