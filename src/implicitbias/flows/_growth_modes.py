r"""Growth modes: the directions in which a state grows exponentially, found from products with the Hessian.

Near a saddle, deviations from it are sums of modes $q_j d_j$ that grow like $e^{\mu_j t}$. A mode that is much smaller
than the state decides when the state leaves the next saddle, but an error relative to the whole state does not see it.
A step therefore follows the modes in closed form,

$$\theta(s) = \theta + \sum_j q_j \frac{e^{\mu_j s} - 1}{\mu_j} \langle q_j, \theta' \rangle + w(s),$$

and integrates only the rest w(s), which stays small while the equation is nearly linear. The length of such a step is
not bounded by $1 / \mu_j$. The error of each mode is compared with the size of this mode.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

# The number of Lanczos steps, which are fully reorthogonalised. Four are too few for the modes of a small network.
COUNT = 12
# The error of a mode is at most rtol * _SHARE of its size. The error of the whole state is bounded already, so this has
# no effect on modes that are larger than 1 / _SHARE of the state.
_SHARE = 3.0
# A mode is used if its residual is below this share of its rate.
_CONVERGED = 0.1
# Modes whose rates differ by a smaller share than this one count as one mode, because they keep their proportions.
_SAME_RATE = 0.25

# The function (u, change (p,)) -> change (m,) of an inner variable along with its first p entries.
Carried = Callable[[jax.Array, jax.Array], jax.Array]
_EPSILON = float(jnp.finfo(jnp.float64).eps)
# The rounding errors of a state, relative to its largest entry.
_ROUNDING = 4 * _EPSILON


class Paths(NamedTuple):
    """The closed-form paths of the modes: changes (4, m) of the inner variable at the stages, and speeds (4, m)."""

    changes: jax.Array
    speeds: jax.Array


class Modes(NamedTuple):
    """The growth modes of a state, which is the first p entries of an inner variable.

    Attributes:
        rates: (k,) the growth rates mu_j > 0 in ascending order, and 0 in rows without a mode.
        vectors: (k, p) orthonormal vectors q_j as rows, and 0 in rows without a mode.
        speeds: (k,) the derivatives <q_j, theta'> of the components in time.
        top: an estimate from above of the largest growth rate, also of modes that are not among the k.
        radius: an estimate of the largest rate of growth or decay.
    """

    rates: jax.Array
    vectors: jax.Array
    speeds: jax.Array
    top: jax.Array
    radius: jax.Array

    def paths(self, carried: Carried, u: jax.Array, times: jax.Array) -> Paths:
        """Return the paths of the modes from u at the times (4,) of the stages.

        Args:
            carried: `System.carried`.
            u: the inner variable (m,).
            times: the times of the stages since u.
        """

        def moving() -> Paths:
            changes = jax.vmap(self.grown)(times) @ self.vectors
            speeds = (self.speeds * jnp.exp(jnp.outer(times, self.rates))) @ self.vectors
            rest = jnp.zeros((len(times), len(u) - speeds.shape[1]))
            return Paths(
                jax.vmap(lambda change: carried(u, change))(changes), jnp.concatenate([speeds, rest], 1)
            )

        still = jnp.zeros((len(times), len(u)))
        return jax.lax.cond(jnp.any(self.speeds != 0.0), moving, lambda: Paths(still, still))

    def grown(self, time: jax.Array) -> jax.Array:
        """Return the components (k,) that the modes gain in this time."""
        return self.speeds * jnp.where(self.rates > 0, jnp.expm1(self.rates * time) / self._divisor(), time)

    def path(self, time: float) -> ndarray:
        """Return the change (p,) of the state along the modes in this time, in NumPy."""
        divisor = np.where(self.rates > 0, self.rates, 1.0)
        grown = np.where(self.rates > 0, np.expm1(np.asarray(self.rates) * time) / divisor, time)
        change: ndarray = (np.asarray(self.speeds) * grown) @ np.asarray(self.vectors)
        return change

    def sizes(self, change: jax.Array) -> jax.Array:
        """Return the sizes |d_j| (k,) after this change of the state (p,), each with the modes of nearly its rate."""
        found = self.rates > 0
        single = jnp.where(found, jnp.abs(self.speeds / self._divisor() + self.vectors @ change), 0.0)
        apart = jnp.abs(self.rates[:, None] - self.rates) / jnp.maximum(
            self.rates[:, None], self.rates + 1e-300
        )
        return jnp.maximum(0.0, 1.0 - apart / _SAME_RATE) @ single

    def error(self, start: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        """Return the largest difference between two ends of a step from `start`, relative to the size of a mode."""
        start, end, embedded = (self._part(u) for u in (start, end, embedded))
        noise = _ROUNDING * jnp.maximum(jnp.max(jnp.abs(start)), jnp.max(jnp.abs(end)))
        apart = jnp.maximum(0.0, jnp.abs(self.vectors @ (end - embedded)) - noise)
        size = jnp.maximum(self.sizes(jnp.zeros_like(start)), self.sizes(end - start))
        return jnp.max(jnp.where(apart > 0.0, apart / (_SHARE * size + 1e-300), 0.0), initial=0.0)

    def _part(self, u: jax.Array) -> jax.Array:
        return u[: self.vectors.shape[1]]

    def _divisor(self) -> jax.Array:
        return jnp.where(self.rates > 0, self.rates, 1.0)


def no_modes(size: int) -> Modes:
    """Return the modes of a state of this size that has none, in NumPy."""
    none: Any = np.zeros(()), np.zeros(COUNT), np.zeros((COUNT, size))
    return Modes(none[1], none[2], none[1], none[0], none[0])


def growth_modes(product: Callable[[jax.Array], jax.Array], speed: jax.Array) -> Modes:
    """Return the growth modes in the Krylov space of theta', `speed` (p,).

    Args:
        product: the product with the symmetric Jacobian of theta' at this state.
        speed: theta'.
    """
    tridiagonal, basis, last = _lanczos(product, speed)
    usable = jnp.all(jnp.isfinite(tridiagonal)) & jnp.all(jnp.isfinite(basis))
    rates, turns = jnp.linalg.eigh(jnp.where(usable, tridiagonal, 0.0))
    vectors = turns.T @ jnp.where(usable, basis, 0.0)
    # Where the Krylov space has fewer dimensions than COUNT, the other rows of the basis are 0. The residual of a mode
    # is the norm that the last Lanczos step has left over, times the last component of the mode in the basis.
    residuals = last * jnp.abs(turns[-1])
    converged = residuals < _CONVERGED * rates
    found = converged & (jnp.sum(vectors**2, axis=1) > 0.5)
    vectors = jnp.where(found[:, None], vectors, 0.0)
    # The largest Ritz value is the first to converge; its residual bounds the distance to an eigenvalue.
    top = jnp.where(usable, jnp.maximum(rates[-1] + residuals[-1], 0.0), jnp.inf)
    radius = jnp.where(usable, jnp.max(jnp.abs(rates) + residuals), jnp.inf)
    return Modes(jnp.where(found, rates, 0.0), vectors, vectors @ speed, top, radius)


def _lanczos(
    product: Callable[[jax.Array], jax.Array], first: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the projected matrix (COUNT, COUNT) of a Krylov space, its orthonormal basis (COUNT, p), and what is left.

    What is left is the norm of the part of the last image that is not in the space.
    """
    size = jnp.linalg.norm(first)
    basis = jnp.zeros((COUNT + 1, len(first))).at[0].set(first / jnp.where(size > 0.0, size, 1.0))

    def extend(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        basis, matrix, _ = carry
        image = product(basis[i])
        whole = jnp.linalg.norm(image)
        along = basis @ image
        rest = image - along @ basis
        again = basis @ rest
        rest = rest - again @ basis
        norm = jnp.linalg.norm(rest)
        kept = norm > _EPSILON * whole
        follower = jnp.where(kept, rest / jnp.where(norm > 0.0, norm, 1.0), 0.0)
        return basis.at[i + 1].set(follower), matrix.at[i].set((along + again)[:COUNT]), norm

    nothing = jnp.zeros(())
    basis, matrix, last = jax.lax.fori_loop(0, COUNT, extend, (basis, jnp.zeros((COUNT, COUNT)), nothing))
    # Row i of the matrix holds the products with all basis vectors that were known at step i.
    lower = jnp.tril(matrix)
    return lower + jnp.tril(lower, -1).T, basis[:COUNT], last
