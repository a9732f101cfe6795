"""The Jacobian of predictions at one point, as JAX traces it: products, transposed products, kernel."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class TracedJacobian(NamedTuple):
    """J: (p,) -> (n, k) at one point, where the predictions are these.

    `gram` is the tangent kernel J J^T (n, k, n, k), `matrix` J itself (n, k, p).
    """

    predictions: jax.Array
    mv: Callable[[jax.Array], jax.Array]
    rmv: Callable[[jax.Array], jax.Array]
    gram: Callable[[], jax.Array]
    matrix: Callable[[], jax.Array]


def by_products(
    function: Callable[[jax.Array], jax.Array], u: jax.Array, gram: Callable[[], jax.Array] | None
) -> TracedJacobian:
    """Return the Jacobian of a function of a vector as products; `gram` is its kernel where that is known."""
    at, mv = jax.linearize(function, u)
    transpose = jax.linear_transpose(mv, u)

    def matrix() -> jax.Array:
        return jax.jacrev(function)(u)

    def dense_gram() -> jax.Array:
        return from_matrix(matrix(), at).gram()

    return TracedJacobian(at, mv, lambda r: transpose(r)[0], gram or dense_gram, matrix)


def from_matrix(values: jax.Array, predictions: jax.Array) -> TracedJacobian:
    """Return the Jacobian whose entries are known, (n, k, p)."""
    n, k, p = values.shape
    flat = values.reshape(n * k, p)
    return TracedJacobian(
        predictions,
        lambda v: values @ v,
        lambda r: r.reshape(-1) @ flat,
        lambda: (flat @ flat.T).reshape(n, k, n, k),
        lambda: values,
    )


def with_value(function: Callable[[jax.Array], jax.Array], u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the Jacobian of a function at u, and its value there."""

    def twice(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = function(point)
        return value, value

    return jax.jacrev(twice, has_aux=True)(u)
