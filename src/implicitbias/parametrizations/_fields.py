"""The vector fields grad G_i of a parametrization on flat vectors, their brackets, and the points that they reach."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.ivp import integrated
from implicitbias._core.modules import PlainModule
from implicitbias._core.trees import TreeShape, tree_shape

# A direction in theta at a point.
Field = Callable[[jax.Array], jax.Array]

_RTOL, _STEPS = 1e-12, 2000
# Norms of Hessians are estimated from this many random products, and computed from all products below this size.
_PROBES = 32


class Outputs(PlainModule):
    """The entries of w as functions of the flat parameters.

    Attributes:
        G: the map, with a method `formula`.
        shape: the layout of its parameters.
    """

    G: Any
    shape: TreeShape

    def __call__(self, flat: jax.Array) -> jax.Array:
        """Return the entries of w in row order, (d,)."""
        return jnp.ravel(self.G.formula(self.shape.unflatten(flat)))

    def pulled(self, flat: jax.Array, a: jax.Array) -> jax.Array:
        """Return the field sum_i a_i grad G_i, (D,)."""
        return jax.vjp(self, flat)[1](a)[0]

    def field(self, a: jax.Array) -> Field:
        """Return the field sum_i a_i grad G_i."""
        return lambda flat: self.pulled(flat, a)


def outputs_of(G: Any, theta0: Any) -> tuple[Outputs, Float64[ndarray, " D"]]:
    """Return the entries of w as functions of the flat parameters, and the flat start.

    Raises:
        InputError: theta0 does not fit the map.
    """
    shape, flat = tree_shape(G.checked(theta0, "theta0"), "theta0")
    return Outputs(G, shape), flat


def bracket(one: Field, two: Field) -> Field:
    """Return the Lie bracket [X, Y] = DY X - DX Y; for gradients it is Hess G_j grad G_i - Hess G_i grad G_j."""
    return lambda flat: bracket_and_size(one, two, flat)[0]


def bracket_and_size(one: Field, two: Field, flat: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the Lie bracket of two fields at a point, and the sum of the norms of its two products."""
    forth = jax.jvp(two, (flat,), (one(flat),))[1]
    back = jax.jvp(one, (flat,), (two(flat),))[1]
    return forth - back, jnp.linalg.norm(forth) + jnp.linalg.norm(back)


def traced_outputs(G: Any, theta0: Any) -> tuple[Outputs, jax.Array]:
    """Return the same as `outputs_of` for parameters that are already checked and that JAX may trace."""
    parts, rest = eqx.partition(theta0, eqx.is_inexact_array)
    leaves = jax.tree_util.tree_leaves_with_path(parts)
    shapes, names = tuple(jnp.shape(leaf) for _, leaf in leaves), tuple(str(path) for path, _ in leaves)
    shape = TreeShape(rest, jax.tree.structure(parts), shapes, names)
    return Outputs(G, shape), shape.flatten(theta0)


class Brackets(NamedTuple):
    """The brackets of the gradients of the entries of w at one point.

    Attributes:
        values: (d, d, D) the bracket [grad G_i, grad G_j] at (i, j).
        jacobian: (d, D) the gradients.
        hessian_norms: (d,) the Frobenius norms of the Hessians, exact or estimated.
        measures: (d, d) the norms of the brackets relative to |Hess G_j| |grad G_i| + |Hess G_i| |grad G_j|.
    """

    values: Any
    jacobian: Any
    hessian_norms: Any
    measures: Any


def brackets_at(function: Field, flat: jax.Array, probes: jax.Array) -> Brackets:
    """Return the brackets of the gradients of the entries of a function at a point.

    All products of Hessians with vectors come from one derivative of the Jacobian for each vector.
    """
    jacobian = jax.jacrev(function)

    def products(v: jax.Array) -> jax.Array:
        return jax.jvp(jacobian, (flat,), (v,))[1]

    gradients = jacobian(flat)
    d = len(gradients)
    all_products = jax.lax.map(products, jnp.concatenate([gradients, probes]), batch_size=16)
    moved, probed = all_products[:d], all_products[d:]  # moved[i, j] = Hess G_j grad G_i
    sizes = jnp.linalg.norm(gradients, axis=1)
    # For random probes this is the estimate of Hutchinson; for the units it is the Frobenius norm.
    scale = len(flat) / jnp.sum(probes**2)
    norms = jnp.sqrt(scale * jnp.sum(probed**2, axis=(0, 2)))
    values = moved - jnp.swapaxes(moved, 0, 1)
    scales = norms * sizes[:, None] + norms[:, None] * sizes
    measures = jnp.linalg.norm(values, axis=2) / jnp.where(scales > 0.0, scales, 1.0)
    return Brackets(values, gradients, norms, measures)


def probes_for(size: int) -> Float64[ndarray, "p D"]:
    """Return the vectors that the Hessians are multiplied by to find their norms."""
    if size <= _PROBES:
        return np.eye(size)
    return np.random.default_rng(0).choice([-1.0, 1.0], (_PROBES, size))


@eqx.filter_jit
def reached(outputs: Outputs, start: Any, weights: Any, length: Any) -> jax.Array:
    """Return points (k + 1, D) that flows of combinations of the fields reach one after the other.

    Args:
        outputs: the map.
        start: (D,) the first point.
        weights: (k, d) the weights of the fields in each combination.
        length: the length of each piece of the path. The fields are scaled to this speed, which leaves their paths
            as they are and keeps them finite.
    """

    def piece(flat: jax.Array, a: jax.Array) -> tuple[jax.Array, jax.Array]:
        def field(_: Any, point: jax.Array) -> jax.Array:
            along = outputs.pulled(point, a)
            size = jnp.linalg.norm(along)
            return length * along / jnp.where(size > 0.0, size, 1.0)

        end, ok = integrated(field, flat, rtol=_RTOL, atol=_RTOL * length, max_steps=_STEPS)
        end = jnp.where(ok, end, flat)  # A piece that meets a singularity is left out.
        return end, end

    return jnp.concatenate([start[None], jax.lax.scan(piece, start, weights)[1]])
