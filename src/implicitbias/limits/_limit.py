"""The end of a flow as a value: where it is, what it minimises, and the proof."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.archive import FileKind, damage_told, read_archive, write_archive
from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias._core.values import Fingerprinted
from implicitbias.limits._problem_files import problem_record, stored_problem

_KIND = FileKind("implicitbias.Limit", 1, "limit")


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

    def save(self, path: str | Path) -> None:
        """Write the limit, its certificate and a problem of rows to one NPZ file, whole or not at all. No pickled code.

        Of other problems than `LeastSquares(X, y)`, and where X takes more than 64 MiB, the file holds the fingerprint,
        and `load` needs `like`.

        Raises:
            InputError: the disk or the rights are at fault.
        """
        statement, data = problem_record(self.problem)
        header = {
            "status": self.status.name,
            "certificate": self.certificate.record(),
            "numbers": {name: getattr(self, name) for name in ("value", "margin", "bias")},
            **statement,
        }
        parts = {"point": self.point, "dual": self.dual}
        arrays = {name: array for name, array in parts.items() if array is not None}
        write_archive(Path(path), _KIND, header, arrays | data)

    @staticmethod
    def load(path: str | Path, like: Any = None) -> "Limit":
        """Return a saved limit.

        Args:
            path: a file written by `save`.
            like: the problem of the limit, where it is at hand: it is used in place of the one in the file, after a
                comparison of fingerprints.

        Raises:
            InputError: no such file, one that is damaged or of another kind, a problem that is not in the file, or a
                `like` with other data.
        """
        file = Path(path)
        header, arrays = read_archive(file, _KIND)
        with damage_told(file, _KIND):
            return Limit(
                problem=stored_problem(file, _KIND, header, arrays, like),
                point=arrays["point"],
                certificate=Certificate.of_record(header["certificate"]),
                status=Status[header["status"]],
                dual=arrays.get("dual"),
                **{name: header["numbers"][name] for name in ("value", "margin", "bias")},
            )

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
