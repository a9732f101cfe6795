"""Potentials of matrices that are sums over singular values."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.gauges import Gauge, of_singular_values
from implicitbias.potentials._potential import Potential
from implicitbias.potentials._separable import SeparablePotential

# Samples at which the function of single values must be even.
_SAMPLES = np.array([1e-3, 0.1, 0.7, 1.0, 3.0, 20.0])
# Two singular values are close if both they and their images differ by at most this share. Their divided difference
# is then an integral of the derivative, because the difference itself would cancel.
_CLOSE = 0.1
_NODES, _WEIGHTS = (array.tolist() for array in np.polynomial.legendre.leggauss(6))


class Spectral(Potential):
    r"""The potential $\phi(W) = \sum_i h(\sigma_i(W))$ of matrices W (p, q) with singular values $\sigma_i$.

    With $W = U \operatorname{diag}(\sigma) V^\top$ its mirror map is $U \operatorname{diag}(h'(\sigma)) V^\top$.
    Products with the Hessian use the formula of Daleckii and Krein for functions of singular values, in which equal
    singular values are no special case. The horizon is the norm of the singular values that is the horizon of h: the
    Frobenius norm for `SquaredNorm`, a Schatten norm for `PNorm`, the nuclear norm for `HyperbolicEntropy`, and the
    spectral norm for `Cosh`.

    For a hyperbolic entropy of tiny scale, the mirror map of a matrix of lower rank depends on its rounding errors,
    because it is large already at values of the size 1e-16.

    Args:
        scalar: a `SeparablePotential` with an even function h that is the same for all entries.

    Raises:
        InputError: the argument is not such a potential.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.Spectral(ib.PNorm(3))
        >>> phi.mirror([[0.0, 2.0], [-1.0, 0.0]]).round(12).tolist()
        [[0.0, 4.0], [-1.0, 0.0]]
        >>> phi.horizon(), ib.Spectral(ib.HyperbolicEntropy(0.1)).horizon()
        (Schatten(p=3.0), Nuclear())
    """

    scalar: SeparablePotential

    def __init__(self, scalar: Any) -> None:
        separable = scalar.separable if isinstance(scalar, Potential) else None
        if separable is None:
            raise InputError(
                f"scalar is a {type(scalar).__name__}, a potential that is a sum over coordinates is expected; type "
                "ib.Spectral(ib.HyperbolicEntropy(1e-3))"
            )
        length = separable.length()
        if length is not None:
            raise InputError(
                f"{length[0]} has {length[1]} entries, one number for all singular values is expected; type "
                "ib.Spectral(ib.HyperbolicEntropy(1e-3))"
            )
        with double_precision():
            up, down = (np.asarray(separable.terms_formula(jnp.asarray(x))) for x in (_SAMPLES, -_SAMPLES))
        odd = np.flatnonzero(~(np.abs(up - down) <= 1e-12 * np.abs(up)))
        if len(odd):
            at = odd[0]
            raise InputError(
                f"h is not even: h({_SAMPLES[at]:g}) = {up[at]:.6g} and h({-_SAMPLES[at]:g}) = {down[at]:.6g}; an even "
                "function is expected, because singular values have no sign"
            )
        self.scalar = separable

    @property
    def dimensions(self) -> int:
        """2, because points are matrices."""
        return 2

    def __repr__(self) -> str:
        return f"Spectral({self.scalar!r})"

    @property
    def growth(self) -> float | None:
        return self.scalar.growth

    def horizon(self) -> Gauge:
        """Return the gauge of matrices that applies the horizon of h to the singular values."""
        return of_singular_values(self.scalar.horizon())

    def multiple(self, factor: float) -> Potential:
        return Spectral(self.scalar.multiple(factor))

    def __add__(self, other: Any) -> Potential:
        if isinstance(other, Spectral):
            return Spectral(self.scalar + other.scalar)
        return super().__add__(other)

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.scalar.value_formula(jnp.linalg.svd(w, compute_uv=False))

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        left, sizes, right = jnp.linalg.svd(w, full_matrices=False)
        return (left * self.scalar.mirror_formula(sizes)) @ right

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        left, sizes, right = jnp.linalg.svd(z, full_matrices=False)
        return (left * self.scalar.inverse_mirror_formula(sizes)) @ right

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        def curvature(x: jax.Array) -> jax.Array:
            return self.scalar.hessian_formula(x, jnp.ones_like(x))

        return _derivative(self.scalar.mirror_formula, curvature, w, v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return _derivative(self.scalar.inverse_mirror_formula, self.scalar.inverse_mirror_slope_formula, z, v)


def _derivative(
    function: Callable[[jax.Array], jax.Array],
    slope: Callable[[jax.Array], jax.Array],
    at: jax.Array,
    v: jax.Array,
) -> jax.Array:
    r"""Return the derivative of $U \operatorname{diag}(f(\sigma)) V^\top$ along v, for an odd function f.

    In the singular vectors of the point, the symmetric part of v is multiplied by the divided differences
    $(f(\sigma_i) - f(\sigma_j)) / (\sigma_i - \sigma_j)$ and the skew part by $(f(\sigma_i) + f(\sigma_j)) /
    (\sigma_i + \sigma_j)$. The part outside of the singular vectors is multiplied by $f(\sigma_i) / \sigma_i$.
    """
    p, q = at.shape
    left, sizes, right = jnp.linalg.svd(at, full_matrices=False)
    values, at_zero = function(sizes), slope(jnp.zeros(()))
    core = left.T @ v @ right.T
    sums = sizes[:, None] + sizes
    summed = _ratio(values[:, None] + values, sums, at_zero)
    inside = _divided_differences(sizes, values, slope) * (core + core.T) / 2 + summed * (core - core.T) / 2
    result = left @ inside @ right
    ratios = _ratio(values, sizes, at_zero)
    if p < q:
        result += left @ (ratios[:, None] * (left.T @ v - core @ right))
    if p > q:
        result += ((v @ right.T - left @ core) * ratios) @ right
    return result


def _divided_differences(
    sizes: jax.Array, values: jax.Array, slope: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    gaps, rises = sizes[:, None] - sizes, values[:, None] - values
    largest = jnp.maximum(sizes[:, None], sizes), jnp.maximum(values[:, None], values)
    close = (jnp.abs(gaps) <= _CLOSE * largest[0]) & (jnp.abs(rises) <= _CLOSE * largest[1])
    middle, half = (sizes[:, None] + sizes) / 2, jnp.where(close, gaps, 0.0) / 2
    mean = sum(
        weight / 2 * slope(middle + node * half) for node, weight in zip(_NODES, _WEIGHTS, strict=True)
    )
    return jnp.where(close, mean, rises / jnp.where(gaps == 0.0, 1.0, gaps))


def _ratio(part: jax.Array, whole: jax.Array, at_zero: jax.Array) -> jax.Array:
    return jnp.where(whole > 0.0, part / jnp.where(whole > 0.0, whole, 1.0), at_zero)
