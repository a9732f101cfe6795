"""The certificate that a classifier has the largest margin in a gauge."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias.gauges import Gauge
from implicitbias.limits._min_l1 import COARSEST
from implicitbias.limits._tolerances import EPSILON
from implicitbias.problems._margins import Margins, Separator

# The largest accepted relative gap of a margin.
GAP = 1e-10


def margin_certificate(
    margins: Margins, gauge: Gauge, separator: Separator, *, intercept: bool, note: str = ""
) -> Certificate:
    r"""Return the certificate of a classifier, from the multipliers that come with it.

    By weak duality, every w and b and all multipliers $q \ge 0$ with $B^\top q = 0$ satisfy
    $\min_i M_i(w, b) \sum_i q_i \le \gamma(w) \, \gamma^\circ(\sum_i q_i \nabla_w M_i)$. The gap is 1 minus the
    ratio of the two sides. It is at least the relative distance of the margin from the largest one.
    """
    w, b, q = separator
    polar = gauge.polar()
    z = margins.combination(q)
    inside = polar.to_domain(z, np.zeros_like(z))
    # Each term |x_ij| q_i is at most the norm of its row and that of its column.
    size, linear_map = float(np.max(q, initial=0.0)) or 1.0, margins.linear_map
    by_columns = linear_map.norms * (size * float(np.linalg.norm(q / size)))
    terms = np.minimum(by_columns, float(linear_map.row_norms @ q)).reshape(z.shape)
    length = polar.value(inside)
    total = float(np.sum(q))
    rounding = np.count_nonzero(q) * EPSILON * terms
    added = [polar.value(polar.to_domain(sign * rounding, np.zeros_like(z))) for sign in (1.0, -1.0)]
    values = margins.values(w, b)
    smallest, value = float(np.min(values)), gauge.value(w)
    residuals = {
        # A gauge of 0 is the least possible one, which needs no dual.
        "dual_rounding": 0.0 if value == 0.0 else _ratio(max(added), length),
        "margin_rounding": _ratio(
            smallest - float(np.min(values - _rounding(margins, separator))), max(smallest, 0.0)
        ),
    }
    free = margins.free
    if free.shape[1]:
        sizes = np.max(np.abs(free), axis=0)
        residuals["dual_intercept"] = _ratio(float(np.max(np.abs(free.T @ q) / sizes)), total)
    if not np.array_equal(inside, z):
        residuals["dual_domain"] = float(np.max(np.abs(z - inside) / np.where(terms > 0.0, terms, 1.0)))
    tolerances = {"dual_rounding": COARSEST, "margin_rounding": COARSEST}
    ending = " with a free intercept" if intercept else ""
    return Certificate(
        f"the point has the largest margin in the gauge {type(gauge).__name__}{ending}",
        _gap(smallest, value, total, length),
        residuals,
        GAP,
        tolerances,
        note,
    )


def _gap(smallest: float, value: float, total: float, polar: float) -> float:
    """Return 1 - (smallest margin / gauge) (sum of multipliers / polar), at least 0."""
    if not smallest > 0.0 or np.isinf(value):
        return 1.0
    if value == 0.0:  # The entries without cost separate the data, and no gauge is smaller than 0.
        return 0.0
    if polar == 0.0 or total == 0.0:
        return 1.0
    return max(0.0, 1.0 - (smallest / value) * (total / polar))


def _rounding(margins: Margins, separator: Separator) -> Float64[ndarray, " m"]:
    """Return bounds on the rounding errors of the margins."""
    w = separator.w.ravel()
    unit = float(np.max(np.abs(w), initial=0.0)) or 1.0
    terms = margins.linear_map.row_norms * (unit * float(np.linalg.norm(w / unit)))
    if len(separator.b):
        terms = terms + np.abs(margins.free) @ np.abs(separator.b)
    return (np.count_nonzero(w) + len(separator.b)) * EPSILON * terms


def _ratio(part: float, whole: float) -> Any:
    """Return part / whole, where 0 / 0 is 0 and any other number over 0 is infinite."""
    if whole > 0.0:
        return part / whole
    return 0.0 if part == 0.0 else np.inf
