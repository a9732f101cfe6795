"""The classifier of largest margin in a gauge, and the criterion that a point is one."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.gauges import L1, L2, Gauge, LInf, Lp
from implicitbias.limits._criterion import Criterion
from implicitbias.limits._find_separator import Found, find_separator
from implicitbias.limits._limit import Limit
from implicitbias.limits._linear_programs import best_shifts
from implicitbias.limits._margin_certificate import margin_certificate
from implicitbias.problems._margins import Margins, Separator, margins_of

_NAMED = {"l1": L1(), "l2": L2(), "linf": LInf()}
_SEVERAL = "Several points have this margin; this is the one of least Euclidean norm, scaled to the smallest margin 1."
_SEVERAL_MATRICES = "Several points have this margin; this is one of them, scaled to the smallest margin 1."
_OPEN = "Whether other points have this margin is not known."


@dataclass(frozen=True, eq=False)
class MaxMargin(Criterion):
    r"""The property that w maximises the margin $\min_i y_i \langle x_i, w \rangle / \gamma(w)$ in a gauge $\gamma$.

    The proof is the dual $\min_q \gamma^\circ(\sum_i q_i y_i x_i)$ over convex weights q, computed here and judged by
    its own residuals. The gap bounds the relative distance of the margin of w from the largest margin. The scale of w
    does not matter. With `bias`, the margin is $\min_i y_i (\langle x_i, w \rangle + b)$ for the best intercept b of w.

    The residuals `dual_rounding` and `margin_rounding` bound the relative rounding errors of the dual and of the
    margin. `dual_intercept` is the total weight of one class minus that of the other.

    Args:
        horizon: "l1", "l2", "linf", a number p for the l_p norm, a potential (for its horizon), or a gauge.
        bias: whether a free intercept is added, which the gauge does not count.

    Raises:
        InputError: the horizon is of another kind, or its number is below 1.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1])
        >>> ib.certify(problem, [3.0, 0.0], ib.MaxMargin("l2")).holds
        True
        >>> ib.certify(problem, [3.0, 1.0], ib.MaxMargin("l2")).holds
        False
    """

    horizon: Any
    bias: Any = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", as_gauge(self.horizon))
        object.__setattr__(self, "bias", _flag(self.bias))

    def certificate(self, problem: Any, point: Any) -> Certificate:
        """Return the certificate of a point, for a `Classification`.

        Raises:
            InputError: the problem is of another kind; the point has the wrong shape or holds NaN.
            InfeasibleError: no linear classifier separates the data.
        """
        margins = margins_of(problem, self.bias)
        w = self.horizon.checked(problem.predictor(point, "point"), "point")
        found = find_separator(margins, self.horizon)
        separator = Separator(w, best_intercepts(margins, w), found.separator.multipliers)
        return margin_certificate(margins, self.horizon, separator, intercept=self.bias)


def max_margin(problem: Any, horizon: Any, bias: Any = False) -> Limit:
    r"""Return the classifier of largest margin in the gauge $\gamma$ of a horizon, with a certificate.

    It solves $\min \gamma(w)$ subject to $y_i (\langle x_i, w \rangle + b) \ge 1$, where b = 0 unless `bias`. On
    separable data the direction of mirror flow converges to it if $\gamma$ is the horizon of the potential and the
    solution is unique.

    Args:
        problem: a `Classification` with any of its losses.
        horizon: "l1", "l2", "linf", a number p for the l_p norm, a potential (for its horizon), or a gauge.
        bias: whether a free intercept b is added, which the gauge does not count.

    Returns:
        A `Limit`: `point` w, (d,), scaled to the smallest margin 1; `value` = gamma(w); `margin` = 1 / gamma(w);
        `bias` b, or None; `multipliers` q, (n,), and `support`, the support vectors; `dual` z = sum q_i y_i x_i, (d,),
        with polar 1 and <z, w> = gamma(w). With the loss "cross_entropy" the margins are those of all pairs of the
        own and another class; then w is (d, k), the bias (k,) with the mean 0, and q (n, k). The relative duality
        gap of the certificate is at most 1e-10. If several points have the largest margin, the status is `NOT_UNIQUE`
        and the point is the one of least Euclidean norm; for norms of singular values it is any of them. If the rows
        of the problem are matrices (p, q), then w and z are (p, q) too.

    Raises:
        InputError: the problem is of another kind; the horizon is of another kind or does not accept points of this
            shape.
        InfeasibleError: no linear classifier separates the data; `combination` holds the convex weights q with
            sum q_i y_i x_i = 0.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> problem = ib.Classification([[2.0, 1.0], [-2.0, 1.0]], [1, -1])
        >>> limit = ib.max_margin(problem, "l2")
        >>> limit.point.round(9).tolist(), round(limit.margin, 9)
        ([0.5, 0.0], 2.0)
        >>> limit.certificate.holds, limit.support.tolist()
        (True, [0, 1])
    """
    gauge, bias = as_gauge(horizon), _flag(bias)
    margins = margins_of(problem, bias)
    n, d = margins.linear_map.shape
    with one_blas_thread(n * d * min(n, d) < FEW_PRODUCTS):
        found = find_separator(margins, gauge)
    w, b, q = found.separator
    certificate = margin_certificate(
        margins, gauge, found.separator, intercept=bias, note=_note(found, gauge)
    )
    value = gauge.value(w)
    return Limit(
        problem=problem,
        point=frozen(w),
        value=value,
        certificate=certificate,
        status=_status(found, certificate),
        dual=frozen(margins.combination(q)),
        margin=1.0 / value if value > 0.0 else np.inf,
        bias=intercepts_of(margins, b),
        multipliers=frozen(margins.by_rows(q)),
    )


def intercepts_of(margins: Margins, b: Float64[ndarray, " r"]) -> Any:
    """Return the intercept, or those of all classes with the mean 0; None if there is none."""
    if not len(b):
        return None
    if margins.classes is None:
        return float(b[0])
    every = np.concatenate([[0.0], b])
    return frozen(every - np.mean(every))


def _note(found: Found, gauge: Gauge) -> str:
    several = _SEVERAL if gauge.schatten is None else _SEVERAL_MATRICES
    return {True: "", False: several, None: _OPEN}[found.unique]


def _status(found: Found, certificate: Certificate) -> Status:
    if not certificate.holds:
        return Status.NOT_CERTIFIED
    return Status.NOT_UNIQUE if found.unique is False else Status.CONVERGED


def as_gauge(horizon: Any) -> Gauge:
    """Return the gauge of a horizon, or raise an `InputError`."""
    if isinstance(horizon, Gauge):
        return horizon
    if not isinstance(horizon, type) and callable(
        getattr(horizon, "horizon", None)
    ):  # a potential, whose module would load JAX
        gauge: Gauge = horizon.horizon()
        return gauge
    if isinstance(horizon, str) and horizon in _NAMED:
        return _NAMED[horizon]
    if isinstance(horizon, Real) and not isinstance(horizon, (bool, np.bool_)):
        return LInf() if np.isposinf(float(horizon)) else Lp(horizon)
    if isinstance(horizon, type):
        raise InputError(
            f"horizon is the class {horizon.__name__}, a value of it is expected; type "
            f'{horizon.__name__}(...) with its arguments, or a name such as horizon="l1"'
        )
    raise InputError(
        f'horizon is {horizon!r}, "l1", "l2", "linf", a number p >= 1, a potential or a gauge is expected; '
        'type ib.max_margin(problem, "l1")'
    )


def best_intercepts(margins: Margins, w: Float64[ndarray, "..."]) -> Float64[ndarray, " r"]:
    """Return the intercept for which the smallest margin of w is largest."""
    if not margins.free.shape[1]:
        return np.zeros(0)
    values = margins.linear_map.matvec(w)
    if margins.classes is not None:
        return best_shifts(values, margins.free)
    up = margins.signs > 0.0
    return np.array([-(float(np.min(values[up])) + float(np.max(values[~up]))) / 2.0])


def _flag(bias: Any) -> bool:
    if not isinstance(bias, (bool, np.bool_)):
        raise InputError(f"bias is {bias!r}, True or False is expected; the intercept itself is computed")
    return bool(bias)
