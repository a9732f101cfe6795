"""A scikit-learn regressor that reads the saddle path at a time chosen by cross-validation."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed

from implicitbias._core.errors import InputError
from implicitbias.estimators._fold_errors import Fold, FoldErrors, fold_errors, merged
from implicitbias.estimators._parameters import count
from implicitbias.estimators._path_estimator import PathEstimator
from implicitbias.estimators._prepare import checked_weights, prepare
from implicitbias.limits import saddle_path

_RULES = ("best", "1se")


class SaddlePathRegressorCV(PathEstimator):
    r"""`SaddlePathRegressor` at the slow time of least cross-validated error.

    Each fold centres and scales its own training rows and computes its own path. The mean squared error of its held-out
    rows is a piecewise-constant function of slow time t and is known exactly, so that no grid is needed. The errors of
    all folds are compared on the union of their jump times. Then the path of all rows is read at the chosen time.

    Args:
        cv: number of folds, a scikit-learn splitter that needs no groups, or an iterable of (train, test) indices.
            None stands for 5 folds.
        rule: "best" chooses the earliest time of least mean error. "1se" chooses the earliest time whose mean error is
            at most one standard error above the least, which gives sparser coefficients.
        max_jumps: largest number of jumps that is computed on the path of a fold. Times at which the path of some fold
            is unknown are not candidates.
        fit_intercept: whether to centre X and y.
        standardize: whether to divide columns by their (weighted) standard deviations; constant columns are not scaled.
        n_jobs: number of folds that are computed at the same time, as in scikit-learn.

    Attributes:
        t_: the chosen slow time, in units of 1 / (X times y).
        cv_times_: (m,) ascending slow times, the jumps of all folds.
        mse_path_: (m, folds) mean squared error of each fold's held-out rows from `cv_times_[i]` to the next time. A
            fold has no column if all its held-out rows have weight 0. In the mean over folds, each fold counts with the
            weight of its held-out rows.
        coef_: (d,) coefficients, in the units of the given X.
        intercept_: the intercept; 0 if it is not fitted.
        path_: the `SaddlePath` of the centred, scaled and weighted problem of all rows, in the units of that problem.
            It is cut at `t_`.
        times_: (k+1,) slow times of the jumps of `path_`.
        coef_path_: (d, k+1) coefficients in the units of the given X. Each use builds this dense table.
        intercept_path_: (k+1,) intercepts.
        n_jumps_: number of jumps until `t_`.
        certificate_: the certificate of `path_`.
        n_iter_: number of jumps that were computed on all rows.
        n_features_in_: d.
        feature_names_in_: column names of a DataFrame, if all of them are strings.

    Raises:
        InputError: the rule is unknown; max_jumps is negative; the weights are invalid; squares of the data leave the
            range of float64.
        ValueError: scikit-learn does not accept the data, because of NaN, shapes that disagree, or more folds than
            rows.

    Warns:
        ConvergenceWarning: the path of some fold or of all rows is not certified.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> rng = np.random.default_rng(0)
        >>> X = rng.standard_normal((50, 100))
        >>> y = 1.0 + X[:, 3] - 2.0 * X[:, 7] + 0.1 * rng.standard_normal(50)
        >>> model = ib.SaddlePathRegressorCV(cv=10).fit(X, y)
        >>> np.flatnonzero(model.coef_).tolist(), model.coef_[[3, 7]].round(1).tolist()
        ([3, 7], [1.0, -2.0])
        >>> model.mse_path_.shape == (len(model.cv_times_), 10)
        True
    """

    def __init__(
        self,
        *,
        cv: Any = None,
        rule: Any = "best",
        max_jumps: Any = None,
        fit_intercept: Any = True,
        standardize: Any = False,
        n_jobs: Any = None,
    ) -> None:
        self.cv = cv
        self.rule = rule
        self.max_jumps = max_jumps
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SaddlePathRegressorCV":
        """Fit to rows X (n, d), dense, sparse or a DataFrame, and targets y (n,).

        Weights count in the fit and in the score of a fold. A row of whole weight k counts like k equal rows in the
        same fold.
        """
        if self.rule not in _RULES:
            raise InputError(f'rule is {self.rule!r}, "best" or "1se" is expected')
        jump_limit = count("max_jumps", self.max_jumps)
        fit_intercept, standardize = self._checked_flags()
        X, y, names = self._checked_rows(X, y)
        weights = checked_weights(sample_weight, len(y))
        curve = merged(self._folds(X, y, weights, (fit_intercept, standardize, jump_limit)))
        self.cv_times_, self.mse_path_ = curve.times, curve.errors
        self.t_ = curve.best() if self.rule == "best" else curve.within_one_standard_error()
        prepared = prepare(
            X, y, weights, fit_intercept=fit_intercept, standardize=standardize, feature_names=names
        )
        self._keep(prepared, saddle_path(prepared.problem, t_max=self.t_))
        return self

    def _folds(
        self, X: Any, y: Any, weights: Any, settings: tuple[bool, bool, int | None]
    ) -> list[FoldErrors]:
        """Return the errors of each fold, computed with these settings; warn if a path is not certified."""
        splits = [
            Fold(_indices(train, y), _indices(test, y), *settings)
            for train, test in check_cv(self.cv, y).split(X, y)
        ]
        share = np.ones(len(y)) if weights is None else weights
        splits = [fold for fold in splits if np.any(share[fold.test] > 0.0)]
        for k, fold in enumerate(splits, start=1):
            rows = int(np.count_nonzero(share[fold.train]))
            if rows < 2:
                raise InputError(
                    f"cv={self.cv!r} leaves {rows} row(s) of positive weight to fit in fold {k}, at least two are "
                    "expected; use more rows, or another cv"
                )
        needed = 2 if self.rule == "1se" else 1
        if len(splits) < needed:
            raise InputError(
                f"cv={self.cv!r} gives {len(splits)} fold(s) with held-out rows of positive weight, at least {needed} "
                f'is expected for rule="{self.rule}"'
            )
        run = delayed(fold_errors)
        folds = list(
            Parallel(n_jobs=self.n_jobs, prefer="threads")(run(X, y, weights, fold) for fold in splits)
        )
        unproved = sum(not fold.proved for fold in folds)
        if unproved:
            warnings.warn(
                f"the paths of {unproved} of {len(folds)} folds are not certified; the usual causes are near-duplicate "
                "columns and bad conditioning; to see the cause, fit SaddlePathRegressor to the rows of such a fold",
                ConvergenceWarning,
                stacklevel=3,
            )
        return folds


def _indices(rows: Any, y: Any) -> Any:
    """Return the row numbers of one side of a split, which may be given as a mask."""
    return np.arange(len(y))[np.asarray(rows)]
