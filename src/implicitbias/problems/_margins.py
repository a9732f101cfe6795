"""The margins of a classifier, as linear functions of its weights and of free intercepts."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.problems._class_differences import ClassDifferences
from implicitbias.problems._classification import Classification


class Margins(NamedTuple):
    r"""The m margins $M(w, b) = \operatorname{diag}(y) X w + B b$.

    Attributes:
        linear_map: X, from arrays w of the shape `linear_map.domain` to m numbers: a `LinearMap`, or the
            `ClassDifferences` of several classes.
        signs: (m,) y, -1.0 or 1.0.
        free: (m, r) B, the coefficients of the intercepts b, which no gauge counts.
        classes: the `ClassDifferences`, or None for two classes.
    """

    linear_map: Any
    signs: Float64[ndarray, " m"]
    free: Float64[ndarray, "m r"]
    classes: ClassDifferences | None = None

    def values(self, w: Float64[ndarray, "..."], b: Float64[ndarray, " r"]) -> Float64[ndarray, " m"]:
        """Return the margins of w with the intercepts b."""
        values = self.signs * self.linear_map.matvec(w)
        return values + self.free @ b if len(b) else values

    def combination(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, "..."]:
        """Return the combination of the signed rows with the weights q, shaped as w."""
        return self.linear_map.rmatvec(self.signs * q)

    def by_rows(self, q: Float64[ndarray, " m"]) -> Float64[ndarray, "..."]:
        """Return values of the margins by rows of the data: (n,), or (n, k) for several classes."""
        return q if self.classes is None else self.classes.by_classes(q)

    @property
    def per_row(self) -> int:
        """The number of margins of a row of the data."""
        return 1 if self.classes is None else self.classes.classes - 1

    def name(self, margin: int) -> str:
        """Return the name of the signed row of a margin."""
        if self.classes is None:
            return f"y[{margin}] X[{margin}]"
        row, other = divmod(margin, self.classes.classes - 1)
        return f"(row {row} against class {self.classes.others[row, other]})"

    def part(self, rows: Int64[ndarray, " k"], columns: Int64[ndarray, " j"]) -> Float64[ndarray, "k j"]:
        """Return some rows and columns of diag(y) X as a dense array."""
        return self.signs[rows, None] * self.linear_map.part(rows, columns)


class Separator(NamedTuple):
    """A classifier that is claimed to have the largest margin, and multipliers of the margins that are to prove it.

    Attributes:
        w: the weights.
        b: (r,) the intercepts.
        multipliers: (m,) non-negative multipliers of the margins.
    """

    w: Float64[ndarray, "..."]
    b: Float64[ndarray, " r"]
    multipliers: Float64[ndarray, " m"]

    def scaled(self, margins: Margins, gauge: Any) -> "Separator":
        """Return the classifier with the smallest margin 1, and multipliers whose combination has the polar 1.

        A classifier without a positive margin, or multipliers whose combination is 0, are returned unchanged.
        """
        smallest = float(np.min(margins.values(self.w, self.b)))
        z = margins.combination(self.multipliers)
        polar = gauge.polar().value(gauge.polar().to_domain(z, np.zeros_like(z)))
        w, b, multipliers = self
        if smallest > 0.0:
            w, b = w / smallest, b / smallest
        if 0.0 < polar < np.inf:
            multipliers = multipliers / polar
        return Separator(w, b, multipliers)


def margins_of(problem: Any, bias: bool) -> Margins:
    """Return the margins of a classification problem, or raise an `InputError`."""
    if not isinstance(problem, Classification):  # the only kind of problem with margins
        raise InputError(
            f"problem is a {type(problem).__name__}, a classification problem is expected; "
            "type ib.Classification(X, y)"
        )
    if problem.by_classes:
        differences = ClassDifferences(problem.linear_map, problem.y, len(problem.classes))
        ones = np.ones(differences.shape[0])
        free = differences.intercepts() if bias else np.zeros((len(ones), 0))
        return Margins(differences, ones, free, differences)
    signs = np.asarray(problem.y)
    return Margins(problem.linear_map, signs, signs[:, None] if bias else np.zeros((len(signs), 0)))
