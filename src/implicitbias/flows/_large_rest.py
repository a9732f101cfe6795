"""The search for rest where the Hessian has too many entries: by conjugate gradients and by Lanczos steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias.flows._rest import rounding, undecided
from implicitbias.flows._system import System

# A Newton step has a residual of at most _RESIDUAL of the speed, after at most _MOST iterations. A step that is longer
# than _FAR rtol |theta| is not to rest.
_RESIDUAL, _MOST, _FAR = 1e-4, 3000, 10.0
# The numbers of Lanczos steps from a random vector; the larger one is taken where the smaller one does not converge.
_LANCZOS = (150, 600)
# The least eigenvalue has converged if its residual is below this share of it.
_CONVERGED = 0.1


class HessianProducts:
    """The `Expansion` of a system at the inner variable u, which computes products with the Hessian only.

    `speed` is theta', and `terms` is the norm of its terms. `rtol` is the tolerance of the flow.
    """

    def __init__(self, system: System, u: ndarray, speed: ndarray, terms: float, rtol: float) -> None:
        self.speed, self.terms = speed, terms
        self.size = float(np.linalg.norm(u[: len(speed)]))
        self._system, self._u, self._rtol = system, u, rtol

    def newton_step(self) -> ndarray | None:
        """Return the Newton step by conjugate gradients, or None if it is long or if a curvature is negative."""
        if not np.all(np.isfinite(self.speed)):
            return None
        bound, most = np.asarray(undecided(self)), np.asarray(_FAR * self._rtol * self.size)
        step, negative = (
            np.asarray(part) for part in _newton(self._system, self._u, self.speed, bound, most)
        )
        return None if negative or not np.all(np.isfinite(step)) else step

    def least(self) -> float | None:
        """Return the least eigenvalue by Lanczos steps from a random vector, once it has converged.

        An eigenvalue differs from it by its residual at most. Where the least one is 0, by a symmetry of the model, or
        is one of many near 0, the residual of the last Lanczos steps may be above this eigenvalue, and the square root
        of a rounding error is allowed: the returned value is then an estimate.
        """
        for count in _LANCZOS:
            found = _ends(self._system, self._u, min(count, len(self.speed)))
            last = count == _LANCZOS[-1] or count >= len(self.speed)
            least, residual, largest = (float(np.asarray(part)) for part in found)
            bound = max(rounding(self) * largest, undecided(self))
            if not least >= -bound:
                return None
            loose = rounding(self) ** 0.5 * largest if last else 0.0
            if residual <= max(_CONVERGED * least, bound, loose):
                return least
        return None


@compiled
def _newton(system: System, u: Any, speed: Any, bound: Any, most: Any) -> tuple[jax.Array, jax.Array]:
    """Return H^{-1} theta' by conjugate gradients, and whether a curvature below -`bound` was met.

    They end at a direction whose curvature is below `bound`, and at a solution whose norm, which grows with each
    iteration, is above `most`.
    """
    product = system.hessian_product(jnp.asarray(u))
    speed = jnp.asarray(speed)
    least = (_RESIDUAL * jnp.linalg.norm(speed)) ** 2

    def unfinished(at: tuple[jax.Array, ...]) -> jax.Array:
        x, _, _, size, ended, _, count = at
        return (size > least) & ~ended & (jnp.linalg.norm(x) <= most) & (count < _MOST)

    def iterate(at: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        x, residual, direction, size, _, _, count = at
        image = product(direction)
        curve, whole = jnp.vdot(direction, image), jnp.vdot(direction, direction)
        ended = ~(curve > bound * whole)
        length = jnp.where(ended, 0.0, size / jnp.where(ended, 1.0, curve))
        rest = residual - length * image
        after = jnp.vdot(rest, rest)
        new = rest + after / size * direction
        return x + length * direction, rest, new, after, ended, curve < -bound * whole, count + 1

    no = jnp.asarray(False)
    begin: tuple[jax.Array, ...] = (
        jnp.zeros_like(speed),
        speed,
        speed,
        jnp.vdot(speed, speed),
        no,
        no,
        jnp.zeros((), int),
    )
    end = jax.lax.while_loop(unfinished, iterate, begin)
    return end[0], end[5]


def _ends(system: System, u: ndarray, count: int) -> tuple[Any, Any, Any]:
    """Return the least eigenvalue in `count` Lanczos steps, its residual, and the largest absolute eigenvalue."""
    p = system.state_size(len(u))
    first = np.random.default_rng(0).standard_normal(p)
    basis = np.zeros((count + 1, p))
    basis[0] = first / np.linalg.norm(first)
    diagonal, beside = (np.asarray(part) for part in _lanczos(system, u, basis))
    if not (np.all(np.isfinite(diagonal)) and np.all(np.isfinite(beside))):
        return np.nan, np.nan, np.nan
    inner = beside[:-1]
    values, turns = np.linalg.eigh(np.diag(diagonal) + np.diag(inner, 1) + np.diag(inner, -1))
    return values[0], beside[-1] * abs(turns[-1, 0]), np.max(np.abs(values))


@compiled
def _lanczos(system: System, u: Any, basis: Any) -> tuple[jax.Array, jax.Array]:
    """Return the entries on and beside the diagonal of the projected Hessian, with full reorthogonalisation."""
    product = system.hessian_product(jnp.asarray(u))
    count = len(basis) - 1

    def extend(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        vectors, diagonal, beside = carry
        image = product(vectors[i])
        along = jnp.vdot(vectors[i], image)
        for _ in range(2):  # the second pass removes the rounding errors of the first one
            image = image - (vectors @ image) @ vectors
        norm = jnp.linalg.norm(image)
        follower = image / jnp.where(norm > 0.0, norm, 1.0)
        return vectors.at[i + 1].set(follower), diagonal.at[i].set(along), beside.at[i].set(norm)

    none = jnp.zeros(count)
    return jax.lax.fori_loop(0, count, extend, (jnp.asarray(basis), none, none))[1:]
