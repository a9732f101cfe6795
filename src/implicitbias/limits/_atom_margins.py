"""Maximum margins in gauges of which only the maximiser of linear functions is known."""

import numpy as np

from implicitbias._core.linear_maps import DenseMap
from implicitbias.gauges import Gauge, TwoSidedL1
from implicitbias.limits._entrywise_margins import entrywise_separator
from implicitbias.limits._linear_programs import largest_margin
from implicitbias.limits._margin_certificate import GAP
from implicitbias.problems._margins import Margins, Separator

# The largest number of atoms, and of atoms without progress after which the method stops.
_MOST_ATOMS = 200
_PATIENCE = 30


def atom_separator(margins: Margins, gauge: Gauge, start: Separator | None = None) -> Separator:
    r"""Return the classifier of largest margin among the convex combinations of atoms of the unit ball.

    An atom is a maximiser of a linear function over the ball. Each linear program gives the best classifier in the
    convex hull of the atoms and multipliers q of the rows; the next atom maximises $\sum_i q_i M_i$ over the ball. This
    is exact after finitely many steps on a polyhedral ball. On a curved ball the gap decreases geometrically. The start
    is an approximate solution whose point is the first atom.
    """
    none = np.zeros(margins.free.shape[1])
    atoms: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    current = Separator(np.zeros(margins.linear_map.domain), none, _first_weights(margins))
    if start is not None:
        current = start
        atoms.append(start.w / gauge.value(start.w))
        levels.append(margins.values(atoms[0], none))
    best, most, since = current, -np.inf, 0
    for _ in range(_MOST_ATOMS):
        z = margins.combination(current.multipliers)
        atom = gauge.face(gauge.polar().to_domain(z, np.zeros_like(z))).point()
        atoms.append(np.array(atom))
        levels.append(margins.values(atom, none))
        answer = largest_margin(np.stack(levels, axis=1), margins.free)
        if answer is None:
            break
        shares, b, q = answer
        current = Separator(np.tensordot(shares, np.stack(atoms), axes=1), b, q)
        ratio = _ratio(margins, gauge, current)
        if ratio > most:
            best, most, since = current, ratio, 0
        since += 1
        if 1.0 - most <= 0.1 * GAP:
            return best
        if since > _PATIENCE:
            break
    return _refined(margins, gauge, atoms, best) if most > 0.0 else best


def _refined(margins: Margins, gauge: Gauge, atoms: list[np.ndarray], best: Separator) -> Separator:
    """Return the classifier over the atoms without the rounding errors of the linear program, if it is better."""
    levels = np.stack([margins.values(atom, np.zeros(len(best.b))) for atom in atoms], axis=1)
    signed = levels * margins.signs[:, None]
    inner = Margins(DenseMap(np.asfortranarray(signed)), margins.signs, margins.free)
    ones = np.ones(len(atoms))
    exact, _ = entrywise_separator(inner, TwoSidedL1(ones, np.full(len(atoms), np.inf)))
    w = np.tensordot(exact.w, np.stack(atoms), axes=1)
    other = Separator(w, exact.b, exact.multipliers)
    return other if _ratio(margins, gauge, other) > _ratio(margins, gauge, best) else best


def _ratio(margins: Margins, gauge: Gauge, separator: Separator) -> float:
    """Return the margin over its upper bound."""
    w, b, q = separator
    value, polar = gauge.value(w), gauge.polar().value(margins.combination(q))
    if not (0.0 < value < np.inf and 0.0 < polar < np.inf):
        return -np.inf
    return float(np.min(margins.values(w, b))) / value * float(np.sum(q)) / polar


def _first_weights(margins: Margins) -> np.ndarray:
    """Return weights of the rows with which the intercepts have no influence."""
    up = margins.signs > 0.0
    if not margins.free.shape[1]:
        return np.full(len(up), 1.0 / len(up))
    return np.where(up, 0.5 / np.count_nonzero(up), 0.5 / np.count_nonzero(~up))
