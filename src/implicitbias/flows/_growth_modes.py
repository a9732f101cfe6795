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

# The number of Lanczos steps, which are fully reorthogonalised, and of modes. Four are too few for the modes of a small
# network. Where a mode may matter, _MOST steps are made: near a later saddle, the rates of growth may be thousands of
# times smaller than those of decay, and the mode that decides a later jump grows more slowly than others.
COUNT = 12
_MOST = 2 * COUNT
# The error of a mode is at most rtol * _SHARE of its size. The error of the whole state is bounded already, so this has
# no effect on modes that are larger than 1 / _SHARE of the state.
_SHARE = 10.0
# A mode is used if its residual is below this share of its rate.
_CONVERGED = 0.1
# Modes whose rates differ by a smaller share than this one count as one mode, because they keep their proportions.
_SAME_RATE = 0.25

# The function (u, change (p,)) -> change (m,) of an inner variable along with its first p entries.
Carried = Callable[[jax.Array, jax.Array], jax.Array]
_EPSILON = float(jnp.finfo(jnp.float64).eps)
# The rounding errors of a state, relative to its largest entry.
_ROUNDING = 4 * _EPSILON
# The rounding errors of rates, relative to the largest rate of growth or decay.
ROUNDING_OF_RATES = 1e-12
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
        bend: a number a in [0, 1). If a > 0, the mode with the largest speed has nearly the whole of it, its rate
            changes with mu' = a mu^2, and steps follow `course` along this mode instead of single modes.
        course: (p,) theta' without the parts that decay fast if a > 0, and 0 otherwise.
        top: an estimate from above of the largest growth rate, also of modes that are not among the k.
        loose: the largest growth rate that was seen, if it did not converge, and 0 otherwise.
        radius: an estimate of the largest rate of growth or decay.
    """

    rates: Any
    vectors: Any
    speeds: Any
    bend: Any
    course: Any
    top: Any
    loose: Any
    radius: Any

    def paths(self, carried: Carried, u: jax.Array, times: jax.Array) -> Paths:
        """Return the paths of the modes from u at the times (4,) of the stages.

        Args:
            carried: `System.carried`.
            u: the inner variable (m,).
            times: the times of the stages since u.
        """

        def moving() -> Paths:
            changes, speeds = jax.vmap(self.moved)(times)
            rest = jnp.zeros((len(times), len(u) - speeds.shape[1]))
            return Paths(
                jax.vmap(lambda change: carried(u, change))(changes), jnp.concatenate([speeds, rest], 1)
            )

        still = jnp.zeros((len(times), len(u)))
        return jax.lax.cond(jnp.any(self.speeds != 0.0), moving, lambda: Paths(still, still))

    def moved(self, time: Any, numerics: Any = jnp) -> tuple[Any, Any]:
        """Return the change (p,) of the state along the modes in this time, and their speed (p,) after it.

        Args:
            time: the time.
            numerics: `numpy` if the time and the modes are arrays of NumPy.
        """
        bent, a, rate = self.bend > 0.0, self.bend, self._main_rate(numerics)
        left = numerics.maximum(1.0 - a * rate * time, np.finfo(float).tiny)
        exponent = -numerics.log(left) / numerics.where(bent, a, 1.0)
        stretch = numerics.expm1((1.0 - a) * exponent) / ((1.0 - a) * numerics.where(rate > 0, rate, 1.0))
        growth, divisor = self.rates * time, numerics.where(self.rates > 0, self.rates, 1.0)
        straight = numerics.where(bent, 0.0, self.speeds)
        components = straight * numerics.where(self.rates > 0, numerics.expm1(growth) / divisor, time)
        change = components @ self.vectors + stretch * self.course
        speed = (straight * numerics.exp(growth)) @ self.vectors + numerics.exp(exponent) * self.course
        return change, speed

    def longest(self) -> jax.Array:
        """Return the longest step that ends before a bent mode would be infinite."""
        bent = self.bend > 0.0
        return jnp.where(bent, _NEAR_END / jnp.where(bent, self.bend * self._main_rate(), 1.0), jnp.inf)

    def sizes(self, change: jax.Array) -> jax.Array:
        """Return the sizes |d_j| (k,) after this change of the state (p,), each with the modes of nearly its rate."""
        found = self.rates > 0
        main = jnp.arange(COUNT) == self._main()
        rates = jnp.where(found, self.rates, 1.0) * jnp.where(main, 1.0 - self.bend, 1.0)
        single = jnp.where(found, jnp.abs(self.speeds / rates + self.vectors @ change), 0.0)
        apart = jnp.abs(self.rates[:, None] - self.rates) / jnp.maximum(
            self.rates[:, None], self.rates + 1e-300
        )
        return jnp.maximum(0.0, 1.0 - apart / _SAME_RATE) @ single

    def error(self, start: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        """Return the largest difference between two ends of a step from `start`, relative to the size of a mode."""
        start, end, embedded = (u[: self.vectors.shape[1]] for u in (start, end, embedded))
        noise = _ROUNDING * jnp.maximum(jnp.max(jnp.abs(start)), jnp.max(jnp.abs(end)))
        apart = jnp.maximum(0.0, jnp.abs(self.vectors @ (end - embedded)) - noise)
        size = jnp.maximum(self.sizes(jnp.zeros_like(start)), self.sizes(end - start))
        return jnp.max(jnp.where(apart > 0.0, apart / (_SHARE * size + 1e-300), 0.0), initial=0.0)

    def _main(self, numerics: Any = jnp) -> Any:
        return numerics.argmax(numerics.abs(self.speeds))

    def _main_rate(self, numerics: Any = jnp) -> Any:
        """Return the rate of the mode with the largest speed."""
        return self.rates[self._main(numerics)]


def no_modes(size: int) -> Modes:
    """Return the modes of a state of this size that has none, in NumPy."""
    zero, none = np.zeros(()), np.zeros(COUNT)
    return Modes(none, np.zeros((COUNT, size)), none, zero, np.zeros(size), zero, zero, zero)


def growth_modes(
    product: Callable[[jax.Array], jax.Array],
    speed: jax.Array,
    change: Callable[[jax.Array], jax.Array] | None = None,
    least: Any = 0.0,
    start: jax.Array | None = None,
) -> Modes:
    """Return the growth modes in the Krylov space of `start` (p,), by default theta', `speed` (p,).

    Args:
        product: the product with the symmetric Jacobian of theta' at this state.
        speed: theta'.
        change: the derivative of `product` in time; without it, no mode is bent.
        least: a rate below which modes do not matter.
        start: the first vector of the Krylov space.
    """
    found = _ritz(product, speed if start is None else start, least)
    converged = found.residuals < _CONVERGED * found.rates
    # Where the Krylov space has fewer dimensions than there are Lanczos steps, the other rows of the basis are 0.
    kept = converged & (jnp.sum(found.vectors**2, axis=1) > 0.5)
    vectors = jnp.where(kept[:, None], found.vectors, 0.0)
    rates, zero = jnp.where(kept, found.rates, 0.0), jnp.zeros(())
    seen = ~converged[-1] & (found.rates[-1] > ROUNDING_OF_RATES * found.radius)
    loose = jnp.where(seen, found.rates[-1], 0.0)
    modes = Modes(
        rates, vectors, vectors @ speed, zero, jnp.zeros_like(speed), found.top, loose, found.radius
    )
    return modes if change is None else _bent(modes, speed, change, found)


def _bent(modes: Modes, speed: jax.Array, change: Callable[[jax.Array], jax.Array], found: "_Ritz") -> Modes:
    """Return the modes with the bend of the mode that has nearly the whole speed, if there is one and it is bent.

    In a homogeneous flow that has found its direction, all parts of the speed grow in proportion, also those in modes
    of other rates. A path along the whole speed is therefore exact, and paths along single modes are not. Parts that
    decay faster than the mode grows are no parts of this growth. They follow their sources, and a path on which they
    grew on would have an error that is only linear in the step size.
    """
    first = jnp.argmax(jnp.abs(modes.speeds))
    rate, vector, size = modes.rates[first], modes.vectors[first], jnp.linalg.norm(speed)
    bend = vector @ change(vector) / jnp.where(rate > 0.0, rate**2, 1.0)
    alone = (rate > 0.0) & (bend > _LEAST_BENT) & (jnp.abs(modes.speeds[first]) > _ALONE * size)
    course = speed - size * found.first_below(-rate)
    return modes._replace(
        bend=jnp.where(alone, jnp.minimum(bend, _MOST_BENT), 0.0), course=jnp.where(alone, course, 0.0)
    )


class _Ritz(NamedTuple):
    """The COUNT largest eigenvalues of a matrix in a Krylov space, in ascending order, with vectors and residuals.

    `top` and `radius` are those of `Modes`. The others describe the space: its basis (_MOST + 1, p), the projected
    matrix, the number of Lanczos steps, and all eigenvalues (_MOST,) with the eigenvectors of the projected matrix as
    columns.
    """

    rates: jax.Array
    vectors: jax.Array
    residuals: jax.Array
    top: jax.Array
    radius: jax.Array
    basis: jax.Array
    matrix: jax.Array
    steps: jax.Array
    values: jax.Array
    turns: jax.Array

    def first_below(self, bound: jax.Array) -> jax.Array:
        """Return the part of the first vector of the basis in eigenvectors of eigenvalues below `bound`, (p,)."""
        components = jnp.where(self.values < bound, self.turns[0], 0.0)
        return (self.turns @ components) @ self.basis[:_MOST]


def _ritz(product: Callable[[jax.Array], jax.Array], first: jax.Array, least: Any) -> _Ritz:
    """Return eigenvalues after COUNT Lanczos steps, or after _MOST if there may be a mode that matters."""
    size = jnp.linalg.norm(first)

    def extend(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        basis, matrix, _ = carry
        image = product(basis[i])
        whole = jnp.linalg.norm(image)

        def without(_: Any, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            rest, total = carry
            along = basis @ rest
            return rest - along @ basis, total + along

        # The second pass removes the rounding errors of the first one.
        rest, along = jax.lax.fori_loop(0, 2, without, (image, jnp.zeros(_MOST + 1)))
        norm = jnp.linalg.norm(rest)
        kept = norm > _EPSILON * whole
        follower = jnp.where(kept, rest / jnp.where(norm > 0.0, norm, 1.0), 0.0)
        return basis.at[i + 1].set(follower), matrix.at[i].set(along[:_MOST]), norm

    def unresolved(found: _Ritz) -> jax.Array:
        return (found.steps < _MOST) & ((found.steps == 0) | (found.top > least))

    def more(found: _Ritz) -> _Ritz:
        steps = found.steps + COUNT
        basis, matrix, last = jax.lax.fori_loop(
            found.steps, steps, extend, (found.basis, found.matrix, found.radius)
        )
        # Row i of the matrix holds the products with all basis vectors that were known at step i.
        lower = jnp.tril(matrix)
        whole = lower + jnp.tril(lower, -1).T
        usable = jnp.all(jnp.isfinite(whole)) & jnp.all(jnp.isfinite(basis))
        # Rows that no step has filled add eigenvalues 0, which are no modes of growth.
        rates, turns = jnp.linalg.eigh(jnp.where(usable, whole, 0.0))
        # The residual of an eigenvalue is the norm of the part of the last image that is not in the space, times the
        # last component of the eigenvector.
        residuals = last * jnp.abs(turns[steps - 1])
        largest = turns[:, -COUNT:].T
        # The largest eigenvalue is the first to converge; its residual bounds the distance to one of the whole matrix.
        return _Ritz(
            rates[-COUNT:],
            largest @ jnp.where(usable, basis[:_MOST], 0.0),
            residuals[-COUNT:],
            jnp.where(usable, jnp.maximum(rates[-1] + residuals[-1], 0.0), jnp.inf),
            jnp.where(usable, jnp.max(jnp.abs(rates) + residuals), jnp.inf),
            basis,
            matrix,
            steps,
            rates,
            turns,
        )

    zero, none = jnp.zeros(()), jnp.zeros(COUNT)
    basis = jnp.zeros((_MOST + 1, len(first))).at[0].set(first / jnp.where(size > 0.0, size, 1.0))
    nothing = jnp.zeros((COUNT, len(first)))
    square = jnp.zeros((_MOST, _MOST))
    empty = _Ritz(
        none, nothing, none, zero, zero, basis, square, jnp.zeros((), jnp.int64), jnp.zeros(_MOST), square
    )
    return jax.lax.while_loop(unresolved, more, empty)
