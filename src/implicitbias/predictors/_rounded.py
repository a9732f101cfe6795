r"""The predictor of a model whose kinks are rounded, so that its flow is smooth at the scale of the tolerance.

Each unit max(z, 0) becomes $(z + \delta)^2 / (4 \delta)$ for $|z| < \delta$, which has a continuous derivative and
differs from max(z, 0) by at most $\delta / 4$. A flow that slides along a kink then stays within $\delta$ of it, and
its sliding speed is the one of Filippov up to terms of the size of $\delta$.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.trees import TreeShape
from implicitbias.predictors._gated import GatedPredictor, evaluated
from implicitbias.predictors._kinks import Evaluation
from implicitbias.predictors._traced import ModelPredictor, TracedPredictor


class RoundedPredictor(TracedPredictor):
    """The predictor of a model in which the kink of each unit is rounded.

    Attributes:
        plain: the predictor of the model itself.
        shape: the layout of the parameters.
        plan: the factor of each operation with units, see `Evaluation`.
        widths: the half widths delta of the rounded parts, (m,).
    """

    plain: ModelPredictor
    shape: TreeShape
    plan: tuple[float, ...] = eqx.field(static=True)
    widths: Any

    def __call__(self, params: Any) -> jax.Array:
        theta = self.shape.flatten(params)
        if not self.plain.known.rows_apart:
            return self._one(theta, None)
        return jax.vmap(self._one, in_axes=(None, 0))(theta, self.plain.readout.X)

    def at(self, inputs: Any) -> TracedPredictor:
        return self.plain.at(inputs)

    def _one(self, theta: Any, x: Any) -> jax.Array:
        """Return the predictions of one row, or of all rows if x is None."""
        evaluation = Evaluation(self.plan, None, None, self.widths)
        out: jax.Array = evaluated(self.plain, self.shape, (theta, x), evaluation)[0]
        return out


def rounded(predictor: GatedPredictor, theta: ndarray, share: float) -> RoundedPredictor:
    """Return the predictor whose kinks are rounded over this share of the size of the pre-activations at theta.

    The size is the root mean square over the units of one operation and over all rows. Call it inside
    `double_precision`.
    """
    widths = share * np.asarray(_sizes(predictor, theta))
    return RoundedPredictor(predictor.plain, predictor.shape, predictor.plan, widths)


@eqx.filter_jit
def _sizes(predictor: GatedPredictor, theta: Any) -> jax.Array:
    """Return for each unit the root mean square of the pre-activations of its operation, (m,)."""
    plain, shape = predictor.plain, predictor.shape

    def one(x: Any) -> list[jax.Array]:
        found: list[jax.Array] = evaluated(plain, shape, (theta, x), Evaluation(predictor.plan, None, None))[
            1
        ].inputs
        return found

    groups = jax.vmap(one)(plain.readout.X) if plain.known.rows_apart else one(None)
    return jnp.concatenate([jnp.full(group.shape[-1], jnp.sqrt(jnp.mean(group**2))) for group in groups])
