"""The factored matrix of matrix sensing and completion."""

from typing import Any

import jax
from numpy import ndarray

from implicitbias._core.traced_maps import TracedMap
from implicitbias.parametrizations._factored_matrix import FactoredMatrix, matrix_pair


class MatrixProduct(FactoredMatrix):
    r"""theta = (U, V), $W = U V^\top$: U is (m, r), V is (n, r) and W (m, n).

    In general its gradient flow is no mirror flow of W. With weight decay $\lambda$, global minima over $\theta$ of
    $L + \frac\lambda2 (\lVert U \rVert^2 + \lVert V \rVert^2)$ are minima of $L + \lambda \lVert W \rVert_*$ where
    $r \ge \min(m, n)$.

    Raises:
        InputError: theta is not a pair of finite matrices with equally many columns; for `potential` always.

    Reference:
        gunasekar2017implicit.

    Examples:
        >>> import implicitbias as ib
        >>> ib.MatrixProduct()(([[1.0], [2.0]], [[3.0], [-1.0]])).tolist()
        [[3.0, -1.0], [6.0, -2.0]]
    """

    def formula(self, theta: Any) -> jax.Array:
        """$U V^\\top$, on JAX arrays."""
        U, V = theta
        return U @ V.T

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """(U, V) as float64 matrices with equally many columns."""
        return matrix_pair(theta, name, axis=1)

    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        r"""$J J^\top$ between entries, $\delta_{rr'} (V V^\top)_{cc'} + \delta_{cc'} (U U^\top)_{rr'}$: (n, m)."""
        U, V = theta
        rows2, cols2 = (rows, cols) if other is None else other
        same_row, same_col = rows[:, None] == rows2, cols[:, None] == cols2
        return same_row * (V[cols] @ V[cols2].T) + same_col * (U[rows] @ U[rows2].T)

    def layer_factors(self, theta: Any, linear: TracedMap) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return $(e_r, V_c)$ for U and $(e_c, U_r)$ for V where the predictions are entries (r, c) of W."""
        if linear.entries is None:
            return None
        U, V = theta
        rows, cols = linear.entries
        return (jax.nn.one_hot(rows, len(U), dtype=U.dtype), V[cols]), (
            jax.nn.one_hot(cols, len(V), dtype=V.dtype),
            U[rows],
        )
