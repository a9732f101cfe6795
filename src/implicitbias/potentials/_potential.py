"""The base class of potentials: subclasses give formulas that JAX traces, and public methods return NumPy arrays."""

from abc import abstractmethod
from dataclasses import fields
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
from implicitbias._core.values import Hashed
from implicitbias.gauges import Gauge
from implicitbias.potentials._written import written


class Potential(Hashed, eqx.Module):
    r"""A Legendre function $\phi$: strictly convex and differentiable, and its gradient is onto the dual space.

    Subclasses define the three formulas `value_formula`, `mirror_formula` and `inverse_mirror_formula`, which JAX
    traces in float64 on (d,) arrays. Products with the Hessian and with its inverse use automatic differentiation. A
    potential that is a sum over coordinates derives from `SeparablePotential`. A positive multiple of a potential, for
    instance `0.5 * phi`, is a potential too, and so are sums `phi + psi` and `phi.compose(A)` for an invertible A.

    Reference:
        pesme2024mirror for the mirror flow $d \nabla\phi(w_t) = -\nabla L(w_t) dt$.

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

    # With None here, a product of a NumPy number and a potential calls `__rmul__` of the potential.
    __array_ufunc__ = None

    @abstractmethod
    def value_formula(self, w: jax.Array) -> jax.Array:
        """Return phi(w), a number."""

    @abstractmethod
    def mirror_formula(self, w: jax.Array) -> jax.Array:
        """Return grad phi(w), (d,)."""

    @abstractmethod
    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        """Return the point w with grad phi(w) = z, (d,)."""

    def domain_formula(self, w: jax.Array) -> jax.Array:
        """Return whether w lies in the interior of the domain, which is the whole space by default."""
        return jnp.asarray(True)

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        """Return grad phi(w) for w with these signs and with ln|w| = logs; override it where w may leave float64."""
        return self.mirror_formula(signs * jnp.exp(logs))

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the signs of w and ln|w| for grad phi(w) = z; override it where w may leave float64."""
        w = self.inverse_mirror_formula(z)
        return jnp.sign(w), jnp.log(jnp.abs(w))

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        """Return the product of the Hessian at w and v, (d,)."""
        return jax.jvp(self.mirror_formula, (w,), (v,))[1]

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        """Return the product of the inverse Hessian at w and v, (d,), where grad phi(w) = z."""
        return jax.jvp(self.inverse_mirror_formula, (z,), (v,))[1]

    def value(self, w: Any) -> float:
        """Return phi(w).

        Raises:
            InputError: w is not a finite (d,) array, or lies outside the domain.
        """
        return float(self._at(self.value_formula, w))

    def mirror(self, w: Any) -> Float64[ndarray, "..."]:
        """Return the mirror map at w, which is the dual variable z = grad phi(w).

        Raises:
            InputError: w is not a finite (d,) array, or lies outside the domain.
        """
        return self._at(self.mirror_formula, w)

    def inverse_mirror(self, z: Any) -> Float64[ndarray, "..."]:
        """Return the inverse mirror map at z, which is the point w with grad phi(w) = z.

        Raises:
            InputError: z is not a finite (d,) array, or no point has this dual variable.
        """
        array = self._checked(z, "z")
        with double_precision():
            w = np.asarray(self.inverse_mirror_formula(jnp.asarray(array)))
        if np.any(np.isnan(w)):
            raise InputError(
                f"z lies outside the range of the mirror map of {type(self).__name__}, or its point could not be "
                "computed; choose a z that is nearer to the mirror map of a point of the domain"
            )
        return frozen(w)

    def mirror_of_logs(self, signs: Any, logs: Any) -> Float64[ndarray, "..."]:
        """Return the mirror map at the w with these signs and with ln|w| = logs, also where w itself leaves float64.

        Args:
            signs: (d,) -1, 0 or 1.
            logs: (d,) natural logarithms of |w|; they do not count where the sign is 0.

        Raises:
            InputError: an argument is not a finite (d,) array, the lengths disagree, or a sign is another number.
        """
        signs, logs = self._checked(signs, "signs"), self._checked(logs, "logs")
        if signs.shape != logs.shape or not np.all(np.isin(signs, (-1.0, 0.0, 1.0))):
            raise InputError(
                f"signs has shape {signs.shape} and logs has shape {logs.shape}, equal ones are expected, with signs "
                "-1, 0 or 1; type signs = numpy.sign(w) and logs = numpy.log(numpy.abs(w)) for w without zeros"
            )
        with double_precision():
            return frozen(np.asarray(self.mirror_of_logs_formula(jnp.asarray(signs), jnp.asarray(logs))))

    def inverse_mirror_logs(self, z: Any) -> tuple[Float64[ndarray, "..."], Float64[ndarray, "..."]]:
        """Return the signs of w and ln|w| (-inf at 0) for grad phi(w) = z, also where w itself leaves float64.

        Raises:
            InputError: z is not a finite (d,) array.
        """
        array = self._checked(z, "z")
        with double_precision():
            signs, logs = self.inverse_mirror_logs_formula(jnp.asarray(array))
            return frozen(np.asarray(signs)), frozen(np.asarray(logs))

    def hessian_product(self, w: Any, v: Any) -> Float64[ndarray, "..."]:
        """Return the product of the Hessian of phi at w and v.

        Raises:
            InputError: w or v is not a finite (d,) array, the lengths disagree, or w lies outside the domain.
        """
        vector = self._checked(v, "v")
        return self._at(lambda point: self.hessian_formula(point, jnp.asarray(vector)), w, vector.shape)

    def inverse_hessian_product(self, w: Any, v: Any) -> Float64[ndarray, "..."]:
        """Return the product of the inverse Hessian of phi at w and v.

        Raises:
            InputError: w or v is not a finite (d,) array, the lengths disagree, or w lies outside the domain.
        """
        vector = self._checked(v, "v")

        def product(point: jax.Array) -> jax.Array:
            return self.inverse_hessian_formula(self.mirror_formula(point), jnp.asarray(vector))

        return self._at(product, w, vector.shape)

    def divergence(self, w: Any, v: Any) -> float:
        """Return the Bregman divergence phi(w) - phi(v) - <grad phi(v), w - v>, which is not negative.

        Raises:
            InputError: w or v is not a finite (d,) array, the lengths disagree, or a point lies outside the domain.
        """
        a, b = self._checked(w, "w"), self._checked(v, "v")
        if a.shape != b.shape:
            raise InputError(f"w has shape {a.shape} and v has shape {b.shape}, they must agree")
        # The exact divergence is not negative, but the rounded one may be.
        return max(0.0, self.value(a) - self.value(b) - float(np.sum(self.mirror(b) * (a - b))))

    def contains(self, w: Any) -> bool:
        """Return whether w lies in the interior of the domain.

        Raises:
            InputError: w is not a finite (d,) array.
        """
        array = self._checked(w, "w")
        with double_precision():
            return bool(self.domain_formula(jnp.asarray(array)))

    def horizon(self) -> Gauge:
        r"""Return the horizon of $\phi$: the gauge that describes the shape of its large sublevel sets.

        On separable data, the mirror flow of the potential converges in direction to the maximum-margin classifier of
        this gauge.

        Returns:
            A gauge, which is unique up to a positive factor. If no closed form is known, it is the gauge of a large
            sublevel set, and its method `estimate(w)` returns the limit with an error bar.

        Reference:
            pesme2024mirror.
        """
        from implicitbias.potentials import SublevelGauge

        return SublevelGauge(self)

    @property
    def growth(self) -> float | None:
        """The degree p of the growth |w|^p in all directions, up to logarithms; infinite above all powers.

        It is None if it is not known. In a sum, the potential of larger growth gives the horizon.
        """
        return None

    @property
    def separable(self) -> Any:
        """The potential itself if it is a `SeparablePotential`, else None."""
        return None

    @property
    def steep(self) -> Any:
        """The potential itself if its mirror flows are integrated in w, as a `SteepPotential`, else None."""
        return None

    def multiple(self, factor: float) -> "Potential":
        """Return the potential times a positive number."""
        return Multiple(np.float64(factor), self)

    def __repr__(self) -> str:
        settings = (f"{field.name}={written(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(settings)})"

    def __mul__(self, factor: Any) -> "Potential":
        return self.multiple(checked_factor(factor))

    def __add__(self, other: Any) -> "Potential":
        from implicitbias.potentials import added

        return added(self, other)

    def compose(self, A: Any) -> "Potential":
        """Return the potential w -> phi(A w).

        Args:
            A: (m, d) matrix of rank d. For a square one the inverse mirror map and the horizon have closed forms.

        Raises:
            InputError: A has dependent columns, or the potential has parameters of another length.
        """
        from implicitbias.potentials import composed

        return composed(self, A)

    @staticmethod
    def from_function(phi: Any, dimension: Any = None) -> "Potential":
        """Return the potential with the value phi(w), whose derivatives JAX computes.

        Samples of the Hessian and of the growth of the gradient are examined. The inverse mirror map is found by
        Newton's method with dense Hessians.

        Args:
            phi: a function of w (d,) written with `jax.numpy`, strictly convex and smooth, with a gradient that grows
                without bound.
            dimension: d, or None if phi accepts any dimension.

        Raises:
            InputError: phi is not such a function; the message holds a witness.
        """
        from implicitbias.potentials import FunctionPotential

        return FunctionPotential(phi, dimension)

    def __rmul__(self, factor: Any) -> "Potential":
        return self * factor

    @property
    def dimensions(self) -> int:
        """The number of dimensions of points: 1 for vectors (d,), 2 for matrices."""
        return 1

    def length(self) -> tuple[str, int] | None:
        """Return the name and the length of an array parameter, or None if the potential accepts any dimension."""
        for path, parameter in jax.tree_util.tree_leaves_with_path(self):
            if np.ndim(parameter):
                name = jax.tree_util.keystr(path).rpartition(".")[2]
                return name, int(np.shape(parameter)[0])
        return None

    def _checked(self, point: Any, name: str) -> Float64[ndarray, "..."]:
        array = real_array(point, name, ndim=self.dimensions)
        length = self.length()
        if length is not None and length[1] != len(array):
            raise InputError(f"{name} has {len(array)} entries, the potential has parameters for {length[1]}")
        return array

    def _at(self, formula: Any, w: Any, shape: tuple[int, ...] | None = None) -> Any:
        """Return a formula at the point w as a NumPy array, after a check that w lies in the domain."""
        array = self._checked(w, "w")
        if shape is not None and array.shape != shape:
            raise InputError(f"w has shape {array.shape} and v has shape {shape}, they must agree")
        with double_precision():
            point = jnp.asarray(array)
            if not bool(self.domain_formula(point)):
                raise InputError(
                    f"w lies outside the domain of {type(self).__name__} or on its boundary; choose an interior point"
                )
            return frozen(np.asarray(formula(point)))


class ScaledPotential(Potential):
    """The potential c phi for a number c > 0; what its separable and its general kind share."""

    factor: Any
    inner: Any

    def mirror_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.mirror_formula(w)

    def inverse_mirror_formula(self, z: jax.Array) -> jax.Array:
        return self.inner.inverse_mirror_formula(z / self.factor)

    def mirror_of_logs_formula(self, signs: jax.Array, logs: jax.Array) -> jax.Array:
        return self.factor * self.inner.mirror_of_logs_formula(signs, logs)

    def inverse_mirror_logs_formula(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        return self.inner.inverse_mirror_logs_formula(z / self.factor)

    def domain_formula(self, w: jax.Array) -> jax.Array:
        return self.inner.domain_formula(w)

    def horizon(self) -> Gauge:
        return self.inner.horizon()  # The sublevel sets of c phi are those of phi.

    @property
    def growth(self) -> float | None:
        return self.inner.growth

    def length(self) -> tuple[str, int] | None:
        return self.inner.length()

    def __repr__(self) -> str:
        inner = repr(self.inner)
        return f"{written(self.factor)} * {f'({inner})' if ' + ' in inner else inner}"

    def multiple(self, factor: float) -> Potential:
        return self.inner.multiple(checked_factor(factor * float(self.factor)))


class Multiple(ScaledPotential):
    """The potential c phi for a number c > 0 and any potential phi."""

    def value_formula(self, w: jax.Array) -> jax.Array:
        return self.factor * self.inner.value_formula(w)

    def hessian_formula(self, w: jax.Array, v: jax.Array) -> jax.Array:
        return self.factor * self.inner.hessian_formula(w, v)

    def inverse_hessian_formula(self, z: jax.Array, v: jax.Array) -> jax.Array:
        return self.inner.inverse_hessian_formula(z / self.factor, v) / self.factor


def checked_factor(factor: Any) -> float:
    """Return a positive, finite number, or raise an `InputError`."""
    number = isinstance(factor, Real) and not isinstance(factor, bool)
    if not number or not np.isfinite(factor) or not factor > 0.0:
        raise InputError(
            f"a potential was multiplied by {factor!r}, a positive, finite number is expected: 0.5 * potential"
        )
    return float(factor)
