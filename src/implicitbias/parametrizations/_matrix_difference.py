"""The symmetric factored matrix."""

from typing import Any

import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias.parametrizations._factored_matrix import FactoredMatrix, matrix_pair


class MatrixDifference(FactoredMatrix):
    r"""theta = (U, V), $W = U U^\top - V V^\top$: U is (m, r), V is (m, r'), and W (m, m) is symmetric.

    In general its gradient flow is no mirror flow of W. With weight decay $\lambda$, global minima over $\theta$ of
    $L + \frac\lambda2 (\lVert U \rVert^2 + \lVert V \rVert^2)$ are minima of $L + \frac\lambda2 \lVert W \rVert_*$ over
    symmetric W where r and r' are at least m.

    Raises:
        InputError: theta is not a pair of finite matrices with equally many rows; for `potential` always.

    Reference:
        lyu2024dichotomy.

    Examples:
        >>> import implicitbias as ib
        >>> ib.MatrixDifference()(([[1.0], [2.0]], [[1.0], [0.0]])).tolist()
        [[0.0, 2.0], [2.0, 4.0]]
    """

    def formula(self, theta: Any) -> jax.Array:
        """$U U^\\top - V V^\\top$, on JAX arrays."""
        U, V = theta
        return U @ U.T - V @ V.T

    def checked(self, theta: Any, name: str = "theta") -> tuple[ndarray, ...]:
        """(U, V) as float64 matrices with equally many rows."""
        return matrix_pair(theta, name, axis=0)

    def entry_kernel(self, theta: Any, rows: Any, cols: Any, other: Any = None) -> jax.Array:
        r"""$J J^\top$ between entries: (n, m).

        With $S = U U^\top + V V^\top$,
        $\delta_{rr'} S_{cc'} + \delta_{rc'} S_{cr'} + \delta_{cr'} S_{rc'} + \delta_{cc'} S_{rr'}$.
        """
        U, V = theta
        rows2, cols2 = (rows, cols) if other is None else other
        factors = jnp.concatenate([U, V], axis=1)  # S = factors factors^T
        left, right = (factors[rows], factors[cols]), (factors[rows2], factors[cols2])
        return (
            (rows[:, None] == rows2) * (left[1] @ right[1].T)
            + (rows[:, None] == cols2) * (left[1] @ right[0].T)
            + (cols[:, None] == rows2) * (left[0] @ right[1].T)
            + (cols[:, None] == cols2) * (left[0] @ right[0].T)
        )
