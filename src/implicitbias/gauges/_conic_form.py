"""Conic forms, which describe the epigraph of a gauge by standard cones for any conic solver."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.values import Fingerprinted


class ConeKind(Enum):
    """The standard cones. The value of each member describes the set."""

    ZERO = "{x: x = 0}"
    NON_NEGATIVE = "{x: x_i >= 0 for all i}"
    SECOND_ORDER = "{(t, x): t >= ||x||_2}"
    POWER = "{(x, y, z): x^a y^(1-a) >= |z|, x >= 0, y >= 0}"
    # The triangle is stored column by column. Entries off the diagonal are multiplied by sqrt(2), which preserves inner
    # products.
    POSITIVE_SEMIDEFINITE = "{upper triangles of positive semidefinite matrices}"


@dataclass(frozen=True)
class Cone:
    """One factor of a product of cones.

    Attributes:
        kind: the kind of the cone.
        rows: the number of rows of the form that lie in the cone.
        exponent: the exponent a of a power cone; None for other cones.
    """

    kind: ConeKind
    rows: int
    exponent: float | None = None


@dataclass(frozen=True, eq=False)
class ConicForm(Fingerprinted):
    r"""The epigraph of a gauge as a product of cones K.

    $\gamma(w) \le t$ if and only if some u has `on_point` w + `on_level` t + `on_extra` u in K. The epigraph of a gauge
    is a cone, so there is no constant term. w is a flat vector; a matrix is stored row by row.

    Attributes:
        on_point: (rows, size of w) `scipy.sparse.csc_array`, the coefficients of w.
        on_level: (rows,) the coefficients of t.
        on_extra: (rows, m) `scipy.sparse.csc_array`, the coefficients of the extra variables u.
        cones: the factors of K, in the order of the rows.
    """

    on_point: Any
    on_level: Float64[ndarray, " rows"]
    on_extra: Any
    cones: tuple[Cone, ...]

    def dual(self) -> "ConicForm":
        r"""Return the conic form of the polar gauge.

        By conic duality, $\gamma^\circ(z) \le t$ if and only if some $y \in K^*$ has `on_point`^T y = -z,
        `on_extra`^T y = 0 and <`on_level`, y> <= t.
        """
        rows, size = self.on_point.shape
        extra = self.on_extra.shape[1]
        inside, cones = [], []
        first = 0
        for cone in self.cones:
            block = scipy.sparse.eye_array(rows, format="csr")[first : first + cone.rows]
            first += cone.rows
            if cone.kind is ConeKind.ZERO:  # the dual cone is the whole space and gives no constraint
                continue
            if cone.exponent is not None:
                a = cone.exponent
                block = scipy.sparse.diags_array([1.0 / a, 1.0 / (1.0 - a), 1.0]) @ block
            inside.append(block)
            cones.append(cone)
        held = sum(block.shape[0] for block in inside)
        parts = Parts(size, rows)
        parts.add(Cone(ConeKind.ZERO, size), point=scipy.sparse.eye_array(size), extra=self.on_point.T)
        if extra:
            parts.add(Cone(ConeKind.ZERO, extra), extra=self.on_extra.T)
        parts.add(Cone(ConeKind.NON_NEGATIVE, 1), level=np.ones(1), extra=-self.on_level[None, :])
        if held:
            stacked = scipy.sparse.vstack(inside)
            first = 0
            for cone in cones:
                parts.add(cone, extra=stacked[first : first + cone.rows])
                first += cone.rows
        return parts.form()


class Parts:
    """A conic form that is built cone by cone."""

    def __init__(self, size: int, extra: int) -> None:
        self._size, self._extra = size, extra
        self._point: list[Any] = []
        self._level: list[ndarray] = []
        self._other: list[Any] = []
        self._cones: list[Cone] = []

    def add(self, cone: Cone, point: Any = None, level: ndarray | None = None, extra: Any = None) -> None:
        """Append the rows of one cone. Arguments that are None stand for zero coefficients."""
        rows = cone.rows
        if rows == 0:
            return
        self._point.append(_block(point, (rows, self._size)))
        self._level.append(np.zeros(rows) if level is None else level)
        self._other.append(_block(extra, (rows, self._extra)))
        self._cones.append(cone)

    def form(self) -> ConicForm:
        """Return the conic form of all rows."""
        return ConicForm(
            on_point=_read_only(scipy.sparse.vstack(self._point, format="csc")),
            on_level=frozen(np.concatenate(self._level)),
            on_extra=_read_only(scipy.sparse.vstack(self._other, format="csc")),
            cones=tuple(self._cones),
        )


def _block(part: Any, shape: tuple[int, int]) -> Any:
    return scipy.sparse.csr_array(shape) if part is None else scipy.sparse.csr_array(part)


def _read_only(matrix: Any) -> Any:
    matrix = scipy.sparse.csc_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix
