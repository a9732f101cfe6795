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

# The largest dense block, unless the caller says otherwise.
BYTES = 2 * 2**30


class LayerFactors(NamedTuple):
    """The Jacobian of one leaf as products: the derivative of prediction (i, k) in entry (a, b) is A_ia D_ikb.

    Attributes:
        leaf: the place of the leaf in the parameters.
        A: (n, a).
        D: (n, k, b); b = 1 for a leaf that is a vector.
    """

    leaf: str
    A: Float64[ndarray, "n a"]
    D: Float64[ndarray, "n k b"]


class Jacobian(Value):
    r"""The Jacobian $J = \partial f / \partial \theta$ of the predictions at one point: (n k, p), a linear operator.

    Rows are the predictions $f_{i,o}$ in row order, columns the entries of the parameters leaf by leaf. Products cost
    about as much as a prediction, and J is formed only where its entries are asked for.
    `scipy.sparse.linalg.aslinearoperator` takes it.

    Made by `Predictor.jacobian`.

    Attributes:
        predictions: (n, k) at the point.
        shape: (n k, p).
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
        """(n k, p): predictions and parameters."""
        return self.predictions.size, len(self.flat)

    def matvec(self, v: Any) -> Float64[ndarray, " nk"]:
        """Return J v for a vector v (p,) of changes of the parameters.

        Raises:
            InputError: a v of another length.
        """
        v = self._checked(v, "v", self.shape[1])
        with double_precision():
            return frozen(np.asarray(_forward(self.predictor, self.tree, self.flat, v)).ravel())

    def rmatvec(self, r: Any) -> Float64[ndarray, " p"]:
        """Return J^T r for a vector r (n k,) of weights of the predictions.

        Raises:
            InputError: an r of another length.
        """
        r = self._checked(r, "r", self.shape[0]).reshape(self.predictions.shape)
        with double_precision():
            return frozen(np.asarray(_backward(self.predictor, self.tree, self.flat, r)))

    def dense(self, rows: slice | None = None, max_bytes: int = BYTES) -> Float64[ndarray, "m p"]:
        """Return a dense block of J.

        Args:
            rows: which of the n k rows; None for all.
            max_bytes: the most memory that the block may take.

        Raises:
            ImplicitBiasError: a larger block.
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
                block = _some_entries(self.predictor, self.tree, self.flat, chosen)
            return frozen(np.asarray(block).reshape(len(chosen), -1))

    def layer_factors(self) -> tuple[LayerFactors, ...] | None:
        """Return the factors of J leaf by leaf, None where the predictions have no such structure that is known."""
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
                f"{name} has {len(array)} entries, the Jacobian is {self.shape}: {size} are expected"
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
