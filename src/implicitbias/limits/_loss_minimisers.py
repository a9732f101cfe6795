"""The predictions that all minimisers of a loss share, for squared losses and for losses of margins."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.limits._independent_rows import IndependentRows, independent_rows, spanning_rows
from implicitbias.limits._inseparable_minimum import MarginMinimum
from implicitbias.limits._least_squares_point import relative_correlation
from implicitbias.problems import Classification, LeastSquares, MatrixCompletion
from implicitbias.problems._margins import Margins, margins_of

_DEPENDENT = "The rows of X depend on each other, so that the minimisers of the loss need not fit y."
_INSEPARABLE = "The loss is minimised at finite margins, because no linear classifier separates the data."


class LossMinimisers(ABC):
    """The minimisers w of a loss of the predictions X w, all of which have the same predictions.

    Attributes:
        linear_map: X, from arrays w to n predictions or differences of predictions.
    """

    linear_map: Any

    @abstractmethod
    def rows(self) -> tuple[IndependentRows, str]:
        """Return independent rows with the predictions of the minimisers, and a note for the certificate."""

    @abstractmethod
    def rows_at(self, fit: Float64[ndarray, " n"]) -> IndependentRows:
        """Return independent rows with these predictions."""

    @abstractmethod
    def stationarity(self, w: Float64[ndarray, " d"]) -> float:
        """Return the relative gradient of the loss at the entries of w."""

    @abstractmethod
    def by_rows(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, "..."]:
        """Return the multipliers of the rows of the data, from those of the predictions."""


class SquaredMinimisers(LossMinimisers):
    """The least-squares solutions."""

    def __init__(self, problem: Any) -> None:
        self.linear_map, self.targets = problem.linear_map, problem.targets

    def rows(self) -> tuple[IndependentRows, str]:
        independent = independent_rows(self.linear_map, self.targets)
        return independent, _DEPENDENT if independent.rows.shape[0] < len(self.targets) else ""

    def rows_at(self, fit: Float64[ndarray, " n"]) -> IndependentRows:
        return independent_rows(self.linear_map, fit)

    def stationarity(self, w: Float64[ndarray, " d"]) -> float:
        shaped = w.reshape(self.linear_map.domain)
        correlation = self.linear_map.rmatvec(self.targets - self.linear_map.matvec(shaped))
        return float(np.max(relative_correlation(self.linear_map, self.targets, shaped, correlation)))

    def by_rows(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, "..."]:
        return nu


class MarginMinimisers(LossMinimisers):
    """The minimisers of a loss of margins, which exist if no linear classifier separates the data, even weakly."""

    def __init__(self, problem: Classification) -> None:
        self.margins: Margins = margins_of(problem, False)
        self.linear_map = self.margins.linear_map
        self.minimum = MarginMinimum(self.margins, problem.loss_name)

    def rows(self) -> tuple[IndependentRows, str]:
        spanned = spanning_rows(self.linear_map)
        return spanned.with_targets(self.minimum.predictions(spanned.basis)), _INSEPARABLE

    def rows_at(self, fit: Float64[ndarray, " n"]) -> IndependentRows:
        return spanning_rows(self.linear_map).with_targets(fit)

    def stationarity(self, w: Float64[ndarray, " d"]) -> float:
        weights = self.minimum.weights(
            self.margins.signs * self.linear_map.matvec(w.reshape(self.linear_map.domain))
        )
        terms = self.linear_map.norms * float(np.linalg.norm(weights))
        gradient = np.abs(self.margins.combination(weights)).ravel()
        return float(np.max(gradient / np.where(terms > 0.0, terms, 1.0)))

    def by_rows(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, "..."]:
        return nu if self.margins.classes is None else self.margins.classes.spread(nu)


def loss_minimisers(problem: Any, caller: str) -> LossMinimisers:
    """Return the minimisers of the loss of a problem that is linear in w, or raise an `InputError`."""
    if isinstance(problem, Classification):
        return MarginMinimisers(problem)
    if not isinstance(problem, (LeastSquares, MatrixCompletion)):
        raise InputError(
            f"problem is a {type(problem).__name__}, {caller} expects a problem that is linear in w; "
            "type ib.LeastSquares(X, y), ib.LeastSquares.entries(rows, cols, values, shape) or "
            "ib.Classification(X, y); other losses of a linear model that are least at X w = y alone have the "
            "interpolants of ib.LeastSquares(X, y)"
        )
    return SquaredMinimisers(problem)
