r"""Growth modes: the directions in which a state grows exponentially, found from products with the Hessian.

Near a saddle, deviations from it are sums of modes $q_j d_j$ that grow like $e^{\mu_j t}$. A mode that is much smaller
than the state decides when the state leaves the next saddle, but an error relative to the whole state does not see it.
A step therefore follows the modes in closed form,

$$\theta(s) = \theta + \sum_j q_j \frac{e^{\mu_j s} - 1}{\mu_j} \langle q_j, \theta' \rangle + w(s),$$

and integrates only the rest w(s), which stays small while the equation is nearly linear. The length of such a step is
not bounded by $1 / \mu_j$. The error of each mode is compared with the size of this mode.

Where the loss is homogeneous of degree L > 2 in the small deviations, the rate itself grows with the mode: from
$d' = c\, d^{L-1}$ follow $\mu = (L - 1)\, d' / d$ and $\mu' = a \mu^2$ with the bend $a = (L - 2) / (L - 1)$, so that

$$\mu(s) = \frac{\mu}{1 - a \mu s}, \qquad d'(s) = d'\, (1 - a \mu s)^{-1/a} .$$

The bend of the mode with the largest speed is found from one more derivative. With this path, a step may cover most of
the time $1 / (a \mu)$ after which the mode would be infinite, in which it grows by orders of magnitude.
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
# Smaller bends count as 0, and larger ones as _MOST_BENT; a bend of degree L is (L - 2) / (L - 1), from 1/2 on. A bent
# mode has at least the share _ALONE of the speed.
_LEAST_BENT, _MOST_BENT, _ALONE = 0.25, 0.95, 0.9
# A step covers at most this share of the time after which a bent mode would be infinite.
_NEAR_END = 0.98


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
        bends: (k,) the numbers a_j in [0, 1) with mu_j' = a_j mu_j^2.
        top: an estimate from above of the largest growth rate, also of modes that are not among the k.
        radius: an estimate of the largest rate of growth or decay.
    """

    rates: jax.Array
    vectors: jax.Array
    speeds: jax.Array
    bends: jax.Array
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
            speeds = (self.speeds * jax.vmap(self._factor)(times)) @ self.vectors
            rest = jnp.zeros((len(times), len(u) - speeds.shape[1]))
            return Paths(
                jax.vmap(lambda change: carried(u, change))(changes), jnp.concatenate([speeds, rest], 1)
            )

        still = jnp.zeros((len(times), len(u)))
        return jax.lax.cond(jnp.any(self.speeds != 0.0), moving, lambda: Paths(still, still))

    def grown(self, time: jax.Array) -> jax.Array:
        """Return the components (k,) that the modes gain in this time."""
        power, divisor = (1.0 - self.bends) * self._exponent(time), (1.0 - self.bends) * self._divisor()
        return self.speeds * jnp.where(self.rates > 0, jnp.expm1(power) / divisor, time)

    def longest(self) -> jax.Array:
        """Return the longest step that ends before a mode would be infinite."""
        end = _NEAR_END / jnp.where(self.bends > 0.0, self.bends * self._divisor(), 1.0)
        return jnp.min(jnp.where(self.bends > 0.0, end, jnp.inf))

    def path(self, time: float) -> ndarray:
        """Return the change (p,) of the state along the modes in this time, in NumPy."""
        rates, bends = np.asarray(self.rates), np.asarray(self.bends)
        bent = bends > 0.0
        power = np.where(bent, -np.log1p(-bends * rates * time) / np.where(bent, bends, 1.0), rates * time)
        divisor = (1.0 - bends) * np.where(rates > 0, rates, 1.0)
        grown = np.where(rates > 0, np.expm1((1.0 - bends) * power) / divisor, time)
        change: ndarray = (np.asarray(self.speeds) * grown) @ np.asarray(self.vectors)
        return change

    def sizes(self, change: jax.Array) -> jax.Array:
        """Return the sizes |d_j| (k,) after this change of the state (p,), each with the modes of nearly its rate."""
        found = self.rates > 0
        single = jnp.where(
            found, jnp.abs(self.speeds / (self._divisor() * (1.0 - self.bends)) + self.vectors @ change), 0.0
        )
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

    def _factor(self, time: jax.Array) -> jax.Array:
        """Return the factors (k,) by which the speeds grow in this time."""
        return jnp.exp(self._exponent(time))

    def _exponent(self, time: jax.Array) -> jax.Array:
        bent = self.bends > 0.0
        left = jnp.maximum(1.0 - self.bends * self.rates * time, jnp.finfo(jnp.float64).tiny)
        return jnp.where(bent, -jnp.log(left) / jnp.where(bent, self.bends, 1.0), self.rates * time)

    def _part(self, u: jax.Array) -> jax.Array:
        return u[: self.vectors.shape[1]]

    def _divisor(self) -> jax.Array:
        return jnp.where(self.rates > 0, self.rates, 1.0)


def no_modes(size: int) -> Modes:
    """Return the modes of a state of this size that has none, in NumPy."""
    none: Any = np.zeros(()), np.zeros(COUNT), np.zeros((COUNT, size))
    return Modes(none[1], none[2], none[1], none[1], none[0], none[0])


def growth_modes(
    product: Callable[[jax.Array], jax.Array],
    speed: jax.Array,
    change: Callable[[jax.Array], jax.Array] | None = None,
) -> Modes:
    """Return the growth modes in the Krylov space of theta', `speed` (p,).

    Args:
        product: the product with the symmetric Jacobian of theta' at this state.
        speed: theta'.
        change: the derivative of `product` in time; without it, no mode is bent.
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
    rates, speeds = jnp.where(found, rates, 0.0), vectors @ speed
    modes = Modes(rates, vectors, speeds, jnp.zeros(COUNT), top, radius)
    return modes if change is None else _bent(modes, speed, change)


def _bent(modes: Modes, speed: jax.Array, change: Callable[[jax.Array], jax.Array]) -> Modes:
    """Return the mode along theta' alone if it has nearly the whole speed and is bent, else the given modes.

    In a homogeneous flow that has found its direction, all parts of the speed grow in proportion, also those in modes
    of other rates. A path along the whole speed is therefore exact, and paths along single modes are not.
    """
    first = jnp.argmax(jnp.abs(modes.speeds))
    rate, vector, size = modes.rates[first], modes.vectors[first], jnp.linalg.norm(speed)
    bend = vector @ change(vector) / jnp.where(rate > 0.0, rate**2, 1.0)
    alone = (rate > 0.0) & (bend > _LEAST_BENT) & (jnp.abs(modes.speeds[first]) > _ALONE * size)
    single = Modes(
        jnp.zeros(COUNT).at[0].set(rate),
        jnp.zeros_like(modes.vectors).at[0].set(speed / jnp.where(size > 0.0, size, 1.0)),
        jnp.zeros(COUNT).at[0].set(size),
        jnp.zeros(COUNT).at[0].set(jnp.minimum(bend, _MOST_BENT)),
        modes.top,
        modes.radius,
    )
    return jax.tree.map(lambda a, b: jnp.where(alone, a, b), single, modes)


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
