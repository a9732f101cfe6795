"""General two-layer diagonal networks: each coordinate is a function of a few parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.fingerprints import shared_function
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._diagonal import Diagonal
from implicitbias.parametrizations._growth import Growth
from implicitbias.parametrizations._leaves import leaf

Row = Callable[[jax.Array], Any]

_HINT = "write it with jax.numpy, for instance ib.Featurewise(lambda p: p[0] ** 2 - p[1] ** 2)"
# Numbers below this fraction of the largest eigenvalue of the Hessian, or of the length of a direction, count as 0.
_ROUNDING = 1e-12
# Two eigenvalues whose relative difference is below this bound count as equal.
_SIMPLE = 1e-9


class Featurewise(Diagonal):
    r"""The map $w_i = k_i(\theta_i)$, where theta is a (d, m) array and each coordinate has m parameters of its own.

    The metric of w is $\lVert \nabla k_i(\theta_i) \rVert^2$ and is computed by automatic differentiation. For $u v$
    and $u^2 - v^2$, use `HadamardProduct` and `SquareDifference`, whose flows are integrated exactly from starts of any
    scale. For `Featurewise`, theta itself is integrated, which has two limits:

    - If a combination of parameters shrinks while the parameters grow, it is known only up to the rounding error of the
      largest parameters, which is about $10^{-16}$ of their size. This does not happen if the combination is an entry
      of theta, as in $k = g(u) - h(v)$.
    - From a tiny start the flow needs accurate gradients. Write `u * sinh(u)` rather than `expm1(u) - u`, because the
      derivative of the latter rounds to 0 for small u.

    Args:
        maps: one function of an (m,) array that returns a number, written with `jax.numpy`, or a sequence of d
            functions.

    Raises:
        InputError: maps is not a function or a sequence of functions, theta is not a finite (d, m) array, or a function
            cannot be traced by JAX or does not return one real number.

    Reference:
        zhao2026gradient.

    Examples:
        >>> import jax.numpy as jnp, implicitbias as ib
        >>> G = ib.Featurewise([lambda p: p[0] ** 2 - p[1] ** 2, lambda p: jnp.sinh(2 * p[0] * p[1])])
        >>> G([[2.0, 1.0], [0.5, 1.0]]).round(6).tolist()
        [3.0, 1.175201]
        >>> t_plus, t_minus = G.growth_times([[1.0, 1.0], [1.0, 0.0]])
        >>> t_plus.tolist(), t_minus.tolist()
        ([0.5, 0.5], [0.5, 0.5])
    """

    functions: tuple[Row, ...]
    rows: tuple[tuple[int, ...], ...] | None = eqx.field(static=True)

    def __init__(self, maps: Any) -> None:
        if callable(maps):
            self.functions, self.rows = (shared_function(maps),), None
            return
        if not isinstance(maps, (list, tuple)) or not maps or not all(callable(k) for k in maps):
            raise InputError(f"maps is {_what(maps)}, a function or a list of functions is expected; {_HINT}")
        maps = [shared_function(k) for k in maps]
        # A function that is listed several times is traced once.
        places: dict[int, list[int]] = {}
        for i, k in enumerate(maps):
            places.setdefault(id(k), []).append(i)
        self.functions = tuple(maps[rows[0]] for rows in places.values())
        self.rows = tuple(tuple(rows) for rows in places.values())

    def formula(self, theta: Any) -> jax.Array:
        """Return $k_i(\\theta_i)$ for a JAX array theta."""
        return self._by_function(theta, lambda k: k)

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, "d m"]:
        """Return theta as one (d, m) float64 array."""
        if isinstance(theta, tuple) and any(isinstance(part, (ndarray, list)) for part in theta):
            raise InputError(
                f"{name} is a tuple of {len(theta)} array(s), one array of shape (d, m) is expected; "
                f"type {name} = numpy.stack({name}, axis=1) for m arrays of d entries"
            )
        array = leaf(theta, name, ndim=2)
        if self.rows is not None and len(array) != self._d:
            raise InputError(
                f"{name} has {len(array)} rows and there are {self._d} maps, they must agree: row i goes to map i"
            )
        for k, feature in zip(self.functions, self._first, strict=True):
            _refuse_shape(k, array.shape[1], feature)
        return array

    def metric(self, theta: Any) -> jax.Array:
        """Return $\\lVert \\nabla k_i(\\theta_i) \\rVert^2$, the diagonal of $J J^\\top$, for a JAX array theta."""
        return self._by_function(theta, lambda k: lambda row: jnp.sum(jax.grad(k)(row) ** 2))

    def growth_times(self, direction: Any) -> Growth:
        r"""Return $t_i^\pm = \pm 1/\lambda_i^\pm$, where $\lambda_i^\pm$ are extreme eigenvalues of a Hessian.

        It is the Hessian of $k_i$ at 0, and slow time has the unit ln(1/scale). The split among dependent columns is
        not known, because it depends on the growth of $k_i$ along the whole trajectory that leaves 0. Three
        assumptions are not checked: $k_i$ is analytic, 0 is its only critical point, and $k_i$ is unbounded along the
        two trajectories that leave 0.

        Raises:
            InputError: k_i or its gradient is not 0 at 0, an extreme eigenvalue is not simple or has the wrong sign, or
                the direction is orthogonal to its eigenvector.
        """
        theta = self.checked(direction, "direction")
        plus, minus = np.empty(len(theta)), np.empty(len(theta))
        for k, feature, rows in zip(self.functions, self._first, self._rows(len(theta)), strict=True):
            growth = _growth_at_zero(k, theta.shape[1], feature)
            _refuse_orthogonal(growth, theta, rows)
            plus[rows], minus[rows] = 1.0 / growth.rates[-1], -1.0 / growth.rates[0]
        return Growth(plus, minus, order=2)

    @property
    def _d(self) -> int:
        """The number of coordinates if each has its own function, else 0."""
        return sum(map(len, self.rows or ()))

    @property
    def _first(self) -> list[int]:
        """The first coordinate of each function."""
        return [0] if self.rows is None else [rows[0] for rows in self.rows]

    def _rows(self, d: int) -> list[ndarray]:
        """Return the coordinates of each function."""
        return [np.arange(d)] if self.rows is None else [np.array(rows) for rows in self.rows]

    def _by_function(self, theta: Any, transform: Callable[[Row], Row]) -> jax.Array:
        """Return transform(k_i)(theta_i) for all i, vectorised over the coordinates of each function."""
        if self.rows is None:
            return jax.vmap(transform(self.functions[0]))(theta)
        places = self._rows(self._d)
        parts = [jax.vmap(transform(k))(theta[rows]) for k, rows in zip(self.functions, places, strict=True)]
        return jnp.concatenate(parts)[np.argsort(np.concatenate(places))]


class _Growth(NamedTuple):
    """The eigenvalues, in ascending order, and the eigenvectors of the Hessian of a map at 0."""

    rates: Float64[ndarray, " m"]
    vectors: Float64[ndarray, "m m"]


def _growth_at_zero(k: Row, m: int, feature: int) -> _Growth:
    """Return the eigenvalues and eigenvectors of the Hessian of k at 0, which determine the growth times.

    Raises:
        InputError: k does not satisfy the assumptions of `Featurewise.growth_times` at 0.
    """
    who = f"the map of feature {feature}"
    with double_precision():  # One compiled program is used, because separate operations take seconds.
        at_zero = jax.jit(lambda row: (k(row), jax.grad(k)(row), jax.hessian(k)(row)))(jnp.zeros(m))
    value, slope, hessian = (np.asarray(part) for part in at_zero)
    for name, part in (("value", value), ("gradient", slope), ("Hessian", hessian)):
        if not np.all(np.isfinite(part)):
            raise InputError(f"{who} has a {name} at 0 that is not finite: {part.tolist()}; {_HINT}")
    rates, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    size = float(np.max(np.abs(rates)))
    for name, part in (("value", value), ("gradient", slope)):
        if np.max(np.abs(part)) > _ROUNDING * size:
            raise InputError(
                f"{who} has the {name} {part.tolist()} at 0, but it must be 0 there, because growth times exist only "
                "for maps with a saddle at 0"
            )
    if not rates[0] < -_ROUNDING * size or not rates[-1] > _ROUNDING * size:
        raise InputError(
            f"{who} has a Hessian at 0 with extreme eigenvalues {rates[0]:g} and {rates[-1]:g}, a negative and a "
            "positive one are expected, so that w_i can take both signs"
        )
    for near, name in ((rates[:2], "smallest"), (rates[-2:], "largest")):
        if near[1] - near[0] <= _SIMPLE * size:
            raise InputError(
                f"{who} has a Hessian at 0 whose {name} eigenvalue is not simple: {near[0]:g} and {near[1]:g}"
            )
    return _Growth(rates, vectors)


def _refuse_orthogonal(growth: _Growth, theta: Float64[ndarray, "d m"], rows: ndarray) -> None:
    """Raise an `InputError` if a direction is orthogonal to an extreme eigenvector, so that its growth is unknown."""
    length = np.sqrt(np.sum(theta[rows] ** 2, axis=1))
    for place, sign in ((-1, "positive"), (0, "negative")):
        part = np.abs(theta[rows] @ growth.vectors[:, place])
        bad = np.flatnonzero(part <= _ROUNDING * length)
        if len(bad):
            raise InputError(
                f"direction of feature {int(rows[bad[0]])} is orthogonal to the eigenvector of its {sign} eigenvalue, "
                f"{growth.vectors[:, place].round(6).tolist()}: product {part[bad[0]]:.1e}; "
                "choose a direction with a part along it, for instance numpy.random.default_rng(0).normal(size=(d, m))"
            )


def _refuse_shape(k: Row, m: int, feature: int) -> None:
    """Raise an `InputError` unless k returns one float64 number for an (m,) array; JAX traces k."""
    with double_precision():
        try:
            got = jax.eval_shape(k, jax.ShapeDtypeStruct((m,), np.dtype(np.float64)))
        except Exception as error:  # The user's function may raise any exception.
            raise InputError(
                f"the map of feature {feature} failed on an array of {m} number(s) ({in_one_line(error)}); "
                f"{_HINT}"
            ) from error
    shape, kind = getattr(got, "shape", None), getattr(got, "dtype", None)
    if shape != () or kind != np.float64:
        what = type(got).__name__ if shape is None else f"{kind} of shape {shape}"
        raise InputError(
            f"the map of feature {feature} returns {what} for a float64 array of {m} number(s), "
            f"one float64 number is expected; {_HINT}"
        )


def _what(maps: Any) -> str:
    """Return a description of a wrong argument `maps` for an error message."""
    if not isinstance(maps, (list, tuple)):
        return repr(maps)
    wrong = [i for i, k in enumerate(maps) if not callable(k)]
    return f"a {type(maps).__name__} whose item {wrong[0]} is {maps[wrong[0]]!r}" if wrong else "empty"
