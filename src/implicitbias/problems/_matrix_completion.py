"""Matrix completion: least squares on observed entries of a matrix."""

from operator import index
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import InputError
from implicitbias._core.linear_maps import EntriesMap
from implicitbias.problems._in_w import ProblemInW
from implicitbias.problems._matrices import checked_matrix
from implicitbias.problems._rows import refuse_extreme


class MatrixCompletion(ProblemInW):
    r"""The problem $L(W) = \frac{1}{2n} \sum_i (W_{r_i c_i} - v_i)^2$ of `LeastSquares.entries`.

    Attributes:
        linear_map: the linear map from W to its observed entries.
        values: (n,) the observed values, read-only.
    """

    linear_map: EntriesMap
    values: Float64[ndarray, " n"]

    def __init__(self, rows: Any, cols: Any, values: Any, shape: Any) -> None:
        shape = _checked_shape(shape)
        values = real_array(values, "values", ndim=1)
        if len(values) == 0:
            raise InputError("values is empty, at least one observed entry is expected")
        refuse_extreme(values, "values")
        self._settle(
            {
                "linear_map": EntriesMap(
                    _indices(rows, "rows", shape[0], len(values)),
                    _indices(cols, "cols", shape[1], len(values)),
                    shape,
                ),
                "values": frozen(values),
            }
        )

    @property
    def rows(self) -> Int64[ndarray, " n"]:
        """The rows of the observed entries, (n,)."""
        return self.linear_map.rows

    @property
    def cols(self) -> Int64[ndarray, " n"]:
        """The columns of the observed entries, (n,)."""
        return self.linear_map.cols

    @property
    def targets(self) -> Float64[ndarray, " n"]:
        """The observed values, (n,); all least-squares problems have this attribute."""
        return self.values

    @property
    def predictor_shape(self) -> tuple[int, ...]:
        """The shape (m, k) of W."""
        return self.linear_map.domain

    def predictor(self, w: Any, name: str = "w") -> Float64[ndarray, "m k"]:
        """Return `w` as a checked float64 matrix."""
        return checked_matrix(w, name, self.predictor_shape)

    def objective(self) -> Any:
        """Return the `Objective` in W with JAX arrays; call it inside `double_precision`."""
        import jax.numpy as jnp

        from implicitbias.problems._loss import Squared
        from implicitbias.problems._objective import Linear, MeanLoss, Objective

        return Objective(
            Linear(self.linear_map.traced()), MeanLoss(jnp.asarray(self.values)[:, None], Squared())
        )

    def __repr__(self) -> str:
        return f"LeastSquares.entries(n={len(self.values)}, shape={self.predictor_shape})"


def _checked_shape(shape: Any) -> tuple[int, int]:
    try:
        m, k = (index(size) for size in shape)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"shape is {shape!r}, a pair of whole numbers is expected: type shape=(20, 20)"
        ) from error
    if m < 1 or k < 1:
        raise InputError(f"shape is {shape!r}, two positive sizes are expected: type shape=(20, 20)")
    return m, k


def _indices(value: Any, name: str, size: int, n: int) -> Int64[ndarray, " n"]:
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array, and its mask would be lost; drop the masked entries")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name} is not an array of indices: {error}") from error
    if array.shape != (n,):
        raise InputError(
            f"{name} has shape {array.shape} and values has {n} entries; one index for each value is expected: ({n},)"
        )
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{name} is an array of {array.dtype}, integers are expected; "
            f"type {name} = numpy.asarray({name}).astype(int) if they are whole numbers"
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= size:
        hint = f"; if they count from 1, type {name} = {name} - 1" if low == 1 and high == size else ""
        raise InputError(
            f"{name} lies in [{low}, {high}], indices from 0 to {size - 1} are expected "
            f"for shape[{int(name == 'cols')}] = {size}{hint}"
        )
    return frozen(array.astype(np.int64))
