"""Entrywise gauges: l_p norms of weighted lengths of entries, with a weight for each sign of each entry."""

from abc import abstractmethod

import numpy as np
import scipy
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.gauges._conic_form import Cone, ConeKind, ConicForm, Parts
from implicitbias.gauges._faces import EntrywiseFace
from implicitbias.gauges._gauge import Face, Gauge
from implicitbias.gauges._sides import Sides


class EntrywiseGauge(Gauge):
    r"""The gauge $\lVert r(w) \rVert_p$ of the lengths $r_i = c_i^+ w_i^+ + c_i^- w_i^-$.

    The polar has the exponent q with 1/p + 1/q = 1 and the weights 1/c. Subclasses define `exponent`, `sides` and
    `polar`.
    """

    @property
    @abstractmethod
    def exponent(self) -> float:
        """The exponent p in [1, infinity]."""

    @property
    @abstractmethod
    def sides(self) -> Sides:
        """The weights c^+ and c^-."""

    @abstractmethod
    def polar(self) -> "EntrywiseGauge":
        """Return the gauge of the conjugate exponent and the reciprocal weights."""

    @property
    def entrywise(self) -> "EntrywiseGauge":
        """The gauge itself."""
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the weights; None if all entries share one weight."""
        return self.sides.plus.shape or None

    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return the l_p norm of the lengths."""
        return _norm(self.sides.lengths(w), self.exponent)

    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return the face, from the lengths of z in the polar gauge; raise an `InputError` if the polar is infinite."""
        lengths, vertices, member = self._exposed(z, tolerance)
        tied, normal = np.zeros(z.shape, dtype=bool), None
        if self.exponent == 1.0 and np.count_nonzero(member) > 1:
            tied = member != 0.0
            slopes = np.where(tied, 1.0 / np.where(tied, vertices, 1.0), 0.0)
            normal = frozen(slopes / np.sqrt(np.sum(slopes**2)))
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

    def exposed_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Float64[ndarray, "..."]:
        """Return the point of the face, without the face."""
        return self._exposed(z, tolerance)[2]

    def _exposed(self, z: Float64[ndarray, "..."], tolerance: float) -> tuple[ndarray, ndarray, ndarray]:
        """Return the lengths of z in the polar gauge, the vertices in its direction, and a point of the face."""
        polar, p = self.sides.reciprocal, self.exponent
        lengths = polar.lengths(z)
        largest = float(np.max(lengths, initial=0.0))
        if np.isinf(largest):
            raise InputError(
                "z has an infinite polar gauge, so that <z, w> has no maximum on the unit ball; set z to 0 where "
                f"{type(self).__name__} has weight 0"
            )
        # On a polyhedral ball a small length counts as 0. On a curved ball it does not, because its power q - 1 may be
        # close to 1.
        flat = p in (1.0, np.inf)
        counted = (lengths > (tolerance if flat else 0.0) * largest) & (lengths > 0.0)
        with np.errstate(invalid="ignore"):
            vertices = np.where(counted, np.sign(z) * polar.at(z), 0.0)
        if p == 1.0:
            top = counted & (lengths >= (1.0 - tolerance) * largest)
            return lengths, vertices, np.where(top, vertices, 0.0) / max(1, np.count_nonzero(top))
        if np.isinf(p):
            return lengths, vertices, vertices
        q = conjugate(p)
        return lengths, vertices, vertices * (lengths / (_norm(lengths, q) or 1.0)) ** (q - 1.0)

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
        """Return the epigraph: linear for p = 1 and infinity, a second-order cone for p = 2, otherwise power cones."""
        sides = self.sides.spread(shape)
        return _box(sides) if np.isinf(self.exponent) else _sum(sides, self.exponent)

    def to_domain(
        self, direction: Float64[ndarray, "..."], at: Float64[ndarray, "..."]
    ) -> Float64[ndarray, "..."]:
        """Return the direction, with 0 in entries that would leave 0 to a side of infinite weight."""
        excluded = (at == 0.0) & np.isinf(self.sides.at(direction))
        return np.where(excluded, 0.0, direction)


def conjugate(p: float) -> float:
    """Return q with 1/p + 1/q = 1."""
    if p == 1.0:
        return np.inf
    return 1.0 if np.isinf(p) else p / (p - 1.0)


def _norm(lengths: Float64[ndarray, "..."], p: float) -> float:
    """Return the l_p norm of non-negative lengths, scaled so that powers neither overflow nor underflow."""
    largest = float(np.max(lengths, initial=0.0))
    if largest == 0.0 or np.isinf(largest) or np.isinf(p):
        return largest
    if p == 1.0:
        return float(np.sum(lengths))
    return largest * float(np.sum((lengths / largest) ** p)) ** (1.0 / p)


def _box(sides: Sides) -> ConicForm:
    """Return the conic form of max r_i <= t, with two inequalities for each entry."""
    d = len(sides.plus)
    parts = Parts(d, 0)
    _add_excluded_signs(parts, sides)
    unit = scipy.sparse.eye_array(d, format="csr")
    for side, sign in ((sides.plus, 1.0), (sides.minus, -1.0)):
        some = np.flatnonzero(np.isfinite(side) & (side > 0.0))
        rows = scipy.sparse.diags_array(-sign * side[some]) @ unit[some]
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=rows, level=np.ones(len(some)))
    parts.add(Cone(ConeKind.NON_NEGATIVE, 1), level=np.ones(1))
    return parts.form()


def _add_excluded_signs(parts: Parts, sides: Sides) -> None:
    """Add w_i = 0 for entries with two infinite weights, and w_i <= 0 or w_i >= 0 for those with one."""
    d = len(sides.plus)
    unit = scipy.sparse.eye_array(d, format="csr")
    no_plus, no_minus = np.isinf(sides.plus), np.isinf(sides.minus)
    both = np.flatnonzero(no_plus & no_minus)
    parts.add(Cone(ConeKind.ZERO, len(both)), point=unit[both])
    for some, sign in (
        (np.flatnonzero(no_plus & ~no_minus), -1.0),
        (np.flatnonzero(no_minus & ~no_plus), 1.0),
    ):
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=sign * unit[some])


def _sum(sides: Sides, p: float) -> ConicForm:
    """Return the conic form of: the l_p norm of the lengths is at most t, for a finite p.

    If the two weights of an entry agree and p > 1, the entry c_i w_i is used in place of its length. Otherwise an extra
    variable bounds the length.
    """
    plus, minus = sides.plus, sides.minus
    d = len(plus)
    even = (plus == minus) & np.isfinite(plus) & (p > 1.0)
    direct = np.flatnonzero(even & (plus > 0.0))
    bounded = np.flatnonzero(~even & (np.minimum(plus, minus) < np.inf) & (np.maximum(plus, minus) > 0.0))
    terms = len(direct) + len(bounded)
    powers = 0 if p in (1.0, 2.0) else terms
    parts = Parts(d, len(bounded) + powers)
    _add_excluded_signs(parts, sides)
    unit = scipy.sparse.eye_array(d, format="csr")
    extra = scipy.sparse.eye_array(len(bounded) + powers, format="csr")
    for side, sign in ((plus, 1.0), (minus, -1.0)):
        some = np.flatnonzero(np.isfinite(side[bounded]))
        which = bounded[some]
        rows = scipy.sparse.diags_array(-sign * side[which]) @ unit[which]
        parts.add(Cone(ConeKind.NON_NEGATIVE, len(some)), point=rows, extra=extra[some])
    point = scipy.sparse.vstack(
        [scipy.sparse.diags_array(plus[direct]) @ unit[direct], scipy.sparse.csr_array((len(bounded), d))],
        format="csr",
    )
    other = scipy.sparse.vstack(
        [scipy.sparse.csr_array((len(direct), extra.shape[0])), extra[: len(bounded)]], format="csr"
    )
    if p == 2.0:
        first = np.zeros(1 + terms)
        first[0] = 1.0
        parts.add(
            Cone(ConeKind.SECOND_ORDER, 1 + terms),
            point=scipy.sparse.vstack([scipy.sparse.csr_array((1, d)), point]),
            level=first,
            extra=scipy.sparse.vstack([scipy.sparse.csr_array((1, extra.shape[0])), other]),
        )
        return parts.form()
    summed = extra[len(bounded) :] if powers else other
    parts.add(
        Cone(ConeKind.NON_NEGATIVE, 1),
        level=np.ones(1),
        extra=-scipy.sparse.csr_array(summed.sum(axis=0)[None, :]),
    )
    # The constraints r_i^p <= v_i t^(p-1) with sum v_i <= t are equivalent to the norm being at most t.
    for i in range(powers):
        parts.add(
            Cone(ConeKind.POWER, 3, 1.0 / p),
            point=scipy.sparse.vstack([scipy.sparse.csr_array((2, d)), point[[i]]]),
            level=np.array([0.0, 1.0, 0.0]),
            extra=scipy.sparse.vstack(
                [extra[[len(bounded) + i]], scipy.sparse.csr_array((1, extra.shape[0])), other[[i]]]
            ),
        )
    return parts.form()
