"""Exact held-out errors along the paths of folds, as functions of slow time."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias.diagnostics import ErrorCurve
from implicitbias.estimators._prepare import Prepared, prepare
from implicitbias.limits import SaddlePath, saddle_path


class Fold(NamedTuple):
    """The rows to fit and the rows to score of one fold, and the settings of its path."""

    train: Int64[ndarray, " n"]
    test: Int64[ndarray, " m"]
    fit_intercept: bool
    standardize: bool
    max_jumps: int | None


class FoldErrors(NamedTuple):
    """The weighted mean squared error of a fold's held-out rows, between the jump times of its own path.

    `errors[i]` holds from `times[i]` to the next time. `weight` is the total weight of the held-out rows, `end` is the
    time until which the path is known, and `proved` says whether the path is certified.
    """

    times: Float64[ndarray, " k"]
    errors: Float64[ndarray, " k"]
    weight: float
    end: float
    proved: bool


def fold_errors(X: Any, y: ndarray, weights: ndarray | None, fold: Fold) -> FoldErrors:
    """Return the held-out errors of a path of the fold's rows, which are centred and scaled on their own."""
    train, test = fold.train, fold.test
    prepared = prepare(
        X[train],
        y[train],
        None if weights is None else weights[train],
        fit_intercept=fold.fit_intercept,
        standardize=fold.standardize,
    )
    path = saddle_path(prepared.problem, max_jumps=fold.max_jumps)
    share = np.ones(len(test)) if weights is None else weights[test]
    squares = (_predictions(prepared, path, X[test]) - y[test][:, None]) ** 2
    total = float(np.sum(share))
    proved = path.status.ok and path.certificate.holds
    return FoldErrors(path.times, share @ squares / total, total, path.valid_until, proved)


def _predictions(prepared: Prepared, path: SaddlePath, X: Any) -> Float64[ndarray, "m k"]:
    """Return the predictions after each jump; only columns that are active at some saddle are read."""
    coefficients, intercepts = prepared.original_units(path.coefficients_sparse)
    ever = np.unique(coefficients.indices)
    return X[:, ever] @ coefficients[:, ever].toarray().T + intercepts


def merged(folds: list[FoldErrors]) -> ErrorCurve:
    """Return the error curve on the interval [0, t) on which the paths of all folds are known."""
    end = min(fold.end for fold in folds)
    times = np.unique(np.concatenate([fold.times for fold in folds]))
    times = times[times < end]
    columns = [fold.errors[np.searchsorted(fold.times, times, side="right") - 1] for fold in folds]
    weights = np.array([fold.weight for fold in folds])
    return ErrorCurve(frozen(times), frozen(np.stack(columns, axis=1)), frozen(weights), float(end))
