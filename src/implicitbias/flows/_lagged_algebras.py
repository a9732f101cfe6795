"""Algebras by conjugate gradients whose preconditioner is made in one step and used in the steps after it."""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from implicitbias.flows._gauss_newton_algebra import (
    CG_STEPS,
    Algebra,
    Elimination,
    GaussNewtonMatrix,
    by_iterations,
)

# Eigenvalues of a sketch below this share of the largest one are rounding errors.
_NOISE = 1e-11
# The number of vectors that are multiplied at a time if the kernel is not stored.
_VECTORS = 16


class LaggedMemory(NamedTuple):
    """A factor of an earlier step, with which conjugate gradients are preconditioned.

    Attributes:
        factor: the factor, whose meaning depends on the algebra.
        fresh: the number of iterations of the step for which it was made; negative if it was not used yet.
        lost: the iterations since then that a new factor would have saved; infinite if there is no factor.
    """

    factor: Any
    fresh: Any
    lost: Any


class Preconditioned(Algebra):
    """Conjugate gradients that are preconditioned by a factor of an earlier step.

    A new factor is made as soon as the iterations that it would have saved are worth more than itself; `price` is its
    cost in iterations.
    """

    price: eqx.AbstractVar[jax.Array | float]

    @abstractmethod
    def first_factor(self, rows: int) -> Any:
        """Return arrays in the shapes of a factor for n k = rows, which are never used."""

    @abstractmethod
    def factor(self, matrix: GaussNewtonMatrix) -> Any:
        """Return the factor for a matrix."""

    @abstractmethod
    def precondition(self, factor: Any, matrix: GaussNewtonMatrix, r: jax.Array) -> jax.Array:
        """Return the approximate solution (n k,) for the right side r (n k,), with the factor of an earlier matrix."""

    def first_memory(self, rows: int) -> Any:
        return LaggedMemory(self.first_factor(rows), np.asarray(-1), np.asarray(np.inf))

    def solver(self, matrix: GaussNewtonMatrix, memory: Any) -> tuple[Elimination, Any]:
        def renewed() -> LaggedMemory:
            return LaggedMemory(self.factor(matrix), jnp.asarray(-1), jnp.asarray(0.0))

        held = jax.lax.cond(memory.lost >= self.price, renewed, lambda: LaggedMemory(*memory))

        def precondition(r: jax.Array) -> jax.Array:
            return self.precondition(held.factor, matrix, r.reshape(-1)).reshape(r.shape)

        return by_iterations(matrix, precondition), held

    def learned(self, memory: Any, iterations: jax.Array) -> Any:
        fresh = jnp.where(memory.fresh < 0, iterations, memory.fresh)
        lost = memory.lost + jnp.maximum(iterations - fresh, 0)
        # After a failed solve the number of iterations is the limit, and the next attempt makes a new factor.
        return LaggedMemory(memory.factor, fresh, jnp.where(iterations >= CG_STEPS, jnp.inf, lost))


class Lagged(Preconditioned):
    """The factor is the Cholesky factor of the matrix I + ratio K of an earlier step, K = R^T J J^T R.

    `given` is that of `Kernel`.
    """

    given: bool = eqx.field(static=True)
    price: jax.Array | float

    @property
    def name(self) -> str:
        return "lagged"

    @property
    def needs_entries(self) -> bool:
        return not self.given

    def first_factor(self, rows: int) -> Any:
        return np.eye(rows)

    def factor(self, matrix: GaussNewtonMatrix) -> Any:
        return jnp.linalg.cholesky(matrix.rooted_kernel())

    def precondition(self, factor: Any, matrix: GaussNewtonMatrix, r: jax.Array) -> jax.Array:
        return jax.scipy.linalg.cho_solve((factor, True), r)


class Spectrum(NamedTuple):
    """Approximate eigenvectors (n k, rank) and the largest eigenvalues (rank,) of K = R^T J J^T R."""

    vectors: Any
    values: Any


class Nystrom(Preconditioned):
    r"""The factor is a randomised Nystroem approximation $U \Lambda U^\top$ of K = R^T J J^T R at an earlier step.

    It preconditions I + ratio K for any ratio, so that it serves steps of any size. It is made from `rank` products
    with K. `given` says that K itself is computed for that, from the structure that the predictor knows; otherwise only
    products with J are made.

    Reference: frangella2023randomized.
    """

    rank: int = eqx.field(static=True)
    given: bool = eqx.field(static=True)
    price: jax.Array | float

    @property
    def name(self) -> str:
        return "nystrom"

    def first_factor(self, rows: int) -> Any:
        return Spectrum(np.zeros((rows, self.rank)), np.ones(self.rank))

    def factor(self, matrix: GaussNewtonMatrix) -> Any:
        test = jax.random.normal(jax.random.key(0), (matrix.size, self.rank), matrix.roots.dtype)
        return spectrum(self._products(matrix, test), test)

    def precondition(self, factor: Any, matrix: GaussNewtonMatrix, r: jax.Array) -> jax.Array:
        vectors, values = factor
        # The eigenvalues that are not known are at most the least known one.
        scales = (1 + matrix.ratio * values[0]) / (1 + matrix.ratio * values) - 1
        return r + vectors @ (scales * (r @ vectors))

    def _products(self, matrix: GaussNewtonMatrix, test: jax.Array) -> jax.Array:
        """Return K times the columns of `test` (n k, rank)."""
        if self.given:
            return matrix.J.rooted_gram(matrix.roots).reshape(matrix.size, matrix.size) @ test

        def product(column: jax.Array) -> jax.Array:
            r = column.reshape(matrix.roots.shape[:2])
            return matrix.collect(matrix.J.mv(matrix.J.rmv(matrix.spread(r)))).reshape(-1)

        return jax.lax.map(product, test.T, batch_size=_VECTORS).T


def spectrum(products: jax.Array, test: jax.Array) -> Spectrum:
    """Return the eigenvalues, in ascending order, and eigenvectors of the approximation $Y (T^T Y)^{-1} Y^T$ of K.

    T = `test` (m, rank) is any matrix, and Y = K T = `products`.
    """
    small = test.T @ products
    small = (small + small.T) / 2
    # With T^T Y = C C^T, the approximation is B B^T with B = Y C^-T, whose eigenvalues are those of B^T B.
    sizes, turns = jnp.linalg.eigh(small)
    kept = sizes > _NOISE * sizes[-1]
    half = products @ (turns * jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, sizes, 1.0)), 0.0))
    values, turns = jnp.linalg.eigh(half.T @ half)
    used = values > _NOISE * values[-1]
    vectors = half @ (turns * jnp.where(used, 1 / jnp.sqrt(jnp.where(used, values, 1.0)), 0.0))
    return Spectrum(vectors, jnp.where(used, values, _NOISE * values[-1]))
