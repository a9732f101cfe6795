"""Settings of the study of early and late phases on sparse data."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# The features of the rule y = sign(x_1 + x_2 + x_3).
SPARSE = 3
# Test rows are drawn in blocks of about this many entries.
_BLOCK = 25_000_000


@dataclass(frozen=True)
class Sparse:
    """Signs x in {-1, 1}^d, labels by the sign of three features, and the runs of training on them.

    Attributes:
        n: the number of training rows.
        d: the number of features.
        tested: the number of test rows.
        runs: (alpha, lam) of the runs from kernel starts u = v = alpha.
        own: (alpha, lam) of the run of the paper.
        small: the alpha of the run from a small start.
        rtol: the tolerance of the simulations.
    """

    n: int
    d: int
    tested: int
    runs: tuple[tuple[float, float], ...]
    own: tuple[float, float]
    small: float
    rtol: float

    def rows(self) -> Float64[ndarray, "n d"]:
        """Return the training rows."""
        return np.random.default_rng(0).choice([-1.0, 1.0], (self.n, self.d))

    def accuracy(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the share of test rows that each column classifies correctly; ties count one half."""
        rng, right, left = np.random.default_rng(1), np.zeros(w.shape[1]), self.tested
        while left > 0:
            count = min(left, max(1, _BLOCK // self.d))
            X = 2.0 * rng.integers(0, 2, (count, self.d), dtype=np.int8) - 1.0
            right += np.sum((1.0 + labels(X)[:, None] * np.sign(X @ w)) / 2.0, axis=0)
            left -= count
        return right / self.tested


def labels(X: Float64[ndarray, "n d"]) -> Float64[ndarray, " n"]:
    """Return the labels of rows."""
    return np.asarray(np.sign(np.sum(X[:, :SPARSE], axis=1)))


SMALL = Sparse(
    n=96,
    d=600,
    tested=2000,
    runs=((3.0, 1e-3), (30.0, 1e-3), (300.0, 1e-3), (30.0, 1e-2), (30.0, 1e-4), (30.0, 1e-5), (30.0, 1e-6)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-5,
)
# The paper's data, start and weight decay. The other runs have larger starts.
PAPER = Sparse(
    n=256,
    d=100_000,
    tested=10_000,
    runs=((3.0, 1e-3), (30.0, 1e-3), (30.0, 1e-5)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-3,
)


@dataclass(frozen=True)
class Depths:
    """Networks u^L - v^L of several depths L on the same kind of data.

    Attributes:
        depths: the depths L.
        n: the number of training rows.
        d: the number of features.
        tested: the number of test rows.
        runs: (s, lam) of the runs of each depth, from u = v = alpha with alpha^L = s^2, for which the starts of all
            depths are as far in the kernel regime.
        rtol: the tolerance of the simulations.
    """

    depths: tuple[int, ...] = (2, 3, 4)
    n: int = 64
    d: int = 240
    tested: int = 2000
    runs: tuple[tuple[float, float], ...] = (
        (30.0, 1e-2),
        (30.0, 1e-4),
        (30.0, 1e-8),
        (30.0, 1e-12),
        (10.0, 1e-4),
        (100.0, 1e-4),
    )
    rtol: float = 1e-4

    def rows(self) -> Float64[ndarray, "n d"]:
        """Return the training rows."""
        return np.random.default_rng(0).choice([-1.0, 1.0], (self.n, self.d))

    def accuracy(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the share of test rows that each column classifies correctly; ties count one half."""
        X = np.random.default_rng(1).choice([-1.0, 1.0], (self.tested, self.d))
        return np.asarray(np.mean((1.0 + labels(X)[:, None] * np.sign(X @ w)) / 2.0, axis=0))


DEPTHS = Depths()
