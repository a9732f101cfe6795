"""Checks of data whose rows are matrices."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import DenseMap
from implicitbias._core.matrix_maps import MatricesMap
from implicitbias.problems._rows import LARGEST, SMALLEST


def holds_matrices(X: Any) -> bool:
    """Return whether X is an array of matrices, (n, p, q)."""
    try:
        return np.ndim(X) == 3
    except ValueError:  # The rows have unequal lengths; the check of a matrix X reports this.
        return False


def checked_matrices(X: Any, targets: int) -> MatricesMap:
    """Return X (n, p, q) as a linear map of matrices.

    Raises:
        InputError: the number of matrices is not `targets`, they are empty, or entries are NaN, infinite or extreme.
    """
    array = real_array(X, "X", ndim=3)
    n, p, q = array.shape
    if p == 0 or q == 0 or n < 2:
        raise InputError(f"X has shape {array.shape}, at least two matrices that are not empty are expected")
    if n != targets:
        hint = "; type X = numpy.moveaxis(X, -1, 0)" if targets == q else ""
        raise InputError(f"X has {n} matrices and y has {targets} values, they must agree{hint}")
    sizes = np.max(np.abs(array), axis=0)
    bad = np.argwhere((sizes > LARGEST) | ((sizes > 0.0) & (sizes < SMALLEST)))
    if len(bad):
        i, j = bad[0]
        raise InputError(
            f"X holds magnitudes outside [{SMALLEST:g}, {LARGEST:g}], the first in X[:, {i}, {j}], whose squares "
            "exceed the range of float64; change the unit, for instance type X = X / abs(X).max()"
        )
    flat = np.asfortranarray(array.reshape(n, p * q))
    return MatricesMap(DenseMap(frozen(flat)), (p, q))


def checked_matrix(w: Any, name: str, shape: tuple[int, ...], meaning: str = "") -> Float64[ndarray, "p q"]:
    """Return w as a matrix of this shape, or raise an `InputError` with the meaning of the shape."""
    array = real_array(w, name, ndim=2)
    if array.shape != shape:
        hint = f"; type {name} = {name}.T" if array.shape == shape[::-1] else ""
        raise InputError(f"{name} has shape {array.shape}, {shape} is expected{meaning}{hint}")
    return array
