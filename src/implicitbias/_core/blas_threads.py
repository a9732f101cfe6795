"""A scope in which BLAS uses one thread, because threads slow down many small products, above all on a busy machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

# Below this number of multiplications, one BLAS thread is faster than several.
FEW_PRODUCTS = 2e9
# It is held while some scope has set the number of BLAS threads.
_LIMITED = Lock()


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  the controller knows the libraries that are loaded when it is made
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread(needed: bool = True) -> Iterator[None]:
    """Let BLAS use one thread in this scope; do nothing if `needed` is False.

    The number of threads belongs to the whole process, and the thread of Python that has set it must restore it. If
    the number is set already, by an outer scope or by another thread, this scope therefore leaves it as it is.
    """
    if not needed or not _LIMITED.acquire(blocking=False):
        yield
        return
    try:
        with _controller().limit(limits=1):
            yield
    finally:
        _LIMITED.release()
