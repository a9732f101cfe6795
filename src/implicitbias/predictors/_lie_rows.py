"""Random combinations of the gradients of w and of their brackets, which span the directions that flows can take."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias.parametrizations import Outputs, bracket, bracket_and_size

# Singular values below this share of the largest one count as 0; the fields are scaled to length 1.
_RANK = 1e-9
# Brackets below this share of their two products are rounding errors.
_ROUNDING = 1e-10
# These programs run a few times only, and their compilation takes nearly all of the time: LLVM optimises nothing.
_QUICKLY_COMPILED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


# All points are evaluated by one program, because its compilation takes longer than the evaluation of a small network.
@eqx.filter_jit(compiler_options=_QUICKLY_COMPILED)  # type: ignore[call-overload]
def combined(outputs: Outputs, flat: Any, weights: Any) -> jax.Array:
    """Return the combinations of the fields with these weights at a point, (n, D)."""
    return jax.vmap(jax.vjp(outputs, flat)[1])(weights)[0]


def nested(
    outputs: Outputs, point: Float64[ndarray, " D"], weights: Float64[ndarray, "n level k"]
) -> Float64[ndarray, "m D"]:
    """Return brackets of combinations of the fields, scaled to length 1; those that are rounding errors are left out.

    Args:
        outputs: the map.
        point: where the brackets are evaluated.
        weights: the weights of the fields in the `level` combinations of each bracket.
    """
    values, sizes = brackets(outputs, point, weights)
    return exact(values, sizes)


def exact(values: Float64[ndarray, "n D"], sizes: Any) -> Float64[ndarray, "m D"]:
    """Return those brackets that are no rounding errors of products of these sizes, scaled to length 1."""
    return scaled(values[np.linalg.norm(values, axis=1) > _ROUNDING * sizes])


def brackets(
    outputs: Outputs, point: Float64[ndarray, " D"], weights: Float64[ndarray, "n level k"]
) -> tuple[Float64[ndarray, "n D"], Float64[ndarray, " n"]]:
    """Return nested brackets of combinations of the fields, and the sizes of the two products of each."""
    values, sizes = _brackets(outputs, point, weights)
    return np.asarray(values), np.asarray(sizes)


@eqx.filter_jit(compiler_options=_QUICKLY_COMPILED)  # type: ignore[call-overload]
def _brackets(outputs: Outputs, flat: Any, weights: Any) -> tuple[jax.Array, jax.Array]:
    """Return nested brackets [[X_1, X_2], ...] of combinations of the fields, and the sizes of their products.

    The weights are (n, level, k), the brackets (n, D) and the sizes (n,).
    """

    def one(some: jax.Array) -> tuple[jax.Array, jax.Array]:
        inner = outputs.field(some[0])
        for a in some[1:-1]:
            inner = bracket(inner, outputs.field(a))
        return bracket_and_size(inner, outputs.field(some[-1]), flat)

    return jax.vmap(one)(weights)


def scaled(rows: ndarray) -> ndarray:
    """Return rows of length 1; rows that are 0 stay 0."""
    sizes = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(sizes > 0.0, sizes, 1.0)


def rank_of(rows: Float64[ndarray, "n D"]) -> int:
    """Return the numerical rank of rows of length 1."""
    values = np.linalg.svd(rows, compute_uv=False)
    return int(np.sum(values > _RANK * max(values[0], 1e-300))) if len(values) else 0


def span_of(rows: Float64[ndarray, "n D"]) -> Float64[ndarray, "r D"]:
    """Return orthonormal rows with the span of rows of length 1."""
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    return vectors[: int(np.sum(values > _RANK * max(values[0], 1e-300)))]
