"""The choice of a method for the classifier of largest margin in a gauge."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from implicitbias._core.linear_maps import DenseMap
from implicitbias.gauges import L2, Gauge, TwoSidedL1
from implicitbias.limits._atom_margins import atom_separator
from implicitbias.limits._conic_programs import separating_point
from implicitbias.limits._entrywise_margins import entrywise_separator, improved
from implicitbias.limits._fixed_rank import polished
from implicitbias.limits._margin_certificate import margin_certificate
from implicitbias.limits._singular_margins import singular_separator
from implicitbias.problems._inseparable import refuse_inseparable
from implicitbias.problems._margins import Margins, Separator

# The largest number of entries of X for which a conic program is tried.
_LARGEST_PROGRAM = 2 * 10**6


class Found(NamedTuple):
    """A classifier, scaled to the smallest margin 1, and whether it is the only one of largest margin.

    Attributes:
        separator: the classifier with its multipliers.
        unique: whether no other classifier has this margin; None if that is not known.
    """

    separator: Separator
    unique: bool | None


def find_separator(margins: Margins, gauge: Gauge) -> Found:
    """Return a classifier of largest margin, or the best one that was found.

    Raises:
        InputError: the gauge does not accept points of this shape.
        InfeasibleError: no classifier separates the data.
    """
    gauge.refuse_shape(margins.linear_map.domain, "w has shape")
    entrywise, root = gauge.entrywise, gauge.euclidean_root()
    found: Found | None = None
    if entrywise is not None:
        costless = _without_cost(margins, entrywise)
        if costless is not None:
            return costless
        found = Found(*entrywise_separator(margins, entrywise))
    elif root is not None:
        found = _in_ellipsoid(margins, root)
    best: Found | None = _scaled(margins, gauge, found)
    if best is not None and _proved(margins, gauge, best):
        return best
    refuse_inseparable(margins, _suspects(margins, best), _allowed(margins, gauge))
    n, d = margins.linear_map.shape
    if gauge.schatten is not None and np.isfinite(gauge.schatten) and n * d <= _LARGEST_PROGRAM:
        best = _scaled(margins, gauge, Found(*singular_separator(margins, gauge.schatten)))
        if best is not None and _proved(margins, gauge, best):
            return best
    other = separating_point(margins, gauge) if n * d <= _LARGEST_PROGRAM else None
    if other is not None:
        second = Found(other, None)
        if entrywise is not None:
            second = Found(*improved(margins, entrywise, other))
        elif gauge.schatten is not None:
            second = Found(*polished(margins, gauge.schatten, other))
        candidate = _scaled(margins, gauge, second)
        if candidate is not None and (
            best is None or _gap(margins, gauge, candidate) < _gap(margins, gauge, best)
        ):
            best = candidate
    if best is None or not _proved(margins, gauge, best):
        candidate = _scaled(margins, gauge, Found(atom_separator(margins, gauge, _start(gauge, other)), None))
        if candidate is not None and (
            best is None or _gap(margins, gauge, candidate) < _gap(margins, gauge, best)
        ):
            best = candidate
    assert best is not None
    return best


def _without_cost(margins: Margins, gauge: Any) -> Found | None:
    """Return a classifier that uses only signs of weight 0, so that its gauge is 0; None if none separates the data."""
    sides = gauge.sides.spread(margins.linear_map.domain)
    plus, minus = sides.plus == 0.0, sides.minus == 0.0
    if not (plus.any() or minus.any()):
        return None
    costs = TwoSidedL1(np.where(plus, 1.0, np.inf), np.where(minus, 1.0, np.inf))
    separator, _ = entrywise_separator(margins, costs)
    if not margin_certificate(margins, costs, separator, intercept=False).holds:
        return None
    # No dual is needed to prove that a gauge of 0 is the least one.
    return Found(separator.scaled(margins, costs)._replace(multipliers=np.zeros(len(margins.signs))), None)


def _start(gauge: Gauge, separator: Separator | None) -> Separator | None:
    """Return the classifier if its gauge is positive and finite, else None."""
    return separator if separator is not None and 0.0 < gauge.value(separator.w) < np.inf else None


def _suspects(margins: Margins, found: Found | None) -> Int64[ndarray, " k"]:
    """Return the rows that are examined for inseparability: all, or those that the best classifier finds hardest."""
    m, d = margins.linear_map.shape
    most = max(_LARGEST_PROGRAM // d, 100)
    if m <= most or found is None:
        return np.arange(m)
    w, b, q = found.separator
    order = np.lexsort((margins.values(w, b), -q))
    return np.sort(order[:most])


def _scaled(margins: Margins, gauge: Gauge, found: Found | None) -> Found | None:
    return None if found is None else Found(found.separator.scaled(margins, gauge), found.unique)


def _proved(margins: Margins, gauge: Gauge, found: Found) -> bool:
    return margin_certificate(margins, gauge, found.separator, intercept=False).holds


def _gap(margins: Margins, gauge: Gauge, found: Found) -> float:
    gap = margin_certificate(margins, gauge, found.separator, intercept=False).gap
    return np.inf if gap is None else gap


def _in_ellipsoid(margins: Margins, root: ndarray) -> Found:
    """Return the classifier in the gauge ||R w||, from the Euclidean one for the rows X R^-1."""
    d = len(root)
    X = margins.linear_map.take(np.arange(d))
    rows = np.linalg.solve(root.T, X.T).T
    other = Margins(DenseMap(np.asfortranarray(rows)), margins.signs, margins.free)
    separator, unique = entrywise_separator(other, L2())
    return Found(separator._replace(w=np.linalg.solve(root, separator.w)), unique)


def _allowed(margins: Margins, gauge: Gauge) -> tuple[Bool[ndarray, " d"], Bool[ndarray, " d"]] | None:
    """Return which signs each entry of w can take, as (positive, negative); None if all can."""
    if gauge.entrywise is None:
        return None
    sides = gauge.entrywise.sides.spread(margins.linear_map.domain)
    plus, minus = np.isfinite(sides.plus), np.isfinite(sides.minus)
    return None if plus.all() and minus.all() else (plus, minus)
