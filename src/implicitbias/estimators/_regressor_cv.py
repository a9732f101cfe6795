"""A scikit-learn regressor that reads the saddle path at a time chosen by cross-validation."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn import get_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from implicitbias._core.errors import InputError
from implicitbias.diagnostics import ErrorCurve
from implicitbias.estimators._fold_errors import Fold, fold_errors, merged
from implicitbias.estimators._folds import (
    Split,
    checked_folds,
    refuse_ignored_groups,
    splits,
    warn_of_sorted_rows,
)
from implicitbias.estimators._parameters import count
from implicitbias.estimators._path_estimator import PathEstimator
from implicitbias.estimators._prepare import checked_weights, prepare
from implicitbias.limits import Jump, SaddlePath, saddle_path

_RULES = ("best", "1se")


class SaddlePathRegressorCV(PathEstimator):
    r"""`SaddlePathRegressor` at the slow time of least cross-validated error.

    Each fold centres and scales its own training rows and computes its own path. The mean squared error of its held-out
    rows is a piecewise-constant function of slow time t and is known exactly, so that no grid is needed. The errors of
    all folds are compared on the union of their jump times. Then the path of all rows is read at the chosen time.

    Args:
        cv: number of folds, a scikit-learn splitter, or an iterable of (train, test) indices. None stands for 5 folds.
            A number of folds makes blocks of consecutive rows; `KFold(5, shuffle=True, random_state=0)` shuffles them.
        rule: "best" chooses the earliest time of least mean error. "1se" chooses the earliest time whose mean error is
            at most one standard error above the least, which gives sparser coefficients.
        max_jumps: largest number of jumps that is computed on the path of a fold. Times at which the path of some fold
            is unknown are not candidates. `path_` stops after this number of jumps too, but not before the chosen time.
        fit_intercept: whether to centre X and y.
        standardize: whether to divide columns by their (weighted) standard deviations; constant columns are not scaled.
        n_jobs: number of folds that are computed at the same time, as in scikit-learn.
        on_jump: function that is called with an `ib.Jump` after each jump of the path of all rows, to show progress;
            its value is ignored. `fit` follows this path to `t_`, and the first use of `path_` to its end.

    Attributes:
        t_: the chosen slow time, in units of 1 / (X times y).
        cv_curve_: the `implicitbias.diagnostics.ErrorCurve` of the held-out rows: the mean error, its standard error
            and the held-out R^2 at any time. A fold has no column in it if all its held-out rows have weight 0. In the
            mean over folds, each fold counts with the weight of its held-out rows.
        cv_times_: (m,) `cv_curve_.times`, the ascending slow times of the jumps of all folds.
        mse_path_: (m, folds) `cv_curve_.errors`, the mean squared error of each fold's held-out rows from
            `cv_times_[i]` to the next time.
        coef_: (d,) coefficients, in the units of the given X.
        intercept_: the intercept; 0 if it is not fitted.
        path_: the `SaddlePath` of the centred, scaled and weighted problem of all rows, in the units of that problem.
            It goes on beyond `t_`, to its end or to max_jumps, and is computed at its first use.
        times_: (k+1,) slow times of the jumps of `path_`.
        coef_path_: (d, k+1) coefficients in the units of the given X. Each use builds this dense table.
        sparse_coef_path_: (d, k+1) the same coefficients as a `scipy.sparse.csc_array`.
        intercept_path_: (k+1,) intercepts.
        n_jumps_: number of jumps until `t_`.
        certificate_: the certificate of the path until `t_`.
        n_iter_: number of jumps until `t_`.
        n_features_in_: d.
        feature_names_in_: column names of a data frame, if all of them are strings.

    Raises:
        InputError: the rule is unknown; max_jumps is negative; the weights are invalid; groups are given to a cv that
            ignores them; a data frame holds missing values or columns that are not numbers; squares of the data leave
            the range of float64.
        ValueError: scikit-learn does not accept the data, because of NaN, shapes that disagree, or more folds than
            rows.

    Warns:
        ConvergenceWarning: the path of some fold or of all rows is not certified, or max_jumps cut the paths of the
            folds while the held-out error still decreased.
        UserWarning: the folds are blocks of consecutive rows, and the rows seem to be sorted.

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

    # Groups are for the splitter, which says itself whether it uses them; the fit does not use them.
    __metadata_request__fit = {"groups": UNUSED}  # noqa: RUF012

    def __init__(
        self,
        *,
        cv: Any = None,
        rule: Any = "best",
        max_jumps: Any = None,
        fit_intercept: Any = True,
        standardize: Any = False,
        n_jobs: Any = None,
        on_jump: Any = None,
    ) -> None:
        self.cv = cv
        self.rule = rule
        self.max_jumps = max_jumps
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.n_jobs = n_jobs
        self.on_jump = on_jump

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> "SaddlePathRegressorCV":
        """Fit to rows X (n, d), dense, sparse or a data frame, and targets y (n,).

        Weights count in the fit and in the score of a fold. A row of whole weight k counts like k equal rows in the
        same fold.

        Args:
            X: (n, d) rows.
            y: (n,) targets.
            sample_weight: (n,) weights >= 0, one number for all rows, or None for weights 1.
            groups: (n,) labels that `cv` takes, for instance `GroupKFold(5)`, which keeps the rows of a label in one
                fold. With scikit-learn's metadata routing, the splitter requests them.
        """
        if self.rule not in _RULES:
            raise InputError(f'rule is {self.rule!r}, "best" or "1se" is expected')
        jump_limit = count("max_jumps", self.max_jumps)
        fit_intercept, standardize = self._checked_flags()
        on_jump = self._progress()
        X, y, names = self._checked_rows(X, y)
        weights = checked_weights(sample_weight, len(y))
        folds = self._folds(X, y, weights, self._split_arguments(groups))
        settings = (fit_intercept, standardize, jump_limit)
        self.cv_curve_ = self._curve(X, y, weights, [Fold(train, test, *settings) for train, test in folds])
        chosen = self.cv_curve_.best() if self.rule == "best" else self.cv_curve_.within_one_standard_error()
        prepared = prepare(
            X, y, weights, fit_intercept=fit_intercept, standardize=standardize, feature_names=names
        )
        self._keep(prepared, saddle_path(prepared.problem, t_max=chosen, on_jump=on_jump), chosen)
        self._whole: SaddlePath | None = None
        self._jump_limit = jump_limit
        return self

    @property
    def path_(self) -> SaddlePath:
        """The `SaddlePath` of all rows beyond `t_`, to its end or to max_jumps; it is computed at the first use."""
        check_is_fitted(self)
        if self._whole is None:
            limit, report = self._jump_limit, self._progress()

            def stops(jump: Jump) -> bool:
                if report is not None and jump.number > self.n_jumps_:  # `fit` has told the others
                    report(jump)
                return limit is not None and jump.number >= limit and jump.time > self.t_

            self._whole = saddle_path(self._path.problem, on_jump=stops)
        return self._whole

    @property
    def cv_times_(self) -> Float64[ndarray, " m"]:
        """(m,) ascending slow times, the jumps of all folds."""
        return self.cv_curve_.times

    @property
    def mse_path_(self) -> Float64[ndarray, "m folds"]:
        """(m, folds) mean squared error of each fold's held-out rows from `cv_times_[i]` to the next time."""
        return self.cv_curve_.errors

    def held_out_errors(self) -> ErrorCurve | None:
        """Return `cv_curve_`, the errors from which cross-validation chose `t_`."""
        check_is_fitted(self)
        return self.cv_curve_

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what scikit-learn's metadata routing passes on: weights to the fit, and groups to the splitter."""
        mapping = MethodMapping().add(caller="fit", callee="split")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(splitter=check_cv(self.cv), method_mapping=mapping)

    def _split_arguments(self, groups: Any) -> dict[str, Any]:
        """Return the arguments of the splitter: the groups if they are given, or what metadata routing says of them."""
        if groups is None:
            return {}
        refuse_ignored_groups(self.cv)
        if get_config()["enable_metadata_routing"]:
            return dict(process_routing(self, "fit", groups=groups).splitter.split)
        return {"groups": groups}

    def _folds(self, X: Any, y: ndarray, weights: ndarray | None, arguments: dict[str, Any]) -> list[Split]:
        """Return the rows of each fold that counts; warn if they are blocks of sorted rows."""
        found = splits(self.cv, X, y, arguments)
        folds = checked_folds(found, weights, len(y), self.cv)
        needed = 2 if self.rule == "1se" else 1
        if len(folds) < needed:
            raise InputError(
                f"cv={self.cv!r} gives {len(folds)} fold(s) with held-out rows of positive weight, at least {needed} "
                f'is expected for rule="{self.rule}"'
            )
        if not arguments:
            warn_of_sorted_rows(found, y, stacklevel=4)
        return folds

    def _curve(self, X: Any, y: ndarray, weights: ndarray | None, folds: list[Fold]) -> ErrorCurve:
        """Return the errors of the folds; warn if a path is not certified or is too short to see the least error."""
        run = delayed(fold_errors)
        found = list(
            Parallel(n_jobs=self.n_jobs, prefer="threads")(run(X, y, weights, fold) for fold in folds)
        )
        unproved = sum(not fold.proved for fold in found)
        if unproved:
            warnings.warn(
                f"the paths of {unproved} of {len(found)} folds are not certified; the usual causes are near-duplicate "
                "columns and bad conditioning; to see the cause, fit SaddlePathRegressor to the rows of such a fold",
                ConvergenceWarning,
                stacklevel=3,
            )
        curve = merged(found)
        if np.isfinite(curve.valid_until) and curve.best() == curve.times[-1]:
            warnings.warn(
                f"the paths of the folds were cut after max_jumps={self.max_jumps} jumps, and the held-out error is "
                f"least at the last known time {curve.times[-1]:g}; later times may be better; raise max_jumps",
                ConvergenceWarning,
                stacklevel=3,
            )
        return curve
