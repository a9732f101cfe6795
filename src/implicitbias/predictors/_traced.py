"""Predictors that JAX can trace: one class for each kind of readout."""

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

# The largest relative difference between predictions of single rows and of the batch that counts as rounding.
_ROWS_AGREE = 1e-6


class TracedPredictor(eqx.Module):
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
        known = (lambda: self.kernel(shape.unflatten(u), self)) if self.has_kernel else None
        return by_products(predictions, u, known)

    @property
    def has_kernel(self) -> bool:
        """Whether `kernel` is known from the structure and needs no Jacobian."""
        return False

    def kernel(self, params: Any, other: "TracedPredictor") -> jax.Array:
        """Return J J2^T (n, k, m, k), where J2 is the Jacobian of `other`; it requires `has_kernel`."""
        raise TypeError(f"a {type(self).__name__} has no structured kernel")

    def layer_factors(self, params: Any) -> tuple[tuple[jax.Array, jax.Array], ...] | None:
        """Return factors A (n, a) and D (n, k, b) for each leaf, with the Jacobian A_ia D_ikb, or None if unknown."""
        return None

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

    def closed_form_flow(self, params: Any) -> Any:
        """Return the closed-form flow of the parameters in -int grad L dt and lam t, or None if none is known."""
        return None

    def rows_agree(self, shape: TreeShape, theta: Any) -> bool:
        """Return whether predictions of single rows agree with the batch; False if the predictor does not use this."""
        return False

    def with_rows(self, apart: bool) -> "TracedPredictor":
        """Return the predictor that treats its rows independently if `apart`, or else all rows together."""
        return self

    def fitted(self, shape: TreeShape, theta: Any) -> "TracedPredictor":
        """Return the predictor with the structure found at these parameters; call it inside `double_precision`."""
        return self.with_rows(self.rows_agree(shape, theta))


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
    """The predictor of any model; `by_rows` says that the model is known to treat its rows independently."""

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

        # The derivative of one row in its own input costs n times less than a derivative of the whole batch.
        return from_matrix(*jax.vmap(row)(self.readout.X))

    def rows_agree(self, shape: TreeShape, theta: Any) -> bool:
        return bool(np.asarray(_rows_differ(self.readout, shape, theta)) < _ROWS_AGREE)

    def with_rows(self, apart: bool) -> TracedPredictor:
        return ModelPredictor(self.readout, apart)


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


@eqx.filter_jit
def _rows_differ(model: Any, shape: TreeShape, theta: Any) -> jax.Array:
    """Return the relative difference between predictions of single rows and of the batch, or inf if it is unknown.

    The predictions are also compared at a perturbed point, because with all-zero parameters a model that mixes rows
    may look row-wise.
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
    """Return whether the model accepts a single row and then predicts (k,); JAX traces it and computes nothing."""
    try:
        row = jax.eval_shape(lambda point, x: model.row(shape.unflatten(point), x), theta, model.X[0])
    except Exception:  # The user's model may raise any exception if it needs all rows.
        return False
    return row.shape == outputs
