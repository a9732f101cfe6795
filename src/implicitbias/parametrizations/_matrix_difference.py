"""The symmetric factored matrix, which is a difference of two Gram matrices."""

from typing import Any

import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias.parametrizations._factored_matrix import FactoredMatrix, matrix_pair, row_products


class MatrixDifference(FactoredMatrix):
    r"""The map $W = U U^\top - V V^\top$, where theta = (U, V), U is (m, r), V is (m, r') and W is symmetric (m, m).

    In general its gradient flow is not a mirror flow of W. With weight decay $\lambda$ and r and r' at least m, global
    minima over $\theta$ of $L + \frac\lambda2 (\lVert U \rVert^2 + \lVert V \rVert^2)$ are minima of
    $L + \frac\lambda2 \lVert W \rVert_*$ over symmetric W.

    Raises:
        InputError: theta is not a pair of finite matrices with equal numbers of rows; `potential` always raises it.

    Reference:
        lyu2024dichotomy.

    Examples:
        >>> import implicitbias as ib
        >>> ib.MatrixDifference()(([[1.0], [2.0]], [[1.0], [0.0]])).tolist()
        [[0.0, 2.0], [2.0, 4.0]]
    """

    def formula(self, theta: Any) -> jax.Array:
        """Return $U U^\\top - V V^\\top$ for JAX arrays."""
        U, V = theta
        return _gram(U) - _gram(V)

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """Return (U, V) as float64 matrices with equal numbers of rows."""
        return matrix_pair(theta, name, axis=0)

    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        r"""Return $J J^\top$ (n, m) between the entries (r, c) and (r', c') of W.

        With $S = U U^\top + V V^\top$ it is
        $\delta_{rr'} S_{cc'} + \delta_{rc'} S_{cr'} + \delta_{cr'} S_{rc'} + \delta_{cc'} S_{rr'}$.
        """
        U, V = theta
        rows2, cols2 = (rows, cols) if other is None else other
        factors = jnp.concatenate([U, V], axis=1)  # S = factors factors^T
        return (
            (rows[:, None] == rows2) * row_products(factors, cols, cols2)
            + (rows[:, None] == cols2) * row_products(factors, cols, rows2)
            + (cols[:, None] == rows2) * row_products(factors, rows, cols2)
            + (cols[:, None] == cols2) * row_products(factors, rows, rows2)
        )


@jax.custom_jvp
def _gram(U: jax.Array) -> jax.Array:
    """Return U U^T. Its derivative is a matrix plus its transpose, which costs one product of matrices, not two."""
    return U @ U.T


@_gram.defjvp
def _gram_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (U,), (change,) = primals, tangents
    half = change @ U.T
    return U @ U.T, half + half.T
