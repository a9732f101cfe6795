"""Matrices, their observed entries and starts of the study of grokking in matrix completion."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import MatrixProduct
from implicitbias.problems import LeastSquares, MatrixCompletion
from implicitbias.studies._grokking_flows import Case
from implicitbias.studies._seeds import generator

# The training error at which the data are fitted and the test error at which the model generalises, as shares of the
# mean square of the entries, which is the error of the matrix 0.
_FITTED, _GENERAL = 0.01, 0.1


class Completion(NamedTuple):
    """A square matrix of low rank of which some entries are observed, and factors U, V of larger width.

    Attributes:
        size: the number of rows and of columns.
        rank: the rank of the matrix.
        width: the number of columns of U and V.
        observed: the number of observed entries.
        seed: the seed of the matrix, the observed entries and the start.
        decays: the weight decays of the sweep, which are small enough for the theory of the drift.
        shown: the weight decays whose curves are drawn.
        slow: e and T, the slow times between which runs are compared with the drift.
        late: the slow time at which runs end.
        scales: the scales of the start, from small to large.
        small: the scale of a start from which there is no delay.
        rtol: the tolerance of the runs.
    """

    size: int
    rank: int
    width: int
    observed: int
    seed: int
    decays: tuple[float, ...]
    slow: tuple[float, float]
    shown: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    late: float = 200.0
    scales: tuple[float, ...] = (4.0, 8.0, 16.0, 32.0)
    small: float = 0.01
    rtol: float = 1e-7

    def teacher(self) -> Float64[ndarray, "m m"]:
        """Return the matrix: a product of Gaussian factors with entries of variance 1."""
        A, B = generator(self.seed).standard_normal((2, self.size, self.rank))
        product: ndarray = A @ B.T / np.sqrt(self.rank)
        return product

    def entries(self) -> tuple[ndarray, ndarray]:
        """Return the rows and the columns of the observed entries."""
        rng = generator([self.seed, 1])
        chosen = np.sort(rng.permutation(self.size**2)[: self.observed])
        return chosen // self.size, chosen % self.size

    def problem(self) -> MatrixCompletion:
        """Return the problem in W."""
        rows, cols = self.entries()
        return LeastSquares.entries(rows, cols, self.teacher()[rows, cols], (self.size, self.size))

    def start(self) -> tuple[ndarray, ndarray]:
        """Return standard normal factors (U, V)."""
        U, V = generator([self.seed, 2]).standard_normal((2, self.size, self.width))
        return U, V

    def products(self, states: Float64[ndarray, "k size"]) -> Float64[ndarray, "k m m"]:
        """Return U V^T for rows of flat parameters."""
        U, V = np.split(states.reshape(len(states), 2 * self.size, self.width), 2, axis=1)
        return np.asarray(U @ V.swapaxes(1, 2))

    def case(self) -> Case:
        """Return the training problem with its errors: mean squares over the observed and over the other entries."""
        teacher, seen = self.teacher(), np.zeros((self.size, self.size), dtype=bool)
        seen[self.entries()] = True

        def errors(states: Float64[ndarray, "k size"]) -> Float64[ndarray, "k 2"]:
            squares = (self.products(states) - teacher) ** 2
            return np.stack([np.mean(squares[:, part], axis=1) for part in (seen, ~seen)], axis=1)

        unit = float(np.mean(teacher**2))
        return Case(
            problem=self.problem().reparametrize(MatrixProduct()),
            start=self.start(),
            errors=errors,
            levels=(_FITTED * unit, _GENERAL * unit),
            decays=self.decays,
            slow=self.slow,
            late=self.late,
            rtol=self.rtol,
        )


SETTINGS = {
    "8x8": Completion(
        size=8, rank=1, width=16, observed=48, seed=0, decays=(1e-3, 5e-4, 2.5e-4, 1.25e-4), slow=(0.1, 1.0)
    ),
    "20x20": Completion(
        size=20, rank=3, width=40, observed=300, seed=0, decays=(8e-5, 4e-5, 2e-5, 1e-5), slow=(0.1, 2.0)
    ),
}
