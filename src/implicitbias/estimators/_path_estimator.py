"""The base class of estimators that read a saddle path: fitted attributes and prediction."""

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from implicitbias._core.errors import InputError
from implicitbias.diagnostics import ErrorCurve, PathModel
from implicitbias.estimators._frames import known_rows, known_targets
from implicitbias.estimators._parameters import flag
from implicitbias.estimators._prepare import Prepared
from implicitbias.limits import Jump, SaddlePath

# The walk needs contiguous columns, and the selection of the rows of a fold needs contiguous rows.
FORMATS = ("csr", "csc")


class PathEstimator(RegressorMixin, BaseEstimator, PathModel):
    """A linear regressor whose coefficients are those of a saddle path at the slow time `t_`."""

    fit_intercept: Any
    on_jump: Any

    @abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit to rows X (n, d) and targets y (n,)."""

    def predict(self, X: Any) -> Float64[ndarray, " n"]:
        """Return (n,) predictions `X @ coef_ + intercept_` for rows X (n, d), dense or sparse."""
        check_is_fitted(self)
        X = validate_data(self, known_rows(X), accept_sparse=FORMATS, dtype=np.float64, reset=False)
        return X @ self.coef_ + self.intercept_

    @property
    def path_(self) -> SaddlePath:
        """The `SaddlePath` of the centred, scaled and weighted problem, in the units of that problem."""
        check_is_fitted(self)
        return self._path

    @property
    def times_(self) -> Float64[ndarray, " k"]:
        """(k+1,) slow times of the jumps, `times_[0] == 0`."""
        return self.path_.times

    @property
    def coef_path_(self) -> Float64[ndarray, "d k"]:
        """(d, k+1) coefficients after each jump, in the units of the caller's X. Each use builds this dense table."""
        return self.sparse_coef_path_.toarray()

    @property
    def sparse_coef_path_(self) -> Any:
        """(d, k+1) the same coefficients as a `scipy.sparse.csc_array`, which is also small for a million columns."""
        return self._prepared.original_units(self.path_.coefficients_sparse)[0].T

    @property
    def intercept_path_(self) -> Float64[ndarray, " k"]:
        """(k+1,) intercepts after each jump, in the units of the caller's data."""
        return self._prepared.original_units(self.path_.coefficients_sparse)[1]

    def held_out_errors(self) -> ErrorCurve | None:
        """Return the errors from which cross-validation chose `t_`; None if `t_` was not chosen in this way."""
        check_is_fitted(self)
        return None

    def _checked_flags(self) -> tuple[bool, bool]:
        """Return `fit_intercept` and `standardize`, or raise an `InputError`."""
        return flag("fit_intercept", self.fit_intercept), flag("standardize", self.standardize)

    def _checked_rows(self, X: Any, y: Any) -> tuple[Any, Any, tuple[str, ...] | None]:
        """Return X and y after scikit-learn's checks, and the names of the columns."""
        X, y = validate_data(
            self,
            known_rows(X),
            known_targets(y),
            accept_sparse=FORMATS,
            dtype=np.float64,
            y_numeric=True,
            ensure_min_samples=2,
        )
        names = getattr(self, "feature_names_in_", None)
        return X, y, None if names is None else tuple(str(name) for name in names)

    def _progress(self) -> Callable[[Jump], None] | None:
        """Return `on_jump` as a function whose value does not stop the path, or None; raise an `InputError`."""
        report = self.on_jump
        if report is None:
            return None
        if not callable(report):
            raise InputError(
                f"on_jump is a {type(report).__name__}, a function of a Jump or None is expected"
            )

        def tell(jump: Jump) -> None:
            report(jump)

        return tell

    def _keep(self, prepared: Prepared, path: SaddlePath, t: float) -> None:
        """Set the fitted attributes from the last row of a path until t, and warn if the path is not certified."""
        last = path.coefficients_sparse[[-1]].toarray()[0]
        self._prepared, self._path, self.t_ = prepared, path, t
        self.coef_, intercept = prepared.original_units(last)
        self.intercept_ = float(intercept)
        self.n_jumps_ = self.n_iter_ = path.n_jumps
        self.certificate_ = path.certificate
        if not (path.status.ok and path.certificate.holds):
            warnings.warn(
                f"{path.status.value} ({path.certificate.sentence})", ConvergenceWarning, stacklevel=3
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
