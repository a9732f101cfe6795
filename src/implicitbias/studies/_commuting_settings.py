"""Data, maps and starts of the study of commuting parametrizations."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import (
    Coordinatewise,
    DeepDiagonal,
    HadamardProduct,
    Parametrization,
    SquareDifference,
)
from implicitbias.problems import Classification, LeastSquares
from implicitbias.studies._seeds import generator
from implicitbias.trajectories import Trajectory


class Map(NamedTuple):
    """A map with a start.

    Attributes:
        name: its formula.
        G: the parametrization.
        theta0: the start.
        closed: whether the potential has a closed form; otherwise each of its values needs an integration.
    """

    name: str
    G: Parametrization
    theta0: Any
    closed: bool

    def plain(self) -> Parametrization:
        """Return the map as a user's function.

        The gradient flow of the parametrizations of the library is integrated in dual variables by their potential. The
        flow of a user's function is integrated in theta, and shares no formula with the mirror flow.
        """
        return Parametrization.from_function(self.G.formula)

    def values(self, run: Trajectory, times: ndarray) -> Float64[ndarray, "..."]:
        """Return w at some times of a flow of theta."""
        return np.array([np.asarray(self.G(run.state(float(t)))) for t in times])


# Three functions of one entry each, and a matrix that mixes them, so that the potential is no sum over entries of w.
MIXING = np.array([[1.0, 0.4, -0.3], [-0.2, 1.0, 0.5], [0.3, -0.4, 1.0]])


def mixture(theta: Any) -> Any:
    """Return a mixture of a sine hyperbolicus, a product and a difference of squares."""
    return jnp.asarray(MIXING) @ jnp.array(
        [jnp.sinh(theta[0]), theta[1] * theta[2], theta[3] ** 2 - theta[4] ** 2]
    )


@lru_cache
def maps() -> tuple[Map, ...]:
    """Return the commuting maps of the library, and one that a user may write."""
    half = np.full(3, 0.5)
    return (
        Map("u * v", HadamardProduct(), (half, np.array([0.2, 0.1, -0.1])), True),
        Map("u^2 - v^2", SquareDifference(), (half, np.array([0.4, 0.3, 0.5])), True),
        Map("a * b * c", DeepDiagonal(3), (np.full(3, 0.9), np.full(3, 0.6), np.full(3, 0.3)), False),
        Map("sinh(u)", Coordinatewise(jnp.sinh), np.array([0.1, 0.2, -0.1]), False),
        Map("a mixture", Parametrization.from_function(mixture), np.array([0.1, 0.5, 0.3, 0.6, 0.5]), False),
    )


class Problems(NamedTuple):
    """Problems in three unknowns.

    Attributes:
        squared: two equations, which have a positive solution.
        other: two other equations with the same matrix.
        logistic: overlapping classes, so that the minimiser is finite.
        classes: three overlapping classes, for matrices w (3, 3).
    """

    squared: LeastSquares
    other: LeastSquares
    logistic: Classification
    classes: Classification


@lru_cache
def problems() -> Problems:
    """Return the problems."""
    rng = generator(3)
    X = rng.standard_normal((2, 3))
    rows = rng.standard_normal((8, 3))
    many = rng.standard_normal((15, 3))
    return Problems(
        LeastSquares(X, X @ np.array([1.2, 0.4, 0.7])),
        LeastSquares(X, X @ np.array([0.3, 0.9, 0.2])),
        # The last row contradicts the first one.
        Classification(np.vstack([rows, rows[:1]]), np.array([1, -1, 1, -1, 1, -1, 1, -1, -1])),
        Classification(np.vstack([many, many[:3]]), np.arange(18) % 3, loss="cross_entropy"),
    )


@lru_cache
def sparse_regression() -> LeastSquares:
    """Return 4 equations in 10 unknowns, whose solution of least l1 norm is far from that of least l2 norm."""
    rng = generator(36)
    return LeastSquares(rng.standard_normal((4, 10)), rng.standard_normal(4))
