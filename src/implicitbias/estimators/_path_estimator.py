"""The base class of estimators that read a saddle path: fitted attributes and prediction."""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from implicitbias.estimators._parameters import flag
from implicitbias.estimators._prepare import Prepared
from implicitbias.limits import SaddlePath

# The walk needs contiguous columns, and the selection of the rows of a fold needs contiguous rows.
FORMATS = ("csr", "csc")


class PathEstimator(RegressorMixin, BaseEstimator, ABC):
    """A linear regressor whose coefficients are the last row of a saddle path that ends at the chosen time."""

    fit_intercept: Any
    standardize: Any

    @abstractmethod
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit to rows X (n, d) and targets y (n,)."""

    def predict(self, X: Any) -> Float64[ndarray, " n"]:
        """Return (n,) predictions `X @ coef_ + intercept_` for rows X (n, d), dense or sparse."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=FORMATS, dtype=np.float64, reset=False)
        return X @ self.coef_ + self.intercept_

    @property
    def times_(self) -> Float64[ndarray, " k"]:
        """(k+1,) slow times of the jumps, `times_[0] == 0`."""
        return self.path_.times

    @property
    def coef_path_(self) -> Float64[ndarray, "d k"]:
        """(d, k+1) coefficients after each jump, in the units of the caller's X. Each use builds this dense table."""
        return self._prepared.original_units(self.path_.coefficients_sparse)[0].toarray().T

    @property
    def intercept_path_(self) -> Float64[ndarray, " k"]:
        """(k+1,) intercepts after each jump, in the units of the caller's data."""
        return self._prepared.original_units(self.path_.coefficients_sparse)[1]

    def _checked_flags(self) -> tuple[bool, bool]:
        """Return `fit_intercept` and `standardize`, or raise an `InputError`."""
        return flag("fit_intercept", self.fit_intercept), flag("standardize", self.standardize)

    def _checked_rows(self, X: Any, y: Any) -> tuple[Any, Any, tuple[str, ...] | None]:
        """Return X and y after scikit-learn's checks, and the names of the columns."""
        X, y = validate_data(
            self, X, y, accept_sparse=FORMATS, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        names = getattr(self, "feature_names_in_", None)
        return X, y, None if names is None else tuple(str(name) for name in names)

    def _keep(self, prepared: Prepared, path: SaddlePath) -> None:
        """Set the fitted attributes from the last row of the path, and warn if the path is not certified."""
        last = path.coefficients_sparse[[-1]].toarray()[0]
        self._prepared, self.path_ = prepared, path
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
