"""The Jacobian of dense layers in factors, and the tangent kernel that is computed from the factors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from implicitbias.predictors._flat_program import Constant, FlatProgram
from implicitbias.predictors._layers import Entry, Layer, layers_of
from implicitbias.predictors._traced_jacobian import Kernels

# A function (params, x) -> (k,) that predicts one row.
RowModel = Callable[[Any, jax.Array], jax.Array]


class Factors(NamedTuple):
    """The Jacobian of the predictions of n rows in factors.

    Attributes:
        layers: for each dense layer the factors A (n, a) and D (n, k, b). The derivative of prediction (i, k) in the
            entries of the layer is A_ia D_ikb, in some order of the entries.
        loose: the derivatives in the entries of all other leaves, (n, k, q).
    """

    layers: tuple[tuple[jax.Array, jax.Array], ...]
    loose: jax.Array

    def rooted(self, roots: jax.Array) -> "Factors":
        """Return the factors of R^T J for a block diagonal matrix R (n, k, k)."""

        def turned(D: jax.Array) -> jax.Array:
            return jnp.einsum("nkl,nkb->nlb", roots, D)

        return Factors(tuple((A, turned(D)) for A, D in self.layers), turned(self.loose))

    def gram(self, other: "Factors") -> jax.Array:
        r"""Return $\sum_l (A_l A_l'^\top) (D_l D_l'^\top) + J J'^\top$ with the loose J, (n, k, m, k)."""
        kernel = _products(self.loose, other.loose)
        for (A, D), (A2, D2) in zip(self.layers, other.layers, strict=True):
            kernel = kernel + (A @ A2.T)[:, None, :, None] * _products(D, D2)
        return kernel

    def kernels(self) -> Kernels:
        """Return the functions that compute the tangent kernel of the Jacobian with these factors."""

        def rooted(roots: jax.Array) -> jax.Array:
            turned = self.rooted(roots)
            return turned.gram(turned)

        return Kernels(lambda: self.gram(self), rooted)


def layer_sizes(row: RowModel, params: Any, x: jax.Array) -> tuple[tuple[int, int], ...]:
    """Return the sizes (a, b) of the factors of each dense layer; it is empty if the model has none."""
    found = _RowProgram(row, params, x)
    return tuple(
        (found.activation_size(layer) + len(layer.biases), layer.size)
        for layer in found.layers
        if layer.entry.kind == "product"
    )


def factors(row: RowModel, params: Any, X: jax.Array) -> Factors:
    """Return the factors of the Jacobian at the rows X, where `row` predicts one row."""
    return jax.vmap(lambda x: _RowProgram(row, params, x).factors())(X)


def _products(left: jax.Array, right: jax.Array) -> jax.Array:
    """Return the products of all rows of (n, k, b) with all rows of (m, k, b), (n, k, m, k)."""
    n, k, b = left.shape
    m, k2, _ = right.shape
    return (left.reshape(n * k, b) @ right.reshape(m * k2, b).T).reshape(n, k, m, k2)


class _RowProgram:
    """The program of one row, its dense layers, and the values of its inputs."""

    def __init__(self, row: RowModel, params: Any, x: jax.Array) -> None:
        parts, rest = eqx.partition(params, eqx.is_inexact_array)
        leaves, structure = jax.tree.flatten(parts)

        def predict(values: list[jax.Array], inputs: jax.Array) -> jax.Array:
            return row(eqx.combine(jax.tree.unflatten(structure, values), rest), inputs)

        self.program = FlatProgram.of(jax.make_jaxpr(predict)(leaves, x))
        self.leaves, self.x = leaves, x
        self.layers = layers_of(self.program, len(leaves))
        entered = {entry.leaf for layer in self.layers for entry in (layer.entry, *layer.biases)}
        self.loose = [index for index in range(len(leaves)) if index not in entered]

    def activation_size(self, layer: Layer) -> int:
        return self.program.operations[layer.operation].size(layer.entry.activation)

    def loose_vector(self) -> tuple[jax.Array, Callable[[jax.Array], list[jax.Array]]]:
        """Return the leaves outside layers as one vector (q,), and the function that restores them."""
        loose, restore = ravel_pytree([self.leaves[index] for index in self.loose])
        # The empty vector has another type.
        return loose.astype(self.leaves[0].dtype), restore

    def factors(self) -> Factors:
        """Return the factors A (a,) and D (k, b) of the layers, and the derivatives (k, q) in the other leaves."""
        loose, restore = self.loose_vector()
        zeros = [jnp.zeros(layer.size, self.leaves[0].dtype) for layer in self.layers]

        def shifted(shifts: list[jax.Array], point: jax.Array) -> tuple[jax.Array, Any]:
            leaves = list(self.leaves)
            for index, value in zip(self.loose, restore(point) if self.loose else [], strict=True):
                leaves[index] = value
            run = self._run(leaves, shifts)
            return run.outputs, run.parts

        (slopes, slopes_loose), parts = jax.jacrev(shifted, argnums=(0, 1), has_aux=True)(zeros, loose)
        pairs = zip(slopes, parts, strict=True)
        return Factors(tuple((A, slope * gain) for slope, (A, gain) in pairs), slopes_loose)

    def _run(self, leaves: list[jax.Array], shifts: list[jax.Array]) -> "_Run":
        """Run the program with shifts that are added to the responses of the layers."""
        values: dict[int, Any] = dict(zip(self.program.inputs, [*leaves, self.x], strict=True))
        enters = {layer.operation: index for index, layer in enumerate(self.layers)}
        ends = {layer.end: index for index, layer in enumerate(self.layers)}
        parts: list[Any] = [None] * len(self.layers)

        def value(item: Any) -> Any:
            return item.value if isinstance(item, Constant) else values[item]

        for position, operation in enumerate(self.program.operations):
            operands = [value(item) for item in operation.operands]
            if position in enters:
                layer = self.layers[enters[position]]
                activation = operands[layer.entry.activation]
                parts[enters[position]] = _factor(layer, activation, value, leaves[0].dtype)
            results = operation.run(operands)
            if position in ends:
                results[0] = results[0] + shifts[ends[position]].reshape(results[0].shape)
            values.update(zip(operation.results, results, strict=True))
        return _Run(value(self.program.outputs[0]), parts)


class _Run(NamedTuple):
    """The outputs (k,), and for each layer A (a,) and the factor (b,) of the derivative in its response."""

    outputs: jax.Array
    parts: list[Any]


def _factor(
    layer: Layer, activation: Any, value: Callable[[Any], Any], dtype: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the first factor A (a,) of a layer, and the numbers (b,) by which D is multiplied."""

    def scale(entry: Entry) -> jax.Array:
        number = jnp.full((1,), entry.sign, dtype)
        for item, divides in entry.scales:
            other = jnp.asarray(value(item), dtype).reshape(1)
            number = number / other if divides else number * other
        return number

    own, gain = scale(layer.entry), jnp.ones(layer.size, dtype)
    flat = jnp.asarray(activation, dtype).reshape(-1)
    if layer.entry.kind == "product":
        own = own * flat
    elif layer.entry.kind == "gain":
        gain = flat
    return jnp.concatenate([own, *(scale(entry) for entry in layer.biases)]), gain
