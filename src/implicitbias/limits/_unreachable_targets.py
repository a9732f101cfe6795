"""Proof that no point in the domain of a potential has the targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.certificate import Certificate
from implicitbias._core.errors import InfeasibleError
from implicitbias.limits._tolerances import TOLERANCE

# Multiples of a dual direction along which the domain of a potential is explored, in powers of 2. Where a point is no
# number, the last multiple that has one is found by so many halvings.
_DOUBLINGS, _HALVINGS = 60, 12
# Increments that shrink by this factor at each doubling have a finite sum, at most 9 times the last one.
_SHRINKING = 0.9
# Increments below this share of the terms of a sum are rounding errors, as entries of the direction may be.
_ROUNDING = 1e-15


def refuse_unreachable(dual: Any, nu: Float64[ndarray, " n"]) -> None:
    r"""Raise an `InfeasibleError` if no point of the domain of the potential has the targets.

    For a unit vector $\nu$, $\langle X^\top \nu, \nabla\phi^*(z_0 + c X^\top \nu) \rangle$ increases in c to the
    largest value of $\langle \nu, X w \rangle$ in the domain. If it stays below $\langle \nu, y \rangle$, then no w
    in the domain has X w = y.
    """
    size = float(np.linalg.norm(nu))
    if not 0.0 < size < np.inf:
        return
    unit = nu / size
    ray, targets = dual.pull(unit), dual.base + dual.goal
    wanted = float(unit @ targets)

    def reached(multiple: float) -> tuple[float, float]:
        """Return the value at a multiple of the direction, and a bound on its terms if no entry of the ray is small."""
        w = dual.dual_map.point(dual.z0 + multiple * ray)
        return float(ray @ w), float(np.max(np.abs(ray)) * np.sum(np.abs(w)))

    most = _largest(reached, wanted)
    if most is None:
        return
    scale = float(np.linalg.norm(targets))
    certificate = Certificate(
        "a linear function of the predictions is smaller on the whole domain of the potential than at the targets",
        None,
        {"excess of the domain": max(0.0, 1.0 - (wanted - most) / (TOLERANCE * scale))},
        0.5,
    )
    if certificate.holds:
        raise InfeasibleError(
            f"no point in the domain of {type(dual.dual_map.potential).__name__} minimises the loss: a combination of "
            f"the predictions is at most {most:.6g} in the domain and {wanted:.6g} at the targets; use a potential "
            "with a larger domain, or add features",
            certificate,
            unit,
        )


def _largest(reached: Callable[[float], tuple[float, float]], wanted: float) -> float | None:
    """Return the limit of an increasing function, or None if it reaches `wanted` or is not seen to have a limit.

    Its increments at doublings of the argument have to shrink. Those of a function that grows beyond all bounds do not,
    also where its values are still tiny.
    """
    last = step = before = np.inf
    multiple, ended, settled = 1.0, False, False
    for _ in range(_DOUBLINGS):
        value, terms = reached(multiple)
        if np.isnan(value):  # Far out, a computed potential has no numbers.
            ended = True
            value, terms = _last_number(reached, multiple)
        if not value < wanted or not np.isfinite(terms):
            return None
        before, step = step, abs(value - last)
        shrinks = step <= max(_SHRINKING * before, _ROUNDING * terms) and before < np.inf
        settled = shrinks and step <= TOLERANCE * (wanted - value)
        last, multiple = value, 2.0 * multiple
        if ended:
            break
    return last if settled else None


def _last_number(reached: Callable[[float], tuple[float, float]], above: float) -> tuple[float, float]:
    """Return the value and its terms near the largest multiple, between the half of one and this one, that has them."""
    below, found = above / 2.0, (np.nan, np.nan)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2.0
        value = reached(middle)
        if np.isnan(value[0]):
            above = middle
        else:
            below, found = middle, value
    return found
