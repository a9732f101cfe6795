"""Least l1 norm among the minimisers of the loss: the certificate of a last point, ours or not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._dual_values import exact_dual, plain_dual, two_sum
from implicitbias.limits._linear_programs import least_l1_dual
from implicitbias.problems import LeastSquares

Dual = tuple[Float64[ndarray, " d"], Float64[ndarray, " d"]]
"""s = q + X^T nu, and a bound on its rounding."""

TOLERANCE = 1e-9
# A dual that is not known to this is no proof.
COARSEST = 1e-6


@dataclass(frozen=True, eq=False)
class MinL1(Criterion):
    r"""Whether w minimises $\lVert w \rVert_1$ over the minimisers of L.

    With a pretrained start the objective is $\lVert w \rVert_1 - \langle q, w \rangle$, q the signs of the start.
    Optimal exactly if $X^\top (y - X w) = 0$ and some $\nu$ has $\lVert q + X^\top \nu \rVert_\infty \le 1$ and
    $\langle \nu, X w \rangle = \lVert w \rVert_1 - \langle q, w \rangle$. The dual $\nu$ is first guessed from the
    support and, where that does not prove it, found by a linear program (HiGHS), then judged by its own residuals.

    Args:
        start: (d,) the pretrained start, None for zero.

    Reference:
        pesme2023saddle; decleves2026statistical for pretrained starts.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.LeastSquares([[1.0, 2.0], [1.0, 2.0]], [2.0, 2.0])
        >>> ib.certify(problem, [0.0, 1.0], ib.MinL1()).holds
        True
        >>> ib.certify(problem, [2.0, 0.0], ib.MinL1()).holds
        False
    """

    start: Any = None

    def certificate(self, problem: Any, point: Any) -> Certificate:
        if not isinstance(problem, LeastSquares):
            raise InputError(
                f"problem is a {type(problem).__name__}, MinL1 expects a LeastSquares; type ib.LeastSquares(X, y)"
            )
        w = problem.predictor(point, "point")
        start = np.zeros(len(w)) if self.start is None else problem.predictor(self.start, "start")
        q = np.sign(start)
        residuals = {"stationarity": relative_gradient(problem, w)}
        nu = _dual_of_support(problem, w, q)  # the least norm: often, not always, feasible
        certificate = min_l1_certificate(problem, w, q, nu, residuals)
        if certificate.holds:
            return certificate
        found = least_l1_dual(problem.X, problem.column_norms, problem.X @ w, q)
        return certificate if found is None else min_l1_certificate(problem, w, q, found, residuals)


def relative_gradient(problem: LeastSquares, w: Float64[ndarray, " d"]) -> float:
    """max_i |x_i^T r| / (||x_i|| (||y|| + sum ||x_j|| |w_j|)): 0 exactly at minimisers of L."""
    norms = problem.column_norms
    scale = float(np.sqrt(problem.y @ problem.y) + norms @ np.abs(w))
    if scale == 0.0:
        return 0.0
    correlation = np.abs(problem.residual(w) @ problem.X)
    return float(np.max(correlation / np.where(norms > 0.0, norms, 1.0)) / scale)


def min_l1_certificate(
    problem: LeastSquares,
    w: Float64[ndarray, " d"],
    q: Float64[ndarray, " d"],
    nu: Float64[ndarray, " n"],
    residuals: dict[str, float],
) -> Certificate:
    """Judge w by the dual nu: feasibility beyond the rounding of x_i^T nu itself, and the relative gap.

    A nu summed over a path whose columns differ in scale carries the rounding of its largest terms; where it
    does not prove the claim, its least correction to s = sign(w) on the support is judged instead if that does.
    """
    dual = plain_dual(problem.X, q, nu)
    if not _proves(w, dual):
        nu = nu + _dual_of_support(problem, w, dual[0])
        corrected = plain_dual(problem.X, q, nu)
        dual = corrected if _proves(w, corrected) else dual
    if np.max(dual[1], initial=0.0) > TOLERANCE:
        refined = _refined(problem, w, q, nu)
        # A plain sum that lost this much proves nothing by itself.
        dual = refined if _proves(w, refined) or np.max(dual[1]) > COARSEST else dual
    feasibility, gap = _judge(w, dual)
    residuals = {**residuals, "dual_feasibility": feasibility}
    rounding = float(np.max(dual[1], initial=0.0))
    holds = gap <= TOLERANCE and max(residuals.values()) <= TOLERANCE and rounding <= COARSEST
    what = "||w||_1" if not q.any() else "||w||_1 - <sign(start), w>"
    verdict = "is proved to minimise" if holds else "is not proved to minimise"
    sentence = f"the point {verdict} {what} over the minimisers of the loss"
    if rounding > TOLERANCE:
        sentence += f" (x_i^T nu is a sum of much larger terms and only known to {rounding:.0e})"
    return Certificate(holds, gap, residuals, TOLERANCE, sentence)


def _judge(w: ndarray, dual: Dual) -> tuple[float, float]:
    """(violation of |s_i| <= 1, relative gap), each s_i taken up to its own rounding.

    The gap ||w||_1 - <q, w> - <nu, X w> is summed as |w_i| (1 - sign(w_i) s_i), which cancels nothing.
    """
    s, rounding = dual
    feasibility = float(np.max(np.abs(s) - 1.0 - rounding, initial=0.0))
    size = np.abs(w)
    slack = np.maximum(np.abs(1.0 - np.sign(w) * s) - rounding, 0.0)
    gap = float(size @ slack) / float(np.sum(size)) if size.any() else 0.0
    return feasibility, gap


def _proves(w: ndarray, dual: Dual) -> bool:
    return max(_judge(w, dual)) <= TOLERANCE


def _refined(problem: LeastSquares, w: ndarray, q: ndarray, nu: ndarray) -> Dual:
    """The dual of nu carried in two parts and corrected there, with exact products, towards s = sign(w)."""
    high, low = nu, np.zeros(len(nu))
    for _ in range(3):
        s, _ = exact_dual(problem.X, q, np.stack([high, low]))
        high, low = two_sum(high, low + _dual_of_support(problem, w, s))
    return exact_dual(problem.X, q, np.stack([high, low]))


def _dual_of_support(problem: LeastSquares, w: ndarray, s: ndarray) -> Float64[ndarray, " n"]:
    """The nu of least norm for which s + X^T nu = sign(w) on the support."""
    norms = problem.column_norms
    share = np.abs(w) * norms
    support = share > 1e-12 * np.max(share, initial=0.0)
    wanted = (np.sign(w) - s)[support] / norms[support]
    nu: ndarray = np.linalg.lstsq((problem.X[:, support] / norms[support]).T, wanted, rcond=1e-12)[0]
    return nu
