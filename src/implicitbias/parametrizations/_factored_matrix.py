"""Matrices made of two factors, for which the tangent kernel of entries needs no Jacobian."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._leaves import leaf, leaves
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential


class FactoredMatrix(Parametrization):
    """A map from two matrices (U, V) to a matrix W."""

    @abstractmethod
    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        """Return J J^T (n, m) between the entries (rows[i], cols[i]) of W and other entries, as a JAX array.

        Args:
            theta: the pair (U, V).
            rows: (n,) the rows of the entries.
            cols: (n,) the columns of the entries.
            other: a pair (rows, cols) of m other entries; None means the same entries.
        """

    def has_kernel(self, linear: TracedMap) -> bool:
        return linear.entries is not None

    def kernel(self, theta: Any, linear: TracedMap, other: TracedMap) -> jax.Array:
        if linear.entries is None or other.entries is None:
            return super().kernel(theta, linear, other)
        return self.entry_kernel(theta, *linear.entries, other.entries)

    def potential(self, theta0: Any) -> Potential:
        """Raise an `InputError`, because the flow of W is not a mirror flow.

        Raises:
            InputError: always, because the gradients of the entries of W do not commute.
        """
        self.checked(theta0, "theta0")
        raise InputError(
            self._no_potential(
                "the gradients of the entries of W do not commute, so the flow of W is not a mirror flow"
            )
        )


def row_products(factor: jax.Array, some: jax.Array, others: jax.Array) -> jax.Array:
    """Return the products (n, m) of the rows `some` and `others` of a factor, whose numbers may repeat.

    If the factor has few rows, each product is computed once and then looked up, which is cheaper than a product of
    the chosen rows. Otherwise the Gram matrix of all rows would be the larger one.
    """
    if factor.shape[0] ** 2 <= some.shape[0] * others.shape[0]:
        gram = factor @ factor.T
        return jnp.take(jnp.take(gram, some, axis=0), others, axis=1)
    return factor[some] @ factor[others].T


def matrix_pair(theta: Any, name: str, axis: int) -> tuple[ndarray, ndarray]:
    """Return (U, V) as float64 matrices with equal lengths along an axis."""
    word = ("rows", "columns")[axis]
    parts = leaves(theta, name, ("U", "V"), f"as many {word}")
    U, V = leaf(parts[0], "U", 2), leaf(parts[1], "V", 2)
    if U.shape[axis] != V.shape[axis]:
        raise InputError(f"U has {U.shape[axis]} {word} and V has {V.shape[axis]}, they must agree")
    return U, V
