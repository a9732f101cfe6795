"""A scikit-learn regressor that reads the saddle path at one time."""

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from implicitbias._core.errors import InputError
from implicitbias.estimators._parameters import count, time
from implicitbias.estimators._path_estimator import PathEstimator
from implicitbias.estimators._prepare import prepare
from implicitbias.limits import saddle_path


class SaddlePathRegressor(PathEstimator):
    r"""Sparse linear regression by the saddle path of a two-layer diagonal network, read at a time t.

    The loss is the weighted mean $\frac{1}{2 \sum_i w_i} \sum_i w_i (y_i - x_i^\top \beta - b)^2$. The path starts at 0
    and activates one coordinate after another. After each jump the active coordinates are the least-squares fit under
    their signs, without shrinkage. The path ends at the fit of least l1 norm. With more rows than columns this is
    ordinary least squares.

    Args:
        t: slow time at which the path is read, in units of 1 / (X times y).
        n_jumps: number of jumps after which the path is read; if the path has fewer, its end is read. If neither t nor
            n_jumps is given, the end of the path is read.
        max_jumps: largest number of jumps that is computed.
        fit_intercept: whether to centre X and y.
        standardize: whether to divide columns by their (weighted) standard deviations; constant columns are not scaled.
        on_jump: function that is called with an `ib.Jump` after each jump, to show progress; its value is ignored.

    Attributes:
        coef_: (d,) coefficients, in the units of the given X.
        intercept_: the intercept; 0 if it is not fitted.
        path_: the `SaddlePath` of the centred, scaled and weighted problem, in the units of that problem.
        times_: (k+1,) slow times of the jumps of `path_`.
        coef_path_: (d, k+1) coefficients in the units of the given X. Each use builds this dense table.
        sparse_coef_path_: (d, k+1) the same coefficients as a `scipy.sparse.csc_array`.
        intercept_path_: (k+1,) intercepts.
        t_: slow time at which the path is read.
        n_jumps_: number of jumps until then.
        certificate_: the certificate of the saddles of the path and, if the path is complete, of its end.
        n_iter_: number of jumps that were computed.
        n_features_in_: d.
        feature_names_in_: column names of a data frame, if all of them are strings.

    Raises:
        InputError: t and n_jumps are both given; a number is negative; n_jumps is larger than max_jumps; the weights
            are invalid; a data frame holds missing values or columns that are not numbers; squares of the data leave
            the range of float64.
        ValueError: scikit-learn does not accept the data, because of NaN, shapes that disagree, or a single row.

    Warns:
        ConvergenceWarning: the certificate does not hold, or the path was cut after max_jumps before it reached t or
            its end.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> rng = np.random.default_rng(0)
        >>> X = rng.standard_normal((50, 100))
        >>> y = 1.0 + X[:, 3] - 2.0 * X[:, 7] + 0.1 * rng.standard_normal(50)
        >>> model = ib.SaddlePathRegressor(n_jumps=2).fit(X, y)
        >>> np.flatnonzero(model.coef_).tolist(), model.coef_[[3, 7]].round(1).tolist()
        ([3, 7], [1.0, -2.0])
        >>> round(model.intercept_, 1), model.certificate_.holds
        (1.0, True)
    """

    def __init__(
        self,
        *,
        t: Any = None,
        n_jumps: Any = None,
        max_jumps: Any = None,
        fit_intercept: Any = True,
        standardize: Any = False,
        on_jump: Any = None,
    ) -> None:
        self.t = t
        self.n_jumps = n_jumps
        self.max_jumps = max_jumps
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.on_jump = on_jump

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SaddlePathRegressor":
        """Fit to rows X (n, d), dense, sparse or a data frame, and targets y (n,).

        A row of whole weight k counts like k equal rows, and a row of weight 0 is left out.
        """
        t, jump_limit = self._checked_limits()
        fit_intercept, standardize = self._checked_flags()
        on_jump = self._progress()
        X, y, names = self._checked_rows(X, y)
        prepared = prepare(
            X, y, sample_weight, fit_intercept=fit_intercept, standardize=standardize, feature_names=names
        )
        path = saddle_path(prepared.problem, max_jumps=jump_limit, t_max=t, on_jump=on_jump)
        self._keep(prepared, path, float(path.times[-1]) if t is None else t)
        wanted = np.inf if t is None and self.n_jumps is None else t
        if wanted is not None and np.isfinite(path.valid_until) and path.valid_until <= wanted:
            where = "its end" if t is None else f"t={t:g}"
            more = "; for this number of jumps, set n_jumps" if t is None else ""
            warnings.warn(
                f"the path was cut after max_jumps={jump_limit} jumps and is known only before "
                f"t={path.valid_until:g}, but {where} is requested; the coefficients are those of its last row; "
                f"raise max_jumps{more}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _checked_limits(self) -> tuple[float | None, int | None]:
        """Return the time and the number of jumps after which the path stops, or raise an `InputError`."""
        t, jump_limit = time("t", self.t), count("max_jumps", self.max_jumps)
        n_jumps = count("n_jumps", self.n_jumps)
        if n_jumps is None:
            return t, jump_limit
        if t is not None:
            raise InputError(
                f"t={t:g} and n_jumps={n_jumps} are both given, at most one of them is expected; "
                "type set_params(n_jumps=None) or set_params(t=None)"
            )
        if jump_limit is not None and jump_limit < n_jumps:
            raise InputError(
                f"max_jumps={jump_limit} stops the path before n_jumps={n_jumps}; raise max_jumps"
            )
        return None, n_jumps
