"""The certificate that a point has the least l1 norm among the minimisers of the loss."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from implicitbias._core.arrays import kept
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._dual_values import exact_dual, plain_dual, two_sum
from implicitbias.limits._growth_times import refuse_excluded_signs
from implicitbias.limits._least_squares_point import relative_correlation
from implicitbias.limits._linear_programs import least_l1_dual
from implicitbias.limits._tolerances import TOLERANCE
from implicitbias.parametrizations import Growth
from implicitbias.problems import LeastSquares

Dual = tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]
"""The dual s = q + X^T nu, and a bound on its rounding error."""

# Reject certificates whose dual has a larger relative rounding error.
COARSEST = 1e-6
# A relative rounding error up to this size needs no error-free products.
_FINE = 1e-10
# A point counts as an interpolant if its residual is below this share of y.
_INTERPOLATES = 1e-6
# Largest number of entries of X for which a linear program is tried if a guess does not prove the claim.
_LARGEST_PROGRAM = 10**7


@dataclass(frozen=True, eq=False)
class MinL1(Criterion):
    r"""The property that w minimises $\lVert w \rVert_1$ over the minimisers of L.

    With a pretrained start the objective is $\lVert w \rVert_1 - \langle q, w \rangle$, where q holds the signs of the
    start. The point w is optimal if and only if $X^\top (y - X w) = 0$ and some $\nu$ has
    $\lVert q + X^\top \nu \rVert_\infty \le 1$ and
    $\langle \nu, X w \rangle = \lVert w \rVert_1 - \langle q, w \rangle$. The dual $\nu$ is first guessed from the
    support. If the guess does not prove the claim, a linear program (HiGHS) gives another dual. Each dual is judged by
    its own residuals.

    With growth times $t^\pm$ the objective is $\sum_i t_i^+ w_i^+ + t_i^- w_i^- - \langle q, w \rangle$ and the
    condition is $-t^- \le q + X^\top \nu \le t^+$. On the support of the start, q is then $t^+$ or $-t^-$.

    Args:
        start: (d,) the pretrained start; None for a start of zeros.
        growth_times: the `Growth` of a network, or the pair (t_plus, t_minus) of numbers or (d,) arrays; None for 1.

    Reference:
        pesme2023saddle; decleves2026statistical for pretrained starts; zhao2026gradient for growth times.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0], [1.0, 2.0]], [2.0, 2.0])
        >>> ib.certify(problem, [0.0, 1.0], ib.MinL1()).holds
        True
        >>> ib.certify(problem, [2.0, 0.0], ib.MinL1()).holds
        False
    """

    start: Any = None
    growth_times: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", kept(self.start))
        if isinstance(self.growth_times, (tuple, list)):
            object.__setattr__(self, "growth_times", tuple(kept(times) for times in self.growth_times))

    def certificate(self, problem: Any, point: Any) -> Certificate:
        if not isinstance(problem, LeastSquares):
            raise InputError(
                f"problem is a {type(problem).__name__}, MinL1 expects a LeastSquares; type ib.LeastSquares(X, y)"
            )
        w = problem.predictor(point, "point")
        start = np.zeros(len(w)) if self.start is None else problem.predictor(self.start, "start")
        growth = Growth.of(self.growth_times, len(w))
        refuse_excluded_signs(start, growth)
        end = End(problem, w, start, growth)
        residuals = {"stationarity": relative_gradient(end)}
        nu = _dual_of_support(end, end.q)  # of least norm, which is often feasible, but not always
        certificate = min_l1_certificate(end, nu, residuals)
        if certificate.holds or problem.shape[0] * problem.shape[1] > _LARGEST_PROGRAM:
            return certificate
        X = problem.linear_map.take(np.arange(len(w)))
        found = least_l1_dual(X, problem.column_norms, problem.linear_map.matvec(w), end.q, growth)
        return certificate if found is None else min_l1_certificate(end, found, residuals)


class End:
    """A point w that is claimed to have the least norm, with the start and the growth times that define the norm."""

    def __init__(
        self,
        problem: LeastSquares,
        w: Float64[ndarray, " d"],
        start: Float64[ndarray, " d"],
        growth: Growth,
    ) -> None:
        self.problem, self.linear_map, self.w = problem, problem.linear_map, w
        self.times = growth
        self.q, self.bounds = self.times.at_signs(start), self.times.at_signs(w)
        plain = bool(np.all(growth.t_plus == 1.0) and np.all(growth.t_minus == 1.0))
        self.objective = "||w||_1" if plain else "sum t_plus w_+ + t_minus w_-"
        if start.any():
            self.objective += " - <sign(start), w>" if plain else " - <q, w>"

    def judge(self, dual: Dual) -> tuple[float, float]:
        """Return (violation of -t_minus <= s <= t_plus, gap), both relative to the growth times.

        The rounding bound of each s_i is subtracted from its violation. The gap is the sum of
        t_i |w_i| (1 - s_i / t_i), where t_i has the sign of w_i. This sum has no cancellation.
        """
        (s, rounding), times = dual, self.times
        above, below = (s - rounding) / times.t_plus - 1.0, (-s - rounding) / times.t_minus - 1.0
        feasibility = float(
            np.max([0.0, np.max(above), np.max(below)])
        )  # NaN stays NaN, and the claim then fails
        support = np.flatnonzero(self.w)
        if len(support) == 0:
            return feasibility, 0.0
        reach = self.bounds[support]
        if not np.all(np.isfinite(reach)):
            return feasibility, np.inf  # w has a sign that its coordinate never takes
        size = self.w[support] * reach
        slack = np.abs(1.0 - s[support] / reach) - rounding[support] / np.abs(reach)
        return feasibility, float(size @ np.maximum(slack, 0.0)) / float(np.sum(size))

    def coarseness(self, dual: Dual) -> Float64[ndarray, " d"]:
        """Return the rounding bound of each s_i, relative to its smaller threshold."""
        return dual[1] / np.minimum(self.times.t_plus, self.times.t_minus)

    def proves(self, dual: Dual) -> bool:
        """Return whether the dual is feasible and its gap is 0, both up to the tolerance."""
        return all(value <= TOLERANCE for value in self.judge(dual))


def relative_gradient(end: End) -> float:
    """Return the largest entry of `relative_gradients`: 0 exactly at minimisers of L."""
    return float(np.max(relative_gradients(end)))


def relative_gradients(end: End) -> Float64[ndarray, " d"]:
    """Return |x_i^T r| / (||x_i|| (||y|| + sum ||x_j|| |w_j|)) for each i.

    If w_i = 0 and coordinate i never takes a sign, a gradient that leads to this sign is not counted.
    """
    problem, w = end.problem, end.w
    correlation = problem.linear_map.rmatvec(problem.residual(w))
    excluded = np.isinf(np.where(correlation > 0.0, end.times.t_plus, end.times.t_minus)) & (w == 0.0)
    counted = np.where(excluded, 0.0, correlation)
    return relative_correlation(problem.linear_map, problem.y, w, counted)


def min_l1_certificate(end: End, nu: Float64[ndarray, " n"], residuals: dict[str, float]) -> Certificate:
    """Return the certificate that the dual nu gives: its feasibility beyond rounding, and its relative gap.

    The part of nu along the residual is removed first. It changes no s_i, and with more rows than columns it is the
    part that grows with t. If the columns of X differ in scale, a nu that was summed along a path has the rounding
    errors of its largest terms. If nu does not prove the claim, it is corrected by the least change that brings s to
    the thresholds on the support. The corrected dual is used if it proves the claim.
    """
    nu = _without_residual(end, nu)
    dual = plain_dual(end.linear_map, end.q, nu)
    if not end.proves(dual):
        nu = nu + _dual_of_support(end, dual[0])
        corrected = plain_dual(end.linear_map, end.q, nu)
        dual = corrected if end.proves(corrected) else dual
    coarse = end.coarseness(dual)
    if np.max(coarse) > TOLERANCE:
        refined = _refined(end, nu, coarse > _FINE)
        # A plain dual with a larger rounding error than COARSEST is not accepted, so the refined one replaces it.
        dual = refined if end.proves(refined) or np.max(coarse) > COARSEST else dual
    feasibility, gap = end.judge(dual)
    rounding = float(np.max(end.coarseness(dual)))
    residuals = {**residuals, "dual_feasibility": feasibility, "dual_rounding": rounding}
    where = "" if end.times.finite else " among the signs that can be taken"
    note = ""
    if rounding > TOLERANCE:
        note = (
            f"The terms of the sums x_i^T nu are much larger than the sums, whose relative rounding error is "
            f"{rounding:.0e}."
        )
    certificate = Certificate(
        f"the point minimises {end.objective} over the minimisers of the loss{where}",
        gap,
        residuals,
        TOLERANCE,
        {"dual_rounding": COARSEST},
        note,
    )
    named = _worst_features(end, dual, [name for name, _, _ in certificate.failures])
    return replace(certificate, note=f"{note} {named}".strip()) if named else certificate


def _worst_features(end: End, dual: Dual, failed: list[str]) -> str:
    """Return sentences that name the feature with the largest share in each number that is too large."""
    s, times = dual[0], end.times
    reach = np.where(np.isfinite(end.bounds), end.bounds, 0.0)
    shares = {
        "gap": lambda: np.abs(end.w * (reach - s)),
        "stationarity": lambda: relative_gradients(end),
        "dual_feasibility": lambda: np.maximum(s / times.t_plus, -s / times.t_minus),
        "dual_rounding": lambda: end.coarseness(dual),
    }
    names = end.problem.feature_names or tuple(f"x{i}" for i in range(len(s)))
    # A NaN counts as the largest number.
    worst = {
        name: names[int(np.argmax(np.nan_to_num(shares[name](), nan=np.inf)))]
        for name in failed
        if name in shares
    }
    return " ".join(
        f"The feature {feature!r} has the largest share in {name}." for name, feature in worst.items()
    )


def _without_residual(end: End, nu: Float64[ndarray, " n"]) -> Float64[ndarray, " n"]:
    r, y = end.problem.residual(end.w), end.problem.y
    # The residual is orthogonal to the columns only if it is larger than rounding and every sign can be taken.
    if r @ r <= _INTERPOLATES**2 * (y @ y) or not end.times.finite:
        return nu
    return nu - (nu @ r / (r @ r)) * r


def _refined(end: End, nu: Float64[ndarray, " n"], coarse: Bool[ndarray, " d"]) -> Dual:
    """Return the dual of nu, corrected towards the thresholds with exact products. nu is a sum of two vectors here."""
    high, low = nu, np.zeros(len(nu))
    for _ in range(3):
        s, _ = exact_dual(end.linear_map, end.q, np.stack([high, low]), coarse)
        high, low = two_sum(high, low + _dual_of_support(end, s))
    return exact_dual(end.linear_map, end.q, np.stack([high, low]), coarse)


def _dual_of_support(end: End, s: Float64[ndarray, " d"]) -> Float64[ndarray, " n"]:
    """Return the nu of least norm for which s + X^T nu is at its thresholds on the support and where s is near them."""
    norms = end.problem.column_norms
    share = np.abs(end.w) * norms
    support = (share > 1e-12 * np.max(share, initial=0.0)) & np.isfinite(end.bounds)
    bounds = np.where(support, end.bounds, end.times.at_signs(s))
    # A coordinate of the equicorrelation set without a coefficient is also at its threshold, up to rounding.
    reach = np.where(np.isfinite(bounds), np.abs(bounds), 0.0)
    near = (np.abs(np.abs(s) - reach) <= COARSEST * reach) & (norms > 0.0) & (reach > 0.0)
    chosen = np.flatnonzero(support | near)
    wanted = (bounds - s)[chosen] / norms[chosen]
    columns = end.linear_map.take(chosen) / norms[chosen]
    nu: ndarray = np.linalg.lstsq(columns.T, wanted, rcond=1e-12)[0]
    return nu
