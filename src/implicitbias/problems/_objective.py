"""The objective that flows integrate: a readout (parameters to predictions) and the mean loss of its predictions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias._core.compiled import compiled
from implicitbias._core.errors import InputError
from implicitbias._core.maps import Map
from implicitbias._core.modules import PlainModule
from implicitbias._core.readouts import Readout, ReadoutListener
from implicitbias._core.traced_maps import TracedMap
from implicitbias._core.trees import TreeShape
from implicitbias.problems._loss import Loss, MarginLoss


class Linear(Readout):
    """The readout w -> X w of a problem in w."""

    linear: TracedMap

    def __call__(self, params: Any) -> jax.Array:
        return self.linear(params)[:, None]

    def at(self, inputs: Any) -> "Linear":
        return Linear(self.linear.at(inputs))

    def reparametrized(self, G: Map) -> "Reparametrized":
        """Return the readout as a function of theta with w = G(theta)."""
        return Reparametrized(self.linear, G)

    def described_to(self, listener: ReadoutListener) -> Any:
        return listener.linear(self.linear)


class Reparametrized(Readout):
    """The readout theta -> X w with w = G(theta)."""

    linear: TracedMap
    G: Map

    def __call__(self, params: Any) -> jax.Array:
        return self.linear(self.G.formula(params))[:, None]

    def at(self, inputs: Any) -> "Reparametrized":
        return Reparametrized(self.linear.at(inputs), self.G)

    def described_to(self, listener: ReadoutListener) -> Any:
        return listener.reparametrized(self.linear, self.G)


class Composed(PlainModule):
    """The model (theta, X) -> model(G(theta), X)."""

    model: Callable[[Any, Any], jax.Array]
    G: Map

    def __call__(self, params: Any, X: jax.Array) -> jax.Array:
        return self.model(self.G.formula(params), X)


class Model(Readout):
    """The readout of a user's model(params, X)."""

    model: Callable[[Any, Any], jax.Array]
    X: jax.Array

    def __call__(self, params: Any) -> jax.Array:
        # `model_flags` reports a model of lower precision. The loss is always computed in the caller's precision.
        out = jnp.asarray(self.model(params, self.X), dtype=jnp.result_type(float))
        return out[:, None] if out.ndim == 1 else out

    def row(self, params: Any, x: jax.Array) -> jax.Array:
        """Return the prediction (k,) of a single row."""
        return jnp.asarray(self.model(params, x[None]), dtype=jnp.result_type(float)).reshape(-1)

    def reparametrized(self, G: Map) -> "Model":
        """Return the readout as a function of theta with w = G(theta)."""
        return Model(Composed(self.model, G), self.X)

    def first_rows(self, count: int) -> "Model":
        return self if len(self.X) <= count else Model(self.model, self.X[:count])

    def subset(self, rows: Any) -> "Model":
        """Return the readout at the inputs with these numbers."""
        return Model(self.model, self.X[rows])

    def at(self, inputs: Any) -> "Model":
        given = jnp.asarray(inputs)
        if given.shape[1:] != self.X.shape[1:]:
            raise InputError(
                f"the new inputs have rows of shape {given.shape[1:]}, {self.X.shape[1:]} is expected as in X"
            )
        return Model(self.model, given.astype(self.X.dtype))

    def described_to(self, listener: ReadoutListener) -> Any:
        return listener.model(self)


class MeanLoss(PlainModule):
    """The mean of a loss over the rows, as a function of the predictions."""

    targets: jax.Array
    loss: Loss

    def value(self, predictions: jax.Array) -> jax.Array:
        """Return the mean loss at these predictions."""
        return jnp.mean(jax.vmap(self.loss.value)(predictions, self.targets))

    def log_value(self, predictions: jax.Array) -> jax.Array:
        """Return the logarithm of `value`; of a `MarginLoss` also where the value is 0 in float64."""
        loss = self.loss.of_margins
        if loss is None:
            return jnp.log(self.value(predictions))
        rows = jax.vmap(loss.log_value)(predictions, self.targets)
        return jax.nn.logsumexp(rows) - jnp.log(1.0 * len(rows))

    def pull(self, predictions: jax.Array, log_scale: jax.Array | None = None) -> jax.Array:
        """Return the derivative of `value` in the predictions, (n, k), times e^log_scale if that is given.

        With a scale, which a `MarginLoss` allows, neither of the two factors needs to be within float64.
        """
        if log_scale is None:
            slopes = jax.vmap(self.loss.derivative)(predictions, self.targets)
        else:
            slopes = jax.vmap(self._of_margins.scaled_derivative, (0, 0, None))(
                predictions, self.targets, log_scale
            )
        return slopes / len(self.targets)

    def roots(self, predictions: jax.Array, log_scale: jax.Array | None = None) -> jax.Array:
        """Return R (n, k, k) such that R_i R_i^T is the positive part of the second derivative of `value` in row i.

        If `log_scale` is given, R R^T has the factor e^log_scale, as in `pull`.
        """
        if log_scale is None:
            roots = jax.vmap(self.loss.root)(predictions, self.targets)
        else:
            roots = jax.vmap(self._of_margins.scaled_root, (0, 0, None))(predictions, self.targets, log_scale)
        return roots / jnp.sqrt(1.0 * len(self.targets))

    def margins(self, predictions: jax.Array) -> jax.Array:
        """Return `MarginLoss.margins` of each row, (n, k); it requires a `MarginLoss`."""
        return jax.vmap(self._of_margins.margins)(predictions, self.targets)

    def log_largest_slope(self, predictions: jax.Array) -> jax.Array:
        """Return the logarithm of the largest slope of a row in one of its margins; it requires a `MarginLoss`."""
        return jnp.max(self._of_margins.log_slope(self.margins(predictions)))

    @property
    def _of_margins(self) -> MarginLoss:
        loss = self.loss.of_margins
        assert loss is not None  # Callers ask only losses of margins for their logarithms.
        return loss


class Objective(PlainModule):
    """The objective F(theta), which is the mean over rows of loss(readout(theta), targets)."""

    readout: Readout
    mean_loss: MeanLoss


class _Constants:
    """The structure and the constants of a pytree with a hash that is computed once; equal constants share programs."""

    def __init__(self, structure: Any, leaves: tuple[Any, ...]) -> None:
        self.structure, self.leaves = structure, leaves
        self._hash = hash((structure, leaves))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, _Constants)
            and self._hash == other._hash
            and (self.structure, self.leaves) == (other.structure, other.leaves)
        )


class Forward:
    """The function from flat parameters to F, the losses of the rows (n,) and the predictions (n, k).

    `equinox.filter_jit` examines the objective at every call, which takes longer than a small model. Here this is done
    once, so that `problem.loss` is cheap as an observable of a flow.
    """

    def __init__(self, objective: Objective, shape: TreeShape) -> None:
        leaves, structure = jax.tree.flatten((objective, shape))
        self._arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
        self._constants = _Constants(
            structure, tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
        )

    def __call__(self, flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        parts: tuple[jax.Array, jax.Array, jax.Array] = _forward(self._constants, self._arrays, flat)
        return parts


@partial(compiled, static_argnums=0)
def _forward(constants: _Constants, arrays: list[Any], flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    leaves = [
        constant if array is None else array for array, constant in zip(arrays, constants.leaves, strict=True)
    ]
    objective, shape = jax.tree.unflatten(constants.structure, leaves)
    predictions = objective.readout(shape.unflatten(flat))
    losses = jax.vmap(objective.mean_loss.loss.value)(predictions, objective.mean_loss.targets)
    return objective.mean_loss.value(predictions), losses, predictions


@compiled
def gradient(objective: Objective, shape: TreeShape, flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the gradient of F in the flat parameters, the losses (n,) and the predictions (n, k).

    The gradient uses `Loss.derivative`, as flows do, because automatic differentiation of the value may lose digits.
    """
    return _gradient(objective, shape, flat)


@compiled
def gradient_and_roots(
    objective: Objective, shape: TreeShape, flat: Any
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Return the results of `gradient` and the roots (n, k, k) of the second derivative in the predictions."""
    slope, losses, predictions = _gradient(objective, shape, flat)
    return slope, losses, predictions, objective.mean_loss.roots(predictions)


def _gradient(objective: Objective, shape: TreeShape, flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    predictions, back = jax.vjp(lambda point: objective.readout(shape.unflatten(point)), flat)
    losses = jax.vmap(objective.mean_loss.loss.value)(predictions, objective.mean_loss.targets)
    return back(objective.mean_loss.pull(predictions))[0], losses, predictions


@compiled
def log_value(mean_loss: MeanLoss, predictions: Any) -> jax.Array:
    """Return `mean_loss.log_value(predictions)`."""
    return mean_loss.log_value(predictions)
