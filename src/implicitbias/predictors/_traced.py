"""Predictors that JAX can trace: one class for each kind of readout."""

from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.compiled import compiled
from implicitbias._core.maps import Map
from implicitbias._core.modules import PlainModule
from implicitbias._core.readouts import Readout
from implicitbias._core.traced_maps import TracedMap
from implicitbias._core.trees import TreeShape
from implicitbias.predictors._layer_kernel import Factors, factors, layer_sizes
from implicitbias.predictors._traced_jacobian import (
    Kernels,
    TracedJacobian,
    by_products,
    from_matrix,
    kernels_of,
    with_value,
)

# The largest relative difference between predictions of single rows and of the batch that counts as rounding.
_ROWS_AGREE = 1e-6
# The largest accepted relative difference of products with the kernel of layers and with J, and the rows compared.
_KERNELS_AGREE, _SAMPLE = 1e-10, 8
# The size in bytes of a block of rows of J.
_BLOCK_BYTES = 64 * 2**20


class ModelStructure(NamedTuple):
    """What was found about a model.

    Attributes:
        rows_apart: whether it treats its rows independently.
        layers: the sizes (a, b) of the factors of its dense layers, from which its tangent kernel is computed; empty
            if it is not.
    """

    rows_apart: bool = False
    layers: tuple[tuple[int, int], ...] = ()


class TracedPredictor(PlainModule):
    """Predictions (n, k) as a function of parameters, and their derivatives, which use known structure."""

    @abstractmethod
    def __call__(self, params: Any) -> jax.Array:
        """Return the predictions (n, k)."""

    @abstractmethod
    def at(self, inputs: Any) -> "TracedPredictor":
        """Return the same predictor at other inputs."""

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        """Return the Jacobian at the flat parameters u; its entries are computed only if `dense`."""

        def predictions(point: jax.Array) -> jax.Array:
            return self(shape.unflatten(point))

        if dense:
            return from_matrix(*with_value(predictions, u))
        return by_products(predictions, u, self.kernels(shape.unflatten(u)) if self.has_kernel else None)

    def kernels(self, params: Any) -> Kernels:
        """Return the functions that compute the tangent kernel; it requires `has_kernel`."""
        return kernels_of(lambda: self.kernel(params, self))

    @property
    def has_kernel(self) -> bool:
        """Whether `kernel` is known from the structure and needs no Jacobian."""
        return False

    def kernel(self, params: Any, other: "TracedPredictor") -> jax.Array:
        """Return J J2^T (n, k, m, k), where J2 is the Jacobian of `other`; it requires `has_kernel`."""
        raise TypeError(f"a {type(self).__name__} has no structured kernel")

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes (a, b) of the factors of each dense layer; it is empty if the kernel does not come from layers."""
        return ()

    def factors(self, params: Any) -> Factors | None:
        """Return the factors of the Jacobian of a model with dense layers, or None for other predictors."""
        return None

    def subset(self, rows: Any) -> "TracedPredictor | None":
        """Return the predictor at some rows of the inputs, or None if rows are not known to be independent."""
        return None

    def layer_factors(self, params: Any) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return factors A (n, a) and D (n, k, b) for each leaf, with the Jacobian A_ia D_ikb, or None if unknown."""
        return None

    @property
    def rows_apart(self) -> bool:
        """Whether the rows are known to be independent, so that sums over them may be made block by block."""
        return False

    @property
    def products_only(self) -> bool:
        """Whether only products should be used, because a dense Jacobian would convert a sparse matrix to dense."""
        return self.linear is not None and not self.linear.has_gram

    @property
    def entrywise(self) -> bool:
        """Whether each entry of the parameters grows at its own rate, so that each needs its own relative accuracy."""
        return False

    @property
    def linear_in_parameters(self) -> bool:
        """Whether the predictions are linear in the parameters themselves."""
        return False

    @property
    def linear(self) -> TracedMap | None:
        """The linear map from w to the predictions, or None if the predictions are not linear in an array w."""
        return None

    @property
    def model(self) -> "ModelPredictor | None":
        """The predictor itself if it is that of a user's model, else None."""
        return None

    def closed_form_flow(self, params: Any) -> Any:
        """Return the closed-form flow of the parameters in -int grad L dt and lam t, or None if none is known."""
        return None

    def structure(self, shape: TreeShape, theta: Any) -> ModelStructure:
        """Return what a comparison at these parameters finds; nothing if the predictor does not use it."""
        return ModelStructure()

    def with_structure(self, structure: ModelStructure) -> "TracedPredictor":
        """Return the predictor that uses this structure."""
        return self

    def fitted(self, shape: TreeShape, theta: Any) -> "TracedPredictor":
        """Return the predictor with the structure found at these parameters; call it inside `double_precision`."""
        return self.with_structure(self.structure(shape, theta))


class LinearPredictor(TracedPredictor):
    """The predictor of a problem in w: its predictions are a linear map of the parameters w."""

    map: TracedMap

    def __call__(self, params: Any) -> jax.Array:
        return self.map(params)[:, None]

    def at(self, inputs: Any) -> TracedPredictor:
        return LinearPredictor(self.map.at(inputs))

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        if dense:
            return from_matrix(self.map.matrix()[:, None, :], self(shape.unflatten(u)))
        return super().jacobian(shape, u, dense=False)

    @property
    def has_kernel(self) -> bool:
        return self.map.has_gram

    def kernel(self, params: Any, other: TracedPredictor) -> jax.Array:
        return self.map.gram(jnp.ones_like(params), other.linear)[:, None, :, None]

    def layer_factors(self, params: Any) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        rows = self.map.matrix()
        return ((rows, jnp.ones((len(rows), 1, 1), rows.dtype)),)

    @property
    def linear_in_parameters(self) -> bool:
        return True

    @property
    def linear(self) -> TracedMap | None:
        return self.map


class ReparametrizedPredictor(TracedPredictor):
    """The predictor of a reparametrised problem: its predictions are a linear map of w = G(theta)."""

    map: TracedMap
    G: Map

    def __call__(self, params: Any) -> jax.Array:
        return self.map(self.G.formula(params))[:, None]

    def at(self, inputs: Any) -> TracedPredictor:
        return ReparametrizedPredictor(self.map.at(inputs), self.G)

    @property
    def has_kernel(self) -> bool:
        return self.G.has_kernel(self.map)

    def kernel(self, params: Any, other: TracedPredictor) -> jax.Array:
        return self.G.kernel(params, self.map, other.linear)[:, None, :, None]

    def layer_factors(self, params: Any) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        factors = self.G.layer_factors(params, self.map)
        return None if factors is None else tuple((A, D[:, None, :]) for A, D in factors)

    @property
    def entrywise(self) -> bool:
        return self.G.is_entrywise()

    @property
    def linear(self) -> TracedMap | None:
        return self.map

    def closed_form_flow(self, params: Any) -> Any:
        return self.G.closed_form_flow(params)


class ModelPredictor(TracedPredictor):
    """The predictor of any model, with the structure that is known of it."""

    readout: Any
    known: ModelStructure = eqx.field(static=True, default=ModelStructure())

    def __call__(self, params: Any) -> jax.Array:
        return self.readout(params)

    def at(self, inputs: Any) -> TracedPredictor:
        return ModelPredictor(self.readout.at(inputs), self.known)

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        if not self.known.rows_apart:
            return super().jacobian(shape, u, dense=dense)

        def row(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            return with_value(lambda point: self.readout.row(shape.unflatten(point), x), u)

        def rows(X: jax.Array) -> TracedJacobian:
            # The derivative of one row in its own input costs n times less than a derivative of the whole batch.
            return from_matrix(*jax.vmap(row)(X))

        if dense:
            return rows(self.readout.X)

        def normal(roots: jax.Array) -> jax.Array:
            return _sum_of_blocks(lambda X, R: rows(X).normal(R), self.readout.X, roots, len(u))

        known = self.kernels(shape.unflatten(u)) if self.has_kernel else None
        return by_products(lambda point: self(shape.unflatten(point)), u, known)._replace(normal=normal)

    def kernels(self, params: Any) -> Kernels:
        return factors(self.readout.row, params, self.readout.X).kernels()

    @property
    def rows_apart(self) -> bool:
        return self.known.rows_apart

    @property
    def has_kernel(self) -> bool:
        return bool(self.known.layers)

    @property
    def model(self) -> "ModelPredictor | None":
        return self

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        return self.known.layers

    def kernel(self, params: Any, other: TracedPredictor) -> jax.Array:
        here = factors(self.readout.row, params, self.readout.X)
        there = here if other is self else other.factors(params)
        assert there is not None  # `other` is the same model at other inputs
        return here.gram(there)

    def factors(self, params: Any) -> Factors | None:
        return factors(self.readout.row, params, self.readout.X)

    def subset(self, rows: Any) -> TracedPredictor | None:
        return ModelPredictor(self.readout.subset(rows), self.known) if self.known.rows_apart else None

    def structure(self, shape: TreeShape, theta: Any) -> ModelStructure:
        rows, kernels = np.asarray(_differences(self.readout, shape, theta))
        apart = bool(rows < _ROWS_AGREE)
        if not (apart and kernels < _KERNELS_AGREE):
            return ModelStructure(apart)
        sizes = _cached_sizes(_Traced(self.readout, shape))
        loose = shape.size - sum(a * b for a, b in sizes)
        outputs = jax.eval_shape(lambda point: self(shape.unflatten(point)), theta).size
        # The derivatives in other leaves are held at once. Where they are most of J, blocks of J are better.
        large = 8 * outputs * loose > _BLOCK_BYTES
        return ModelStructure(apart, () if large and 2 * loose > shape.size else sizes)

    def with_structure(self, structure: ModelStructure) -> TracedPredictor:
        return ModelPredictor(self.readout, structure)


class _Listener:
    """A listener that returns the predictor of a readout."""

    def linear(self, linear: TracedMap) -> TracedPredictor:
        return LinearPredictor(linear)

    def reparametrized(self, linear: TracedMap, G: Map) -> TracedPredictor:
        return ReparametrizedPredictor(linear, G)

    def model(self, readout: Readout) -> TracedPredictor:
        return ModelPredictor(readout)


def traced(readout: Readout) -> TracedPredictor:
    """Return the predictor of a readout."""
    predictor: TracedPredictor = readout.described_to(_Listener())
    return predictor


def _sum_of_blocks(
    normal: Callable[[jax.Array, jax.Array], jax.Array], X: jax.Array, roots: jax.Array, p: int
) -> jax.Array:
    """Return the sum of normal(X, roots) over blocks of rows, of whose Jacobians one is in memory at a time."""
    n, k = roots.shape[:2]
    width = max(1, min(n, _BLOCK_BYTES // (8 * k * p)))
    count = -(-n // width)
    # The last block is filled up with copies of the first row, whose weights are 0.
    spare = count * width - n
    inputs = jnp.concatenate([X, jnp.repeat(X[:1], spare, axis=0)]).reshape(count, width, *X.shape[1:])
    weights = jnp.concatenate([roots, jnp.zeros((spare, k, k), roots.dtype)]).reshape(count, width, k, k)

    def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + normal(*part), None

    return jax.lax.scan(add, jnp.zeros((p, p), roots.dtype), (inputs, weights))[0]


@compiled
def _differences(model: Any, shape: TreeShape, theta: Any) -> jax.Array:
    """Return two relative differences: of predictions of single rows and of the batch, and of both tangent kernels.

    The first is inf if the model does not take single rows, and the second is inf if it has no dense layers. Both are
    the largest at two points, because with all-zero parameters a model that mixes rows may look row-wise.
    """
    together = jax.eval_shape(lambda point: model(shape.unflatten(point)), theta)
    if not _takes_one_row(model, shape, theta, together.shape[1:]):
        return jnp.full(2, jnp.inf)
    few = model.first_rows(_SAMPLE)

    def apart(point: jax.Array) -> jax.Array:
        params = shape.unflatten(point)
        batch, rows = model(params), jax.vmap(lambda x: model.row(params, x))(model.X)
        return jnp.max(jnp.abs(batch - rows)) / (jnp.max(jnp.abs(batch)) + 1e-300)

    def layered(point: jax.Array) -> jax.Array:
        # One product with a vector without symmetries shows any entry that differs.
        predictions, pull_back = jax.vjp(lambda at: few(shape.unflatten(at)), point)
        weights = jnp.cos(1.0 + jnp.arange(predictions.size)).reshape(predictions.shape)
        plain = jax.jvp(lambda at: few(shape.unflatten(at)), (point,), pull_back(weights))[1]
        found = factors(few.row, shape.unflatten(point), few.X)
        product = jnp.einsum("nkml,ml->nk", found.gram(found), weights)
        return jnp.max(jnp.abs(product - plain)) / (jnp.max(jnp.abs(plain)) + 1e-300)

    def both(point: jax.Array) -> jax.Array:
        has_layers = bool(_layer_sizes(model, shape, point))
        return jnp.stack([apart(point), layered(point) if has_layers else jnp.asarray(jnp.inf)])

    size = jnp.sqrt(jnp.mean(theta**2))
    beside = theta + 0.1 * jnp.where(size > 0, size, 1.0) * jnp.cos(1.0 + jnp.arange(len(theta)))
    return jnp.max(jax.lax.map(both, jnp.stack([theta, beside])), axis=0)


class _Traced:
    """A model and the layout of its parameters, which are equal to others if they trace to the same program."""

    def __init__(self, readout: Any, shape: TreeShape) -> None:
        self.readout, self.shape = readout, shape
        self._key = (readout.model, shape.key, readout.X.shape[1:], str(readout.X.dtype))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Traced) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=256)
def _cached_sizes(traced: _Traced) -> tuple[tuple[int, int], ...]:
    # Tracing takes milliseconds, which is more than some integrations take.
    return _layer_sizes(traced.readout, traced.shape, np.zeros(traced.shape.size))


def _layer_sizes(model: Any, shape: TreeShape, theta: Any) -> tuple[tuple[int, int], ...]:
    return layer_sizes(model.row, shape.unflatten(jnp.asarray(theta)), model.X[0])


def _takes_one_row(model: Any, shape: TreeShape, theta: Any, outputs: tuple[int, ...]) -> bool:
    """Return whether the model accepts a single row and then predicts (k,); JAX traces it and computes nothing."""
    try:
        row = jax.eval_shape(lambda point, x: model.row(shape.unflatten(point), x), theta, model.X[0])
    except Exception:  # The user's model may raise any exception if it needs all rows.
        return False
    return row.shape == outputs
