"""Critical points of the loss, and the manifolds of such points on which they lie."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.errors import ImplicitBiasError, InputError
from implicitbias._core.trees import TreeShape
from implicitbias.flows._engine import MATRIX_BYTES
from implicitbias.flows._manifold import (
    FLAT,
    Manifold,
    PredictionManifold,
    StationaryManifold,
    jacobian_size,
    rank_of,
    stepped,
)
from implicitbias.predictors import TracedPredictor
from implicitbias.problems import MeanLoss

# A start is on the manifold if the terms that cancel there do so up to this share of their size.
ON = 1e-8
# The largest number of parameters for which the exact Hessian is factorised.
MOST_FOR_HESSIAN = 1500
# The largest share of the product with the Hessian that the curvature of the predictions may have to count as 0.
_STRAIGHT = 1e-8
# The largest share of the slope of the loss in prediction space that its curvature need not explain at a minimum.
_UNEXPLAINED = 1e-6
# The least size of the terms of the misfit, relative to |J| |theta|.
_LEAST_SIZE = 1e-3
# The number of matrices of the size of the kernel or of the Hessian that are in memory at a time.
_COPIES = 4


class Measures(NamedTuple):
    """What is computed at a point.

    Attributes:
        predictions: the predictions f (n, k).
        target: f minus the Newton step of the loss in prediction space, which is y for the squared loss.
        misfit: the norm of the Newton step to the minimiser of the loss in prediction space, relative to the sizes of
            the terms: |f - y| / (|f| + |J theta| + |f - y|) for the squared loss. The denominator is at least 1e-3
            |J| |theta|, because each of its terms vanishes with f for products of parameters with the target 0.
        slope: the norm of the gradient J^T g of the loss in theta, relative to |J| |g|.
        bent: the norm of the part of products with the Hessian that comes from second derivatives of the predictions,
            relative to the product.
    """

    predictions: Any
    target: Any
    misfit: Any
    slope: Any
    bent: Any


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point with its distances from being an interpolation of the data and a critical point of the loss."""

    predictor: TracedPredictor
    mean_loss: MeanLoss
    shape: TreeShape
    theta: ndarray
    measures: Measures
    max_bytes: int = MATRIX_BYTES

    def at(self, theta: ndarray) -> "CriticalPoint":
        """Return another point with its measures; call it inside `double_precision`."""
        return critical_point(self.predictor, self.mean_loss, self.shape, theta, self.max_bytes)

    @property
    def interpolates(self) -> bool:
        """Whether the predictions minimise the loss of each row, which is f = y for the squared loss."""
        return bool(self.measures.misfit <= ON)

    @property
    def stationary(self) -> bool:
        """Whether the gradient of the loss is 0 up to the tolerance."""
        return self.interpolates or bool(self.measures.slope <= ON)

    @property
    def by_hessian(self) -> bool:
        """Whether the manifold is given by the exact Hessian, not by the predictions."""
        return not self.interpolates and bool(self.measures.bent > _STRAIGHT)

    @property
    def full_rank(self) -> int:
        """The rank of the equations of the manifold if none of them depends on others; 0 if that is not expected."""
        p = len(self.theta)
        return min(p, self.measures.predictions.size) if self.interpolates else 0

    def manifold(self) -> Manifold:
        """Return the manifold of critical points through this start of a flow, or raise an error."""
        if not self.stationary:
            raise InputError(
                f"the start is off the manifold of minimisers of the loss: the residual is {self.measures.misfit:.1e} "
                f"and the gradient {self.measures.slope:.1e} of the size of its terms, at most {ON:g} is accepted for "
                "one of them. The slow flow begins where training without weight decay ends: "
                "type ib.simulate(flow, ib.interpolation_limit(problem, params).point, t1=...)"
            )
        self.refuse_size()
        manifold = self._found(0)
        rank = rank_of(manifold, self.theta)
        if rank == 0:
            raise InputError(
                "the derivatives of the predictions in the parameters are all 0 at the start (rank 0), so that it does "
                "not determine a manifold of minimisers. The likely cause is a start of zeros, or units that are all "
                "dead: type ib.interpolation_limit(problem, params) with other params"
            )
        if self.by_hessian:
            least = self.least_curvature()
            if least < -FLAT:
                raise InputError(
                    f"the start is a saddle of the loss: the least eigenvalue of the Hessian is {least:.1e} of the "
                    "largest one. Training with a small weight decay leaves saddles: move the parameters a little and "
                    "type ib.interpolation_limit(problem, params)"
                )
        return self._found(rank)

    def jacobian_rank(self) -> int:
        """Return the rank of the Jacobian of the predictions."""
        return rank_of(self._with_predictions(0, self.measures.predictions), self.theta)

    def least_curvature(self) -> float:
        """Return the least eigenvalue of the Hessian, relative to the largest absolute one."""
        values = np.linalg.eigvalsh(np.asarray(_hessian(self._stationary(0), self.theta)))
        return float(values[0] / max(np.max(np.abs(values)), np.finfo(np.float64).tiny))

    def stepped(self) -> ndarray:
        """Return the parameters after a Gauss-Newton step to the targets, or a Newton step where there is a Hessian.

        The step is the shortest one that solves the linearised equations. The Newton step leaves out directions with a
        curvature below 1e-6 of the largest one, because they may be tangent to a manifold.
        """
        if not self.by_hessian or self.interpolates:
            return self.stepped_to_targets()
        values = np.linalg.eigvalsh(np.asarray(_hessian(self._stationary(0), self.theta)))
        rank = int(np.sum(np.abs(values) > FLAT * np.max(np.abs(values))))
        return stepped(self._stationary(rank), self.theta)

    def stepped_to_targets(self) -> ndarray:
        """Return the parameters after a Gauss-Newton step to the targets."""
        size = self.measures.predictions.size
        return stepped(self._with_predictions(size, self.measures.target), self.theta)

    @property
    def _parts(self) -> tuple[TracedPredictor, MeanLoss, TreeShape]:
        return self.predictor, self.mean_loss, self.shape

    def _stationary(self, rank: int) -> StationaryManifold:
        return StationaryManifold(np.asarray(rank), *self._parts)

    def _found(self, rank: int) -> Manifold:
        return (
            self._stationary(rank)
            if self.by_hessian
            else self._with_predictions(rank, self.measures.predictions)
        )

    def _with_predictions(self, rank: int, target: ndarray) -> PredictionManifold:
        # The rank is an array, not a number, so that another rank does not need another compilation.
        return PredictionManifold(np.asarray(rank), *self._parts, target)

    def refuse_size(self) -> None:
        """Raise an error if the matrices of the manifold are too large."""
        p = len(self.theta)
        if self.by_hessian and p > MOST_FOR_HESSIAN:
            raise InputError(
                f"the loss is not 0 at the start and there are {p} parameters: the exact Hessian is needed there, and "
                f"at most {MOST_FOR_HESSIAN} parameters are accepted for it. Use fewer parameters, or a model that "
                "fits the data"
            )
        if self.by_hessian:
            self._refuse("Hessian", p, p)
        else:
            self.refuse_jacobian()

    def refuse_jacobian(self) -> None:
        """Raise an error if the tangent kernel, or the Jacobian where it is smaller, is too large."""
        rows = self.measures.predictions.size
        columns = min(rows, len(self.theta))
        self._refuse("tangent kernel" if columns == rows else "Jacobian", rows, columns)

    def _refuse(self, name: str, rows: int, columns: int) -> None:
        need = 8 * rows * columns
        if _COPIES * need > self.max_bytes:
            raise ImplicitBiasError(
                f"the {name} of {rows} x {columns} numbers takes {need / 2**30:.2g} GiB, and {_COPIES} such "
                f"matrices are in memory at a time; at most {self.max_bytes / 2**30:.2g} GiB are allowed: use fewer "
                "rows, or for the norm drift type simulate(..., solver=ib.GaussNewtonRosenbrock(max_bytes=...))"
            )


def critical_point(
    predictor: TracedPredictor,
    mean_loss: MeanLoss,
    shape: TreeShape,
    theta: ndarray,
    max_bytes: int = MATRIX_BYTES,
) -> CriticalPoint:
    """Return a point with its measures; call it inside `double_precision`."""
    measures = jax.tree.map(np.asarray, _measures(predictor, mean_loss, shape, theta))
    return CriticalPoint(predictor, mean_loss, shape, theta, measures, max_bytes)


@compiled
def _hessian(manifold: StationaryManifold, theta: Any) -> jax.Array:
    return manifold.hessian(theta)


@compiled
def _measures(predictor: TracedPredictor, mean_loss: MeanLoss, shape: TreeShape, theta: Any) -> Measures:
    def model(point: jax.Array) -> jax.Array:
        return predictor(shape.unflatten(point))

    f, moved = jax.jvp(model, (theta,), (theta,))
    back = jax.vjp(model, theta)[1]
    roots, pull = mean_loss.roots(f), mean_loss.pull(f)
    newton, unexplained = _newton_step(mean_loss, roots, pull)
    size = sum(jnp.linalg.norm(jnp.einsum("nkl,nk->nl", roots, part)) for part in (f, moved))
    tiny = jnp.finfo(theta.dtype).tiny
    turned = jnp.einsum("nkl,nk->nl", roots, newton)
    # A slope of the loss in a direction without curvature is not that of a minimum.
    misfit = jnp.where(unexplained > _UNEXPLAINED * jnp.linalg.norm(pull), jnp.inf, jnp.linalg.norm(turned))
    least = _LEAST_SIZE * jacobian_size(lambda weights: back(jnp.einsum("nkl,nl->nk", roots, weights)), f)
    slope = jnp.linalg.norm(back(pull)[0]) / jnp.maximum(jnp.linalg.norm(pull) * jacobian_size(back, f), tiny)
    direction = jnp.cos(1.0 + jnp.arange(len(theta)))
    bent = jax.jvp(lambda point: jax.vjp(model, point)[1](pull)[0], (theta,), (direction,))[1]
    ahead = jnp.einsum("nkl,nk->nl", roots, jax.jvp(model, (theta,), (direction,))[1])
    straight = back(jnp.einsum("nkl,nl->nk", roots, ahead))[0]
    ratio = jnp.linalg.norm(bent) / jnp.maximum(jnp.linalg.norm(straight), tiny)
    size = jnp.maximum(size + jnp.linalg.norm(turned), least * jnp.linalg.norm(theta))
    return Measures(f, f - newton, misfit / jnp.maximum(size, tiny), slope, ratio)


def _newton_step(mean_loss: MeanLoss, roots: jax.Array, pull: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the Newton step S^+ g of the loss in the predictions (n, k), and the norm of g - S S^+ g."""
    if mean_loss.loss.quadratic:
        return pull * len(pull), jnp.zeros(())
    inverse = jnp.linalg.pinv(roots)
    half = jnp.einsum("nkl,nl->nk", inverse, pull)
    step = jnp.einsum("nkl,nk->nl", inverse, half)
    return step, jnp.linalg.norm(pull - jnp.einsum("nkl,nl->nk", roots, half))
