"""The Jacobian of predictions in the parameters, as a linear operator on NumPy vectors."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen, real_array
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias._core.values import Value
from implicitbias.predictors._traced import TracedPredictor

# The default byte budget of a dense block.
BYTES = 2 * 2**30


class LayerFactors(NamedTuple):
    """The factors of the Jacobian of one leaf: the derivative of prediction (i, k) in entry (a, b) is A_ia D_ikb.

    Attributes:
        leaf: the name of the leaf in the pytree of parameters.
        A: the first factor, (n, a).
        D: the second factor, (n, k, b), with b = 1 if the leaf is a vector.
    """

    leaf: str
    A: Float64[ndarray, "n a"]
    D: Float64[ndarray, "n k b"]


class Jacobian(Value):
    r"""The Jacobian $J = \partial f / \partial \theta$ of the predictions at one point, as a linear operator (n k, p).

    Rows correspond to the predictions $f_{i,o}$ in row order, and columns to the entries of the parameters, leaf after
    leaf. A product costs about as much as a prediction, and J is formed only if its entries are requested.
    `scipy.sparse.linalg.aslinearoperator` accepts this object, and `Predictor.jacobian` returns it.

    Attributes:
        predictions: the predictions at the point, (n, k).
        shape: the shape (n k, p).
    """

    predictor: TracedPredictor
    tree: TreeShape
    flat: Float64[ndarray, " p"]
    predictions: Float64[ndarray, "n k"]
    dtype = np.dtype(np.float64)

    def __init__(self, predictor: TracedPredictor, tree: TreeShape, flat: Float64[ndarray, " p"]) -> None:
        with double_precision():
            predictions = np.asarray(_predictions(predictor, tree, flat))
        fields = {
            "predictor": predictor,
            "tree": tree,
            "flat": frozen(flat),
            "predictions": frozen(predictions),
        }
        self._settle(fields)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (n k, p): the number of predictions and of parameters."""
        return self.predictions.size, len(self.flat)

    def matvec(self, v: Any) -> Float64[ndarray, " nk"]:
        """Return J v for a vector v (p,) of changes of the parameters.

        Raises:
            InputError: v has another length.
        """
        v = self._checked(v, "v", self.shape[1])
        with double_precision():
            return frozen(np.asarray(_forward(self.predictor, self.tree, self.flat, v)).ravel())

    def rmatvec(self, r: Any) -> Float64[ndarray, " p"]:
        """Return J^T r for a vector r (n k,) of weights of the predictions.

        Raises:
            InputError: r has another length.
        """
        r = self._checked(r, "r", self.shape[0]).reshape(self.predictions.shape)
        with double_precision():
            return frozen(np.asarray(_backward(self.predictor, self.tree, self.flat, r)))

    def dense(self, rows: slice | None = None, max_bytes: int = BYTES) -> Float64[ndarray, "m p"]:
        """Return a dense block of J.

        Args:
            rows: the slice of the n k rows; None selects all rows.
            max_bytes: the largest accepted size of the block in bytes.

        Raises:
            ImplicitBiasError: the block is larger than `max_bytes`.
        """
        chosen = np.arange(self.shape[0])[slice(None) if rows is None else rows]
        needed = 8 * len(chosen) * self.shape[1]
        if needed > max_bytes:
            raise ImplicitBiasError(
                f"a dense block of {len(chosen)} x {self.shape[1]} entries takes {needed / 2**30:.2g} GiB, at most "
                f"{max_bytes / 2**30:.2g} GiB are allowed; ask for fewer rows, use matvec and rmatvec, or raise "
                "max_bytes"
            )
        with double_precision():
            if len(chosen) == self.shape[0]:
                block = _entries(self.predictor, self.tree, self.flat)
            else:
                block = self._some(chosen)
            return frozen(np.asarray(block).reshape(len(chosen), self.shape[1]))

    def _some(self, chosen: ndarray) -> Any:
        """Return the rows of J with these numbers."""
        k = self.predictions.shape[1]
        inputs = np.unique(chosen // k)
        part = self.predictor.subset(inputs)
        if part is None:
            return _some_entries(self.predictor, self.tree, self.flat, chosen)
        block = np.asarray(_entries(part, self.tree, self.flat)).reshape(len(inputs) * k, -1)
        place = np.searchsorted(inputs, chosen // k) * k + chosen % k
        whole = len(place) == len(block) and np.array_equal(place, np.arange(len(block)))
        return block if whole else block[place]

    def layer_factors(self) -> tuple[LayerFactors, ...] | None:
        """Return the factors of J for each leaf, or None if no factors are known for this kind of predictor."""
        with double_precision():
            params = self.tree.unflatten(jnp.asarray(self.flat))
            found = self.predictor.layer_factors(params)
            if found is None:
                return None
            return tuple(
                LayerFactors(name, frozen(np.asarray(A)), frozen(np.asarray(D)))
                for name, (A, D) in zip(self.tree.names, found, strict=True)
            )

    def _checked(self, value: Any, name: str, size: int) -> Float64[ndarray, " m"]:
        array = real_array(value, name, ndim=1)
        if len(array) != size:
            raise InputError(
                f"{name} has {len(array)} entries, {size} are expected for a Jacobian of shape {self.shape}"
            )
        return array

    def __repr__(self) -> str:
        return f"Jacobian(shape={self.shape})"


def _function(predictor: TracedPredictor, tree: TreeShape) -> Any:
    return lambda point: predictor(tree.unflatten(point))


@eqx.filter_jit
def _predictions(predictor: TracedPredictor, tree: TreeShape, flat: Any) -> jax.Array:
    return predictor(tree.unflatten(flat))


@eqx.filter_jit
def _forward(predictor: TracedPredictor, tree: TreeShape, flat: Any, v: Any) -> jax.Array:
    return jax.jvp(_function(predictor, tree), (flat,), (v,))[1]


@eqx.filter_jit
def _backward(predictor: TracedPredictor, tree: TreeShape, flat: Any, r: Any) -> jax.Array:
    return jax.vjp(_function(predictor, tree), flat)[1](r)[0]


@eqx.filter_jit
def _entries(predictor: TracedPredictor, tree: TreeShape, flat: Any) -> jax.Array:
    return predictor.jacobian(tree, jnp.asarray(flat), dense=True).matrix()


@eqx.filter_jit
def _some_entries(predictor: TracedPredictor, tree: TreeShape, flat: Any, rows: Any) -> jax.Array:
    predictions, back = jax.vjp(_function(predictor, tree), jnp.asarray(flat))

    def one(row: jax.Array) -> jax.Array:
        unit = jnp.zeros(predictions.size).at[row].set(1.0)
        return back(unit.reshape(predictions.shape))[0]

    return jax.vmap(one)(jnp.asarray(rows))
