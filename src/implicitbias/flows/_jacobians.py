"""Jacobians of predictions by the structure of their readout: products, transposed products, kernel."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from implicitbias._core.trees import TreeShape
from implicitbias.parametrizations import Diagonal, FactoredMatrix
from implicitbias.problems import Entries, Kind, Linear, Model, Reparametrized


class Jacobian(NamedTuple):
    """J: (p,) -> (n, k) at one point, where the predictions are these.

    `gram` is the tangent kernel J J^T (n, k, n, k), `matrix` J itself (n, k, p).
    """

    predictions: jax.Array
    mv: Callable[[jax.Array], jax.Array]
    rmv: Callable[[jax.Array], jax.Array]
    gram: Callable[[], jax.Array]
    matrix: Callable[[], jax.Array]


def jacobian(readout: Kind, shape: TreeShape, u: jax.Array, *, matrix_free: bool, by_rows: bool) -> Jacobian:
    """The Jacobian at u: as products only where `matrix_free`, else as an array."""

    def predictions(point: jax.Array) -> jax.Array:
        return readout(shape.unflatten(point))

    if matrix_free:
        at, mv = jax.linearize(predictions, u)
        transpose = jax.linear_transpose(mv, u)
        return Jacobian(
            at,
            mv,
            lambda r: transpose(r)[0],
            lambda: _kernel(readout, shape.unflatten(u))[:, None, :, None],
            lambda: jax.jacrev(predictions)(u),
        )
    if isinstance(readout, Linear):
        return _from_matrix(readout.X[:, None, :], predictions(u))
    if isinstance(readout, Model) and by_rows:
        return _from_matrix(*_row_by_row(readout, shape, u))
    return _from_matrix(*_with_value(predictions, u))


def _row_by_row(readout: Model, shape: TreeShape, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """J (n, k, p) and predictions, each row from its own input: n times less than through the whole batch."""

    def row(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return _with_value(lambda point: readout.row(shape.unflatten(point), x), u)

    return jax.vmap(row)(readout.X)


def _with_value(function: Callable[[jax.Array], jax.Array], u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The Jacobian of a function at u, and its value there."""

    def twice(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = function(point)
        return value, value

    return jax.jacrev(twice, has_aux=True)(u)


def _from_matrix(values: jax.Array, predictions: jax.Array) -> Jacobian:
    n, k, p = values.shape
    flat = values.reshape(n * k, p)
    return Jacobian(
        predictions,
        lambda v: values @ v,
        lambda r: r.reshape(-1) @ flat,
        lambda: (flat @ flat.T).reshape(n, k, n, k),
        lambda: values,
    )


def has_kernel(readout: Kind) -> bool:
    """Whether the tangent kernel follows from the structure, without the Jacobian."""
    if isinstance(readout, Reparametrized):
        entries = isinstance(readout.linear, Entries)
        return isinstance(readout.G, Diagonal) or (entries and isinstance(readout.G, FactoredMatrix))
    return isinstance(readout, Entries)


def _kernel(readout: Kind, theta: object) -> jax.Array:
    """J J^T (n, n) of a readout that `has_kernel`."""
    if isinstance(readout, Entries):
        return _same_entry(readout) * 1.0
    assert isinstance(readout, Reparametrized)
    G, linear = readout.G, readout.linear
    if isinstance(G, FactoredMatrix):
        assert isinstance(linear, Entries)
        return G.entry_kernel(theta, linear.rows, linear.cols)
    assert isinstance(G, Diagonal)
    metric = G.metric(theta)
    if isinstance(linear, Linear):
        return (linear.X * metric) @ linear.X.T
    return jnp.where(_same_entry(linear), metric[linear.rows, linear.cols], 0.0)


def _same_entry(readout: Entries) -> jax.Array:
    rows, cols = readout.rows, readout.cols
    return (rows[:, None] == rows) & (cols[:, None] == cols)
