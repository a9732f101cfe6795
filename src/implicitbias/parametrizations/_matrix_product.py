"""The factored matrix of matrix sensing and matrix completion."""

from typing import Any

import jax
from numpy import ndarray

from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._factored_matrix import FactoredMatrix, matrix_pair, row_products


class MatrixProduct(FactoredMatrix):
    r"""The map $W = U V^\top$, where theta = (U, V), U is (m, r), V is (n, r) and W is (m, n).

    In general its gradient flow is not a mirror flow of W. With weight decay $\lambda$ and $r \ge \min(m, n)$, global
    minima over $\theta$ of $L + \frac\lambda2 (\lVert U \rVert^2 + \lVert V \rVert^2)$ are minima of
    $L + \lambda \lVert W \rVert_*$.

    Raises:
        InputError: theta is not a pair of finite matrices with equal numbers of columns; `potential` always raises it.

    Reference:
        gunasekar2017implicit.

    Examples:
        >>> import implicitbias as ib
        >>> ib.MatrixProduct()(([[1.0], [2.0]], [[3.0], [-1.0]])).tolist()
        [[3.0, -1.0], [6.0, -2.0]]
    """

    def formula(self, theta: Any) -> jax.Array:
        """Return $U V^\\top$ for JAX arrays."""
        U, V = theta
        return U @ V.T

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """Return (U, V) as float64 matrices with equal numbers of columns."""
        return matrix_pair(theta, name, axis=1)

    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        r"""Return $J J^\top$ (n, m) between the entries (r, c) and (r', c') of W.

        It is $\delta_{rr'} (V V^\top)_{cc'} + \delta_{cc'} (U U^\top)_{rr'}$.
        """
        U, V = theta
        rows2, cols2 = (rows, cols) if other is None else other
        same_row, same_col = rows[:, None] == rows2, cols[:, None] == cols2
        return same_row * row_products(V, cols, cols2) + same_col * row_products(U, rows, rows2)

    def layer_factors(self, theta: Any, linear: TracedMap) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return $(e_r, V_c)$ for U and $(e_c, U_r)$ for V if the predictions are entries (r, c) of W, else None."""
        if linear.entries is None:
            return None
        U, V = theta
        rows, cols = linear.entries
        return (jax.nn.one_hot(rows, len(U), dtype=U.dtype), V[cols]), (
            jax.nn.one_hot(cols, len(V), dtype=V.dtype),
            U[rows],
        )
