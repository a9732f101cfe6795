"""The random generators of studies, whose seeds are noted, so that the report of a run says which ones it used."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


def generator(seed: int | list[int]) -> np.random.Generator:
    """Return NumPy's generator of a seed or of a sequence of seeds, and note the seed."""
    noted = _noted.get()
    if noted is not None and str(seed) not in noted:
        noted.append(str(seed))
    return np.random.default_rng(seed)


@contextmanager
def noted_seeds() -> Iterator[list[str]]:
    """Yield the list of the seeds of all generators that are made within the scope, each once."""
    noted: list[str] = []
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)
