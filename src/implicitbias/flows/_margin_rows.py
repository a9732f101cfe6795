"""The margins of a classification as products of two matrices with w, for flows in the logarithm of the time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.errors import InputError
from implicitbias.flows._primal_maps import Rows
from implicitbias.problems import Classification, MarginLoss

EPSILON = float(np.finfo(np.float64).eps)


class MarginRows(NamedTuple):
    r"""The margins $m_{ic} = \sum_r U_{icr} \langle B_r, w \rangle$ of each row against each other class.

    With two classes there is one margin for each row, $y_i \langle x_i, w \rangle$. With k classes, w is a matrix
    (d, k) as one vector, and there are g = k - 1 margins $\langle x_i, w_{y_i} - w_c \rangle$ for each row. The rows
    of B span all rows of the margins. If the rows of X are independent, B has these rows, and otherwise B has fewer, so
    that the null space of $X^\top$ does not occur.

    Attributes:
        factor: U, (n, g, r).
        rows: B (r, size of w).
        sizes: (size of w,) the norms of the columns of X, repeated for each class.
        loss: the loss of the margins of one row.
    """

    factor: jax.Array
    rows: Rows
    sizes: Float64[ndarray, " size"]
    loss: MarginLoss


def margin_rows(problem: Classification) -> MarginRows:
    """Return the margins of a problem; call it inside `double_precision`.

    Raises:
        InputError: X is sparse.
    """
    X = problem.linear_map.storage().dense
    if X is None:
        raise InputError(
            "X is sparse, but mirror flows can be simulated only with a dense X; if it fits into memory, type "
            "ib.Classification(X.toarray(), y)"
        )
    X = np.asarray(X, dtype=np.float64).reshape(len(problem.y), -1)
    loss = problem.double_objective.mean_loss.loss.of_margins
    assert loss is not None  # All losses of a classification are losses of margins.
    if not problem.by_classes:
        return two_class_rows(X, problem.y, loss)
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    left, right = _factored(X, norms)
    classes = len(problem.classes)
    factor = _class_differences(left, problem.y, classes)
    return _rows(factor, np.kron(right, np.eye(classes)), np.repeat(norms, classes), loss)


def two_class_rows(X: Float64[ndarray, "n d"], y: ndarray, loss: MarginLoss) -> MarginRows:
    """Return the margins y_i <x_i, w> for labels y_i = -1 or 1; call it inside `double_precision`."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    left, right = _factored(X, norms)
    return _rows((y[:, None] * left)[:, None, :], right, norms, loss)


def _rows(factor: ndarray, B: ndarray, sizes: ndarray, loss: MarginLoss) -> MarginRows:
    squares = np.einsum("ij,ij->j", B, B)
    rows = Rows(jnp.asarray(B), jnp.asarray(np.ascontiguousarray(B.T)), jnp.asarray(squares))
    return MarginRows(jnp.asarray(factor), rows, sizes, loss)


def _factored(X: ndarray, norms: ndarray) -> tuple[ndarray, ndarray]:
    """Return U and B with X = U B, where U is the identity or an orthonormal basis of the range of X."""
    # The columns are compared after division by their norms, so that each column of B is accurate relative to its size.
    left, singular, _ = np.linalg.svd(X[:, norms > 0.0] / norms[norms > 0.0], full_matrices=False)
    rank = int(np.sum(singular > max(X.shape) * EPSILON * np.max(singular, initial=0.0)))
    if rank == len(X):
        return np.eye(len(X)), X
    return left[:, :rank], left[:, :rank].T @ X


def _class_differences(left: ndarray, labels: ndarray, classes: int) -> ndarray:
    """Return the rows u_i (e_y - e_c) for each class c other than y as vectors of length r k, (n, k - 1, r k)."""
    n, rank = left.shape
    unit = np.eye(classes)
    others = np.array([[c for c in range(classes) if c != label] for label in range(classes)])[labels]
    differences = unit[labels][:, None, :] - unit[others]
    return np.einsum("ir,igc->igrc", left, differences).reshape(n, classes - 1, rank * classes)
