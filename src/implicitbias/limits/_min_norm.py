"""The certificate that a point has the least gauge among the minimisers of the loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias.gauges import Face, Gauge
from implicitbias.limits._conic_programs import least_gauge
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._least_squares_point import PointOfLeastSquares
from implicitbias.limits._min_l1 import COARSEST
from implicitbias.limits._tolerances import EPSILON, RANK, TOLERANCE

# Largest numbers of entries of X for which a system in all columns is solved, and for which a conic program is tried.
_LARGEST_SYSTEM = 10**7
_LARGEST_PROGRAM = 10**6
# The same number if the conic program cannot prove the claim, but only measure by how much it is wrong.
_LARGEST_BOUND = 10**5
# Entries of an interior point below this share of the largest converge to 0.
_VANISHING = 1e-6


@dataclass(frozen=True, eq=False)
class MinNorm(Criterion):
    r"""The property that w minimises a gauge $\gamma$ over the minimisers of L.

    The point w is optimal if and only if $X^\top (y - X w) = 0$ and some $\nu$ has $\gamma^\circ(X^\top \nu) \le 1$ and
    $\langle \nu, X w \rangle = \gamma(w)$. The dual is first guessed from the face of the polar ball that w exposes. If
    the guess does not prove the claim, a conic program (Clarabel) gives another dual, which is corrected to that face.
    Each dual is judged by its own residuals. If the gauge has infinite weights, only points at which it is finite
    compete, and a gradient that leads out of these points is not counted. The gap is at least the relative excess of
    $\gamma(w)$ over its least value, and equal to it if the dual is optimal.

    The residual `stationarity` is the relative gradient, and `dual_feasibility` is the excess of the polar over 1.
    `dual_domain` is the size of $X^\top \nu$ in entries whose weight is 0, relative to its terms. `dual_rounding` is
    the largest amount by which rounding of $X^\top \nu$ can raise the polar.

    Args:
        gauge: for instance `ib.gauges.Nuclear()`.

    Raises:
        InputError: the argument is not a gauge.

    Reference:
        rockafellar1970convex; gunasekar2017implicit for the nuclear norm.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 1.0], [2.0, 2.0]], [2.0, 4.0])
        >>> ib.certify(problem, [1.0, 1.0], ib.MinNorm(ib.gauges.L2())).holds
        True
        >>> ib.certify(problem, [2.0, 0.0], ib.MinNorm(ib.gauges.L2())).holds
        False
        >>> corner = ib.LeastSquares.entries([0, 0, 1], [0, 1, 0], [2.0, 1.0, 1.0], (2, 2))
        >>> ib.certify(corner, [[2.0, 1.0], [1.0, 0.5]], ib.MinNorm(ib.gauges.Nuclear())).holds
        True
    """

    gauge: Any

    def __post_init__(self) -> None:
        if not isinstance(self.gauge, Gauge):
            raise InputError(f"gauge is {self.gauge!r}, a gauge is expected; type ib.MinNorm(ib.gauges.L1())")

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of the point, for a least-squares problem over vectors or entries of a matrix.

        Raises:
            InputError: the problem is of another kind; the point has the wrong shape or holds NaN; the gauge does not
                accept the shape.
        """
        at = GaugeAt(PointOfLeastSquares(problem, point, "MinNorm"), self.gauge)
        best: Certificate | None = None
        for nu in at.duals():
            for dual in (nu, at.inside(nu)):
                certificate = at.judge(dual)
                if certificate.holds:
                    return certificate
                if best is None or _rank(certificate) < _rank(best):
                    best = certificate
        assert best is not None  # there is always one dual
        return best


def _rank(certificate: Certificate) -> tuple[float, float]:
    """Return (infeasibility of the dual, gap), to compare certificates that do not hold.

    Infeasibility comes first, because the gap bounds the excess of the gauge only if the dual is feasible. NaN counts
    as infinity.
    """
    bounds, numbers = certificate.tolerances, certificate.residuals
    ratios = [
        value / bounds.get(name, certificate.tolerance)
        for name, value in numbers.items()
        if name.startswith("dual_")
    ]
    gap = np.inf if certificate.gap is None or np.isnan(certificate.gap) else certificate.gap
    worst = max(np.inf if np.isnan(ratio) else ratio for ratio in ratios)
    return (worst if worst > 1.0 else 0.0), gap


class GaugeAt:
    """A gauge and a point that is claimed to minimise it. The methods find duals and judge them."""

    def __init__(self, at: PointOfLeastSquares, gauge: Gauge) -> None:
        self.at, self.gauge, self.polar = at, gauge, gauge.polar()
        self.value = gauge.value(gauge.checked(at.w, "point"))
        counted = gauge.to_domain(at.correlation(), at.w)
        self.stationarity = float(np.max(at.relative(counted)))
        origin, ones = np.zeros_like(at.w), np.ones_like(at.w)
        everywhere = all(np.array_equal(gauge.to_domain(x, origin), x) for x in (ones, -ones))
        self.statement = (
            f"the point minimises the gauge {type(gauge).__name__} over the minimisers of the loss"
        )
        self.statement += "" if everywhere else " among the points at which it is finite"

    def judge(self, nu: Float64[ndarray, " n"]) -> Certificate:
        """Return the certificate that the dual nu gives."""
        linear_map = self.at.linear_map
        z = linear_map.rmatvec(nu)
        size = float(np.max(np.abs(nu), initial=0.0)) or 1.0
        length = size * float(np.linalg.norm(nu / size))  # the square of nu may overflow or underflow
        inside = self.polar.to_domain(z, np.zeros_like(z))
        terms = (linear_map.norms * length).reshape(z.shape)
        outside = np.abs(z - inside) / np.where(terms > 0.0, terms, 1.0)
        rounding = len(nu) * EPSILON * terms
        added = [self.polar.to_domain(sign * rounding, np.zeros_like(z)) for sign in (1.0, -1.0)]
        return Certificate(
            self.statement,
            self._gap(nu),
            {
                "stationarity": self.stationarity,
                "dual_feasibility": float(np.maximum(self.polar.value(inside) - 1.0, 0.0)),
                "dual_domain": float(np.max(outside)),
                "dual_rounding": max(self.polar.value(part) for part in added),
            },
            TOLERANCE,
            {"dual_rounding": COARSEST},
        )

    def _gap(self, nu: Float64[ndarray, " n"]) -> float:
        """Return (gauge(w) - <nu, X w>) / gauge(w); 0 where the gauge is 0, its least value."""
        if self.value == 0.0:
            return 0.0
        if np.isinf(self.value):
            return np.inf
        # Weak duality makes it non-negative for a feasible dual, up to rounding.
        return float(np.maximum(1.0 - nu @ (self.at.fit / self.value), 0.0))

    def duals(self) -> Iterator[Float64[ndarray, " n"]]:
        """Yield candidates for the dual, the cheap ones first."""
        zero = np.zeros(len(self.at.fit))
        if self.value == 0.0 or np.isinf(self.value):
            yield zero
            return
        exposed = self.polar.face(self.at.w)
        yield self._to_face(zero, exposed)
        # Entries far below the largest one may be rounding, or may belong to columns in another unit. The first face
        # treats them as 0, the second one does not.
        yield self._to_face(zero, self.polar.face(self.at.w, 0.0))
        # If the subgradient is unique, no other dual can prove the claim. A conic program then only improves the gap.
        largest = _LARGEST_BOUND if exposed.unique else _LARGEST_PROGRAM
        if self.at.linear_map.shape[0] * self.at.linear_map.shape[1] > largest:
            return
        found = least_gauge(self.at.linear_map, self.at.fit, self.gauge)
        if found is None:
            return
        yield found.nu
        yield self._to_face(found.nu, exposed)
        # The interior-point solution is in the relative interior of the face of minimisers, so the face of the polar
        # ball that it exposes gives all equations of the dual.
        point = self.gauge.to_domain(found.point, np.zeros_like(found.point))
        if self.gauge.value(point) > 0.0:
            full = self._to_face(found.nu, self.polar.face(point, _VANISHING))
            yield full
            yield self._to_face(full, exposed)

    def inside(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
        """Return nu divided by the polar of X^T nu if that exceeds 1, which is feasible but has a larger gap."""
        z = self.at.linear_map.rmatvec(nu)
        size = self.polar.value(self.polar.to_domain(z, np.zeros_like(z)))
        return nu / size if 1.0 < size < np.inf else nu

    def _to_face(self, nu: Float64[ndarray, " n"], face: Face) -> Float64[ndarray, " n"]:
        """Return nu plus the least correction that brings X^T nu to the affine hull of a face, in least squares."""
        linear_map = self.at.linear_map
        n, d = linear_map.shape
        equations = face.equations()
        gap = face.point() - linear_map.rmatvec(nu)
        normal = None
        if equations is None:
            if n * d > _LARGEST_SYSTEM:
                return nu
            rows = np.stack([face.fixed(row).ravel() for row in linear_map.rmatvec(np.eye(n))])
            wanted = face.fixed(gap).ravel()
        else:
            entries, normal = equations
            if n * len(entries) > _LARGEST_SYSTEM:
                return nu
            rows, wanted = linear_map.take(entries), gap.ravel()[entries]
        if normal is not None:
            rows = np.column_stack([rows, linear_map.matvec(normal)])
            wanted = np.append(wanted, np.sum(normal * gap))
        sizes = np.linalg.norm(rows, axis=0)
        used = sizes > 0.0
        if not used.any():
            return nu
        system = (rows[:, used] / sizes[used]).T
        step: ndarray = np.linalg.lstsq(system, wanted[used] / sizes[used], rcond=RANK)[0]
        return nu + step
