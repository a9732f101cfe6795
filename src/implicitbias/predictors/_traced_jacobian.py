"""The Jacobian of predictions at one point in a form that JAX can trace."""

from collections.abc import Callable
from typing import NamedTuple

import jax


class TracedJacobian(NamedTuple):
    """The Jacobian J: (p,) -> (n, k) of the predictions at one point.

    Attributes:
        predictions: the predictions at the point, (n, k).
        mv: the product v -> J v.
        rmv: the product r -> J^T r.
        gram: a function that returns the tangent kernel J J^T, (n, k, n, k).
        matrix: a function that returns the entries of J, (n, k, p).
    """

    predictions: jax.Array
    mv: Callable[[jax.Array], jax.Array]
    rmv: Callable[[jax.Array], jax.Array]
    gram: Callable[[], jax.Array]
    matrix: Callable[[], jax.Array]


def by_products(
    function: Callable[[jax.Array], jax.Array], u: jax.Array, gram: Callable[[], jax.Array] | None
) -> TracedJacobian:
    """Return the Jacobian of a function at the vector u, given by products; `gram` is its kernel if that is known."""
    at, mv = jax.linearize(function, u)
    transpose = jax.linear_transpose(mv, u)

    def matrix() -> jax.Array:
        return jax.jacrev(function)(u)

    def dense_gram() -> jax.Array:
        return from_matrix(matrix(), at).gram()

    return TracedJacobian(at, mv, lambda r: transpose(r)[0], gram or dense_gram, matrix)


def from_matrix(values: jax.Array, predictions: jax.Array) -> TracedJacobian:
    """Return the Jacobian with the given entries, (n, k, p)."""
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
    """Return the Jacobian and the value of a function at u."""

    def twice(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = function(point)
        return value, value

    return jax.jacrev(twice, has_aux=True)(u)
