"""Minimisers of quadratic models of a function in the tangent space of constraints, within a trust radius."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

# The most products with the Hessian in one step.
_MOST_PRODUCTS = 300


def truncated_newton(
    tangent: Callable[[ndarray], ndarray],
    hessian: Callable[[ndarray], ndarray],
    gradient: Float64[ndarray, " p"],
    radius: float,
    accuracy: float,
) -> tuple[Float64[ndarray, " p"], bool]:
    """Return the minimiser of the quadratic model in the tangent space, and whether the radius limits it.

    These are projected conjugate gradients (Steihaug), which stop at the radius or at negative curvature.

    Args:
        tangent: the projection on the tangent space.
        hessian: the products with the Hessian.
        gradient: (p,) the gradient.
        radius: the largest length of the step.
        accuracy: the relative residual at which the iterations stop.
    """
    r = tangent(gradient)
    z, direction, square = np.zeros_like(r), -r, float(r @ r)
    target = accuracy * np.sqrt(square)
    for _ in range(_MOST_PRODUCTS):
        if np.sqrt(square) <= target or square == 0.0:
            break
        image = hessian(direction)
        bend = float(direction @ image)
        ahead = square / bend if bend > 0.0 else np.inf
        if ahead == np.inf or not np.linalg.norm(z + ahead * direction) < radius:
            return z + _to_radius(z, direction, radius) * direction, True
        z = z + ahead * direction
        r = r + ahead * tangent(image)
        former, square = square, float(r @ r)
        direction = -r + square / former * direction
    return z, False


def _to_radius(z: ndarray, direction: ndarray, radius: float) -> float:
    """Return the positive factor for which z + factor * direction has this length."""
    a, b = float(direction @ direction), float(z @ direction)
    c = float(z @ z) - radius**2
    return (-b + np.sqrt(max(b * b - a * c, 0.0))) / a if a > 0.0 else 0.0
