"""A scope in which BLAS uses one thread, because threads slow down many small products, above all on a busy machine."""

import sys
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
def _controller(with_scipy: bool) -> Any:
    """Return what sets the number of threads.

    It knows the libraries that were loaded when it was made, so another one is made once SciPy has loaded its own BLAS.
    """
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
        with _controller("scipy.linalg" in sys.modules).limit(limits=1):
            yield
    finally:
        _LIMITED.release()
