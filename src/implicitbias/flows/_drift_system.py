"""The equation of the norm drift, the slow flow on a manifold of critical points of the loss."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias._core.status import Status
from implicitbias._core.trees import TreeShape
from implicitbias.flows._errors import relative_error
from implicitbias.flows._manifold import HELD, Manifold, rank_of
from implicitbias.flows._system import Solve, System

# An error of this many rtol makes the next step half as long, with 0.9 error^(-1/5) as the factor of the step size.
_HALVED = 19.0
# The largest relative growth of the norm of theta in a step that counts as rounding, plus a share of rtol.
_GROWTH, _GROWTH_SHARE = 1e-9, 1e-3


class DriftSystem(System):
    r"""The system $\theta' = -P_\theta \theta$ on a manifold, with the projection P on its tangent space.

    The field is defined beside the manifold too, where the stages of a step are, and it is smooth there. After each
    step, simplified Newton steps lead back to the manifold.
    """

    manifold: Manifold
    shape: TreeShape
    entrywise: bool = eqx.field(static=True)
    smallest: Any
    full_rank: int = eqx.field(static=True)
    rtol: Any

    def field(self, u: jax.Array) -> jax.Array:
        slope: jax.Array = self.manifold.with_tangent(u, lambda tangent: -tangent.project(u))
        return slope

    def slope(self, u: jax.Array) -> jax.Array:
        return self.field(u)

    def complete(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        # The slope is that at u, so that one factorisation serves both. The correction is as small as the error of a
        # step.
        both: tuple[jax.Array, jax.Array] = self.manifold.with_tangent(
            u, lambda tangent: (self.manifold.corrected(u, tangent), -tangent.project(u))
        )
        return both

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        # The approximation of the Jacobian is -P, which leaves out the curvature of the manifold.
        def solve(b: jax.Array) -> jax.Array:
            inner: jax.Array = self.manifold.with_tangent(u, lambda tangent: tangent.project(b))
            return b - gamma_step / (1 + gamma_step) * inner

        return solve, self.field(u)

    def state(self, u: jax.Array) -> jax.Array:
        return u

    def states(self, rows: ndarray) -> ndarray:
        return rows

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        size = jnp.maximum(jnp.abs(u), jnp.abs(end))
        error = relative_error(self.shape, self.entrywise, self.smallest, size, jnp.abs(end - embedded))
        # Where the corrections did not reach the manifold, or where the norm of theta increased, which it never does
        # along the flow, the step was too long: it is halved, whatever its error.
        grown = jnp.linalg.norm(end) > (1 + _GROWTH + _GROWTH_SHARE * self.rtol) * jnp.linalg.norm(u)
        on = (self.manifold.distance(end) <= HELD) & ~grown
        return jnp.where(on, error, jnp.maximum(error, _HALVED * self.rtol))

    def entry_name(self, index: int) -> str:
        return f"the drift in leaf {self.shape.leaf_of(index)} is"

    def diagnosis(self, u: jax.Array) -> tuple[Status, str] | None:
        if not bool(jnp.all(jnp.isfinite(self.field(u)))):
            return None
        return (
            Status.STEP_UNDERFLOW,
            "no step from here leads back to the manifold, because the rank of its equations changes, or the model has "
            "a kink or a jump",
        )

    def notes(self, start: ndarray, end: ndarray) -> tuple[str, ...]:
        first, last = rank_of(self.manifold, start), rank_of(self.manifold, end)
        found = []
        if first < self.full_rank:
            found.append(
                f"At the start the equations of the manifold have the rank {first}, not {self.full_rank}, because some "
                "of them depend on each other (repeated rows, dead units, linear models with few inputs). As "
                f"0 count {self.manifold.zeros}."
            )
        if last != first:
            found.append(
                f"The rank of the equations of the manifold is {first} at the start and {last} at the end. As 0 "
                f"count {self.manifold.zeros}. The theory of the slow flow needs a constant rank, so it does not cover "
                "the part after the change."
            )
        return tuple(found)
