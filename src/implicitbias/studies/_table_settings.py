"""Multiplication tables, their observed entries and starts of the study of early and late phases in completion."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import MatrixDifference
from implicitbias.problems import LeastSquares, MatrixCompletion
from implicitbias.studies._grokking_flows import Case
from implicitbias.studies._seeds import generator

# The training error at which the data are fitted, as a share of the mean square of the entries of the table.
_FITTED = 0.01


class Table(NamedTuple):
    """The table X_ij = ij / size^2, of which some entries are observed, and factors U = V = alpha I.

    Weight decays and times are those of our loss, which is half of the mean of squares in the paper. So its weight
    decay 1e-4 is 5e-5 here, and its times are doubled; lam t does not change.

    Attributes:
        size: the number of rows and of columns, whose indices start at 0.
        observed: the number of observed entries.
        decays: the weight decays of the sweep, from the largest to the smallest one, which is that of the other runs.
        alphas: the scales of the start, from small to large.
        alpha: the scale of the start in the sweep of the weight decay.
        small: the scale of a start from which there is no early phase.
        late: the slow time at which runs end, from a start of the scale `alpha`.
        early_decay: the weight decay of the runs on which the early phase is compared with its closed form.
        rtol: the tolerance of the runs.
        solves: whether the least norm is also computed by a conic program and by the solver for KKT points.
        seed: the seed of the observed entries.
    """

    size: int
    observed: int
    decays: tuple[float, ...]
    rtol: float
    solves: bool
    alphas: tuple[float, ...] = (5.0, 10.0, 20.0, 40.0)
    alpha: float = 10.0
    small: float = 0.1
    late: float = 20.0
    early_decay: float = 1e-8
    seed: int = 0

    def table(self) -> Float64[ndarray, "d d"]:
        """Return the matrix X."""
        index = np.arange(self.size)
        return np.asarray(np.outer(index, index) / self.size**2)

    def skewed(self) -> Float64[ndarray, "d d"]:
        """Return the asymmetric matrix i (j + 1) / size^2, for which (i, j) and (j, i) contradict each other."""
        index = np.arange(self.size)
        return np.asarray(np.outer(index, index + 1.0) / self.size**2)

    def entries(self) -> tuple[ndarray, ndarray]:
        """Return the rows and the columns of the observed entries."""
        rng = generator(self.seed)
        chosen = np.sort(rng.permutation(self.size**2)[: self.observed])
        return chosen // self.size, chosen % self.size

    def seen(self) -> ndarray:
        """Return the matrix that is true where an entry is observed."""
        seen = np.zeros((self.size, self.size), dtype=bool)
        seen[self.entries()] = True
        return seen

    def early(self, target: Float64[ndarray, "d d"]) -> Float64[ndarray, "d d"]:
        """Return the early closed form: the average of the observed ones among (i, j) and (j, i), else 0."""
        seen = self.seen()
        known = np.where(seen, target, 0.0)
        return np.asarray((known + known.T) / np.maximum(1, seen.astype(int) + seen.T))

    def problem(self, target: Float64[ndarray, "d d"] | None = None) -> MatrixCompletion:
        """Return the problem in W, whose target is the table by default."""
        rows, cols = self.entries()
        X = self.table() if target is None else target
        return LeastSquares.entries(rows, cols, X[rows, cols], X.shape)

    def products(self, states: Float64[ndarray, "k size"]) -> Float64[ndarray, "k d d"]:
        """Return U U^T - V V^T for rows of flat parameters."""
        U, V = np.split(states.reshape(len(states), 2 * self.size, self.size), 2, axis=1)
        return np.asarray(U @ U.swapaxes(1, 2) - V @ V.swapaxes(1, 2))

    def case(self, alpha: float, target: Float64[ndarray, "d d"] | None = None) -> Case:
        """Return the training problem from a start of some scale.

        The test error is the mean square over the pairs of which neither (i, j) nor (j, i) is observed. Its level is
        half of its value in the early phase, in which W is 0 there.
        """
        X, seen = self.table() if target is None else target, self.seen()
        parts = (seen, ~(seen | seen.T))

        def errors(states: Float64[ndarray, "k size"]) -> Float64[ndarray, "k 2"]:
            squares = (self.products(states) - X) ** 2
            return np.stack([np.mean(squares[:, part], axis=1) for part in parts], axis=1)

        return Case(
            problem=self.problem(target).reparametrize(MatrixDifference()),
            start=(alpha * np.eye(self.size), alpha * np.eye(self.size)),
            errors=errors,
            levels=(_FITTED * float(np.mean(X**2)), 0.5 * float(np.mean(X[parts[1]] ** 2))),
            decays=self.decays,
            slow=(0.0, self.late),
            late=self.late,
            rtol=self.rtol,
        )


SETTINGS = {
    "20x20": Table(size=20, observed=80, decays=(4e-4, 2e-4, 1e-4, 5e-5), rtol=1e-6, solves=True),
    "97x97": Table(size=97, observed=470, decays=(2e-4, 1e-4, 5e-5), rtol=1e-5, solves=False),
}
