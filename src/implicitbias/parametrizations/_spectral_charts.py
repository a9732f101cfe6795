"""Parametrizations that are made for potentials of matrices."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias.parametrizations._charts import ForPotential
from implicitbias.parametrizations._leaves import leaf
from implicitbias.potentials import Potential

# The largest part of a matrix outside of common singular vectors, relative to its norm, and how many random
# combinations are decomposed: one of them may have nearly equal singular values.
_OUTSIDE, _COMBINATIONS = 1e-10, 4


class ScaledChart(ForPotential):
    r"""The map $W = c^{-1/2} \theta$ of matrices, for c times half the squared Frobenius norm."""

    made_for: Potential
    factor: float = eqx.field(static=True)
    start: Any
    error: float = eqx.field(static=True)

    def __init__(self, potential: Potential, c: float, w0: ndarray) -> None:
        self.made_for, self.factor, self.error = potential, float(c) ** -0.5, 0.0
        self.start = frozen(np.asarray(w0) / self.factor)

    def formula(self, theta: Any) -> jax.Array:
        """Return the multiple of a JAX array theta."""
        return self.factor * theta

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, "p q"]:
        array = leaf(theta, name, 2)
        if array.shape != self.start.shape:
            raise InputError(f"{name} has shape {array.shape}, the shape {self.start.shape} of w is expected")
        return array

    def theta_of(self, w: Any) -> Float64[ndarray, "p q"]:
        return frozen(np.asarray(w, dtype=np.float64) / self.factor)


class SpectralChart(ForPotential):
    r"""The map $W = U \operatorname{diag}(G_h(\theta)) V^\top$ of a map $G_h$ for the function of singular values.

    Attributes:
        left: (p, r) U.
        right: (q, r) V.
        values: the map for the potential of the singular values, which may have any sign here.
    """

    made_for: Potential
    left: Any
    right: Any
    values: ForPotential
    start: Any
    error: float = eqx.field(static=True)

    def __init__(self, potential: Potential, left: ndarray, right: ndarray, values: ForPotential) -> None:
        self.made_for, self.values = potential, values
        self.left, self.right = frozen(left), frozen(right)
        self.start, self.error = values.start, values.error

    def formula(self, theta: Any) -> jax.Array:
        """Return W for JAX arrays theta."""
        return (jnp.asarray(self.left) * self.values.formula(theta)) @ jnp.asarray(self.right).T

    def checked(self, theta: Any, name: str = "theta") -> Any:
        return self.values.checked(theta, name)

    def theta_of(self, w: Any) -> Any:
        return self.values.theta_of(np.einsum("pr,pq,qr->r", self.left, np.asarray(w), self.right))


def common_vectors(
    data: Float64[ndarray, "n _ _"], w0: Float64[ndarray, "p q"]
) -> tuple[Float64[ndarray, "p r"], Float64[ndarray, "q r"]]:
    """Return U and V with U^T X_i V diagonal and X_i = U U^T X_i V V^T for all matrices of the data and the start.

    Raises:
        InputError: the matrices have other shapes, or no common singular vectors.
    """
    if data.shape[1:] != w0.shape:
        raise InputError(
            f"data has shape {data.shape}, matrices of the shape {w0.shape} of w0 are expected; type the matrices of "
            "the problem as an array (n, p, q)"
        )
    every = np.concatenate([data, w0[None]])
    sizes = np.linalg.norm(every, axis=(1, 2))
    unit = every / np.where(sizes > 0.0, sizes, 1.0)[:, None, None]
    rng, best = np.random.default_rng(0), None
    for _ in range(_COMBINATIONS):
        left, _, right = np.linalg.svd(
            np.tensordot(rng.standard_normal(len(unit)), unit, 1), full_matrices=False
        )
        diagonal = np.einsum("pr,npq,rq->nr", left, unit, right)
        outside = np.linalg.norm(unit - np.einsum("pr,nr,rq->npq", left, diagonal, right), axis=(1, 2))
        if best is None or np.max(outside) < np.max(best[2]):
            best = left, right.T, outside
    assert best is not None
    worst = int(np.argmax(best[2]))
    if best[2][worst] > _OUTSIDE:
        name = "w0" if worst == len(data) else f"data[{worst}]"
        raise InputError(
            f"the matrices have no common singular vectors: {name} has the share {best[2][worst]:.3g} of its norm "
            "outside of those of a combination of all; on such data no map of singular values gives the mirror flow: "
            "use ib.MirrorFlow, or ib.interpolant for its end"
        )
    return best[0], best[1]
