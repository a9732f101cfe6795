"""Sums of potentials, and potentials of linear maps of the point."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias.gauges import ConicForm, FromOracle, Gauge
from implicitbias.potentials._implicit import inverse_hessian, inverted, solved_between
from implicitbias.potentials._potential import Potential
from implicitbias.potentials._separable import SeparablePotential
from implicitbias.potentials._written import written

# A matrix of a larger condition number is refused.
_CONDITION = 1e12


class SumOfTwo(Potential):
    """The sum of two potentials; what its separable and its general kind share."""

    first: Any
    second: Any

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.first.mirror_formula(w) + self.second.mirror_formula(w)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return self.first.domain_formula(w) & self.second.domain_formula(w)

    @property
    def growth(self) -> float | None:
        one, other = self.first.growth, self.second.growth
        return None if one is None or other is None else max(one, other)

    def length(self) -> tuple[str, int] | None:
        return self.first.length() or self.second.length()

    def horizon(self) -> Gauge:
        """Return the horizon of the potential of larger growth, or a numerical one if the growths are equal.

        Two potentials of the same growth and the same horizon also have it as the horizon of their sum.
        """
        one, other = self.first.growth, self.second.growth
        if one is None or other is None:
            return super().horizon()
        if one != other:
            larger: Potential = self.first if one > other else self.second
            return larger.horizon()
        known = self.first.horizon()
        same = known.fingerprint() == self.second.horizon().fingerprint()
        return known if same else super().horizon()

    def __repr__(self) -> str:
        return f"{self.first!r} + {self.second!r}"


class Sum(SumOfTwo):
    """The sum of two potentials, not both separable. The inverse mirror map is found numerically."""

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.first.value_formula(w) + self.second.value_formula(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return inverted(self, z)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return inverse_hessian(self, z, v)


class SeparableSum(SumOfTwo, SeparablePotential):
    """The sum of two separable potentials. The inverse mirror map is found numerically in each coordinate."""

    def terms_formula(self, w: jax.Array) -> jax.Array:
        return self.first.terms_formula(w) + self.second.terms_formula(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return _inverted_terms(self, z)

    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        return 1.0 / self.curvature(self.inverse_mirror_formula(z))

    def curvature(self, w: jax.Array) -> jax.Array:
        ones = jnp.ones_like(w)
        return self.first.hessian_formula(w, ones) + self.second.hessian_formula(w, ones)


@eqx.filter_jit
def _inverted_terms(total: SeparableSum, z: jax.Array) -> jax.Array:
    # Where one mirror map is z / 2, the other one is above z / 2 at one of these points and below it at the other.
    ends = total.first.inverse_mirror_formula(z / 2.0), total.second.inverse_mirror_formula(z / 2.0)
    return solved_between(total.mirror_formula, total.curvature, ends, z)


class Composed(Potential):
    r"""The potential $\phi(A w)$ for a matrix A (m, d) of rank d. The inverse mirror map is found numerically."""

    inner: Potential
    A: Any

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.value_formula(self.A @ w)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.A.T @ self.inner.mirror_formula(self.A @ w)

    def __repr__(self) -> str:
        inner = repr(self.inner)
        return f"{f'({inner})' if ' ' in inner else inner}.compose({written(self.A)})"

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return inverted(self, z)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.domain_formula(self.A @ w)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.A.T @ self.inner.hessian_formula(self.A @ w, self.A @ v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return inverse_hessian(self, z, v)

    def length(self) -> tuple[str, int] | None:
        """Return the name and the number of entries of a point."""
        return "matrix A", self.A.shape[1]

    @property
    def growth(self) -> float | None:
        return self.inner.growth


class InvertiblyComposed(Composed):
    r"""The potential $\phi(A w)$ for an invertible matrix A, with the inverse mirror map in closed form."""

    inverse: Any

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.inverse @ self.inner.inverse_mirror_formula(self.inverse.T @ z)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return self.inverse @ self.inner.inverse_hessian_formula(self.inverse.T @ z, self.inverse.T @ v)

    def horizon(self) -> Gauge:
        """Return the gauge of A w in the horizon of the inner potential."""
        gauge, A, inverse = self.inner.horizon(), np.asarray(self.A), np.asarray(self.inverse)

        def conic(shape: tuple[int, ...]) -> ConicForm | None:
            form = gauge.conic_form(shape)
            if form is None:
                return None
            on_point = scipy.sparse.csc_array(form.on_point @ scipy.sparse.csc_array(A))
            return ConicForm(on_point, form.on_level, form.on_extra, form.cones)

        return FromOracle(
            lambda w: gauge.value(A @ w),
            lambda w: A.T @ gauge.subgradient(A @ w),
            lambda z: inverse @ gauge.face(inverse.T @ z).point(),
            conic,
        )


def added(first: Potential, second: Any) -> Potential:
    """Return the sum of two potentials, or raise an `InputError`."""
    if not isinstance(second, Potential):
        raise InputError(
            f"a {type(second).__name__} was added to a potential, a potential is expected: phi + 0.5 * psi"
        )
    if first.dimensions != second.dimensions:
        raise InputError(
            "a potential of vectors was added to a potential of matrices, two of one kind are expected; type "
            "ib.Spectral(phi) + ib.Spectral(psi) for matrices"
        )
    one, other = first.length(), second.length()
    if one is not None and other is not None and one[1] != other[1]:
        raise InputError(
            f"the first potential has parameters for {one[1]} entries and the second for {other[1]}, they must agree"
        )
    if first.separable is not None and second.separable is not None:
        return SeparableSum(first.separable, second.separable)
    return Sum(first, second)


def composed(inner: Potential, A: Any) -> Potential:
    """Return the potential phi(A w), or raise an `InputError` if A is not a matrix of full column rank."""
    if inner.dimensions != 1:
        raise InputError(
            f"compose was called on a {type(inner).__name__}, a potential of vectors is expected; apply A to the data X"
        )
    matrix = real_array(A, "A", ndim=2)
    (rows, d), length = matrix.shape, inner.length()
    if d == 0 or rows < d or (length is not None and length[1] != rows):
        wanted = (
            "at least as many rows as columns are" if length is None else f"a matrix with {length[1]} rows is"
        )
        raise InputError(f"A has shape {matrix.shape}, {wanted} expected")
    condition = float(np.linalg.cond(matrix))
    if not condition < _CONDITION:
        raise InputError(
            f"A has the condition number {condition:.1e}, a matrix with independent columns is expected, because a "
            "potential is strictly convex; remove dependent columns"
        )
    if rows > d:
        return Composed(inner, frozen(matrix))
    return InvertiblyComposed(inner, frozen(matrix), frozen(np.linalg.inv(matrix)))
