r"""Manifolds of critical points of the loss: their tangent spaces, and corrections that lead back to them.

Where the predictions determine the manifold, its tangent space at theta is the kernel of $A = R^\top J$, with the
Jacobian J (n k, p) of the predictions and the root R of the second derivative of the loss in the predictions. Elsewhere
it is the kernel of the Hessian of the loss (arXiv 2505.20172, section 3).
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.modules import PlainModule
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import TreeShape
from implicitbias.predictors import TracedJacobian, TracedPredictor
from implicitbias.problems import MeanLoss

# Singular values of A below this share of the largest one count as 0.
CUT_OFF = 1e-12
# Eigenvalues of the Hessian below this share of the largest one count as 0. Beside the manifold, up to the tolerance of
# a start, those of tangent directions are not exactly 0.
FLAT = 1e-6
# The kernel A A^T is factorised if the smallest pivot is above this share of the largest diagonal entry. Otherwise the
# singular value decomposition of A is used.
_PIVOTS = 1e-10
# Below this number of multiplications in J J^T the kernel is computed from the entries of J.
_SMALL = 3e6
# The largest distance from the manifold, as a share of the size of the terms that cancel on it.
HELD = 1e-11
# Corrections with one factorisation stop if they do not reduce the distance to this share of it.
_CONTRACTION = 0.3


class Tangent(NamedTuple):
    """The linear algebra at one point theta near a manifold.

    Attributes:
        project: the projection v -> P v on the tangent space, (p,) -> (p,).
        step: the shortest change of theta after which a linearised residual is 0, (m,) -> (p,).
    """

    project: Callable[[jax.Array], jax.Array]
    step: Callable[[jax.Array], jax.Array]


class Manifold(PlainModule):
    """A manifold of critical points, given by the equation residual(theta) = 0.

    Attributes:
        rank: the codimension of the manifold, at its start.
        zeros: which numbers count as 0 in the rank, in words.
    """

    rank: ArrayLike
    zeros: ClassVar[str]

    @abstractmethod
    def residual(self, theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the residual (m,), and the size of the terms that cancel in it."""

    @abstractmethod
    def with_tangent(self, theta: jax.Array, use: Callable[[Tangent], Any]) -> Any:
        """Return `use(tangent)` at theta."""

    @abstractmethod
    def rank_at(self, theta: jax.Array) -> jax.Array:
        """Return the rank at theta of the matrix whose kernel is the tangent space."""

    def distance(self, theta: jax.Array) -> jax.Array:
        """Return the norm of the residual, relative to the size of the terms that cancel in it."""
        residual, size = self.residual(theta)
        return jnp.linalg.norm(residual) / jnp.maximum(size, jnp.finfo(size.dtype).tiny)

    def corrected(self, theta: jax.Array, tangent: Tangent) -> jax.Array:
        """Return the point that simplified Newton steps from theta reach, on the manifold if they converge fast."""

        def unfinished(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            _, distance, before = carry
            return (distance > HELD) & (distance < _CONTRACTION * before)

        def step(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            point, distance, _ = carry
            point = point + tangent.step(self.residual(point)[0])
            return point, self.distance(point), distance

        begin = (theta, self.distance(theta), jnp.asarray(jnp.inf))
        point: jax.Array = jax.lax.while_loop(unfinished, step, begin)[0]
        return point


class PredictionManifold(Manifold):
    """The parameters with given predictions `target` (n, k)."""

    zeros = f"singular values below {CUT_OFF:g} of the largest one"
    predictor: TracedPredictor
    mean_loss: MeanLoss
    shape: TreeShape
    target: ArrayLike

    def residual(self, theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        f, moved = jax.jvp(lambda point: self.predictor(self.shape.unflatten(point)), (theta,), (theta,))
        roots = self.mean_loss.roots(f)
        # J theta is the part of the predictions that grows with theta.
        size = jnp.linalg.norm(_turned(roots, f)) + jnp.linalg.norm(_turned(roots, moved))
        return _turned(roots, f - jnp.asarray(self.target)).reshape(-1), size

    def with_tangent(self, theta: jax.Array, use: Callable[[Tangent], Any]) -> Any:
        if self._tall(theta):
            return use(_by_singular_vectors(self._matrix(theta), jnp.asarray(self.rank)))
        J, roots, factor, regular = self._factorized(theta)
        return jax.lax.cond(
            regular & (jnp.asarray(self.rank) == len(factor)),
            lambda: use(_by_kernel(J, roots, factor)),
            lambda: use(_by_singular_vectors(_rooted(J, roots), jnp.asarray(self.rank))),
        )

    def rank_at(self, theta: jax.Array) -> jax.Array:
        if self._tall(theta):
            return _counted(self._matrix(theta))
        J, roots, _, regular = self._factorized(theta)
        size = roots.shape[0] * roots.shape[1]
        return jax.lax.cond(regular, lambda: jnp.asarray(size), lambda: _counted(_rooted(J, roots)))

    def _tall(self, theta: jax.Array) -> bool:
        """Return whether A has more rows than columns, so that the kernel A A^T is singular and larger than A."""
        return jnp.size(self.target) > len(theta)

    def _matrix(self, theta: jax.Array) -> jax.Array:
        """Return the entries of A, (n k, p)."""
        J = self.predictor.jacobian(self.shape, theta, dense=True)
        return _rooted(J, self.mean_loss.roots(J.predictions))

    def _dense(self, theta: jax.Array) -> bool:
        """Return whether the entries of J are computed, which is faster than a kernel of layers if J is small."""
        multiplications = jnp.size(self.target) ** 2 * len(theta)
        return not self.predictor.has_kernel or bool(self.predictor.layer_sizes and multiplications < _SMALL)

    def _factorized(self, theta: jax.Array) -> tuple[TracedJacobian, jax.Array, jax.Array, jax.Array]:
        """Return J, the roots, the Cholesky factor of A A^T, and whether that factor is accurate."""
        J = self.predictor.jacobian(self.shape, theta, dense=self._dense(theta))
        roots = self.mean_loss.roots(J.predictions)
        size = roots.shape[0] * roots.shape[1]
        kernel = J.rooted_gram(roots).reshape(size, size)
        factor = jnp.linalg.cholesky(kernel)
        # The comparison is false for the NaN of a factorisation that failed.
        return J, roots, factor, jnp.min(jnp.diag(factor)) ** 2 > _PIVOTS * jnp.max(jnp.diag(kernel))


class StationaryManifold(Manifold):
    """The parameters at which the gradient of the loss is 0, near a point where its Hessian has the rank `rank`."""

    zeros = f"eigenvalues of the Hessian below {FLAT:g} of the largest one"
    predictor: TracedPredictor
    mean_loss: MeanLoss
    shape: TreeShape

    def gradient(self, theta: jax.Array) -> jax.Array:
        """Return the gradient of the loss, (p,)."""
        f, back = jax.vjp(lambda point: self.predictor(self.shape.unflatten(point)), theta)
        slope: jax.Array = back(self.mean_loss.pull(f))[0]
        return slope

    def hessian(self, theta: jax.Array) -> jax.Array:
        """Return the exact Hessian of the loss, (p, p)."""
        matrix = jax.jacfwd(self.gradient)(theta)
        return (matrix + matrix.T) / 2

    def residual(self, theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        slope, curved = jax.jvp(self.gradient, (theta,), (theta,))
        f, back = jax.vjp(lambda point: self.predictor(self.shape.unflatten(point)), theta)
        pull = self.mean_loss.pull(f)
        return slope, jnp.linalg.norm(curved) + jnp.linalg.norm(pull) * jacobian_size(back, f)

    def with_tangent(self, theta: jax.Array, use: Callable[[Tangent], Any]) -> Any:
        values, vectors = jnp.linalg.eigh(self.hessian(theta))
        # Beside the manifold the smallest eigenvalues are not exactly 0, so they are counted.
        order = jnp.argsort(-jnp.abs(values))
        values, vectors = values[order], vectors[:, order]
        kept = jnp.arange(len(values)) < self.rank
        inverse = jnp.where(kept, 1 / values, 0.0)
        return use(
            Tangent(
                lambda v: v - vectors @ jnp.where(kept, vectors.T @ v, 0.0),
                lambda r: -vectors @ (inverse * (vectors.T @ r)),
            )
        )

    def rank_at(self, theta: jax.Array) -> jax.Array:
        values = jnp.abs(jnp.linalg.eigvalsh(self.hessian(theta)))
        return jnp.sum(values > FLAT * jnp.max(values))


def jacobian_size(back: Callable[[jax.Array], tuple[jax.Array]], f: jax.Array) -> jax.Array:
    """Return an estimate of the Frobenius norm of J from a product with J^T, which is `back`."""
    weights = jnp.cos(1.0 + jnp.arange(f.size)).reshape(f.shape)
    # The squares of the weights have the mean 1/2.
    return jnp.sqrt(2.0) * jnp.linalg.norm(back(weights)[0])


def rank_of(manifold: Manifold, theta: ndarray) -> int:
    """Return the rank at theta of the matrix whose kernel is the tangent space."""
    with double_precision():
        return int(_rank(manifold, theta))


@compiled
def _rank(manifold: Manifold, theta: Any) -> jax.Array:
    return manifold.rank_at(theta)


def stepped(manifold: Manifold, theta: ndarray) -> ndarray:
    """Return theta after the shortest change that solves the linearised equations of the manifold."""
    with double_precision():
        return np.asarray(_stepped(manifold, theta))


@compiled
def _stepped(manifold: Manifold, theta: Any) -> jax.Array:
    residual = manifold.residual(theta)[0]
    change: jax.Array = manifold.with_tangent(theta, lambda tangent: tangent.step(residual))
    return theta + change


def _turned(roots: jax.Array, f: jax.Array) -> jax.Array:
    """Return R^T f."""
    return jnp.einsum("nkl,nk->nl", roots, f)


def _rooted(J: TracedJacobian, roots: jax.Array) -> jax.Array:
    """Return the entries of A = R^T J, (n k, p)."""
    rows = jnp.einsum("nkl,nkp->nlp", roots, J.matrix())
    return rows.reshape(-1, rows.shape[-1])


def _counted(A: jax.Array) -> jax.Array:
    """Return the number of singular values of A that are not 0."""
    values = jnp.linalg.svd(A, compute_uv=False)
    return jnp.sum(values > CUT_OFF * values[0])


def _by_kernel(J: TracedJacobian, roots: jax.Array, factor: jax.Array) -> Tangent:
    """Return the projection by the Cholesky factor of A A^T."""

    def back(r: jax.Array) -> jax.Array:
        solved = jax.scipy.linalg.cho_solve((factor, True), r).reshape(roots.shape[:2])
        return J.rmv(jnp.einsum("nkl,nl->nk", roots, solved))

    def once(v: jax.Array) -> jax.Array:
        return v - back(_turned(roots, J.mv(v)).reshape(-1))

    # A projection has the relative error eps c for a kernel with the condition number c, and two have its square.
    return Tangent(lambda v: once(once(v)), lambda r: -back(r))


def _by_singular_vectors(A: jax.Array, rank: jax.Array) -> Tangent:
    """Return the projection by the singular vectors of A with singular values that are not 0."""
    U, values, V = jnp.linalg.svd(A, full_matrices=False)
    kept = (jnp.arange(len(values)) < rank) & (values > CUT_OFF * values[0])
    inverse = jnp.where(kept, 1 / jnp.where(kept, values, 1.0), 0.0)
    return Tangent(
        lambda v: v - V.T @ jnp.where(kept, V @ v, 0.0),
        lambda r: -V.T @ (inverse * (U.T @ r)),
    )
