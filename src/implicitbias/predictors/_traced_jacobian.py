"""The Jacobian of predictions at one point in a form that JAX can trace."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Kernels(NamedTuple):
    """The functions `gram` and `rooted_gram` of a `TracedJacobian`."""

    gram: Callable[[], jax.Array]
    rooted_gram: Callable[[jax.Array], jax.Array]


class TracedJacobian(NamedTuple):
    """The Jacobian J: (p,) -> (n, k) of the predictions at one point.

    Attributes:
        predictions: the predictions at the point, (n, k).
        mv: the product v -> J v.
        rmv: the product r -> J^T r.
        gram: a function that returns the tangent kernel J J^T, (n, k, n, k).
        rooted_gram: a function that returns R^T J J^T R (n, k, n, k) for a block diagonal matrix R (n, k, k).
        normal: a function that returns J^T R R^T J, (p, p).
        matrix: a function that returns the entries of J, (n, k, p).
    """

    predictions: jax.Array
    mv: Callable[[jax.Array], jax.Array]
    rmv: Callable[[jax.Array], jax.Array]
    gram: Callable[[], jax.Array]
    rooted_gram: Callable[[jax.Array], jax.Array]
    normal: Callable[[jax.Array], jax.Array]
    matrix: Callable[[], jax.Array]


def by_products(
    function: Callable[[jax.Array], jax.Array], u: jax.Array, known: Kernels | None
) -> TracedJacobian:
    """Return the Jacobian of a function at the vector u, given by products; `known` is its kernel if that is known."""
    at, mv = jax.linearize(function, u)
    transpose = jax.linear_transpose(mv, u)

    plain = from_products(at, mv, lambda r: transpose(r)[0], lambda: jax.jacrev(function)(u))
    return plain if known is None else plain._replace(gram=known.gram, rooted_gram=known.rooted_gram)


def from_products(
    predictions: jax.Array,
    mv: Callable[[jax.Array], jax.Array],
    rmv: Callable[[jax.Array], jax.Array],
    matrix: Callable[[], jax.Array],
) -> TracedJacobian:
    """Return the Jacobian with these products, whose kernels are computed from its entries."""
    return TracedJacobian(
        predictions,
        mv,
        rmv,
        lambda: from_matrix(matrix(), predictions).gram(),
        lambda roots: from_matrix(matrix(), predictions).rooted_gram(roots),
        lambda roots: from_matrix(matrix(), predictions).normal(roots),
        matrix,
    )


def kernels_of(gram: Callable[[], jax.Array]) -> Kernels:
    """Return both functions if the tangent kernel is known."""

    def rooted(roots: jax.Array) -> jax.Array:
        return jnp.einsum("nkl,nkmi,mij->nlmj", roots, gram(), roots, optimize="optimal")

    return Kernels(gram, rooted)


def from_matrix(values: jax.Array, predictions: jax.Array) -> TracedJacobian:
    """Return the Jacobian with the given entries, (n, k, p)."""
    n, k, p = values.shape
    flat = values.reshape(n * k, p)

    def gram_of(rows: jax.Array) -> jax.Array:
        return (rows @ rows.T).reshape(n, k, n, k)

    def turned(roots: jax.Array) -> jax.Array:
        return jnp.einsum("nkl,nkp->nlp", roots, values).reshape(n * k, p)

    def normal(roots: jax.Array) -> jax.Array:
        rows = turned(roots)
        return rows.T @ rows

    return TracedJacobian(
        predictions,
        lambda v: values @ v,
        lambda r: r.reshape(-1) @ flat,
        lambda: gram_of(flat),
        lambda roots: gram_of(turned(roots)),
        normal,
        lambda: values,
    )


def with_value(function: Callable[[jax.Array], jax.Array], u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the Jacobian and the value of a function at u."""

    def twice(point: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = function(point)
        return value, value

    return jax.jacrev(twice, has_aux=True)(u)
