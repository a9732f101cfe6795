"""The mean loss of a model over its rows, as flows see it: predictions, and what the loss does to them."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from implicitbias._core.maps import Map
from implicitbias._core.trees import TreeShape
from implicitbias.problems._loss import Loss


class Readout(eqx.Module):
    """Parameters to predictions (n, k)."""

    @abstractmethod
    def __call__(self, params: Any) -> jax.Array:
        """Predictions (n, k)."""


class Linear(Readout):
    """w (d,) to X w."""

    X: jax.Array

    def __call__(self, params: jax.Array) -> jax.Array:
        return (self.X @ params)[:, None]


class Entries(Readout):
    """W to W[rows, cols]."""

    rows: jax.Array
    cols: jax.Array

    def __call__(self, params: jax.Array) -> jax.Array:
        return params[self.rows, self.cols][:, None]


class Reparametrized(Readout):
    """theta to what `linear` makes of w = G(theta)."""

    linear: Linear | Entries
    G: Map

    def __call__(self, params: Any) -> jax.Array:
        return self.linear(self.G.formula(params))


class Model(Readout):
    """A user's model(params, X); by rows where that is what it does."""

    model: Callable[[Any, Any], jax.Array]
    X: jax.Array

    def __call__(self, params: Any) -> jax.Array:
        # A model that computes in less is seen by `model_flags`; the loss is computed in the caller's precision.
        out = jnp.asarray(self.model(params, self.X), dtype=jnp.result_type(float))
        return out[:, None] if out.ndim == 1 else out

    def row(self, params: Any, x: jax.Array) -> jax.Array:
        """The prediction (k,) of one row by itself."""
        return jnp.asarray(self.model(params, x[None]), dtype=jnp.result_type(float)).reshape(-1)


Kind = Linear | Entries | Reparametrized | Model


class Objective(eqx.Module):
    """F(theta) = mean over rows of loss(readout(theta), targets)."""

    readout: Kind
    targets: jax.Array
    loss: Loss

    def value(self, predictions: jax.Array) -> jax.Array:
        """The mean loss at these predictions."""
        return jnp.mean(jax.vmap(self.loss.value)(predictions, self.targets))

    def pull(self, predictions: jax.Array) -> jax.Array:
        """d value / d predictions, (n, k)."""
        return jax.vmap(self.loss.derivative)(predictions, self.targets) / len(self.targets)

    def roots(self, predictions: jax.Array) -> jax.Array:
        """R (n, k, k): the second derivative of `value` in row i is R_i R_i^T (its positive part)."""
        return jax.vmap(self.loss.root)(predictions, self.targets) / jnp.sqrt(1.0 * len(self.targets))


@eqx.filter_jit
def forward(objective: Objective, shape: TreeShape, flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """F, the losses of the rows (n,) and the predictions (n, k) at the flat parameters."""
    predictions = objective.readout(shape.unflatten(flat))
    losses = jax.vmap(objective.loss.value)(predictions, objective.targets)
    return objective.value(predictions), losses, predictions


@eqx.filter_jit
def gradient(objective: Objective, shape: TreeShape, flat: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The gradient of F in the flat parameters, the losses (n,) and the predictions (n, k).

    By the closed form of the loss, as flows have it: differentiating its value would lose digits.
    """
    predictions, back = jax.vjp(lambda point: objective.readout(shape.unflatten(point)), flat)
    losses = jax.vmap(objective.loss.value)(predictions, objective.targets)
    return back(objective.pull(predictions))[0], losses, predictions


@eqx.filter_jit
def gradient_and_roots(
    objective: Objective, shape: TreeShape, flat: Any
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """What `gradient` gives, and the roots (n, k, k) of the second derivative in the predictions."""
    slope, losses, predictions = gradient(objective, shape, flat)
    return slope, losses, predictions, objective.roots(predictions)
