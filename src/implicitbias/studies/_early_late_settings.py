"""Settings of the studies of early and late phases of diagonal networks."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.special import ndtr

from implicitbias.problems import Classification, LeastSquares
from implicitbias.studies._seeds import generator

# The features of the rule y = sign(x_1 + x_2 + x_3).
SPARSE = 3
# Test rows are drawn in blocks of about this many entries.
_BLOCK = 25_000_000
# lam (t - T) of the measurements.
_PLACES = tuple(np.arange(-8, 49) / 4.0)
# Nodes and weights of Gauss and Legendre on [0, 10], where a standard normal number is but for 1e-23.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


class Data(ABC):
    """Training data, and how well a predictor w predicts test data."""

    @abstractmethod
    def problem(self) -> Classification | LeastSquares:
        """Return the training problem in w."""

    @abstractmethod
    def score(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the test accuracy of each column, or the explained share of the variance of the test targets."""


@dataclass(frozen=True)
class Signs(Data):
    """Signs x in {-1, 1}^d, with labels by the sign of the sum of three features.

    Attributes:
        n: the number of training rows.
        d: the number of features.
        tested: the number of test rows.
        seed: the seed of the training and of the test rows.
    """

    n: int
    d: int
    tested: int
    seed: int = 0

    def rows(self) -> Float64[ndarray, "n d"]:
        """Return the training rows."""
        return generator([0, self.seed]).choice([-1.0, 1.0], (self.n, self.d))

    def problem(self) -> Classification:
        """Return the training problem in w."""
        X = self.rows()
        return Classification(X, labels(X))

    def score(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the share of test rows that each column classifies correctly; ties count one half."""
        rng, right, left = generator([1, self.seed]), np.zeros(w.shape[1]), self.tested
        while left > 0:
            count = min(left, max(1, _BLOCK // self.d))
            X = 2.0 * rng.integers(0, 2, (count, self.d), dtype=np.int8) - 1.0
            right += np.sum((1.0 + labels(X)[:, None] * np.sign(X @ w)) / 2.0, axis=0)
            left -= count
        return right / self.tested


@dataclass(frozen=True)
class SignSums(Data):
    """The rows of `Signs`, with the sum of three features as the target of a regression."""

    n: int
    d: int

    def problem(self) -> LeastSquares:
        """Return the training problem in w."""
        X = Signs(self.n, self.d, 0).rows()
        return LeastSquares(X, np.sum(X[:, :SPARSE], axis=1))

    def score(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the share of the variance of the target that each column explains, for uniform signs, exactly."""
        rule = (np.arange(self.d) < SPARSE).astype(float)
        return np.asarray(1.0 - np.sum((w - rule[:, None]) ** 2, axis=0) / SPARSE)


@dataclass(frozen=True)
class Separated(Data):
    """Normal rows z, moved apart by `gap` along a unit direction w*: x = z + gap/2 y w* with y = sign <z, w*>.

    Attributes:
        n: the number of training rows.
        d: the number of features.
        gap: the width of the empty strip between both classes.
        squared: whether the labels are the targets of a regression.
        seed: the seed of the rows and of w*.
    """

    n: int
    d: int
    gap: float
    squared: bool = False
    seed: int = 0

    def draw(self) -> tuple[Float64[ndarray, "n d"], Float64[ndarray, " n"], Float64[ndarray, " d"]]:
        """Return the training rows, their labels, and w*."""
        rng = generator(self.seed)
        direction = rng.standard_normal(self.d)
        direction /= np.linalg.norm(direction)
        z = rng.standard_normal((self.n, self.d))
        y = np.sign(z @ direction)
        return z + self.gap / 2.0 * y[:, None] * direction, y, direction

    def problem(self) -> Classification | LeastSquares:
        """Return the training problem in w."""
        X, y, _ = self.draw()
        return LeastSquares(X, y) if self.squared else Classification(X, y)

    def score(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the test accuracy of each column, by an integral over <z, w*>.

        Given g = <z, w*>, the margin of w is normal with the mean <w, w*> (|g| + gap/2) and the deviation of the part
        of w across w*.
        """
        direction = self.draw()[2]
        along = direction @ w
        across = np.sqrt(np.maximum(np.sum(w * w, axis=0) - along**2, 0.0))
        g = 5.0 * (_NODES + 1.0)
        weights = 5.0 * _WEIGHTS * np.sqrt(2.0 / np.pi) * np.exp(-g * g / 2.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            signal = np.where(along == 0.0, 0.0, along / across)
        return np.asarray(weights @ ndtr(np.outer(g + self.gap / 2.0, signal)))


@dataclass(frozen=True)
class Experiment:
    """Data, and the runs of training on them.

    Attributes:
        data: the data.
        runs: (alpha, lam) of the runs from kernel starts u = v = alpha: first those of several alpha at one lam.
        own: (alpha, lam) of the run of the paper.
        small: the alpha of the run from a small start.
        rtol: the tolerance of the simulations.
        tail: lam (t - T) of measurements after those of the transition.
    """

    data: Data
    runs: tuple[tuple[float, float], ...]
    own: tuple[float, float]
    small: float
    rtol: float
    tail: tuple[float, ...] = ()

    def transition_places(self) -> Float64[ndarray, " some"]:
        """Return lam (t - T) of the measurements of the transition."""
        return np.array(_PLACES)

    def places(self) -> Float64[ndarray, " places"]:
        """Return lam (t - T) of all measurements."""
        return np.array([*_PLACES, *self.tail])


def labels(X: Float64[ndarray, "n d"]) -> Float64[ndarray, " n"]:
    """Return the labels of rows of signs."""
    return np.asarray(np.sign(np.sum(X[:, :SPARSE], axis=1)))


_ALPHAS = ((3.0, 1e-3), (30.0, 1e-3), (100.0, 1e-3))
_TAIL = (20.0, 40.0, 80.0, 160.0)

SPARSE_SMALL = Experiment(
    Signs(n=96, d=600, tested=2000),
    runs=(*_ALPHAS, (30.0, 1e-2), (30.0, 1e-4), (30.0, 1e-5), (30.0, 1e-6)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-5,
)
# The paper's data, start and weight decay. The other runs have larger starts.
SPARSE_PAPER = Experiment(
    Signs(n=256, d=100_000, tested=10_000),
    runs=((3.0, 1e-3), (30.0, 1e-3), (30.0, 1e-5)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-3,
)
MARGIN_SMALL = Experiment(
    Separated(n=24, d=3000, gap=8.0),
    runs=(*_ALPHAS, (30.0, 1e-4), (30.0, 1e-6), (30.0, 1e-8)),
    own=(0.286, 1e-3),
    small=1e-6,
    rtol=1e-5,
    tail=_TAIL,
)
# The paper's data. It does not state the start, so that it is that of its sparse data.
MARGIN_PAPER = Experiment(
    Separated(n=32, d=100_000, gap=25.0),
    runs=((3.0, 1e-3), (30.0, 1e-3), (30.0, 1e-5), (30.0, 1e-7)),
    own=(0.286, 1e-3),
    small=1e-6,
    rtol=1e-4,
    tail=_TAIL,
)
REGRESSION_SPARSE = Experiment(
    SignSums(n=96, d=600),
    runs=(*_ALPHAS, (30.0, 1e-4), (30.0, 1e-5)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-5,
    tail=_TAIL,
)
REGRESSION_DENSE = Experiment(
    Separated(n=24, d=3000, gap=8.0, squared=True),
    runs=(*_ALPHAS, (30.0, 1e-4), (30.0, 1e-5)),
    own=(0.286, 1e-3),
    small=1e-3,
    rtol=1e-5,
    tail=_TAIL,
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
        return generator(0).choice([-1.0, 1.0], (self.n, self.d))

    def accuracy(self, w: Float64[ndarray, "d m"]) -> Float64[ndarray, " m"]:
        """Return the share of test rows that each column classifies correctly; ties count one half."""
        X = generator(1).choice([-1.0, 1.0], (self.tested, self.d))
        return np.asarray(np.mean((1.0 + labels(X)[:, None] * np.sign(X @ w)) / 2.0, axis=0))


DEPTHS = Depths()
