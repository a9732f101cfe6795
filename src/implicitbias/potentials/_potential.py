"""What a potential is: four formulas, traced by JAX; NumPy at the public surface."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.values import Fingerprinted


class Potential(Fingerprinted, eqx.Module):
    r"""A separable Legendre function $\phi(w) = \sum_i h_i(w_i)$.

    Subclasses give the four formulas that end in `_formula`; they are traced by JAX in float64, on (d,) arrays.
    A positive multiple of a potential is a potential: `0.5 * phi`.

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
        """h_i(w_i), (d,)."""

    @abstractmethod
    def mirror_formula(self, w: jax.Array) -> jax.Array:
        """h_i'(w_i), (d,)."""

    @abstractmethod
    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        """The w with h_i'(w_i) = z_i, (d,)."""

    @abstractmethod
    def inverse_mirror_slope_formula(self, z: jax.Array) -> jax.Array:
        """d w_i / d z_i = 1 / h_i''(w_i), (d,)."""

    def value(self, w: Any) -> float:
        """phi(w)."""
        return float(np.sum(self._apply(self.value_formula, w, "w")))

    def mirror(self, w: Any) -> Float64[ndarray, " d"]:
        """grad phi(w): the dual variable z."""
        return self._apply(self.mirror_formula, w, "w")

    def inverse_mirror(self, z: Any) -> Float64[ndarray, " d"]:
        """The w with grad phi(w) = z."""
        return self._apply(self.inverse_mirror_formula, z, "z")

    def divergence(self, w: Any, v: Any) -> float:
        """The Bregman divergence phi(w) - phi(v) - <grad phi(v), w - v> >= 0."""
        a, b = real_array(w, "w", ndim=1), real_array(v, "v", ndim=1)
        if a.shape != b.shape:
            raise InputError(f"w has {len(a)} entries and v has {len(b)}, they must agree")
        # The divergence is not negative; its rounding may be.
        return max(0.0, self.value(a) - self.value(b) - float(self.mirror(b) @ (a - b)))

    def __mul__(self, factor: Any) -> "Potential":
        from implicitbias.potentials._scaled import scaled

        return scaled(factor, self)

    def __rmul__(self, factor: Any) -> "Potential":
        return self * factor

    def _apply(self, formula: Any, point: Any, name: str) -> Float64[ndarray, " d"]:
        array = real_array(point, name, ndim=1)
        for parameter in jax.tree.leaves(self):
            if np.ndim(parameter) == 1 and np.shape(parameter) != array.shape:
                raise InputError(
                    f"{name} has {len(array)} entries, the potential has parameters for {len(parameter)}"
                )
        with double_precision():
            return frozen(np.asarray(formula(jax.numpy.asarray(array))))
