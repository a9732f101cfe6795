"""Products with the Jacobian of a model with dense layers, from the derivatives in the responses of its layers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from implicitbias.predictors._layer_kernel import Derivatives, RowModel, derivatives, response_change
from implicitbias.predictors._traced_jacobian import TracedJacobian

# Up to this number of outputs, products by layers are used. With 1 output they took 16 ms where differentiation took
# 18 ms, and with 10 outputs both took 9 ms, because the derivatives in the responses are read from memory.
_MOST_OUTPUTS = 4


def with_layers(
    plain: TracedJacobian, row: RowModel, unflatten: Callable[[jax.Array], Any], u: jax.Array, X: jax.Array
) -> TracedJacobian:
    """Return the Jacobian whose kernels and products use the dense layers of the model of a row.

    A product by layers needs one product of matrices for each layer, and a product by differentiation needs two.
    """
    found = derivatives(row, unflatten(u), X)
    factors = found.factors()

    def rooted(roots: jax.Array) -> jax.Array:
        turned = factors.rooted(roots)
        return turned.gram(turned)

    known = plain._replace(gram=lambda: factors.gram(factors), rooted_gram=rooted)
    if not _saves(found, len(u)):
        return known
    change = response_change(row, unflatten, u, X)

    def mv(v: jax.Array) -> jax.Array:
        moved, loose = change(v)
        parts = [jnp.einsum("nkb,nb->nk", slope, m) for slope, m in zip(found.responses, moved, strict=True)]
        return sum(parts, start=found.loose @ loose)

    back = jax.linear_transpose(mv, u)
    return known._replace(mv=mv, rmv=lambda r: back(r)[0])


def _saves(found: Derivatives, p: int) -> bool:
    """Return whether the derivatives in the responses are small enough to be worth storing and reading."""
    k = found.loose.shape[1]
    entries = k * (sum(slope.shape[-1] for slope in found.responses) + found.loose.shape[-1])
    return k <= _MOST_OUTPUTS and 2 * entries <= p
