"""Gauges of entries: l_p norms of weighted lengths, with a weight for each sign of each entry."""

from abc import abstractmethod

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import sparse

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import Cone, ConeKind, ConicForm, Parts
from implicitbias.gauges._faces import EntrywiseFace
from implicitbias.gauges._gauge import Face, Gauge
from implicitbias.gauges._sides import Sides


class EntrywiseGauge(Gauge):
    r"""The gauge $\lVert r(w) \rVert_p$ of the lengths $r_i = c_i^+ w_i^+ + c_i^- w_i^-$.

    The polar has the exponent q with 1/p + 1/q = 1 and the weights 1/c. Subclasses give `exponent`, `sides`, `polar`.
    """

    @property
    @abstractmethod
    def exponent(self) -> float:
        """p, in [1, infinity]."""

    @property
    @abstractmethod
    def sides(self) -> Sides:
        """The weights c^+ and c^-."""

    @abstractmethod
    def polar(self) -> "EntrywiseGauge":
        """Return the gauge of the conjugate exponent and the reciprocal weights."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the weights, None where a single one serves all entries."""
        return self.sides.plus.shape or None

    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return the l_p norm of the lengths."""
        return _norm(self.sides.lengths(w), self.exponent)

    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return the face, from the lengths of z in the polar gauge; where that is infinite, raise an `InputError`."""
        polar = self.sides.reciprocal()
        lengths = polar.lengths(z)
        q = conjugate(self.exponent)
        largest, size = float(np.max(lengths, initial=0.0)), _norm(lengths, q)
        if np.isinf(largest):
            raise InputError(
                "z has an infinite polar gauge, so that <z, w> has no maximum on the unit ball; set z to 0 where "
                f"{type(self).__name__} has weight 0"
            )
        # A small length is rounding on a polyhedron only; its power p - 1 on a curved ball may be of the size of 1.
        flat = self.exponent in (1.0, np.inf)
        counted = (lengths > (tolerance if flat else 0.0) * largest) & (lengths > 0.0)
        with np.errstate(invalid="ignore"):
            vertices = np.where(counted, np.sign(z) * polar.at(z), 0.0)
        tied, normal = np.zeros(z.shape, dtype=bool), None
        if self.exponent == 1.0:
            top = counted & (lengths >= (1.0 - tolerance) * largest)
            member = np.where(top, vertices, 0.0) / max(1, np.count_nonzero(top))
            if np.count_nonzero(top) > 1:
                tied = top
                slopes = np.where(top, 1.0 / np.where(top, vertices, 1.0), 0.0)
                normal = frozen(slopes / np.sqrt(np.sum(slopes**2)))
        elif np.isinf(self.exponent):
            member = vertices
        else:
            member = vertices * (lengths / (size or 1.0)) ** (q - 1.0)
        up, down = self._movable(z, lengths, tolerance)
        return EntrywiseFace(
            gauge=self,
            z=z,
            member=frozen(member),
            positive=frozen(up | (member > 0.0)),
            negative=frozen(down | (member < 0.0)),
            free=frozen(tied | up | down),
            normal=normal,
        )

    def _movable(
        self, z: Float64[ndarray, "..."], lengths: Float64[ndarray, "..."], tolerance: float
    ) -> tuple[ndarray, ndarray]:
        """Return which entries that add nothing to <z, w> can become positive, and which negative."""
        plus, minus = np.broadcast_to(self.sides.plus, z.shape), np.broadcast_to(self.sides.minus, z.shape)
        largest = np.max(lengths, initial=0.0)
        # An entry with z_i = 0 costs nothing where its weight is 0, and everywhere on the boxes of p = infinity and on
        # the whole ball (z exposes nothing).
        if largest == 0.0 or np.isinf(self.exponent):
            still = (z == 0.0) | ((lengths > 0.0) & (lengths <= tolerance * largest))
            return still & np.isfinite(plus), still & np.isfinite(minus)
        return (z == 0.0) & (plus == 0.0), (z == 0.0) & (minus == 0.0)

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return the epigraph: linear for p = 1 and infinity, second-order for 2, power cones else."""
        sides = self.sides.spread(shape)
        return _box(sides) if np.isinf(self.exponent) else _sum(sides, self.exponent)

    def to_domain(
        self, direction: Float64[ndarray, "..."], at: Float64[ndarray, "..."]
    ) -> Float64[ndarray, "..."]:
        """Return the direction without its entries on sides of infinite weight, where `at` is 0."""
        barred = (at == 0.0) & np.isinf(self.sides.at(direction))
        return np.where(barred, 0.0, direction)


def conjugate(p: float) -> float:
    """Return q with 1/p + 1/q = 1."""
    if p == 1.0:
        return np.inf
    return 1.0 if np.isinf(p) else p / (p - 1.0)


def _norm(lengths: Float64[ndarray, "..."], p: float) -> float:
    """Return the l_p norm of non-negative lengths; no power of them leaves float64."""
    largest = float(np.max(lengths, initial=0.0))
    if largest == 0.0 or np.isinf(largest) or np.isinf(p):
        return largest
    if p == 1.0:
        return float(np.sum(lengths))
    return largest * float(np.sum((lengths / largest) ** p)) ** (1.0 / p)


def _box(sides: Sides) -> ConicForm:
    """Return max r_i <= t: two inequalities for each entry."""
    d = len(sides.plus)
    parts = Parts(d, 0)
    _bar(parts, sides)
    unit = sparse.eye_array(d, format="csr")
    for side, sign in ((sides.plus, 1.0), (sides.minus, -1.0)):
        some = np.flatnonzero(np.isfinite(side) & (side > 0.0))
        rows = sparse.diags_array(-sign * side[some]) @ unit[some]
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=rows, level=np.ones(len(some)))
    parts.add(Cone(ConeKind.NON_NEGATIVE, 1), level=np.ones(1))
    return parts.form()


def _bar(parts: Parts, sides: Sides) -> None:
    """Add w_i = 0, w_i <= 0 or w_i >= 0 where both weights or one of them are infinite."""
    d = len(sides.plus)
    unit = sparse.eye_array(d, format="csr")
    no_plus, no_minus = np.isinf(sides.plus), np.isinf(sides.minus)
    both = np.flatnonzero(no_plus & no_minus)
    parts.add(Cone(ConeKind.ZERO, len(both)), point=unit[both])
    for some, sign in (
        (np.flatnonzero(no_plus & ~no_minus), -1.0),
        (np.flatnonzero(no_minus & ~no_plus), 1.0),
    ):
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=sign * unit[some])


def _sum(sides: Sides, p: float) -> ConicForm:
    """Return the l_p norm of the lengths <= t, p finite.

    Where the two weights of an entry agree and p > 1, c_i w_i stands for its length; else an extra variable bounds it.
    """
    plus, minus = sides.plus, sides.minus
    d = len(plus)
    even = (plus == minus) & np.isfinite(plus) & (p > 1.0)
    direct = np.flatnonzero(even & (plus > 0.0))
    bounded = np.flatnonzero(~even & (np.minimum(plus, minus) < np.inf) & (np.maximum(plus, minus) > 0.0))
    terms = len(direct) + len(bounded)
    powers = 0 if p in (1.0, 2.0) else terms
    parts = Parts(d, len(bounded) + powers)
    _bar(parts, sides)
    unit = sparse.eye_array(d, format="csr")
    extra = sparse.eye_array(len(bounded) + powers, format="csr")
    for side, sign in ((plus, 1.0), (minus, -1.0)):
        some = np.flatnonzero(np.isfinite(side[bounded]))
        which = bounded[some]
        rows = sparse.diags_array(-sign * side[which]) @ unit[which]
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=rows, extra=extra[some])
    point = sparse.vstack(
        [sparse.diags_array(plus[direct]) @ unit[direct], sparse.csr_array((len(bounded), d))], format="csr"
    )
    other = sparse.vstack(
        [sparse.csr_array((len(direct), extra.shape[0])), extra[: len(bounded)]], format="csr"
    )
    if p == 2.0:
        first = np.zeros(1 + terms)
        first[0] = 1.0
        parts.add(
            Cone(ConeKind.SECOND_ORDER, 1 + terms),
            point=sparse.vstack([sparse.csr_array((1, d)), point]),
            level=first,
            extra=sparse.vstack([sparse.csr_array((1, extra.shape[0])), other]),
        )
        return parts.form()
    summed = extra[len(bounded) :] if powers else other
    parts.add(
        Cone(ConeKind.NON_NEGATIVE, 1), level=np.ones(1), extra=-sparse.csr_array(summed.sum(axis=0)[None, :])
    )
    # r_i^p <= v_i t^(p-1) with sum v_i <= t.
    for i in range(powers):
        parts.add(
            Cone(ConeKind.POWER, 3, 1.0 / p),
            point=sparse.vstack([sparse.csr_array((2, d)), point[[i]]]),
            level=np.array([0.0, 1.0, 0.0]),
            extra=sparse.vstack(
                [extra[[len(bounded) + i]], sparse.csr_array((1, extra.shape[0])), other[[i]]]
            ),
        )
    return parts.form()
