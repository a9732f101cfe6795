"""Jacobians of predictions by the structure of their readout: products, transposed products, kernel."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from implicitbias._core.trees import TreeShape
from implicitbias.parametrizations import Diagonal, FactoredMatrix
from implicitbias.problems import Entries, Kind, Linear, Model, Reparametrized


class Jacobian(NamedTuple):
    """J: (p,) -> (n, k) at one point; `gram` is the tangent kernel J J^T (n, k, n, k), `matrix` J itself (n, k, p)."""

    mv: Callable[[jax.Array], jax.Array]
    rmv: Callable[[jax.Array], jax.Array]
    gram: Callable[[], jax.Array]
    matrix: Callable[[], jax.Array]


def jacobian(readout: Kind, shape: TreeShape, u: jax.Array, *, matrix_free: bool, by_rows: bool) -> Jacobian:
    """The Jacobian at u: as products only where `matrix_free`, else as an array."""

    def predictions(point: jax.Array) -> jax.Array:
        return readout(shape.unflatten(point))

    if matrix_free:
        _, mv = jax.linearize(predictions, u)
        transpose = jax.linear_transpose(mv, u)
        return Jacobian(
            mv,
            lambda r: transpose(r)[0],
            lambda: _kernel(readout, shape.unflatten(u))[:, None, :, None],
            lambda: jax.jacrev(predictions)(u),
        )
    if isinstance(readout, Linear):
        return _from_matrix(readout.X[:, None, :])
    if isinstance(readout, Model) and by_rows:
        return _from_matrix(_row_by_row(readout, shape, u))
    return _from_matrix(jax.jacrev(predictions)(u))


def _row_by_row(readout: Model, shape: TreeShape, u: jax.Array) -> jax.Array:
    """J (n, k, p), each row from its own input: n times less than through the whole batch."""

    def row(x: jax.Array) -> jax.Array:
        return jax.jacrev(lambda point: readout.row(shape.unflatten(point), x))(u)

    return jax.vmap(row)(readout.X)


def _from_matrix(values: jax.Array) -> Jacobian:
    n, k, p = values.shape
    flat = values.reshape(n * k, p)
    return Jacobian(
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
