"""A potential that is given by its value, as a function written in JAX."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.fingerprints import shared_function
from implicitbias._core.precision import double_precision
from implicitbias.potentials._implicit import inverse_hessian, inverted
from implicitbias.potentials._potential import Potential

_SAMPLES = 12
_SCALES = (0.1, 1.0, 10.0)
# The dimension in which a function that accepts any is examined.
_DIMENSION = 3
# Curvatures below this share of the largest one at the point count as 0.
_FLAT = 1e-12
# The gradient is compared along rays at these two distances.
_NEAR, _FAR = 1e4, 1e8


class FunctionPotential(Potential):
    """The potential that `Potential.from_function(phi)` returns.

    Attributes:
        function: phi.
        dimension: d, or None if the function accepts any dimension.
    """

    function: Callable[[Any], Any]
    dimension: Any

    def __init__(self, function: Any, dimension: Any = None) -> None:
        if not callable(function):
            raise InputError(
                f"phi is {function!r}, a function of w (d,) written with jax.numpy is expected; type "
                "ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w)))"
            )
        if dimension is not None and (not isinstance(dimension, (int, np.integer)) or dimension < 1):
            raise InputError(f"dimension is {dimension!r}, a positive whole number or None is expected")
        self.function = shared_function(function)
        self.dimension = None if dimension is None else int(dimension)
        with double_precision():
            _examine(self)

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.function(w)

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return jax.grad(self.function)(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return inverted(self, z)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return inverse_hessian(self, z, v)

    def length(self) -> tuple[str, int] | None:
        """Return the name and the number of entries, or None if the function accepts any dimension."""
        return None if self.dimension is None else ("dimension", self.dimension)


def _examine(potential: FunctionPotential) -> None:
    """Raise an `InputError` with a witness if samples show that the function is not a potential."""
    d = potential.dimension or _DIMENSION
    try:
        shape = jax.eval_shape(potential.function, jax.ShapeDtypeStruct((d,), jnp.result_type(float)))
    except Exception as error:  # whatever the function of the user raises
        raise InputError(
            f"phi cannot be traced at a w of {d} entries: {error}; type "
            "ib.Potential.from_function(phi, dimension=d) if it needs another number of entries"
        ) from error
    if getattr(shape, "shape", None) != ():
        raise InputError(f"phi returns {shape}, one number is expected; type lambda w: jnp.sum(...)")
    rng = np.random.default_rng(0)
    curvature = jax.jit(jax.jacfwd(potential.mirror_formula))
    gradient = jax.jit(potential.mirror_formula)
    for scale in _SCALES:
        for w in scale * rng.standard_normal((_SAMPLES, d)):
            _refuse_flat(w, np.asarray(curvature(w)))
    for direction in rng.standard_normal((_SAMPLES, d)):
        _refuse_bounded(gradient, direction / np.linalg.norm(direction))


def _refuse_flat(w: ndarray, hessian: ndarray) -> None:
    """Raise an `InputError` if the Hessian at a sample is not positive definite."""
    if not np.all(np.isfinite(hessian)):
        raise InputError(
            f"phi has a Hessian that is not finite at w = {w.tolist()}, a smooth function is expected; use smooth "
            "functions such as jnp.hypot(w, 1.0) in place of jnp.abs(w)"
        )
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2.0)
    if not values[0] > _FLAT * values[-1]:
        raise InputError(
            f"phi is not strictly convex: at w = {w.tolist()} its curvature along {vectors[:, 0].tolist()} is "
            f"{values[0]:.3g}, a positive number is expected; add a strictly convex term, or change the sign of phi"
        )


def _refuse_bounded(gradient: Callable[[Any], Any], direction: ndarray) -> None:
    """Raise an `InputError` if the slope along a ray does not grow between two distances."""
    slopes = [float(gradient(size * direction) @ direction) for size in (_NEAR, _FAR)]
    if np.isnan(slopes[0]) or not np.isfinite(slopes[1]):
        return  # it exceeds float64, so it grows
    if not slopes[1] > slopes[0] + 1e-3 * abs(slopes[0]):
        raise InputError(
            f"phi has a bounded gradient: along w = {direction.tolist()} its slope is {slopes[0]:.6g} at distance "
            f"{_NEAR:g} and {slopes[1]:.6g} at distance {_FAR:g}, a slope that grows without bound is expected; add a "
            "term of faster growth, such as 0.5 * jnp.sum(w**2)"
        )
