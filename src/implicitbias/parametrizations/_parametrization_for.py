"""The way back from a potential to a parametrization whose gradient flow is its mirror flow."""

from functools import singledispatch
from typing import Any

import numpy as np

from implicitbias._core.arrays import real_array
from implicitbias._core.errors import InputError
from implicitbias.parametrizations._charts import ForPotential, LinearChart, ProductChart, SeparableChart
from implicitbias.parametrizations._embedded_chart import LARGEST_DIMENSION, EmbeddedChart
from implicitbias.potentials import HyperbolicEntropy, Potential, QuadraticForm, SquaredNorm

# The largest |w| of a table relative to the largest entry of the start and to 1.
_LARGEST = 1e6


def parametrization_for(potential: Any, w0: Any, largest: float | None = None) -> Any:
    r"""Return a parametrization w = G(theta) whose gradient flow from `G.start` is the mirror flow from w0.

    It needs $J J^\top = (\nabla^2\phi)^{-1}$, so that $G^{-1}$ is an isometry from the domain with the metric
    $\nabla^2\phi$ to a Euclidean space. Closed forms: w = u * v for a `HyperbolicEntropy`, and linear maps for a
    `SquaredNorm` and a `QuadraticForm`. For other sums over coordinates, $\theta_i = \int \sqrt{h_i''} \, dw_i$ is
    computed by quadrature and inverted by monotone interpolation. Other potentials of up to three entries are embedded
    for $|w_i|$ up to `largest` by spirals whose metric has a relative error of about 1e-6, if their curvatures do not
    differ much there. They have $d + d (d + 1)$ parameters.

    Args:
        potential: a `Potential` of vectors.
        w0: (d,) the start.
        largest: the largest |w_i| that is covered. For sums over coordinates None stands for 1e6, or 1e6 times the
            largest entry of w0; other potentials need a number. Outside G is NaN.

    Returns:
        A `Parametrization` with the attributes `start` (theta0 with G(theta0) = w0), `error` (the largest relative
        error of G, measured, or of its metric for spirals; 0 for a closed form) and `made_for` (the potential).

    Raises:
        InputError: the potential is not a sum over coordinates and has more than three entries, no number `largest`, or
            curvatures that differ too much; its second derivative is 0 or infinite somewhere, as that of `PNorm` at 0;
            w0 has another length or lies outside of the domain.

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
    if potential.dimensions != 1:
        raise InputError(
            f"potential is a {type(potential).__name__} of matrices, a potential of vectors is expected: a function of "
            "singular values has the metric of such a potential only if that is quadratic, because "
            "(theta_i - theta_j)^2 = (s_i - s_j)(h'(s_i) - h'(s_j)) must hold for all singular values; use "
            "ib.MirrorFlow, or ib.interpolant for its end"
        )
    start = real_array(w0, "w0", ndim=1)
    if not potential.contains(start):
        raise InputError(
            f"w0 lies outside the domain of {type(potential).__name__} or on its boundary; choose an interior point"
        )
    return _made(potential, start, largest)


@singledispatch
def _made(potential: Any, w0: Any, largest: float | None) -> ForPotential:
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
    if largest is None or not np.max(np.abs(w0)) < largest < np.inf:
        raise InputError(
            f"largest is {largest!r}, a number above all |w0_i| is expected for a {type(potential).__name__}, which is "
            "not a sum over coordinates and is embedded in a bounded region only; type largest="
            f"{1.0 + float(np.max(np.abs(w0))):g}"
        )
    return EmbeddedChart(potential, w0, float(largest))


@_made.register
def _(potential: HyperbolicEntropy, w0: Any, largest: float | None) -> ForPotential:
    return ProductChart(potential, w0)


@_made.register
def _(potential: SquaredNorm, w0: Any, largest: float | None) -> ForPotential:
    return LinearChart(potential, np.eye(len(w0)), w0)


@_made.register
def _(potential: QuadraticForm, w0: Any, largest: float | None) -> ForPotential:
    return LinearChart(potential, np.asarray(potential.A), w0)
