r"""Descent of the norm of the parameters on the manifold of interpolants, for constraints whose rows nearly depend.

Where the singular values of J span many orders of magnitude, as for networks with one input, the interpolants form a
sharply curved manifold, on which a penalty of the violation allows short steps only. Here each point satisfies the
constraints: a truncated Newton step in the tangent space is followed by Gauss-Newton steps back to the manifold. A
singular value decomposition of J gives the projections and the multipliers with an error of $\kappa(J)$ times the
rounding, where the kernel $J J^\top$ gives $\kappa(J)^2$.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import svd

from implicitbias.limits._norm_constraints import Linearized
from implicitbias.limits._norm_descent import Descended, residual_of
from implicitbias.limits._tolerances import EPSILON, RANK, TOLERANCE
from implicitbias.limits._truncated_newton import truncated_newton

# The projected gradient at which the descent stops, relative to the parameters; after so many steps without half of the
# least residual it stops as well, and earlier where the residual is below the tolerance.
_TARGET, _PATIENCE, _SETTLED = 1e-14, 25, 2
# The most shorter steps that are tried.
_MOST_TRIALS = 30
# A Gauss-Newton step must leave at most this share of the violation. The largest relative violation that is left, where
# rounding stops these steps, and their largest number.
_REDUCED, _LEFT, _MOST_CORRECTIONS = 0.5, 1e-12, 30
# The relative residuals between which the conjugate gradients of a step stop; it is the slope, for fast convergence.
_ROUGH, _FINE = 0.1, 1e-5
# The least share of the predicted decrease, and the shares at which the radius is changed.
_DECREASE, _POOR, _GOOD = 1e-3, 0.25, 0.75


class Frame(NamedTuple):
    """The singular value decomposition of J at a point, without the singular values that count as 0.

    Attributes:
        at: the linearised constraints, with a dense J.
        left: (m, r) the left singular vectors.
        sizes: (r,) the singular values.
        right: (r, p) the right singular vectors.
    """

    at: Linearized
    left: Float64[ndarray, "m r"]
    sizes: Float64[ndarray, " r"]
    right: Float64[ndarray, "r p"]

    def tangent(self, v: Float64[ndarray, " p"]) -> Float64[ndarray, " p"]:
        """Return the part of a direction that leaves the constraints unchanged to first order."""
        inside = v - (self.right @ v) @ self.right
        return inside - (self.right @ inside) @ self.right

    def normal(self, wanted: Float64[ndarray, " m"]) -> Float64[ndarray, " p"]:
        """Return the least step d with J d = wanted, in least squares."""
        return ((wanted @ self.left) / self.sizes) @ self.right

    @property
    def multipliers(self) -> Float64[ndarray, " m"]:
        """The q of least norm for which J^T q is closest to the parameters."""
        return self.left @ ((self.right @ self.at.flat) / self.sizes)


def frame_of(at: Linearized) -> Frame:
    """Return the frame of linearised constraints with a dense J."""
    assert at.J is not None
    left, sizes, right = svd(at.J, full_matrices=False, check_finite=False)
    kept = sizes > RANK * np.max(sizes, initial=0.0)
    return Frame(at, left[:, kept], sizes[kept], right[kept])


def returned(frame: Frame, moved: Float64[ndarray, " p"]) -> Float64[ndarray, " p"] | None:
    """Return the point that Gauss-Newton steps from `moved` reach on the manifold; None if they do not converge.

    They use the frame of the start of the step, and a new one where that does not make the violation smaller.
    """
    constraints, size, fresh = frame.at.constraints, frame.at.size, False
    c = constraints.values(moved)
    for _ in range(_MOST_CORRECTIONS):
        error = float(np.linalg.norm(c))
        if not np.isfinite(error) or error <= EPSILON * size:
            break
        nearer = moved + frame.normal(-c)
        after = constraints.values(nearer)
        if float(np.linalg.norm(after)) <= _REDUCED * error:
            moved, c, fresh = nearer, after, False
        elif error <= _LEFT * size or fresh:
            break
        else:
            frame, fresh = frame_of(constraints.at(moved)), True
    return moved if float(np.linalg.norm(c)) <= _LEFT * size else None


def descend_on_manifold(at: Linearized, max_steps: int) -> Descended:
    """Return the KKT point of least norm that at most `max_steps` steps reach, all of which satisfy the constraints."""
    radius = 0.5 * float(np.linalg.norm(at.flat))
    best, since = Descended(at, np.zeros(len(at.c)), np.inf, 0), 0
    for steps in range(max_steps + 1):
        frame = frame_of(at)
        q, gradient = frame.multipliers, frame.tangent(at.flat)
        residual = residual_of(at, q)
        since = since + 1 if residual > 0.5 * best.residual else 0
        if residual < best.residual:
            best = Descended(at, q, residual, steps)
        slope = float(np.linalg.norm(gradient))
        settled = since >= (_SETTLED if best.residual <= TOLERANCE else _PATIENCE)
        if slope <= _TARGET * np.linalg.norm(at.flat) or settled or steps == max_steps:
            break
        moved, radius = _step(frame, q, gradient, radius)
        if moved is None:
            break
        at = at.constraints.at(moved)
    return best._replace(steps=steps)


def _step(
    frame: Frame, q: Float64[ndarray, " m"], gradient: Float64[ndarray, " p"], radius: float
) -> tuple[Float64[ndarray, " p"] | None, float]:
    """Return the next point and trust radius; None for the point if no step decreases the norm."""
    at = frame.at
    hessian = at.constraints.curvature(at.flat, q)
    size, slope = float(np.linalg.norm(at.flat)), float(np.linalg.norm(gradient))
    # Rounding errors of the constraints change the Lagrangian by the multipliers times as much.
    rounding = 10.0 * EPSILON * (size**2 + float(np.linalg.norm(q)) * at.size)
    value = _lagrangian(at.flat, q, at.c)
    accuracy = min(_ROUGH, max(_FINE, slope / size))
    for _ in range(_MOST_TRIALS):
        z, reached = truncated_newton(frame.tangent, hessian, gradient, radius, accuracy)
        predicted = -float(gradient @ z + z @ hessian(z) / 2)
        moved, length = returned(frame, at.flat + z), float(np.linalg.norm(z))
        if moved is not None:
            decrease = value - _lagrangian(moved, q, at.constraints.values(moved))
            if decrease >= _DECREASE * predicted - rounding:
                known = predicted > rounding  # Otherwise the ratio of the two is rounding.
                if known and reached and decrease > _GOOD * predicted:
                    radius = 2.0 * radius
                elif known and decrease < _POOR * predicted:
                    radius = length / 2.0
                return moved, radius
        radius = min(radius, length) / 4.0
    return None, radius


def _lagrangian(flat: Float64[ndarray, " p"], q: Float64[ndarray, " m"], c: Float64[ndarray, " m"]) -> float:
    """Return half of the squared norm, without the part that a small violation of the constraints contributes."""
    return float(flat @ flat) / 2 - float(q @ c)
