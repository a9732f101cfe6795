"""The end of a flow as a value: where it is, what it minimises, and the proof."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias._core.values import Fingerprinted


@dataclass(frozen=True, eq=False)
class Limit(Fingerprinted):
    r"""A predicted end point, with the number it minimises and the certificate that it does.

    Attributes:
        problem: the problem whose limit it is.
        point: w, of the shape of the problem's predictor; for margins scaled to the smallest margin 1.
        value: what the point minimises, at the point (the norm of w; 1 / margin for margins).
        certificate: the proof, judged by its own numbers.
        status: how the computation ended.
        dual: the dual variable of the certificate, shaped as w; None where the limit has none.
        margin: the margin of the normalised point; None outside classification.
        bias: the intercept that no norm counts; None where there is none.

    Reference:
        pesme2023saddle.

    Examples:
        >>> import implicitbias as ib
        >>> limit = ib.saddle_path(ib.LeastSquares([[2.0, 0.0], [0.0, 1.0]], [4.0, 1.0])).limit
        >>> limit.point.tolist(), limit.value
        ([2.0, 1.0], 3.0)
        >>> limit.certificate.holds, limit.status.ok
        (True, True)
        >>> limit.predict([[1.0, 1.0]]).tolist()
        [3.0]
    """

    problem: Any
    point: Float64[ndarray, "..."]
    value: float
    certificate: Certificate
    status: Status
    dual: Float64[ndarray, "..."] | None = None
    margin: float | None = None
    bias: float | None = None

    def predict(self, X_new: Any) -> Float64[ndarray, " m"]:
        """Return X_new w, plus the bias where there is one.

        Args:
            X_new: (m, d) rows: an array, a data frame or a `scipy.sparse` matrix, with the columns of the problem.

        Raises:
            InputError: another number of columns, NaN or infinite entries, or a point that is a matrix.
        """
        if self.point.ndim != 1:
            raise InputError(
                f"the limit is a point of shape {self.point.shape}, whose predictions are its own entries; "
                "type limit.point[rows, cols]"
            )
        X = _checked_rows(X_new)
        if X.shape[1] != len(self.point):
            raise InputError(
                f"X_new has {X.shape[1]} columns, {len(self.point)} are expected, those of the problem's X"
            )
        return frozen(X @ self.point + (0.0 if self.bias is None else self.bias))

    def __repr__(self) -> str:
        held = f"certified={self.certificate.holds}"
        return f"Limit(value={self.value:g}, shape={self.point.shape}, {self.status.name}, {held})"


def _checked_rows(X_new: Any) -> Any:
    if not sparse.issparse(X_new):
        return real_array(X_new, "X_new", ndim=2)
    if X_new.ndim != 2 or not np.all(np.isfinite(X_new.tocoo().data)):
        raise InputError(
            "X_new is not a sparse matrix of finite numbers; drop or impute its NaN and infinite entries"
        )
    return X_new.astype(np.float64)
