"""The speed and the whole Hessian of a Gauss-Newton system, with which rest is searched."""

from typing import Any

import jax
import jax.numpy as jnp

from implicitbias._core.compiled import compiled


@compiled
def curvature_at(system: Any, u: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the speed, the Hessian of the objective with weight decay, and the size of the terms of the speed.

    They are those at the parameters in u, and with a `log_time` have its factor.
    """
    theta, _, tau = system.split(u)

    def slope(point: jax.Array) -> jax.Array:
        predictions, pull_back = jax.vjp(system.model, point)
        return pull_back(system.pull(predictions, tau))[0]

    hessian = jax.jacfwd(slope)(theta) + system.weight_decay * jnp.eye(len(theta))
    speed, size = _speed(system, u)
    return speed, (hessian + hessian.T) / 2, size


@compiled
def speed_at(system: Any, u: Any) -> tuple[jax.Array, jax.Array]:
    """Return the speed and the size of its terms, as `curvature_at` does."""
    return _speed(system, u)


def _speed(system: Any, u: Any) -> tuple[jax.Array, jax.Array]:
    theta, _, tau = system.split(u)
    decay = system.weight_decay * theta
    # The gradient is a sum over rows, whose terms may be larger than their sum.
    predictions, pull_back = jax.vjp(system.model, theta)
    pull = system.pull(predictions, tau)
    size = jnp.linalg.norm(pull_back(jnp.abs(pull))[0]) + jnp.linalg.norm(decay)
    return -pull_back(pull)[0] - decay, size
