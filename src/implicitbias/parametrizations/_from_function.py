"""The parametrization that a user gives as a function written in JAX."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from implicitbias._core.errors import InputError, in_one_line
from implicitbias._core.fingerprints import shared_function
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import tree_shape
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential

_HINT = "write it with jax.numpy, for instance ib.Parametrization.from_function(lambda theta: theta['u'] * theta['v'])"


class FunctionParametrization(Parametrization):
    """The parametrization that `Parametrization.from_function(G)` returns.

    Attributes:
        function: G.
        name: the name of G for messages.
    """

    function: Callable[[Any], Any]
    name: str = eqx.field(static=True)

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise InputError(f"G is {function!r}, a function of theta is expected; {_HINT}")
        self.function = shared_function(function)
        self.name = getattr(function, "__name__", type(function).__name__)

    def formula(self, theta: Any) -> jax.Array:
        """Return G(theta) for JAX arrays."""
        return self.function(theta)

    def checked(self, theta: Any, name: str = "theta") -> Any:
        """Return theta with read-only float64 NumPy leaves, after a check that G accepts it."""
        shape, flat = tree_shape(_with_arrays(theta), name)
        with double_precision():
            try:
                # The parameters are traced as a vector, because a pytree may also hold functions.
                got = jax.eval_shape(lambda point: self.function(shape.unflatten(point)), flat)
            except jax.errors.TracerArrayConversionError as error:
                raise InputError(
                    f"G calls a function of numpy or SciPy, whose derivatives are not known; functions of jax.numpy "
                    f"are expected; {_HINT}"
                ) from error
            except Exception as error:  # The user's function may raise any exception.
                raise InputError(
                    f"G failed on a {name} with leaves of shapes {list(shape.shapes)} ({in_one_line(error)}"
                    f"); {_HINT}"
                ) from error
        _refuse_result(got)
        return shape.numpy_tree(flat)

    def potential(self, theta0: Any) -> Potential:
        """Return `ib.induced_potential(G, theta0)`.

        Raises:
            InputError: the map has no potential, see `ib.induced_potential`.
        """
        from implicitbias.parametrizations import induced_potential

        return induced_potential(self, theta0)

    def __repr__(self) -> str:
        return f"Parametrization.from_function({self.name})"


def as_parametrization(G: Any) -> Parametrization:
    """Return a parametrization as it is, and a function as a parametrization.

    Raises:
        InputError: G is neither.
    """
    if isinstance(G, type) and issubclass(G, Parametrization):
        raise InputError(f"G is the class {G.__name__}, an instance is expected: type {G.__name__}()")
    return G if isinstance(G, Parametrization) else FunctionParametrization(G)


def _with_arrays(theta: Any) -> Any:
    """Return theta with lists of numbers, and lists of such lists, as arrays."""

    def numbers(node: Any) -> bool:
        return isinstance(node, list) and len(node) > 0 and all(map(_is_number, _flat_list(node)))

    return jax.tree.map(
        lambda node: np.asarray(node, dtype=np.float64) if numbers(node) else node, theta, is_leaf=numbers
    )


def _flat_list(node: Any) -> list[Any]:
    return [leaf for item in node for leaf in _flat_list(item)] if isinstance(node, list) else [node]


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float, np.floating, np.integer)) and not isinstance(item, bool)


def _refuse_result(got: Any) -> None:
    """Raise an `InputError` unless G returns one float64 array with at least one entry and one dimension."""
    shape, kind = getattr(got, "shape", None), getattr(got, "dtype", None)
    if shape is None:
        raise InputError(
            f"G returns a {type(got).__name__}, one array w is expected; type jnp.concatenate([...]) or "
            "jnp.stack([...]) to return several parts as one array"
        )
    if np.issubdtype(kind, np.complexfloating):
        raise InputError(
            f"G returns {kind}, real numbers are expected; type jnp.real(w), or return both parts by "
            "jnp.stack([w.real, w.imag])"
        )
    if kind != np.float64:
        raise InputError(
            f"G returns {kind} for float64 parameters, float64 is expected; remove conversions such as "
            "astype(jnp.float32), which lose digits"
        )
    if shape == () or 0 in shape:
        raise InputError(
            f"G returns an array of shape {shape}, an array with at least one entry is expected; for one number type "
            "jnp.atleast_1d(w)"
        )
