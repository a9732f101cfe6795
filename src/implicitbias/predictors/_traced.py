"""Predictors as JAX traces them: one class for each kind of readout."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias._core.maps import Map
from implicitbias._core.readouts import Readout
from implicitbias._core.traced_maps import TracedMap
from implicitbias._core.trees import TreeShape
from implicitbias.predictors._traced_jacobian import TracedJacobian, by_products, from_matrix, with_value

# Predictions of single rows are those of the batch up to this relative rounding.
_ROWS_AGREE = 1e-6


class TracedPredictor(eqx.Module):
    """Predictions (n, k) of parameters, and their derivative by the structure that is known of them."""

    @abstractmethod
    def __call__(self, params: Any) -> jax.Array:
        """Return the predictions (n, k)."""

    @abstractmethod
    def at(self, inputs: Any) -> "TracedPredictor":
        """Return the same predictor at other inputs."""

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        """Return the Jacobian at the flat parameters u: its entries where `dense`, else products alone."""

        def predictions(point: jax.Array) -> jax.Array:
            return self(shape.unflatten(point))

        if dense:
            return from_matrix(*with_value(predictions, u))
        known = (lambda: self.kernel(shape.unflatten(u), self)) if self.has_kernel else None
        return by_products(predictions, u, known)

    @property
    def has_kernel(self) -> bool:
        """Whether `kernel` follows from the structure, without the Jacobian."""
        return False

    def kernel(self, params: Any, other: "TracedPredictor") -> jax.Array:
        """Return J J2^T (n, k, m, k), J2 the Jacobian of `other`, where `has_kernel`."""
        raise TypeError(f"a {type(self).__name__} has no kernel by structure")

    def layer_factors(self, params: Any) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return (A (n, a), D (n, k, b)) for each leaf, whose Jacobian is A_ia D_ikb; None where unknown."""
        return None

    @property
    def products_only(self) -> bool:
        """Whether a dense Jacobian would make a sparse matrix dense: products are to be used alone."""
        return self.linear is not None and not self.linear.has_gram

    @property
    def entrywise(self) -> bool:
        """Whether single entries of the parameters grow by themselves, from however small a start."""
        return False

    @property
    def linear(self) -> TracedMap | None:
        """The linear map from w to the predictions, None where the predictions are not linear in a w."""
        return None

    def closed_form_flow(self, params: Any) -> Any:
        """Return the flow of the parameters in closed form from -int grad L and lam t, None where none is known."""
        return None

    def rows_agree(self, shape: TreeShape, theta: Any) -> bool:
        """Return whether predictions of single rows are found to be those of the batch; False where it is no matter."""
        return False

    def with_rows(self, apart: bool) -> "TracedPredictor":
        """Return the predictor that takes its rows one by one, or not."""
        return self

    def fitted(self, shape: TreeShape, theta: Any) -> "TracedPredictor":
        """Return the predictor with what one look at the parameters shows of it; called under double precision."""
        return self.with_rows(self.rows_agree(shape, theta))


class LinearPredictor(TracedPredictor):
    """The parameters are w."""

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
    def linear(self) -> TracedMap | None:
        return self.map


class ReparametrizedPredictor(TracedPredictor):
    """Predictions linear in w = G(theta)."""

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
    """Any model; `by_rows` where it is known to treat its rows one by one."""

    readout: Any
    by_rows: bool = eqx.field(static=True, default=False)

    def __call__(self, params: Any) -> jax.Array:
        return self.readout(params)

    def at(self, inputs: Any) -> TracedPredictor:
        return ModelPredictor(self.readout.at(inputs), self.by_rows)

    def jacobian(self, shape: TreeShape, u: jax.Array, *, dense: bool) -> TracedJacobian:
        if not (dense and self.by_rows):
            return super().jacobian(shape, u, dense=dense)

        def row(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            return with_value(lambda point: self.readout.row(shape.unflatten(point), x), u)

        # Each row from its own input: n times less than through the whole batch.
        return from_matrix(*jax.vmap(row)(self.readout.X))

    def rows_agree(self, shape: TreeShape, theta: Any) -> bool:
        return bool(np.asarray(_rows_differ(self.readout, shape, theta)) < _ROWS_AGREE)

    def with_rows(self, apart: bool) -> TracedPredictor:
        return ModelPredictor(self.readout, apart)


class _Listener:
    """Makes the predictor of a readout."""

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


@eqx.filter_jit
def _rows_differ(model: Any, shape: TreeShape, theta: Any) -> jax.Array:
    """Return how far predictions of rows by themselves are from those of the batch, relatively; inf if unknown.

    Also compare at a perturbed point: with all-zero parameters, models that mix rows look row-wise.
    """
    together = jax.eval_shape(lambda point: model(shape.unflatten(point)), theta)
    if not _takes_one_row(model, shape, theta, together.shape[1:]):
        return jnp.asarray(jnp.inf)

    def apart(point: jax.Array) -> jax.Array:
        params = shape.unflatten(point)
        batch, rows = model(params), jax.vmap(lambda x: model.row(params, x))(model.X)
        return jnp.max(jnp.abs(batch - rows)) / (jnp.max(jnp.abs(batch)) + 1e-300)

    size = jnp.sqrt(jnp.mean(theta**2))
    beside = theta + 0.1 * jnp.where(size > 0, size, 1.0) * jnp.cos(1.0 + jnp.arange(len(theta)))
    return jnp.max(jax.lax.map(apart, jnp.stack([theta, beside])))


def _takes_one_row(model: Any, shape: TreeShape, theta: Any, outputs: tuple[int, ...]) -> bool:
    """Whether the model gives (k,) for a single row; seen while tracing."""
    try:
        row = jax.eval_shape(lambda point, x: model.row(shape.unflatten(point), x), theta, model.X[0])
    except Exception:  # whatever a model raises that wants all of its rows
        return False
    return row.shape == outputs
