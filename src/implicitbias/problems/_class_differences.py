"""The margins of a classifier with several classes as one linear map of its weights."""

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.linear_maps import LinearMap


class ClassDifferences:
    r"""The map from w (d, k) to the n (k - 1) differences $\langle x_i, w_{y_i} - w_c \rangle$, $c \ne y_i$.

    The differences of a row follow each other, in the order of the classes.

    Args:
        X: the map of the rows, (n, d).
        own: (n,) the class of each row.
        classes: the number k of classes.
    """

    def __init__(self, X: LinearMap, own: Int64[ndarray, " n"], classes: int) -> None:
        n, d = X.shape
        self.X, self.own, self.classes = X, own, classes
        self.shape, self.domain = (n * (classes - 1), d * classes), (d, classes)
        others = np.arange(classes)[None, :] != own[:, None]
        self.others = np.nonzero(others)[1].reshape(n, classes - 1)

    def matvec(self, w: Float64[ndarray, "d k"]) -> Float64[ndarray, " m"]:
        """Return the differences of the scores."""
        scores = np.stack([self.X.matvec(column) for column in w.T], axis=1)
        own = np.take_along_axis(scores, self.own[:, None], axis=1)
        return (own - np.take_along_axis(scores, self.others, axis=1)).ravel()

    def rmatvec(self, v: Float64[ndarray, " m"]) -> Float64[ndarray, "d k"]:
        """Return the transpose of the map at v, shaped as w."""
        return self.X.rmatvec(np.ascontiguousarray(self.spread(v).T)).T

    def spread(self, v: Float64[ndarray, " m"]) -> Float64[ndarray, "n k"]:
        """Return N with X^T N = `rmatvec(v)`; its rows have the sum 0."""
        n, k = len(self.own), self.classes
        parts = v.reshape(n, k - 1)
        spread = np.zeros((n, k))
        np.put_along_axis(spread, self.others, -parts, axis=1)
        np.put_along_axis(spread, self.own[:, None], np.sum(parts, axis=1, keepdims=True), axis=1)
        return spread

    def part(self, rows: Int64[ndarray, " m"], columns: Int64[ndarray, " j"]) -> Float64[ndarray, "m j"]:
        """Return some rows and columns of the map as a dense array."""
        k = self.classes
        which, place = rows // (k - 1), rows % (k - 1)
        entry, of_class = columns // k, columns % k
        other = self.others[which, place]
        signs = 1.0 * (of_class[None, :] == self.own[which][:, None]) - (of_class[None, :] == other[:, None])
        return signs * self.X.part(which, entry)

    @property
    def norms(self) -> Float64[ndarray, " c"]:
        """The Euclidean norms of the columns."""
        one_hot = np.eye(self.classes)[self.own]
        weights = (
            1.0 + (self.classes - 2.0) * one_hot
        )  # the own class occurs in all k - 1 differences of a row
        squares = [(columns**2).T @ weights for _, columns in self.X.blocks()]
        return frozen(np.sqrt(np.concatenate(squares)).ravel())

    @property
    def row_norms(self) -> Float64[ndarray, " m"]:
        """The Euclidean norms of the rows."""
        return frozen(np.repeat(np.sqrt(2.0) * self.X.row_norms, self.classes - 1))

    def intercepts(self) -> Float64[ndarray, "m r"]:
        """Return the coefficients of the intercepts of all classes but the first, whose intercept is 0."""
        k = self.classes
        own = np.repeat(np.eye(k)[self.own], k - 1, axis=0)
        return (own - np.eye(k)[self.others.ravel()])[:, 1:]

    def by_classes(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, "n k"]:
        """Return values of the differences as a table of rows and classes, with 0 for the own class."""
        table = np.zeros((len(self.own), self.classes))
        np.put_along_axis(table, self.others, q.reshape(len(self.own), -1), axis=1)
        return table
