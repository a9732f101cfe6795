"""Matrices made of two factors: the tangent kernel of single entries costs no Jacobian."""

from abc import abstractmethod
from typing import Any

import jax
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._leaves import leaf, leaves
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential


class FactoredMatrix(Parametrization):
    """W is a matrix made of two matrices (U, V)."""

    @abstractmethod
    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        """Return J J^T between the entries (rows[i], cols[i]) of W and those of `other`, (n, m), on JAX arrays.

        Args:
            theta: (U, V).
            rows: (n,) rows of the entries.
            cols: (n,) their columns.
            other: a pair (rows, cols) of m other entries; None for the same ones.
        """

    def has_kernel(self, linear: TracedMap) -> bool:
        return linear.entries is not None

    def kernel(self, theta: Any, linear: TracedMap, other: TracedMap) -> jax.Array:
        if linear.entries is None or other.entries is None:
            return super().kernel(theta, linear, other)
        return self.entry_kernel(theta, *linear.entries, other.entries)

    def potential(self, theta0: Any) -> Potential:
        """There is none: the gradients of the entries of W do not commute.

        Raises:
            InputError: always.
        """
        self.checked(theta0, "theta0")
        raise InputError(
            self._no_potential(
                "the gradients of the entries of W do not commute, so W follows no mirror flow"
            )
        )


def matrix_pair(theta: Any, name: str, axis: int) -> tuple[ndarray, ndarray]:
    """(U, V) as float64 matrices that agree along an axis."""
    word = ("rows", "columns")[axis]
    parts = leaves(theta, name, ("U", "V"), f"as many {word}")
    U, V = leaf(parts[0], "U", 2), leaf(parts[1], "V", 2)
    if U.shape[axis] != V.shape[axis]:
        raise InputError(f"U has {U.shape[axis]} {word} and V has {V.shape[axis]}, they must agree")
    return U, V
