"""A scikit-learn classifier of largest margin in a gauge."""

import warnings
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from implicitbias._core.errors import InputError
from implicitbias.diagnostics import LimitModel
from implicitbias.estimators._frames import known_rows
from implicitbias.estimators._parameters import flag
from implicitbias.estimators._prepare import standardized
from implicitbias.limits import Limit, max_margin, soft_margin
from implicitbias.problems import Classification

_FORMATS = ("csr", "csc")
_STRATEGIES = ("crammer_singer", "ovr")


class MaxMarginClassifier(ClassifierMixin, LimitModel, BaseEstimator):
    r"""The linear classifier of largest margin in a gauge: hard margins at C = inf, soft margins at a finite C.

    With C = inf it minimises $\gamma(w)$ over $M_i(w, b) \ge 1$, where $M_i = y_i (\langle x_i, w \rangle + b)$ for two
    classes, and the smallest difference between the score of the own and of another class for more. At a finite C it
    minimises $\gamma(w) + C \sum_i \max(0, 1 - M_i)$.

    Args:
        horizon: "l1", "l2", "linf", a number p for the l_p norm, a potential (for its horizon), or a gauge.
        C: the price of a violation; infinity for hard margins, which need separable data.
        fit_intercept: whether there is a free intercept, which the gauge does not count.
        multi_class: for more than two classes, "crammer_singer" for one problem with a score for each class, which is
            what training with the cross-entropy converges to, or "ovr" for one problem for each class against the rest.
        standardize: whether columns are divided by their standard deviations before the fit. With an intercept they are
            centred too, which changes no margin. Constant columns are not scaled.

    Attributes:
        coef_: (1, d) weights for two classes, (k, d) for more, in the units of the caller's X.
        intercept_: (1,) or (k,) intercepts in these units; 0 without `fit_intercept`.
        classes_: (k,) the labels, sorted.
        margin_: 1 / gamma(w) in the units of the (standardised) problem; for "ovr" an array with one for each class.
        support_: the rows with a positive multiplier.
        certificate_: the `Certificate`; for "ovr" the one with the largest gap.
        limits_: the `Limit` of the (standardised) problem; for "ovr" one for each class.
        n_features_in_: d.
        feature_names_in_: column names of a DataFrame, if all of them are strings.

    Raises:
        InputError: a parameter is of the wrong kind.
        InfeasibleError: C is infinite and no linear classifier separates the data.
        ValueError: scikit-learn does not accept the data, or y has a single class.

    Warns:
        ConvergenceWarning: the certificate does not hold.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], ["a", "b", "b"]
        >>> model = ib.MaxMarginClassifier(horizon="l2").fit(X, y)
        >>> model.coef_.round(6).tolist(), model.intercept_.round(6).tolist()
        ([[2.0, 2.0]], [-1.0])
        >>> model.predict([[0.0, 2.0]]).tolist(), model.certificate_.holds
        (['b'], True)
    """

    def __init__(
        self,
        *,
        horizon: Any = "l1",
        C: Any = np.inf,
        fit_intercept: Any = True,
        multi_class: Any = "crammer_singer",
        standardize: Any = False,
    ) -> None:
        self.horizon = horizon
        self.C = C
        self.fit_intercept = fit_intercept
        self.multi_class = multi_class
        self.standardize = standardize

    def fit(self, X: Any, y: Any) -> "MaxMarginClassifier":
        """Fit to rows X (n, d), dense, sparse or a DataFrame, and labels y (n,)."""
        if not isinstance(self.multi_class, str) or self.multi_class not in _STRATEGIES:
            raise InputError(f'multi_class is {self.multi_class!r}, "crammer_singer" or "ovr" is expected')
        C, bias, scaled = (
            _price(self.C),
            flag("fit_intercept", self.fit_intercept),
            flag("standardize", self.standardize),
        )
        X, y = validate_data(
            self, known_rows(X), y, accept_sparse=_FORMATS, dtype=np.float64, ensure_min_samples=2
        )
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        if k < 2:
            raise ValueError(f"y holds one class only ({self.classes_[0]}), at least two are expected")
        offset, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if scaled:
            X, offset, scale = standardized(X, centre=bias)
        names = getattr(self, "feature_names_in_", None)
        names = None if names is None else tuple(map(str, names))
        loss = "cross_entropy" if k > 2 and self.multi_class != "ovr" else "logistic"
        labels = [indices == c for c in range(k)] if k > 2 and self.multi_class == "ovr" else [indices]
        problems = [Classification(X, own, loss=loss, feature_names=names) for own in labels]
        self._keep(tuple(_limit(problem, self.horizon, C, bias) for problem in problems), offset, scale)
        return self

    def decision_function(self, X: Any) -> Float64[ndarray, "..."]:
        """Return the scores of rows X (n, d): (n,) for two classes, (n, k) for more."""
        check_is_fitted(self)
        X = validate_data(self, known_rows(X), accept_sparse=_FORMATS, dtype=np.float64, reset=False)
        scores = X @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> Any:
        """Return the labels of rows X (n, d)."""
        scores = self.decision_function(X)
        return self.classes_[
            (scores > 0.0).astype(np.int64) if scores.ndim == 1 else np.argmax(scores, axis=1)
        ]

    def labelled_limits(self) -> tuple[tuple[Limit, tuple[str, ...]], ...]:
        """Return the limits, each with the names of the classes of its problem; `ib.plot` draws them."""
        check_is_fitted(self)
        labels = tuple(map(str, self.classes_))
        if isinstance(self.limits_, Limit):
            return ((self.limits_, labels),)
        return tuple((limit, ("rest", label)) for limit, label in zip(self.limits_, labels, strict=True))

    def _keep(
        self, limits: tuple[Limit, ...], offset: Float64[ndarray, " d"], scale: Float64[ndarray, " d"]
    ) -> None:
        """Set the fitted attributes in the caller's units, and warn if a certificate does not hold."""
        points = [limit.point.T if limit.point.ndim == 2 else limit.point[None, :] for limit in limits]
        self.coef_ = np.vstack(points) / scale
        biases = [
            np.zeros(len(w)) if limit.bias is None else limit.bias
            for w, limit in zip(points, limits, strict=True)
        ]
        self.intercept_ = np.concatenate([np.ravel(bias) for bias in biases]) - self.coef_ @ offset
        many = len(limits) > 1
        self.limits_: Any = limits if many else limits[0]
        self.margin_ = np.array([limit.margin for limit in limits]) if many else limits[0].margin
        self.support_ = np.unique(np.concatenate([limit.support for limit in limits]))
        worst = max(limits, key=lambda limit: (not limit.certificate.holds, limit.certificate.gap))
        self.certificate_ = worst.certificate
        if not self.certificate_.holds:
            warnings.warn(
                f"{worst.status.value} ({self.certificate_.sentence})", ConvergenceWarning, stacklevel=3
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _limit(problem: Classification, horizon: Any, C: float, bias: bool) -> Limit:
    return max_margin(problem, horizon, bias) if np.isinf(C) else soft_margin(problem, horizon, C, bias)


def _price(C: Any) -> float:
    """Return C as a float, or raise an `InputError` if it is not a positive number or infinity."""
    if isinstance(C, bool) or not isinstance(C, Real) or not float(C) > 0.0:
        raise InputError(f"C is {C!r}, a positive number is expected; type C=numpy.inf for hard margins")
    return float(C)
