"""The certificate of the least Bregman divergence among interpolants, from a point and a dual variable."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias.limits._dual_continuation import followed
from implicitbias.limits._dual_maps import DualMap, Judged
from implicitbias.limits._dual_problem import DualProblem, factorized
from implicitbias.limits._independent_rows import IndependentRows
from implicitbias.limits._loss_minimisers import LossMinimisers, loss_minimisers
from implicitbias.limits._tolerances import EPSILON
from implicitbias.potentials import Potential, refuse_shape

STATEMENT = "the point minimises the Bregman divergence from the start over the minimisers of the loss"
# The bound of the relative gap and of most residuals, and that of the residuals that count like its root.
GAP = 1e-10
_ROOT = 1e-5
# A divergence is computed from values of the potential if it exceeds this share of them.
_CANCELLED = 1e-6


class Judgement(NamedTuple):
    """The result of a judgement.

    Attributes:
        certificate: the certificate.
        divergence: D(w, w0), infinite outside of the domain.
        dual: the entries of X^T nu.
    """

    certificate: Certificate
    divergence: float
    dual: Float64[ndarray, " d"]


class BregmanAt(NamedTuple):
    """A potential, a start and the minimisers of a loss, by which points are judged.

    Attributes:
        dual_map: the mirror map and its inverse.
        minimisers: the minimisers of the loss.
        w0: the entries of the start as one vector.
        z0: the entries of the mirror map at the start.
    """

    dual_map: DualMap
    minimisers: LossMinimisers
    w0: Float64[ndarray, " d"]
    z0: Float64[ndarray, " d"]

    def judgement(self, w: Float64[ndarray, " d"], nu: Float64[ndarray, " n"], note: str = "") -> Judgement:
        """Return the certificate of w that the dual variable nu gives, and the divergence."""
        dual = self.minimisers.linear_map.rmatvec(nu).ravel()
        z, residuals = self.z0 + dual, {"stationarity": self.minimisers.stationarity(w)}
        at = self.dual_map.judged(w, z)
        # The entries of an iterate may be rounded to the boundary of the domain.
        if not at.inside:
            residuals |= {"dual_form": np.inf, "dual_rounding": np.inf}
            return Judgement(_certificate(np.inf, residuals, note), np.inf, dual)
        size = self._divergence(w, at)
        form = at.mirrored - z
        rounding = EPSILON * (self._terms(nu) + np.abs(z))
        gap = abs(float((at.mirrored - at.back) @ (w - at.nearest)))
        local = (
            math.sqrt(max(0.0, float(part @ self.dual_map.inverse_hessian(z, part))))
            for part in (form, rounding)
        )
        away, rounded = local
        unit = size if size > 0.0 else 1.0
        # If w is the start, the divergence is 0, its least value, whatever the dual variable.
        gap, away = (gap, away) if size > 0.0 else (0.0, 0.0)
        residuals |= {"dual_form": away / math.sqrt(2.0 * unit), "dual_rounding": rounded**2 / unit}
        return Judgement(_certificate(gap / unit, residuals, note), size, dual)

    def _divergence(self, w: Float64[ndarray, " d"], at: Judged) -> float:
        """Return D(w, w0), or half of the symmetric divergence where the difference of values would cancel."""
        here, slope = self.dual_map.value(self.w0), float(self.z0 @ (w - self.w0))
        plain = at.value - here - slope
        if plain > _CANCELLED * (abs(at.value) + abs(here) + abs(slope)):
            return plain
        return float((at.mirrored - self.z0) @ (w - self.w0)) / 2.0

    def _terms(self, nu: Float64[ndarray, " n"]) -> Float64[ndarray, " d"]:
        """Return a bound of the terms of X^T nu times the square root of their number, as errors of sums grow."""
        size = float(np.max(np.abs(nu), initial=0.0)) or 1.0
        return (
            math.sqrt(len(nu))
            * size
            * float(np.linalg.norm(nu / size))
            * self.minimisers.linear_map.norms.ravel()
        )


def _certificate(gap: float, residuals: dict[str, float], note: str) -> Certificate:
    return Certificate(STATEMENT, gap, residuals, GAP, {"dual_form": _ROOT}, note)


def point_certificate(problem: Any, point: Any, potential: Any, start: Any) -> Certificate:
    """Return the certificate of any point, with the best dual variable for its fit."""
    minimisers = loss_minimisers(problem, "MinBregman")
    dual_map = checked_map(problem, potential)
    w, w0 = problem.predictor(point, "point").ravel(), checked_start(problem, dual_map, start)
    if not potential.contains(w.reshape(dual_map.shape)):
        raise InputError(
            f"point lies outside the domain of {type(potential).__name__} or on its boundary, an interior point is "
            "expected; its entries may be rounded to 0, or the potential may not fit the model"
        )
    z0 = dual_map.mirror(w0)
    judge = BregmanAt(dual_map, minimisers, w0, z0)
    independent = minimisers.rows_at(minimisers.linear_map.matvec(w.reshape(minimisers.linear_map.domain)))
    best = judge.judgement(w, _nearest_dual(dual_map, independent, w, z0)).certificate
    if not best.holds:
        found = followed(DualProblem(dual_map, independent.rows, independent.targets, z0))
        other = judge.judgement(w, independent.every(found.nu)).certificate
        best = other if _gap(other) < _gap(best) else best
    return best


def _gap(certificate: Certificate) -> float:
    return np.inf if certificate.gap is None or np.isnan(certificate.gap) else certificate.gap


def _nearest_dual(
    dual_map: DualMap, independent: IndependentRows, w: Float64[ndarray, " d"], z0: Float64[ndarray, " d"]
) -> Float64[ndarray, " n"]:
    """Return the nu for which X^T nu is nearest to grad phi(w) - grad phi(w0), in the norm of the inverse Hessian."""
    z, rows = dual_map.mirror(w), independent.rows
    solve = factorized(dual_map.kernel(rows, z))
    if solve is None:
        return independent.every(np.zeros(rows.shape[0]))
    weighted = dual_map.inverse_hessian(z, z - z0)
    return independent.every(solve(rows.matvec(weighted.reshape(rows.domain))))


def checked_potential(potential: Any) -> Potential:
    """Return the potential, or raise an `InputError` if it is something else."""
    if not isinstance(potential, Potential):
        got = f"the class {potential.__name__}" if isinstance(potential, type) else repr(potential)
        raise InputError(f"potential is {got}, a potential is expected; type ib.HyperbolicEntropy(1e-4)")
    return potential


def checked_map(problem: Any, potential: Any) -> DualMap:
    """Return the inverse mirror map for the shape of w, or raise an `InputError` if the potential does not fit."""
    checked_potential(potential)
    shape = problem.predictor_shape
    size = math.prod(shape)
    refuse_shape(potential, shape, "ib.LeastSquares.entries(rows, cols, values, shape)", f"w has {size}")
    return DualMap(potential, (size,) if potential.dimensions == 1 else shape)


def checked_start(problem: Any, dual_map: DualMap, start: Any) -> Float64[ndarray, " d"]:
    """Return the entries of the start, or of the point at which the mirror map is 0 if it is None."""
    potential = dual_map.potential
    if start is None:
        w0 = dual_map.point(np.zeros(math.prod(dual_map.shape)))
        if not np.all(np.isfinite(w0)):
            raise InputError(
                f"{type(potential).__name__} has no point at which its mirror map is 0, so that a start is expected; "
                "type start=w0"
            )
        return w0
    w0 = problem.predictor(start, "start").ravel()
    if not potential.contains(w0.reshape(dual_map.shape)):
        raise InputError(
            f"start lies outside the domain of {type(potential).__name__} or on its boundary; choose an interior point"
        )
    return w0
