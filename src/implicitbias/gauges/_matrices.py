"""The nuclear and the spectral norm of matrices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import Cone, ConeKind, ConicForm, Parts
from implicitbias.gauges._faces import NuclearFace, SpectralFace
from implicitbias.gauges._gauge import Face, Gauge


class MatrixGauge(Gauge):
    """A gauge of matrices of any size, the base class of the Schatten norms."""

    def refuse_shape(self, shape: tuple[int, ...], what: str) -> None:
        """Raise an `InputError` if the shape is not that of a matrix."""
        if len(shape) != 2 or 0 in shape:
            raise InputError(
                f"{what} {shape}, a matrix is expected by {type(self).__name__}; give w the shape (m, k)"
            )


@dataclass(frozen=True, eq=False)
class Nuclear(MatrixGauge):
    r"""The nuclear norm $\lVert W \rVert_* = \sum_i \sigma_i(W)$ of (m, k) matrices.

    Reference:
        gunasekar2017implicit.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.Nuclear().value([[3.0, 0.0], [0.0, -4.0]])
        7.0
        >>> ib.gauges.Nuclear().polar()
        Spectral()
    """

    @property
    def schatten(self) -> float | None:
        """The exponent 1."""
        return 1.0

    def polar(self) -> "Spectral":
        """Return the spectral norm."""
        return Spectral()

    def value_formula(self, w: Float64[ndarray, "m k"]) -> float:
        """Return the sum of the singular values."""
        return float(np.sum(singular_values(w)))

    def face_formula(self, z: Float64[ndarray, "m k"], tolerance: float) -> Face:
        """Return the face, from the singular vectors of the largest singular value of z."""
        left, sizes, right = decomposed(z)
        top = (sizes >= (1.0 - tolerance) * sizes[0]) & (sizes > 0.0)
        left, right = left[:, top], right[:, top]
        return NuclearFace(
            self, z, frozen(left @ right.T / max(1, left.shape[1])), frozen(left), frozen(right)
        )

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the constraint that [[P, W], [W^T, Q]] is positive semidefinite with trace P + trace Q <= 2 t."""
        (m, k), (i, j) = shape, _triangle(sum(shape))
        inner = (j < m) | (i >= m)
        count = int(np.count_nonzero(inner))
        scale = np.where(i == j, 1.0, np.sqrt(2.0))
        extra = scipy.sparse.csr_array(
            (scale[inner], (np.flatnonzero(inner), np.arange(count))), shape=(len(i), count)
        )
        parts = Parts(m * k, count)
        trace = scipy.sparse.csr_array(np.where((i == j)[inner], -1.0, 0.0)[None, :])
        parts.add(Cone(ConeKind.NON_NEGATIVE, 1), level=np.array([2.0]), extra=trace)
        parts.add(
            Cone(ConeKind.POSITIVE_SEMIDEFINITE, len(i)), point=_off_diagonal(i, j, (m, k)), extra=extra
        )
        return parts.form()


@dataclass(frozen=True, eq=False)
class Spectral(MatrixGauge):
    r"""The spectral norm $\lVert W \rVert = \sigma_1(W)$ of (m, k) matrices.

    Reference:
        gunasekar2017implicit.

    Examples:
        >>> import implicitbias as ib
        >>> ib.gauges.Spectral().value([[3.0, 0.0], [0.0, -4.0]])
        4.0
        >>> ib.gauges.Spectral().face([[0.0, 2.0], [1.0, 0.0]]).point().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    @property
    def schatten(self) -> float | None:
        """The exponent infinity."""
        return np.inf

    def polar(self) -> Nuclear:
        """Return the nuclear norm."""
        return Nuclear()

    def value_formula(self, w: Float64[ndarray, "m k"]) -> float:
        """Return the largest singular value."""
        return float(singular_values(w)[0])

    def face_formula(self, z: Float64[ndarray, "m k"], tolerance: float) -> Face:
        """Return the face, from the singular vectors of the non-zero singular values of z."""
        left, sizes, right = decomposed(z)
        counted = (sizes > tolerance * sizes[0]) & (sizes > 0.0)
        left, right = left[:, counted], right[:, counted]
        return SpectralFace(self, z, frozen(left @ right.T), frozen(left), frozen(right))

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the constraint that [[t I, W], [W^T, t I]] is positive semidefinite."""
        (m, k), (i, j) = shape, _triangle(sum(shape))
        parts = Parts(m * k, 0)
        parts.add(
            Cone(ConeKind.POSITIVE_SEMIDEFINITE, len(i)),
            point=_off_diagonal(i, j, (m, k)),
            level=np.where(i == j, 1.0, 0.0),
        )
        return parts.form()


def _triangle(order: int) -> tuple[ndarray, ndarray]:
    """Return the row and column indices of the upper triangle, column by column."""
    columns, rows = np.tril_indices(order)
    return rows, columns


def _off_diagonal(i: ndarray, j: ndarray, shape: tuple[int, int]) -> Any:
    """Return the matrix that puts the entries of W, times sqrt(2), into the triangle."""
    m, k = shape
    where = np.flatnonzero((i < m) & (j >= m))
    place = i[where] * k + (j[where] - m)
    return scipy.sparse.csr_array((np.full(len(where), np.sqrt(2.0)), (where, place)), shape=(len(i), m * k))


def singular_values(w: Float64[ndarray, "m k"]) -> Float64[ndarray, " r"]:
    """Return the singular values in descending order; the entries may be as large or small as float64 allows."""
    unit = float(np.max(np.abs(w)))
    return unit * np.linalg.svd(w / unit, compute_uv=False) if unit else np.zeros(min(w.shape))


def decomposed(
    z: Float64[ndarray, "m k"],
) -> tuple[Float64[ndarray, "m r"], Float64[ndarray, " r"], Float64[ndarray, "k r"]]:
    """Return (U, sizes relative to the largest entry, V) with z proportional to U diag(sizes) V^T."""
    unit = float(np.max(np.abs(z))) or 1.0
    left, sizes, right = np.linalg.svd(z / unit, full_matrices=False)
    return left, sizes, right.T
