"""Soft margins: a gauge plus a penalty on the violations of the margins, for data that may be inseparable."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.blas_threads import FEW_PRODUCTS, one_blas_thread
from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError, InputError
from implicitbias._core.status import Status
from implicitbias.gauges import Gauge
from implicitbias.limits._conic_programs import soft_point
from implicitbias.limits._find_separator import find_separator
from implicitbias.limits._limit import Limit
from implicitbias.limits._max_margin import as_gauge, intercepts_of
from implicitbias.problems._margins import Margins, Separator, margins_of

# The largest accepted relative gap; the conic solver reaches about 1e-8.
_GAP = 1e-6
# Entries below the second share of the largest one become 0, if the objective grows by less than the first share.
_SAME, _SMALL = 1e-9, 1e-6
# Relative enlargement of a classifier of hard margins, far below the accepted gap and far above rounding errors.
_ROOM = 1e-11


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
    separator = _candidate(margins, gauge, found, C)
    certificate = _certificate(margins, gauge, separator, C)
    for other in (_without_weights, _free_of_violations):
        if not certificate.holds:
            second = other(margins, gauge, C)
            if second is not None:
                proof = _certificate(margins, gauge, second, C)
                separator, certificate = (second, proof) if proof.holds else (separator, certificate)
    w, b, q = separator
    return Limit(
        problem=problem,
        point=frozen(w),
        value=_objective(margins, gauge, w, b, C),
        certificate=certificate,
        status=Status.CONVERGED if certificate.holds else Status.NOT_CERTIFIED,
        dual=frozen(margins.combination(q)),
        margin=1.0 / gauge.value(w) if gauge.value(w) > 0.0 else np.inf,
        bias=intercepts_of(margins, b),
        multipliers=frozen(margins.by_rows(q)),
    )


def _certificate(margins: Margins, gauge: Gauge, found: Separator, C: float) -> Certificate:
    w, b, q = found
    value, total = _objective(margins, gauge, w, b, C), float(np.sum(q))
    return Certificate(
        f"the point minimises the gauge {type(gauge).__name__} plus {C:g} times the violations of the margins",
        max(0.0, 1.0 - total / value) if value > 0.0 else 0.0,
        {"dual_intercept": float(np.max(np.abs(margins.free.T @ q), initial=0.0)) / (total or 1.0)},
        _GAP,
    )


def _candidate(margins: Margins, gauge: Gauge, found: Separator, C: float) -> Separator:
    """Return the solution of the conic solver with feasible multipliers, and with zeros where they cost nothing."""
    w, b, q = _feasible(margins, gauge, found, C)
    return Separator(_simplest(margins, gauge, Separator(w, b, q), C), b, q)


def _free_of_violations(margins: Margins, gauge: Gauge, C: float) -> Separator | None:
    """Return the classifier of hard margins, which is the minimiser if none of its multipliers exceeds C.

    The conic solver loses the gauge beside violations at a price of about 1e9.
    """
    n, d = margins.linear_map.shape
    try:
        with one_blas_thread(n * d * min(n, d) < FEW_PRODUCTS):
            w, b, q = find_separator(margins, gauge).separator
    except InfeasibleError:
        return None
    # At such a price a rounding error of a margin of 1 would be a violation that counts.
    return _feasible(margins, gauge, Separator((1.0 + _ROOM) * w, (1.0 + _ROOM) * b, q), C)


def _without_weights(margins: Margins, gauge: Gauge, C: float) -> Separator | None:
    """Return w = 0 with the best intercepts, which is the minimiser if C is small.

    At a price of 1 / sum of the polars of the rows, no multipliers have a combination of a polar above 1, so that w = 0
    is a minimiser. At any lower price the multipliers are proportional to the price.
    """
    polar, places = gauge.polar(), np.arange(len(margins.signs))
    rows = (margins.combination((places == i).astype(np.float64)) for i in places)
    total = sum(polar.value(polar.to_domain(row, np.zeros_like(row))) for row in rows)
    if not 0.0 < C * total <= 1.0:
        return None
    found = soft_point(margins, gauge, 1.0 / total)
    if found is None:
        return None
    w, b, q = _candidate(margins, gauge, found, 1.0 / total)
    return Separator(np.zeros_like(w), b, q * (C * total))


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
