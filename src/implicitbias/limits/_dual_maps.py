"""Inverse mirror maps and their kernels X (Hess phi)^-1 X^T at a dual variable, as NumPy arrays in a common unit."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.linear_maps import LinearMap
from implicitbias._core.precision import double_precision

# Entries of w below exp(-_LOGS) times the unit would underflow, so that the logarithms are taken from the potential.
_LOGS = 300.0


class Judged(NamedTuple):
    """Values of a potential at a point w and at the point of a dual variable z.

    Attributes:
        mirrored: (d,) the mirror map at w.
        nearest: (d,) the point of z.
        back: (d,) the mirror map at the point of z.
        value: phi(w).
        inside: whether w and the point of z are finite and lie in the domain.
    """

    mirrored: Float64[ndarray, " d"]
    nearest: Float64[ndarray, " d"]
    back: Float64[ndarray, " d"]
    value: float
    inside: bool


class DualMap:
    r"""The map from the dual variable $z = \nabla\phi(w)$ to w, in units of $e^u$, for a potential and rows X.

    In these units neither w nor the Hessian underflows where all of them are tiny, as at the begin of a continuation
    from a potential of the scale 1e-1000.

    Attributes:
        potential: the potential.
        shape: the shape of the argument of the potential.
    """

    def __init__(self, potential: Any, shape: tuple[int, ...]) -> None:
        self.potential, self.shape = potential, shape
        self._curved = curvature_of(potential)

    def mirror(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
        """Return the mirror map at w."""
        with double_precision():
            return np.asarray(_mirror(self.potential, jnp.asarray(w.reshape(self.shape)))).ravel()

    def contains(self, w: Float64[ndarray, " d"]) -> bool:
        """Return whether w is finite and lies inside the domain of the potential."""
        return bool(np.all(np.isfinite(w))) and self.potential.contains(w.reshape(self.shape))

    def value(self, w: Float64[ndarray, " d"]) -> float:
        """Return phi(w)."""
        with double_precision():
            return float(_value(self.potential, jnp.asarray(w.reshape(self.shape))))

    def point(self, z: Float64[ndarray, " d"], unit: float = 0.0) -> Float64[ndarray, " d"]:
        """Return w e^(-unit), which may be NaN or infinite if z has no such point."""
        point = _far_point if unit < -_LOGS else _point
        with double_precision():
            return np.asarray(point(self.potential, z.reshape(self.shape), unit)).ravel()

    def log_size(self, z: Float64[ndarray, " d"]) -> float:
        """Return the largest ln|w_i|, also where w is outside of float64."""
        with double_precision():
            return float(_log_size(self.potential, z.reshape(self.shape)))

    def kernel(
        self, rows: LinearMap, z: Float64[ndarray, " d"], unit: float = 0.0, rough: bool = False
    ) -> Float64[ndarray, "n n"]:
        """Return X (Hess phi)^-1 X^T e^(-unit), with a few digits only if `rough` is True and this is faster."""
        with double_precision():
            return self._curved.kernel(rows, jnp.asarray(z.reshape(self.shape)), unit, rough)

    def judged(self, w: Float64[ndarray, " d"], z: Float64[ndarray, " d"]) -> Judged:
        """Return the values of the potential by which w is judged with the dual variable z."""
        with double_precision():
            at = (jnp.asarray(part.reshape(self.shape)) for part in (w, z))
            mirrored, nearest, back, value, inside = (
                np.asarray(part) for part in _judged(self.potential, *at)
            )
            return Judged(mirrored.ravel(), nearest.ravel(), back.ravel(), float(value), bool(inside))

    def inverse_hessian(self, z: Float64[ndarray, " d"], v: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
        """Return (Hess phi)^-1 v at the point of the dual variable z."""
        with double_precision():
            at = (jnp.asarray(part.reshape(self.shape)) for part in (z, v))
            return np.asarray(_inverse_hessian(self.potential, *at)).ravel()


def curvature_of(potential: Any) -> "DiagonalCurvature | FullCurvature":
    """Return how the kernel of the potential is computed."""
    return FullCurvature(potential) if potential.separable is None else DiagonalCurvature(potential.separable)


class DiagonalCurvature:
    """The kernel of a separable potential, whose inverse Hessian is diagonal."""

    def __init__(self, potential: Any) -> None:
        self.potential = potential

    def kernel(self, rows: LinearMap, z: jax.Array, unit: float, rough: bool) -> Float64[ndarray, "n n"]:
        slopes_at = _far_slopes if unit < -_LOGS else _slopes
        slopes = np.asarray(slopes_at(self.potential, z, unit))
        used = rows.norms > 0.0
        # Slopes may be infinite where z_i = 0, for instance those of p-norms above p = 2.
        finite = used & np.isfinite(slopes)
        most = float(np.max(slopes[finite], initial=0.0)) or np.inf
        return rows.gram(np.where(used, np.minimum(slopes, most), 0.0), rough)


class FullCurvature:
    """The kernel of a potential with a full Hessian, by n products with the inverse Hessian."""

    def __init__(self, potential: Any) -> None:
        self.potential = potential

    def kernel(self, rows: LinearMap, z: jax.Array, unit: float, rough: bool) -> Float64[ndarray, "n n"]:
        n = rows.shape[0]
        every = rows.rmatvec(np.eye(n)).reshape(n, *z.shape)
        products = np.asarray(_inverse_hessians(self.potential, z, jnp.asarray(every))) * math.exp(-unit)
        kernel = every.reshape(n, -1) @ products.reshape(n, -1).T
        return (kernel + kernel.T) / 2.0


class _Compiled:
    """A function of a potential and arrays, compiled once for each shape.

    It is much faster than the methods of potentials, which check each point. A potential whose leaves are arrays is
    passed to JAX as it is, because `equinox.filter_jit` spends as much time on a call as 10 000 exponentials take.
    """

    def __init__(self, function: Any) -> None:
        self._filtered = eqx.filter_jit(function)
        self._plain = jax.jit(function)

    def __call__(self, potential: Any, *arguments: Any) -> Any:
        arrays = all(eqx.is_array(leaf) for leaf in jax.tree.leaves(potential))
        return (self._plain if arrays else self._filtered)(potential, *arguments)


@_Compiled
def _mirror(potential: Any, w: jax.Array) -> jax.Array:
    return potential.mirror_formula(w)


@_Compiled
def _value(potential: Any, w: jax.Array) -> jax.Array:
    return potential.value_formula(w)


@_Compiled
def _judged(potential: Any, w: jax.Array, z: jax.Array) -> tuple[jax.Array, ...]:
    nearest = potential.inverse_mirror_formula(z)
    inside = jnp.all(jnp.isfinite(w)) & jnp.all(jnp.isfinite(nearest))
    inside &= jnp.all(potential.domain_formula(w)) & jnp.all(potential.domain_formula(nearest))
    back = potential.mirror_formula(nearest)
    return potential.mirror_formula(w), nearest, back, potential.value_formula(w), inside


@_Compiled
def _point(potential: Any, z: jax.Array, unit: Any) -> jax.Array:
    return potential.inverse_mirror_formula(z) * jnp.exp(-unit)


@_Compiled
def _far_point(potential: Any, z: jax.Array, unit: Any) -> jax.Array:
    signs, logs = potential.inverse_mirror_logs_formula(z)
    return jnp.where(signs == 0.0, 0.0, signs * jnp.exp(logs - unit))


@_Compiled
def _log_size(potential: Any, z: jax.Array) -> jax.Array:
    return jnp.max(potential.inverse_mirror_logs_formula(z)[1])


@_Compiled
def _slopes(potential: Any, z: jax.Array, unit: Any) -> jax.Array:
    return potential.inverse_mirror_slope_formula(z) * jnp.exp(-unit)


@_Compiled
def _far_slopes(potential: Any, z: jax.Array, unit: Any) -> jax.Array:
    # The derivative of ln|w| times |w|; at z = 0 it is 0 times infinity.
    def logs(at: jax.Array) -> jax.Array:
        return potential.inverse_mirror_logs_formula(at)[1]

    zero, plain = z == 0.0, potential.inverse_mirror_slope_formula(z)
    value, rate = jax.jvp(logs, (jnp.where(zero, 1.0, z),), (jnp.ones_like(z),))
    return jnp.where(zero, plain * jnp.exp(-unit), jnp.abs(rate) * jnp.exp(value - unit))


@_Compiled
def _inverse_hessian(potential: Any, z: jax.Array, v: jax.Array) -> jax.Array:
    return potential.inverse_hessian_formula(z, v)


@_Compiled
def _inverse_hessians(potential: Any, z: jax.Array, rows: jax.Array) -> jax.Array:
    return jax.vmap(potential.inverse_hessian_formula, in_axes=(None, 0))(z, rows)
