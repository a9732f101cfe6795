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
from implicitbias.potentials._written import written

_SAMPLES = 12
_SCALES = (0.1, 1.0, 10.0)
# The dimension in which a function that accepts any is examined. It is larger than most fixed numbers of entries,
# because JAX reads the last entry where a function asks for an entry that does not exist.
_DIMENSION = 6
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

    def __repr__(self) -> str:
        size = "" if self.dimension is None else f", dimension={self.dimension}"
        return f"Potential.from_function({written(self.function)}{size})"

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
    except jax.errors.TracerArrayConversionError as error:
        raise InputError(
            "phi calls a function of numpy or SciPy, whose derivatives are not known; functions of jax.numpy are "
            "expected; type import jax.numpy as jnp, and for instance jnp.sum(w**2) in place of numpy.sum(w**2)"
        ) from error
    except Exception as error:  # whatever the function of the user raises
        raise InputError(
            f"phi cannot be traced at a w of {d} entries: {error}; type "
            "ib.Potential.from_function(phi, dimension=d) if it needs another number of entries"
        ) from error
    if getattr(shape, "shape", None) != ():
        raise InputError(f"phi returns {shape}, one number is expected; type lambda w: jnp.sum(...)")
    if shape.dtype != jnp.float64:
        raise InputError(
            f"phi returns a number of type {shape.dtype}, float64 is expected; remove conversions such as "
            "w.astype(jnp.float32), which lose digits"
        )
    rng = np.random.default_rng(0)
    curvature = jax.jit(jax.jacfwd(potential.mirror_formula))
    gradient = jax.jit(potential.mirror_formula)
    for scale in _SCALES:
        for w in scale * rng.standard_normal((_SAMPLES, d)):
            _refuse_flat(w, np.asarray(curvature(w)), potential.dimension)
    for direction in rng.standard_normal((_SAMPLES, d)):
        _refuse_bounded(gradient, direction / np.linalg.norm(direction))


def _refuse_flat(w: ndarray, hessian: ndarray, dimension: int | None) -> None:
    """Raise an `InputError` if the Hessian at a sample is not positive definite.

    It is scaled to a diagonal of 1, because the curvatures of a sum over coordinates may differ by any factor.
    """
    if not np.all(np.isfinite(hessian)):
        raise InputError(
            f"phi has a Hessian that is not finite at w = {w.tolist()}, a smooth function is expected; use smooth "
            "functions such as jnp.hypot(w, 1.0) in place of jnp.abs(w)"
        )
    diagonal = np.diag(hessian)
    if np.all(diagonal > 0.0):
        # The roots are divided one after the other, because their products may leave float64.
        root = np.sqrt(diagonal)
        scaled = hessian / root[:, None] / root
        values, vectors = np.linalg.eigh((scaled + scaled.T) / 2.0)
        if values[0] > _FLAT * values[-1]:
            return
        direction = vectors[:, 0] / root
    else:
        direction = np.eye(len(w))[np.argmin(diagonal)]
    direction = direction / np.linalg.norm(direction)
    size = "" if dimension else "; if it needs a fixed number d of entries, type dimension=d"
    raise InputError(
        f"phi is not strictly convex: at w = {w.round(6).tolist()} its curvature along {direction.round(6).tolist()} "
        f"is {direction @ hessian @ direction:.3g}, a number above 0 and above rounding errors is expected; add a "
        f"strictly convex term, or change the sign of phi{size}"
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
