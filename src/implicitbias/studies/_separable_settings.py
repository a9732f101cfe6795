"""The data sets and the potentials of the study of mirror flow on separable data."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.gauges import L1, L2, Gauge, LInf, Lp, Nuclear, Schatten, Spectral
from implicitbias.potentials import Cosh, HyperbolicEntropy, PNorm, Potential, QuadraticForm, SquaredNorm
from implicitbias.potentials import Spectral as SpectralPotential
from implicitbias.problems import Classification
from implicitbias.studies._data import classified
from implicitbias.studies._seeds import generator

PAPER = ("squared l2", "hyperbolic entropy", "cosh")
"""The potentials of the paper's figure."""

MATRIX_GAUGES: dict[str, Gauge] = {"nuclear": Nuclear(), "Frobenius": L2(), "spectral": Spectral()}

NAMED_GAUGES: dict[str, Gauge] = {"l1": L1(), "l2": L2(), "linf": LInf()}

_LATE = 23_000.0


class Entry(NamedTuple):
    r"""A potential with the gauge that theory pairs with it, and the end of its flow from 0.

    The margin converges like 1 / m in the smallest margin m, and the direction like $m^{-r}$ with r = `rate`; both
    converge like 1 / ln m if `logarithmic`. A potential that is `steep` is a sum of hyperbolic cosines.
    """

    potential: Potential
    gauge: Gauge
    log_time: float = _LATE
    logarithmic: bool = False
    steep: bool = False
    rate: float = 1.0


_COSH = Entry(Cosh(), LInf(), log_time=1e5, steep=True)
_ENTROPY = Entry(HyperbolicEntropy(scale=1.0), L1(), log_time=1e9, logarithmic=True)


class Setting(NamedTuple):
    """A data set, and the entries of its potentials by name."""

    data: Callable[[], tuple[Float64[ndarray, "n ..."], ndarray]]
    entries: Callable[[int], dict[str, Entry]]

    def problem(self, loss: str = "exponential") -> Classification:
        """Return the problem with a loss of margins."""
        return Classification(*self.data(), loss=loss)


def _plane() -> tuple[Float64[ndarray, "20 2"], ndarray]:
    """Return 20 points in the plane, standardised; the seed was chosen so that the three classifiers differ."""
    labels = np.repeat([1.0, -1.0], 10)
    rng = generator(382)
    X = rng.standard_normal((20, 2)) + np.outer(labels, [1.6, 1.1])
    return _standardised(np.round(X, 2)), labels


def _gaussian() -> tuple[Float64[ndarray, "40 10"], ndarray]:
    """Return 40 Gaussian rows in 10 dimensions with the labels of a random linear classifier."""
    rng = generator(0)
    X = rng.standard_normal((40, 10))
    return X, np.sign(X @ rng.standard_normal(10))


def _one_against_the_rest(name: str, positive: int) -> tuple[Float64[ndarray, "n d"], ndarray]:
    X, classes = classified(name)
    return _with_ones(X), np.where(classes == positive, 1.0, -1.0)


def _matrices() -> tuple[Float64[ndarray, "24 4 3"], ndarray]:
    """Return 24 Gaussian matrices (4, 3) with the labels of a random linear classifier of rank 1.

    Their entries have the standard deviation 10. The flow of cosh ends at a fixed size of w, and the unit of the data
    decides which margins it reaches until then.
    """
    rng = generator(1)
    X = 10.0 * rng.standard_normal((24, 4, 3))
    low_rank = np.outer(rng.standard_normal(4), rng.standard_normal(3))
    return X, np.sign(np.sum(X * low_rank, axis=(1, 2)))


def iris() -> tuple[Float64[ndarray, "100 5"], ndarray]:
    """Return the second and the third species of the iris data, which no plane separates."""
    X, classes = classified("iris")
    kept = classes > 0
    return _with_ones(X[kept]), np.where(classes[kept] == 2, 1.0, -1.0)


def _with_ones(X: Float64[ndarray, "n d"]) -> Float64[ndarray, "n k"]:
    """Return the standardised columns that are not constant, and a column of ones, which acts as an intercept."""
    Z = _standardised(X[:, np.ptp(X, axis=0) > 0.0])
    return np.hstack([Z, np.ones((len(Z), 1))])


def _standardised(X: ndarray) -> ndarray:
    Z: ndarray = (X - X.mean(axis=0)) / X.std(axis=0)
    return Z


def _skewed() -> Entry:
    """Return a potential of the user that is not separable. Its squared norm grows slower than its cubic part, and does
    not change the horizon.
    """
    A = np.array([[1.0, 0.6], [-0.3, 1.0]])

    def phi(w: jax.Array) -> jax.Array:
        return jnp.sum(jnp.abs(A @ w) ** 3) / 3.0 + jnp.sum(w**2) / 2.0

    return Entry(Potential.from_function(phi, dimension=2), PNorm(3).compose(A).horizon())


def _plane_entries(d: int) -> dict[str, Entry]:
    return _with_form(np.array([[1.0, 0.9], [0.9, 2.0]])) | {"skewed cubic": _skewed()}


def _small_entries(d: int) -> dict[str, Entry]:
    return _with_form(np.diag(np.geomspace(0.2, 5.0, d)))


def _with_form(A: ndarray) -> dict[str, Entry]:
    """Return the potentials of the paper, p-norms and the quadratic form of A."""
    return {
        "squared l2": Entry(SquaredNorm(), L2()),
        "hyperbolic entropy": _ENTROPY,
        "cosh": _COSH,
        "p = 1.5": Entry(PNorm(1.5), Lp(1.5), rate=0.5),
        "p = 3": Entry(PNorm(3), Lp(3)),
        "p = 10": Entry(PNorm(10), Lp(10)),
        "quadratic form": Entry(QuadraticForm(A), QuadraticForm(A).horizon()),
    }


def _real_entries(cosh: float, powers: dict[float, float]) -> dict[str, Entry]:
    """Return the potentials of the paper, and p-norms; real data have rows that are almost support vectors, which takes
    longer.

    Args:
        cosh: the end of the flow of cosh.
        powers: the end of the flow for each p.
    """
    return {
        "squared l2": Entry(SquaredNorm(), L2(), log_time=1e6),
        "hyperbolic entropy": _ENTROPY,
        "cosh": _COSH._replace(log_time=cosh),
        **{f"p = {p:g}": Entry(PNorm(p), Lp(p), log_time=end) for p, end in powers.items()},
    }


def _matrix_entries(d: int) -> dict[str, Entry]:
    """Return potentials of the singular values."""
    entropy = Entry(
        SpectralPotential(HyperbolicEntropy(scale=1.0)), Nuclear(), log_time=1e9, logarithmic=True
    )
    return {
        "squared l2": Entry(SquaredNorm(), L2()),
        "spectral entropy": entropy,
        "spectral cosh": Entry(SpectralPotential(Cosh()), Spectral(), log_time=1e4, steep=True),
        "Schatten 1.5": Entry(SpectralPotential(PNorm(1.5)), Schatten(1.5), rate=0.5),
        "Schatten 3": Entry(SpectralPotential(PNorm(3)), Schatten(3)),
    }


SETTINGS = {
    "plane": Setting(_plane, _plane_entries),
    "gaussian": Setting(_gaussian, _small_entries),
    "wine": Setting(
        lambda: _one_against_the_rest("wine", 0), lambda d: _real_entries(1e5, {3: 1e5, 10: _LATE})
    ),
    "digits": Setting(
        lambda: _one_against_the_rest("digits", 0), lambda d: _real_entries(_LATE, {3: _LATE, 10: 5e3})
    ),
    "breast-cancer": Setting(
        lambda: _one_against_the_rest("breast-cancer", 1), lambda d: _real_entries(1e6, {})
    ),
    "matrices": Setting(_matrices, _matrix_entries),
}
