"""A scope for computations in float64; the caller's JAX configuration is restored when the scope ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from implicitbias._core.compile_cache import compile_cache


@contextmanager
def double_precision() -> Iterator[None]:
    """Compute in float64 inside this scope; results must be converted to NumPy, because JAX demotes arrays outside."""
    import jax

    with jax.enable_x64(True), compile_cache():
        yield
