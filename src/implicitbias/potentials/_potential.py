"""What a potential is: formulas traced by JAX; NumPy at the public surface."""

from abc import abstractmethod
from numbers import Real
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.values import Fingerprinted
from implicitbias.gauges import Gauge


class Potential(Fingerprinted, eqx.Module):
    r"""A Legendre function $\phi$: strictly convex and differentiable, with a gradient that covers the dual space.

    Subclasses give the three formulas `value_formula`, `mirror_formula` and `inverse_mirror_formula`, traced by JAX in
    float64 on (d,) arrays; products with the Hessian and its inverse follow by differentiation. A potential that is a
    sum over coordinates derives from `SeparablePotential`. A positive multiple of a potential is a potential:
    `0.5 * phi`.

    Reference:
        pesme2024mirror: the mirror flow is $d \nabla\phi(w_t) = -\nabla L(w_t) dt$.

    Examples:
        >>> import implicitbias as ib
        >>> phi = ib.SquaredNorm()
        >>> phi.mirror([1.0, -2.0]).tolist()
        [1.0, -2.0]
        >>> isinstance(phi, ib.Potential)
        True
        >>> (0.5 * phi).mirror([1.0, -2.0]).tolist()
        [0.5, -1.0]
    """

    # NumPy numbers leave the product 0.5 * phi to the potential.
    __array_ufunc__ = None

    @abstractmethod
    def value_formula(self, w: jax.Array) -> jax.Array:
        """Return phi(w), a number."""

    @abstractmethod
    def mirror_formula(self, w: jax.Array) -> jax.Array:
        """Return grad phi(w), (d,)."""

    @abstractmethod
    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        """Return the w with grad phi(w) = z, (d,)."""

    def domain_formula(self, w: jax.Array) -> jax.Array:
        """Return whether w lies in the interior of the domain; everywhere unless a potential says otherwise."""
        return jnp.asarray(True)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        """Return the product of the Hessian at w with v, (d,)."""
        return jax.jvp(self.mirror_formula, (w,), (v,))[1]

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        """Return the product of the inverse Hessian at the w with grad phi(w) = z with v, (d,)."""
        return jax.jvp(self.inverse_mirror_formula, (z,), (v,))[1]

    def value(self, w: Any) -> float:
        """Return phi(w).

        Raises:
            InputError: a w that is no finite (d,) array, or that lies outside the domain.
        """
        return float(self._at(self.value_formula, w))

    def mirror(self, w: Any) -> Float64[ndarray, " d"]:
        """Return the mirror map at w: the dual variable z = grad phi(w).

        Raises:
            InputError: as `value`.
        """
        return self._at(self.mirror_formula, w)

    def inverse_mirror(self, z: Any) -> Float64[ndarray, " d"]:
        """Return the inverse mirror map at z: the w with grad phi(w) = z.

        Raises:
            InputError: a z that is no finite (d,) array.
        """
        array = self._checked(z, "z")
        with double_precision():
            return frozen(np.asarray(self.inverse_mirror_formula(jnp.asarray(array))))

    def hessian_product(self, w: Any, v: Any) -> Float64[ndarray, " d"]:
        """Return the Hessian of phi at w times v.

        Raises:
            InputError: as `value`; a v of another length.
        """
        vector = self._checked(v, "v")
        return self._at(lambda point: self.hessian_formula(point, jnp.asarray(vector)), w, len(vector))

    def inverse_hessian_product(self, w: Any, v: Any) -> Float64[ndarray, " d"]:
        """Return the inverse of the Hessian of phi at w, times v.

        Raises:
            InputError: as `value`; a v of another length.
        """
        vector = self._checked(v, "v")

        def product(point: jax.Array) -> jax.Array:
            return self.inverse_hessian_formula(self.mirror_formula(point), jnp.asarray(vector))

        return self._at(product, w, len(vector))

    def divergence(self, w: Any, v: Any) -> float:
        """Return the Bregman divergence phi(w) - phi(v) - <grad phi(v), w - v> >= 0.

        Raises:
            InputError: as `value`; lengths that disagree.
        """
        a, b = self._checked(w, "w"), self._checked(v, "v")
        if a.shape != b.shape:
            raise InputError(f"w has {len(a)} entries and v has {len(b)}, they must agree")
        # The divergence is not negative; its rounding may be.
        return max(0.0, self.value(a) - self.value(b) - float(self.mirror(b) @ (a - b)))

    def contains(self, w: Any) -> bool:
        """Return whether w lies in the interior of the domain.

        Raises:
            InputError: a w that is no finite (d,) array.
        """
        array = self._checked(w, "w")
        with double_precision():
            return bool(self.domain_formula(jnp.asarray(array)))

    def horizon(self) -> Gauge:
        r"""Return the gauge to which the sublevel sets of $\phi$ converge in shape, which decides the limit direction.

        Returns:
            A gauge, defined up to a positive factor: the mirror flow of the potential on separable data converges in
            direction to the classifier of maximal margin in this gauge.

        Raises:
            InputError: no horizon of this potential is known in closed form, or it has none.

        Reference:
            pesme2024mirror.
        """
        raise InputError(
            f"no horizon of {type(self).__name__} is known in closed form; SquaredNorm, QuadraticForm and "
            "HyperbolicEntropy have one: type ib.HyperbolicEntropy(1e-3).horizon()"
        )

    @property
    def separable(self) -> Any:
        """The potential itself where it is a `SeparablePotential`, else None."""
        return None

    def multiple(self, factor: float) -> "Potential":
        """Return the potential times a positive number."""
        return Multiple(np.float64(factor), self)

    def __mul__(self, factor: Any) -> "Potential":
        return self.multiple(checked_factor(factor))

    def __rmul__(self, factor: Any) -> "Potential":
        return self * factor

    def length(self) -> tuple[str, int] | None:
        """Return a parameter's name and the number of coordinates that it is for; None where any number will do."""
        for path, parameter in jax.tree_util.tree_leaves_with_path(self):
            if np.ndim(parameter):
                name = jax.tree_util.keystr(path).rpartition(".")[2]
                return name, int(np.shape(parameter)[0])
        return None

    def _checked(self, point: Any, name: str) -> Float64[ndarray, " d"]:
        array = real_array(point, name, ndim=1)
        length = self.length()
        if length is not None and length[1] != len(array):
            raise InputError(f"{name} has {len(array)} entries, the potential has parameters for {length[1]}")
        return array

    def _at(self, formula: Any, w: Any, size: int | None = None) -> Any:
        """A formula at a checked point of the domain, as NumPy."""
        array = self._checked(w, "w")
        if size is not None and len(array) != size:
            raise InputError(f"w has {len(array)} entries and v has {size}, they must agree")
        with double_precision():
            point = jnp.asarray(array)
            if not bool(self.domain_formula(point)):
                raise InputError(
                    f"w lies outside the domain of {type(self).__name__}, or on its border; move it inside"
                )
            return frozen(np.asarray(formula(point)))


class Multiple(Potential):
    """c phi for c > 0."""

    factor: Any
    inner: Potential

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.value_formula(w)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.mirror_formula(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_formula(z / self.factor)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.domain_formula(w)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.factor * self.inner.hessian_formula(w, v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return self.inner.inverse_hessian_formula(z / self.factor, v) / self.factor

    def horizon(self) -> Gauge:
        return self.inner.horizon()  # the sublevel sets of c phi are those of phi

    def multiple(self, factor: float) -> Potential:
        return self.inner.multiple(checked_factor(factor * float(self.factor)))


def checked_factor(factor: Any) -> float:
    """Return a positive, finite number, or raise an `InputError`."""
    number = isinstance(factor, Real) and not isinstance(factor, bool)
    if not number or not np.isfinite(factor) or not factor > 0.0:
        raise InputError(
            f"a potential was multiplied by {factor!r}, a positive, finite number is expected: 0.5 * potential"
        )
    return float(factor)
