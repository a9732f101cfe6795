"""Matrices made of two factors: the tangent kernel of single entries costs no Jacobian."""

from abc import abstractmethod
from typing import Any

import jax
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.parametrizations._leaves import leaf, leaves
from implicitbias.parametrizations._parametrization import Parametrization
from implicitbias.potentials import Potential


class FactoredMatrix(Parametrization):
    """W is a matrix made of two matrices (U, V)."""

    @abstractmethod
    def entry_kernel(self, theta: Any, rows: Any, cols: Any) -> jax.Array:
        """J J^T between the entries (rows[i], cols[i]) of W, (n, n); everything is a JAX array."""

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
