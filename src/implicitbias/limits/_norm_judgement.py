"""The certificate that parameters are a KKT point of least norm under f = y, or under y f >= 1."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.linalg import svdvals

from implicitbias._core.certificate import Certificate
from implicitbias._core.precision import double_precision
from implicitbias.limits._norm_constraints import Constraints, Linearized, constraints_of
from implicitbias.limits._norm_multipliers import multipliers_of, rounding_of
from implicitbias.limits._tangent_curvature import TangentCurvature, tangent_curvature
from implicitbias.limits._tolerances import RANK, TOLERANCE
from implicitbias.predictors import gated, pre_activations
from implicitbias.problems import model_flags

# The largest relative deviation of J theta from (degree) f for which the model counts as homogeneous.
_HOMOGENEOUS = 1e-8
# The share of the tolerance from which rounding errors of the stationarity are told.
_NOTABLE = 0.1
# The singular values of J are computed up to so many multiplications in J J^T, and beyond it the eigenvalues of J J^T.
_MOST_FACTORISED = 1e10
# Pre-activations below this share of the largest one count as 0, where the derivative of their unit jumps.
_AT_KINK = 1e-7


class Judged(NamedTuple):
    """A certificate, with the multipliers and the curvatures that it tells of (None if they are not known)."""

    certificate: Certificate
    q: Float64[ndarray, " m"]
    curvature: TangentCurvature | None


def parameters_certificate(problem: Any, point: Any) -> Certificate:
    """Return the certificate of parameters from any source, which are scaled first if the model is homogeneous.

    Raises:
        InputError: the loss has no constraints, or the parameters are invalid.
    """
    constraints, flat = constraints_of(problem, point)
    flat, note = normalised(constraints, flat)
    return judged(problem, constraints.at(flat), note=note).certificate


def judged(
    problem: Any, at: Linearized, known: Float64[ndarray, " m"] | None = None, note: str = ""
) -> Judged:
    """Return the certificate of a point, from given multipliers or from the best ones.

    Args:
        problem: the problem.
        at: the constraints at the point.
        known: multipliers, for instance those of a descent that ended here; None to compute them.
        note: a sentence that is put before the others.
    """
    q = multipliers_of(at) if known is None else known
    residuals = _residuals(at, q)
    notes = [note] if note else []
    curvature = None
    if all(value <= TOLERANCE for value in residuals.values()):
        kinks = _kinks(problem, at)
        if kinks:
            notes.append(kinks)
        else:
            curvature, q = tangent_curvature(at, q)
            residuals = _residuals(at, q)
            notes.append(
                curvature.sentence if curvature is not None else "The second-order check did not converge."
            )
    else:
        notes += _reasons(problem, at, q)
    what = "f = y" if at.constraints.equality else "margins of at least 1"
    statement = f"the parameters are a KKT point of the least norm under {what}"
    return Judged(Certificate(statement, None, residuals, TOLERANCE, note=" ".join(notes)), q, curvature)


def _residuals(at: Linearized, q: Float64[ndarray, " m"]) -> dict[str, float]:
    size = float(np.linalg.norm(at.flat)) or 1.0
    residuals = {
        "violation": at.violation(),
        "stationarity": float(np.linalg.norm(at.flat - at.rmatvec(q))) / size,
    }
    if not at.constraints.equality:
        residuals["complementarity"] = float(np.sum(q * np.abs(at.c))) / size**2
    return residuals


def _reasons(problem: Any, at: Linearized, q: Float64[ndarray, " m"]) -> list[str]:
    """Return sentences on what may keep a point from being a KKT point, apart from its place."""
    sentences = [_dependence(at, q)]
    flags = model_flags(problem, at.constraints.tree, at.flat)
    if flags.not_smooth:
        sentences.append(
            "The derivative of the model has jumps, and only the derivative that JAX returns was used: at a jump, a "
            "minimum may have none that solves the conditions."
        )
    if flags.single_precision:
        sentences.append("The model computes in a lower precision than float64, which limits the residuals.")
    return [sentence for sentence in sentences if sentence]


def _dependence(at: Linearized, q: Float64[ndarray, " m"]) -> str:
    """Return a sentence if rows of the Jacobian depend on each other, or nearly; else an empty one."""
    m, p = len(at.c), len(at.flat)
    if m > p:
        return f"There are {m} constraints and {p} parameters, so that some rows of the Jacobian depend on each other."
    if at.J is None or m * m * p > _MOST_FACTORISED:
        sizes = np.sqrt(np.maximum(np.linalg.eigvalsh(at.kernel), 0.0))
        rank = int(np.sum(sizes > np.sqrt(RANK) * np.max(sizes, initial=0.0)))
    else:
        sizes = svdvals(at.J, check_finite=False)
        rank = int(np.sum(sizes > RANK * np.max(sizes, initial=0.0)))
    if rank < m:
        return (
            f"The Jacobian has rank {rank}, and there are {m} constraints: some rows depend on each other, "
            "for instance because units are dead."
        )
    rounding = rounding_of(at, q)
    if rounding > _NOTABLE * TOLERANCE:
        return (
            "The rows of the Jacobian nearly depend on each other: its least singular value is "
            f"{np.min(sizes) / np.max(sizes):.1g} of the largest one, and the largest multiplier is "
            f"{np.max(np.abs(q)):.1g}. Rounding errors of the Jacobian alone may change the stationarity by "
            f"{rounding:.0e}. The likely cause are inputs that are close to each other, or more rows than the model "
            "can tell apart: pass fewer rows."
        )
    return ""


def _kinks(problem: Any, at: Linearized) -> str:
    """Return a sentence if second derivatives say nothing because the derivative of the model may jump at the point."""
    tree, theta = at.constraints.tree, at.flat
    if not model_flags(problem, tree, theta).not_smooth:
        return ""
    with double_precision():
        units = gated(at.constraints.predictor, tree, theta)
    if units is None or units.missed:
        return (
            "The derivative of the model has jumps, and it is not known whether it jumps at the point, so that second "
            "derivatives do not decide whether it is a local minimum."
        )
    sizes = np.abs(pre_activations(units, theta))
    count = int(np.sum(sizes <= _AT_KINK * np.max(sizes)))
    if count == 0:
        return ""
    return (
        f"{count} of {len(sizes)} pre-activations of piecewise linear units are 0 at the point, so that second "
        "derivatives do not decide whether it is a local minimum. Only the derivative that JAX returns was used."
    )


def normalised(constraints: Constraints, flat: Float64[ndarray, " p"]) -> tuple[Float64[ndarray, " p"], str]:
    """Return the parameters scaled to the smallest margin 1, and a note that says so; unchanged in regression.

    Parameters of a model that is not homogeneous, or with a margin that is not positive, are not scaled either.
    """
    if constraints.equality:
        return flat, ""
    at = constraints.at(flat)
    smallest = 1.0 + float(np.min(at.c))
    if not smallest > 0.0:
        return flat, f"The smallest margin is {smallest:.2g}, so that no scale makes all margins 1."
    degree, defect = measured_degree(at)
    if defect > _HOMOGENEOUS or not degree > 0.0:
        note = f"The model is not homogeneous in its parameters (measured degree {degree:.3g}, defect {defect:.1e}), "
        return flat, note + "so they were judged without scaling."
    return flat * smallest ** (-1.0 / degree), f"The measured degree of the model is {degree:.6g}."


def measured_degree(at: Linearized) -> tuple[float, float]:
    r"""Return the degree L that fits $J \theta = L f$ best, and the relative deviation from it."""
    margins = at.c + 1.0
    product = at.matvec(at.flat)
    size = float(np.linalg.norm(product))
    degree = float(product @ margins) / float(margins @ margins)
    return degree, float(np.linalg.norm(product - degree * margins)) / size if size > 0.0 else np.inf
