"""The norm of a positive definite quadratic form, whose unit ball is an ellipsoid."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, symmetric_array
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import Cone, ConeKind, ConicForm, Parts
from implicitbias.gauges._faces import EntrywiseFace
from implicitbias.gauges._gauge import Face, Gauge
from implicitbias.gauges._polar import Polar


@dataclass(frozen=True, eq=False)
class Ellipsoid(Gauge):
    r"""The gauge $(w^\top A w)^{1/2}$ for a symmetric positive definite A; its polar is $(z^\top A^{-1} z)^{1/2}$.

    Args:
        A: (d, d) symmetric positive definite matrix.

    Raises:
        InputError: A is not square, not symmetric or not positive definite, or holds NaN or infinite entries.

    Reference:
        rockafellar1970convex, section 15.

    Examples:
        >>> import implicitbias as ib
        >>> gauge = ib.gauges.Ellipsoid([[4.0, 0.0], [0.0, 9.0]])
        >>> gauge.value([1.0, 0.0]), gauge.polar().value([0.0, 3.0])
        (2.0, 1.0)
    """

    A: Any
    root: Float64[ndarray, "d d"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        matrix = symmetric_array(self.A, "A")
        try:
            root = np.linalg.cholesky(matrix).T
        except np.linalg.LinAlgError as error:
            raise InputError(
                f"A has the smallest eigenvalue {np.linalg.eigvalsh(matrix)[0]:g}, a positive definite matrix is "
                "expected; remove the directions in which w.T @ A @ w is not positive"
            ) from error
        object.__setattr__(self, "A", frozen(matrix))
        object.__setattr__(self, "root", frozen(root))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape (d,) of points."""
        return (len(self.root),)

    def euclidean_root(self) -> Float64[ndarray, "d d"]:
        """Return R with A = R^T R."""
        return self.root

    def polar(self) -> Gauge:
        r"""Return the norm of the inverse matrix, $(z^\top A^{-1} z)^{1/2}$."""
        return Polar(self)

    def value_formula(self, w: Float64[ndarray, " d"]) -> float:
        """Return the Euclidean norm of R w, where A = R^T R."""
        unit = float(np.max(np.abs(w)))
        return unit * float(np.linalg.norm(self.root @ (w / unit))) if unit else 0.0

    def subgradient(self, w: Any) -> Float64[ndarray, " d"]:
        """Return A w / gauge(w), or 0 at w = 0."""
        array = self.checked(w)
        unit = float(np.max(np.abs(array))) or 1.0
        image = self.root @ (array / unit)
        return frozen(self.root.T @ (image / (float(np.linalg.norm(image)) or 1.0)))

    def face_formula(self, z: Float64[ndarray, " d"], tolerance: float) -> Face:
        """Return the point A^-1 z / polar(z), or the whole ball if z is 0."""
        unit = float(np.max(np.abs(z)))
        image = scipy.linalg.solve_triangular(self.root, z / (unit or 1.0), trans="T")
        member = scipy.linalg.solve_triangular(self.root, image / (float(np.linalg.norm(image)) or 1.0))
        everything = np.full(z.shape, unit == 0.0)
        return EntrywiseFace(
            gauge=self,
            z=z,
            member=frozen(member),
            positive=frozen(everything | (member > 0.0)),
            negative=frozen(everything | (member < 0.0)),
            free=frozen(everything),
            normal=None,
        )

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the constraint that (t, R w) is in the second-order cone."""
        d = len(self.root)
        level = np.zeros(1 + d)
        level[0] = 1.0
        parts = Parts(d, 0)
        rows = scipy.sparse.csr_array(np.vstack([np.zeros(d), self.root]))
        parts.add(Cone(ConeKind.SECOND_ORDER, 1 + d), point=rows, level=level)
        return parts.form()
