"""Soft margins: a gauge plus a penalty on the violations of the margins, for data that may be inseparable."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InputError
from implicitbias._core.status import Status
from implicitbias.gauges import Gauge
from implicitbias.limits._conic_programs import soft_point
from implicitbias.limits._limit import Limit
from implicitbias.limits._margins import Margins, Separator
from implicitbias.limits._max_margin import as_gauge, intercepts_of, margins_of

# The largest accepted relative gap; the conic solver reaches about 1e-8.
_GAP = 1e-6
# Entries below the second share of the largest one become 0, if the objective grows by less than the first share.
_SAME, _SMALL = 1e-9, 1e-6


def soft_margin(problem: Any, horizon: Any, C: float, bias: bool = False) -> Limit:
    r"""Return the minimiser of $\gamma(w) + C \sum_i \max(0, 1 - M_i(w, b))$, where M are the margins.

    With several classes $M_i$ is the margin against the nearest other class (Crammer and Singer). As C grows the
    minimiser becomes the classifier of largest margin, if the data are separable.

    Args:
        problem: a `Classification`.
        horizon: as for `max_margin`. The gauge needs a conic form.
        C: the price of a violation, a positive number.
        bias: whether a free intercept is added.

    Returns:
        A `Limit` whose `value` is the objective, with multipliers between 0 and C. Its certificate accepts a relative
        gap of 1e-6.

    Raises:
        InputError: the gauge has no conic form, or an argument is of the wrong kind.
    """
    gauge, margins = as_gauge(horizon), margins_of(problem, bias)
    gauge.refuse_shape(margins.linear_map.domain, "w has shape")
    found = soft_point(margins, gauge, C)
    if found is None:
        raise InputError(
            f"the gauge {type(gauge).__name__} has no conic form or its program was not solved, which a finite C "
            "needs; give FromOracle a conic_form, or type C=numpy.inf"
        )
    w, b, q = _feasible(margins, gauge, found, C)
    w = _simplest(margins, gauge, Separator(w, b, q), C)
    value = _objective(margins, gauge, w, b, C)
    certificate = Certificate(
        f"the point minimises the gauge {type(gauge).__name__} plus {C:g} times the violations of the margins",
        max(0.0, 1.0 - float(np.sum(q)) / value) if value > 0.0 else 0.0,
        {
            "dual_intercept": float(np.max(np.abs(margins.free.T @ q), initial=0.0))
            / (float(np.sum(q)) or 1.0)
        },
        _GAP,
    )
    return Limit(
        problem=problem,
        point=frozen(w),
        value=value,
        certificate=certificate,
        status=Status.CONVERGED if certificate.holds else Status.NOT_CERTIFIED,
        dual=frozen(margins.combination(q)),
        margin=1.0 / gauge.value(w) if gauge.value(w) > 0.0 else np.inf,
        bias=intercepts_of(margins, b),
        multipliers=frozen(margins.by_rows(q)),
    )


def _objective(
    margins: Margins, gauge: Gauge, w: Float64[ndarray, "..."], b: Float64[ndarray, " r"], C: float
) -> float:
    return gauge.value(w) + C * float(np.sum(_violations(margins, w, b)))


def _simplest(margins: Margins, gauge: Gauge, found: Separator, C: float) -> Float64[ndarray, "..."]:
    """Return w with small entries, or all entries, replaced by 0 where the objective stays the same.

    An interior-point method leaves entries of about the size of its accuracy where the minimiser has zeros.
    """
    size = np.abs(found.w)
    most = _objective(margins, gauge, found.w, found.b, C) * (1.0 + _SAME)
    for share in (2.0, _SMALL):
        rounded = np.where(size > share * np.max(size, initial=0.0), found.w, 0.0)
        if _objective(margins, gauge, rounded, found.b, C) <= most:
            return rounded
    return found.w


def _violations(
    margins: Margins, w: Float64[ndarray, "..."], b: Float64[ndarray, " r"]
) -> Float64[ndarray, " n"]:
    """Return max(0, 1 - margin) of each row of the data."""
    values = margins.values(w, b).reshape(-1, margins.per_row)
    return np.maximum(1.0 - np.min(values, axis=1), 0.0)


def _feasible(margins: Margins, gauge: Gauge, found: Separator, C: float) -> Separator:
    """Return the point with multipliers that are scaled until the polar is at most 1 and no row exceeds C."""
    q = np.maximum(found.multipliers, 0.0)
    q[q < 1e-7 * float(np.max(q, initial=0.0))] = 0.0
    polar = gauge.polar()
    z = margins.combination(q)
    size = polar.value(polar.to_domain(z, np.zeros_like(z)))
    most = float(np.max(np.sum(q.reshape(-1, margins.per_row), axis=1), initial=0.0)) / C
    return Separator(found.w, found.b, q / max(1.0, size, most))
