"""The predicted end point of a flow as a value."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.archive import FileKind, damage_told, read_archive, write_archive
from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias._core.values import Fingerprinted
from implicitbias.limits._problem_files import problem_record, stored_problem
from implicitbias.problems import ProblemInW

_KIND = FileKind("implicitbias.Limit", 1, "limit")


@dataclass(frozen=True, eq=False)
class Limit(Fingerprinted):
    r"""A predicted end point of a flow, with the objective that it minimises and a certificate.

    Attributes:
        problem: the problem of the flow.
        point: w, of the shape of the problem's predictor, or the pytree of parameters of a problem in parameters. In
            classification it is scaled to the smallest margin 1.
        value: the objective at the point: the norm of w, or 1 / margin in classification; ||theta||^2 for parameters.
        certificate: the numbers that prove that the point minimises the objective.
        status: how the computation ended.
        dual: the dual variable of the certificate, shaped as w; None if the limit has none.
        margin: the margin of the normalised point; None outside classification.
        bias: the intercept, or (k,) those of k classes, which are not part of the norm; None if there is none.
        multipliers: (n,) the multipliers of the margins, which are positive at support vectors only; (n, k) for k
            classes. For parameters in regression those of f = y, (n,) or (n, k). None for other limits.
        error: an estimate of the relative error of the point, for a limit that ends an integration; None for others.
        curvature: the signs of the second derivatives in the tangent space of the constraints, for the least norm of
            parameters; None for other limits, and where they are not known, as at kinks of the model.
        tangent_at: the parameters at which the model is linearised, for the kernel regime, where the point is a change
            h of them; None for other limits.

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
    point: Any
    value: float
    certificate: Certificate
    status: Status
    dual: Float64[ndarray, "..."] | None = None
    margin: float | None = None
    bias: Any = None
    multipliers: Float64[ndarray, "..."] | None = None
    error: float | None = None
    curvature: Any = None
    tangent_at: Any = None

    @property
    def support(self) -> Int64[ndarray, " k"] | None:
        """The rows of the support vectors, whose multipliers are positive; None outside classification."""
        if self.multipliers is None or self.margin is None:
            return None
        return frozen(np.flatnonzero(self.multipliers.reshape(len(self.multipliers), -1).any(axis=1)))

    def predict(self, X_new: Any) -> Float64[ndarray, "..."]:
        """Return X_new w, plus the bias if there is one: (m,), or (m, k) scores of k classes.

        For a limit in parameters it returns the predictions of the model. For a limit of the kernel regime it returns
        f + <grad f, h> in regression and <grad f, h> in classification, with f and its gradient at `tangent_at`.

        Args:
            X_new: (m, d) rows: an array, a data frame or a `scipy.sparse` matrix, with the columns of the problem; or
                (m, p, q) matrices if the rows of the problem are matrices. For a limit in parameters: inputs like those
                of the problem.

        Raises:
            InputError: X_new has another number of columns or holds NaN or infinite entries; the point is a matrix.
        """
        if self.tangent_at is not None:
            return self._linearised(X_new)
        in_w = isinstance(self.problem, ProblemInW)
        if not in_w:
            from implicitbias.predictors import of  # it loads JAX

            return of(self.problem).predict(self.point, X_new)
        if self.point.ndim != 1 and self.margin is None:
            raise InputError(
                f"predict(X_new) expects a limit of shape (d,), but the point has shape {self.point.shape} and its "
                "predictions are its own entries; type limit.point[rows, cols]"
            )
        shape = self.problem.shape[1:]
        if len(shape) == 2:
            X, w = real_array(X_new, "X_new", ndim=3), self.point
            if X.shape[1:] != shape:
                raise InputError(
                    f"X_new has matrices of shape {X.shape[1:]}, {shape} is expected as in the problem's X"
                )
            return frozen(np.tensordot(X, w, axes=2) + (0.0 if self.bias is None else self.bias))
        X = _checked_rows(X_new)
        if X.shape[1] != len(self.point):
            raise InputError(
                f"X_new has {X.shape[1]} columns, {len(self.point)} are expected, those of the problem's X"
            )
        return frozen(X @ self.point + (0.0 if self.bias is None else self.bias))

    def _linearised(self, X_new: Any) -> Float64[ndarray, "..."]:
        from implicitbias.predictors import of  # it loads JAX

        values, changes = of(self.problem).linearised(self.tangent_at, self.point, X_new)
        return changes if self.margin is not None else frozen(values + changes)

    def save(self, path: str | Path) -> None:
        """Write the limit and its certificate to one NPZ file without pickled code. An error leaves no partial file.

        The file also holds the problem if that is a `LeastSquares(X, y)` whose X takes at most 64 MiB. Otherwise it
        holds the fingerprint of the problem, and `load` needs `like`.

        Raises:
            InputError: the file cannot be written, or the limit is one of parameters.
        """
        others = (self.error, self.curvature, self.tangent_at)
        if any(part is not None for part in others) or not isinstance(self.point, ndarray):
            raise InputError(
                "the limit is one of parameters, whose pytree this file cannot hold; type "
                "numpy.savez(path, *jax.tree.leaves(limit.point)) for its arrays, and limit.certificate.save(path)"
            )
        statement, data = problem_record(self.problem)
        header = {
            "status": self.status.name,
            "certificate": self.certificate.record(),
            "numbers": {name: getattr(self, name) for name in ("value", "margin")},
            **statement,
        }
        parts = {"point": self.point, "dual": self.dual, "multipliers": self.multipliers}
        if self.bias is not None:
            parts["bias"] = np.asarray(self.bias)
        arrays = {name: array for name, array in parts.items() if array is not None}
        write_archive(Path(path), _KIND, header, arrays | data)

    @staticmethod
    def load(path: str | Path, like: Any = None) -> "Limit":
        """Return a saved limit.

        Args:
            path: a file written by `save`.
            like: the problem of the limit. It is used in place of the one in the file, after a comparison of
                fingerprints. It is needed if the file holds only the fingerprint.

        Raises:
            InputError: the file does not exist, is damaged or is of another kind; the problem is not in the file and
                `like` is None; `like` has other data.
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
                multipliers=arrays.get("multipliers"),
                bias=float(arrays["bias"]) if np.ndim(arrays.get("bias", [])) == 0 else arrays.get("bias"),
                **{name: header["numbers"][name] for name in ("value", "margin")},
            )

    def __repr__(self) -> str:
        held = f"certified={self.certificate.holds}"
        what = f"shape={self.point.shape}" if isinstance(self.point, ndarray) else "parameters"
        return f"Limit(value={self.value:g}, {what}, {self.status.name}, {held})"


def _checked_rows(X_new: Any) -> Any:
    if not sparse.issparse(X_new):
        return real_array(X_new, "X_new", ndim=2)
    real = np.dtype(X_new.dtype).kind in "fiub"
    if X_new.ndim != 2 or not real or not np.all(np.isfinite(X_new.tocoo().data)):
        raise InputError(
            f"X_new is not a sparse matrix of finite numbers but of shape {X_new.shape} and type {X_new.dtype}; drop "
            "or impute NaN and infinite entries, and take the real part of complex ones"
        )
    return X_new.astype(np.float64)
