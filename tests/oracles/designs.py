"""A thousand seeded least-squares designs, from friendly to hostile."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy import ndarray
from numpy.random import Generator


class Design(NamedTuple):
    """One design; `family` says what is hard about it."""

    family: str
    seed: int
    X: ndarray
    y: ndarray


def _sparse_target(rng: Generator, d: int, k: int) -> ndarray:
    w = np.zeros(d)
    w[rng.choice(d, size=min(k, d), replace=False)] = rng.choice(
        [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], size=min(k, d)
    )
    return w


def _wide(rng: Generator) -> tuple[ndarray, ndarray]:
    n = int(rng.integers(3, 30))
    X = rng.standard_normal((n, n + int(rng.integers(1, 50))))
    return X, rng.standard_normal(n)


def _wide_noiseless(rng: Generator) -> tuple[ndarray, ndarray]:
    X, _ = _wide(rng)
    return X, X @ _sparse_target(rng, X.shape[1], 3)


def _tall(rng: Generator) -> tuple[ndarray, ndarray]:
    d = int(rng.integers(2, 20))
    n = d + int(rng.integers(1, 40))
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def _rank_deficient(rng: Generator) -> tuple[ndarray, ndarray]:
    n, d = int(rng.integers(6, 25)), int(rng.integers(6, 40))
    rank = int(rng.integers(2, min(n, d)))
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)), rng.standard_normal(n)


def _duplicate_rows(rng: Generator) -> tuple[ndarray, ndarray]:
    X, y = _wide(rng)
    rows = rng.integers(0, len(y), size=2 * len(y))
    return X[rows], y[rows]


def _dependent_columns(rng: Generator) -> tuple[ndarray, ndarray]:
    X, y = _wide(rng)
    pick = rng.integers(0, X.shape[1], size=6)
    X = np.hstack([X, X[:, pick] * rng.choice([-1.0, 1.0], 6), np.zeros((len(y), 2))])
    return X[:, rng.permutation(X.shape[1])], y


def _near_ties(rng: Generator) -> tuple[ndarray, ndarray]:
    X, y = _wide(rng)
    pick = rng.integers(0, X.shape[1], size=4)
    size = 10.0 ** rng.uniform(-14, -6, size=4)
    twins = X[:, pick] * rng.choice([-1.0, 1.0], 4) + size * rng.standard_normal((len(y), 4))
    return np.hstack([X, twins]), y


def _column_scales(rng: Generator) -> tuple[ndarray, ndarray]:
    X, y = _wide(rng) if rng.random() < 0.5 else _tall(rng)
    return X * 10.0 ** rng.uniform(-6, 6, size=X.shape[1]), y


def _signs(rng: Generator) -> tuple[ndarray, ndarray]:
    n, d = int(rng.integers(4, 12)), int(rng.integers(6, 30))
    X = rng.choice([-1.0, 1.0], size=(n, d))
    return X, X @ _sparse_target(rng, d, 2)


def _one_hot(rng: Generator) -> tuple[ndarray, ndarray]:
    n, levels = int(rng.integers(6, 40)), rng.integers(2, 6, size=3)
    X = np.hstack([np.eye(k)[rng.integers(0, k, size=n)] for k in levels])
    return X, rng.integers(-4, 5, size=n).astype(float)


def _integer(rng: Generator) -> tuple[ndarray, ndarray]:
    n, d = int(rng.integers(3, 12)), int(rng.integers(3, 25))
    return rng.integers(-2, 3, size=(n, d)).astype(float), rng.integers(-3, 4, size=n).astype(float)


FAMILIES: dict[str, Callable[[Generator], tuple[ndarray, ndarray]]] = {
    "wide": _wide,
    "wide, noiseless sparse target": _wide_noiseless,
    "tall": _tall,
    "rank-deficient": _rank_deficient,
    "duplicate rows": _duplicate_rows,
    "duplicate, opposite, zero columns": _dependent_columns,
    "near-ties 1e-14 ... 1e-6": _near_ties,
    "column scales 1e-6 ... 1e6": _column_scales,
    "signs (+1, -1)": _signs,
    "one-hot": _one_hot,
    "integer": _integer,
}


def designs(count: int = 1000) -> Iterator[Design]:
    """`count` designs, the families in turn, each from its own seed."""
    names = list(FAMILIES)
    for seed in range(count):
        family = names[seed % len(names)]
        yield Design(family, seed, *FAMILIES[family](np.random.default_rng(seed)))


def dependent_columns(kind: str, seed: int) -> tuple[ndarray, ndarray]:
    """An integer design with dependent columns ("duplicated", "one-hot" or signs), and a target."""
    rng = np.random.default_rng([seed, len(kind)])
    if kind == "duplicated":
        X = rng.integers(-2, 3, size=(4, 3)).astype(float)
        X = np.hstack([X, X[:, rng.integers(0, 3, size=3)] * rng.choice([-1.0, 1.0], size=3)])
    elif kind == "one-hot":
        X = np.hstack([np.eye(k)[rng.integers(0, k, size=6)] for k in (2, 3, 2)])
    else:
        X = rng.choice([-1.0, 1.0], size=(3, 7))
    return X, rng.integers(-4, 5, size=len(X)).astype(float)
