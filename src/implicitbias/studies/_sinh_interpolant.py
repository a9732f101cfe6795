"""Interpolants of the potential of diagonal networks by Newton's method, which share no code with flows and limits."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# Newton's method stops if a step of this share does not lower the residual, or after so many steps.
_SHORTEST, _STEPS = 1e-6, 100


def sinh_interpolant(
    X: ndarray, y: ndarray, scale: ndarray, centre: ndarray, nu: ndarray
) -> Float64[ndarray, " n"]:
    """Return the nu with X (scale sinh(centre + X^T nu)) = y by Newton's method with halved steps."""

    def gap(point: ndarray) -> Float64[ndarray, " n"]:
        with np.errstate(over="ignore", invalid="ignore"):
            misfit: ndarray = X @ (scale * np.sinh(centre + X.T @ point)) - y
        return misfit

    for _ in range(_STEPS):
        here = gap(nu)
        step, share = np.linalg.solve((X * (scale * np.cosh(centre + X.T @ nu))) @ X.T, here), 1.0
        while share > _SHORTEST and not np.linalg.norm(gap(nu - share * step)) < np.linalg.norm(here):
            share /= 2
        if share <= _SHORTEST:  # The residual consists of rounding errors.
            break
        nu = nu - share * step
    return nu
