"""Compiled: one pass over the coordinates of the normalised dual s, which moves at the speed c."""

# mypy: allow-untyped-defs, allow-incomplete-defs
import numpy as np
from numba import njit

# Arrivals closer than this, relative to 1 in s and to the clock in t, are one event.
SIMULTANEOUS = 1e-12


@njit(cache=True)
def calm(c, norms, tolerance, s, on_boundary):
    """Speeds that are rounding, and outward ones on the boundary, become exactly 0.

    Returns the largest outward speed that was removed beyond the tolerance, relative to the column norm:
    by the optimality conditions it is 0, so it measures how far they are from holding.
    """
    worst = 0.0
    for i in range(len(c)):
        if abs(c[i]) <= tolerance * norms[i]:
            c[i] = 0.0
        elif on_boundary[i] and c[i] * s[i] > 0.0:
            worst = max(worst, abs(c[i]) / norms[i])
            c[i] = 0.0
    return worst


@njit(cache=True)
def time_to_hit(c, s):
    """The first time at which a moving coordinate reaches -1 or 1; inf where none moves."""
    least = np.inf
    for i in range(len(c)):
        if c[i] > 0.0:
            wait = (1.0 - s[i]) / c[i]
        elif c[i] < 0.0:
            wait = (-1.0 - s[i]) / c[i]
        else:
            continue
        if wait < least:
            least = wait
    return least


@njit(cache=True)
def advance(c, s, step, time, hits):
    """s += step * c; coordinates that arrive now, up to rounding, are set to -1 or 1 exactly.

    Arrivals are simultaneous where s_i, or the clock, cannot tell them apart. Fills `hits`, returns their number.
    """
    found = 0
    for i in range(len(c)):
        if c[i] == 0.0:
            continue
        s[i] += step * c[i]
        if c[i] * s[i] > 0.0 and abs(s[i]) >= 1.0 - SIMULTANEOUS * (1.0 + abs(c[i]) * time):
            s[i] = 1.0 if s[i] > 0.0 else -1.0
            hits[found] = i
            found += 1
    return found
