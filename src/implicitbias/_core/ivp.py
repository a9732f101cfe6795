"""Initial-value problems at tight tolerance, for smooth fields that are not stiff; JAX traces everything."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp


def integrated(
    field: Callable[[Any, Any], Any], start: Any, *, rtol: float, atol: Any, max_steps: int
) -> tuple[Any, jax.Array]:
    """Return y(1) and whether it was reached, for y' = field(t, y) and y(0) = start.

    Args:
        field: (t, y) -> y', where y is a pytree like `start`.
        start: the start.
        rtol: the relative error of one step.
        atol: the absolute error of one step.
        max_steps: the number of steps after which the integration gives up, for instance at a singularity.
    """
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: field(t, y)),
        diffrax.Dopri8(),
        0.0,
        1.0,
        None,
        start,
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, dtmin=1e-14),
        # Derivatives of results are given by rules of their own and never pass through the steps.
        adjoint=diffrax.ForwardMode(),
        max_steps=max_steps,
        throw=False,
    )
    end = jax.tree.map(lambda leaf: leaf[0], solution.ys)
    finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(end)]))
    return end, (solution.result == diffrax.RESULTS.successful) & finite
