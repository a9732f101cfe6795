"""The way back from a potential to a parametrization whose gradient flow is its mirror flow."""

from functools import singledispatch
from typing import Any

import numpy as np

from implicitbias._core.arrays import real_array, real_number
from implicitbias._core.errors import InputError
from implicitbias.parametrizations._charts import ForPotential, LinearChart, ProductChart, SeparableChart
from implicitbias.parametrizations._embedded_chart import LARGEST_DIMENSION, EmbeddedChart
from implicitbias.parametrizations._spectral_charts import ScaledChart, SpectralChart, common_vectors
from implicitbias.potentials import (
    HyperbolicEntropy,
    Potential,
    QuadraticForm,
    Spectral,
    SquaredNorm,
)

# The largest |w| of a table relative to the largest entry of the start and to 1.
_LARGEST = 1e6
# Points at which the second derivative of a function of singular values is constant up to rounding if it is quadratic.
_SAMPLES, _CONSTANT = np.array([1e-3, 0.1, 0.7, 1.0, 3.0, 20.0]), 1e-12


def parametrization_for(potential: Any, w0: Any, largest: Any = None, data: Any = None) -> Any:
    r"""Return a parametrization w = G(theta) whose gradient flow from `G.start` is the mirror flow from w0.

    It needs $J J^\top = (\nabla^2\phi)^{-1}$, so that $G^{-1}$ is an isometry from the domain with the metric
    $\nabla^2\phi$ to a Euclidean space. Closed forms: w = u * v for a `HyperbolicEntropy`, and linear maps for a
    `SquaredNorm` and a `QuadraticForm`. For other sums over coordinates, $\theta_i = \int \sqrt{h_i''} \, dw_i$ is
    computed by quadrature and inverted by monotone interpolation. Other potentials of up to three entries are embedded
    for $|w_i|$ up to `largest` by spirals whose metric has a relative error of about 1e-6, if their curvatures do not
    differ much there. They have $d + d (d + 1)$ parameters.

    Potentials of matrices: a multiple of `Spectral(SquaredNorm())` has the map $W = c^{-1/2} \theta$. Let another
    `Spectral` potential have the scalar function h. If all matrices $X_i$ of the data and the start have common
    singular vectors, $X_i = U \operatorname{diag}(x_i) V^\top$, then the mirror flow stays in
    $\{U \operatorname{diag}(s) V^\top\}$, where the potential is $\sum_k h(s_k)$. The map
    $W = U \operatorname{diag}(G_h(\theta)) V^\top$ with the map $G_h$ for h gives this flow; it has this metric inside
    of that space only. Other data are refused. A map of all matrices whose singular values are functions of those of
    theta has the metric of a spectral potential only if this is quadratic, and $U U^\top$ has the metric of no
    potential.

    Args:
        potential: a `Potential`.
        w0: (d,) or (p, q) the start.
        largest: the largest |w_i| that is covered. For sums over coordinates None stands for 1e6, or 1e6 times the
            largest entry of w0; other potentials of vectors need a number. Outside G is NaN.
        data: (n, p, q) the matrices of the problem, for `Spectral` potentials that are not quadratic.

    Returns:
        A `Parametrization` with the attributes `start` (theta0 with G(theta0) = w0), `error` (the largest relative
        error of G, measured, or of its metric for spirals; 0 for a closed form) and `made_for` (the potential).

    Raises:
        InputError: the potential is not a sum over coordinates and has more than three entries, no number `largest`, or
            curvatures that differ too much; its second derivative is 0 or infinite somewhere, as that of `PNorm` at 0;
            w0 has another shape or lies outside of the domain; the potential is one of matrices, and the data have no
            common singular vectors.

    Reference:
        li2022implicit; chou2023induce for single coordinates; nash1954isometric for spirals.

    Examples:
        >>> import numpy as np, implicitbias as ib
        >>> G = ib.parametrization_for(ib.Cosh(), [0.0, 1.0])
        >>> G(G.start).round(9).tolist(), G.error < 1e-10
        ([0.0, 1.0], True)
        >>> ib.parametrization_for(ib.HyperbolicEntropy(0.5), [0.0]).start[0].tolist()
        [1.0]
    """
    if not isinstance(potential, Potential):
        raise InputError(
            f"potential is {potential!r}, a potential is expected; type "
            "ib.parametrization_for(ib.Cosh(), numpy.zeros(d))"
        )
    start = real_array(w0, "w0", ndim=potential.dimensions)
    if not potential.contains(start):
        raise InputError(
            f"w0 lies outside the domain of {type(potential).__name__} or on its boundary; choose an interior point"
        )
    if data is not None and potential.dimensions == 1:
        raise InputError(
            "data is given and the potential is one of vectors, data are expected for Spectral potentials only; leave "
            "data out"
        )
    return _made(potential, start, _checked_largest(largest, start), data)


def _checked_largest(largest: Any, w0: Any) -> float | None:
    """Return the number, or raise an `InputError` if it is not above all |w0_i|; some maps do not use it."""
    if largest is None:
        return None
    number = real_number(largest)
    size = float(np.max(np.abs(w0), initial=0.0))
    if number is None or not size < number < np.inf:
        raise InputError(
            f"largest is {largest!r}, a finite number above all |w0_i|, thus above {size:g}, is expected; type "
            f"largest={1.0 + size:g}"
        )
    return number


@singledispatch
def _made(potential: Any, w0: Any, largest: float | None, data: Any) -> ForPotential:
    if potential.dimensions == 2:
        raise InputError(
            f"potential is {potential!r}, an ib.Spectral potential is expected for matrices; use ib.MirrorFlow, "
            "which integrates any potential, or ib.interpolant for its end"
        )
    if potential.separable is not None:
        if largest is None:
            largest = _LARGEST * max(1.0, float(np.max(np.abs(w0), initial=0.0)))
        return SeparableChart(potential, w0, largest)
    if len(w0) > LARGEST_DIMENSION:
        raise InputError(
            f"potential is a {type(potential).__name__} of {len(w0)} entries, which is not a sum over coordinates; a "
            f"parametrization exists by Nash's theorem, but it is computed for up to {LARGEST_DIMENSION} entries only; "
            "use ib.MirrorFlow, which integrates any potential, or ib.interpolant for its end"
        )
    if largest is None:
        raise InputError(
            f"largest is None, a number above all |w0_i| is expected for a {type(potential).__name__}, which is "
            "not a sum over coordinates and is embedded in a bounded region only; type largest="
            f"{1.0 + float(np.max(np.abs(w0))):g}"
        )
    return EmbeddedChart(potential, w0, largest)


@_made.register
def _(potential: HyperbolicEntropy, w0: Any, largest: float | None, data: Any) -> ForPotential:
    return ProductChart(potential, w0)


@_made.register
def _(potential: SquaredNorm, w0: Any, largest: float | None, data: Any) -> ForPotential:
    return LinearChart(potential, np.eye(len(w0)), w0)


@_made.register
def _(potential: QuadraticForm, w0: Any, largest: float | None, data: Any) -> ForPotential:
    return LinearChart(potential, np.asarray(potential.A), w0)


@_made.register
def _(potential: Spectral, w0: Any, largest: float | None, data: Any) -> ForPotential:
    curvatures = potential.scalar.hessian_product(_SAMPLES, np.ones(len(_SAMPLES)))
    if np.ptp(curvatures) <= _CONSTANT * curvatures[0]:
        return ScaledChart(potential, float(curvatures[0]), w0)
    if data is None:
        raise InputError(
            f"potential is {potential!r} and data is None, the matrices of the problem are expected, because only for "
            "common singular vectors such a map is known: for all matrices, (theta_i - theta_j)^2 = "
            "(s_i - s_j)(h'(s_i) - h'(s_j)) would have to hold for their singular values; type "
            "ib.parametrization_for(potential, w0, data=X), or use ib.MirrorFlow, or ib.interpolant for its end"
        )
    left, right = common_vectors(real_array(data, "data", ndim=3), w0)
    values = _made(potential.scalar, np.einsum("pr,pq,qr->r", left, w0, right), largest, None)
    return SpectralChart(potential, left, right, values)
