r"""A map for a potential of up to three entries that is no sum over coordinates: an isometric embedding by spirals.

With covectors $\ell_k$ whose squares span the symmetric matrices, $\nabla^2\phi = c^2 H_0 + \sum_k a_k(w)^2 \ell_k
\ell_k^\top$ near w0. The curve $(a_k / \lambda)(\cos \lambda \langle \ell_k, w \rangle, \sin \lambda \langle \ell_k, w
\rangle)$ has the metric $a_k^2 \ell_k \ell_k^\top + \nabla a_k \nabla a_k^\top / \lambda^2$ (Nash 1954), so that the
error of the whole map falls like $1 / \lambda^2$. The linear part $c H_0^{1/2} w$ makes it one-to-one.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.parametrizations._charts import ForPotential
from implicitbias.parametrizations._leaves import leaf
from implicitbias.potentials import Potential

# The relative error of the metric that fixes the number of turns of the spirals.
_WANTED = 1e-6
# The number of points in each direction at which the error is measured, for 1, 2 and 3 entries.
_GRID = (1, 201, 41, 13)
# The share of the smallest curvature that the linear part has.
_LINEAR = 0.5
_GOLDEN = (1.0 + 5.0**0.5) / 2.0
# Directions whose squares span the symmetric matrices, and whose sum of squares is a multiple of the identity.
_DIRECTIONS = {
    1: np.ones((1, 1)),
    2: np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]),
    3: np.array(
        [[0, 1, s * _GOLDEN] for s in (1, -1)]
        + [[1, s * _GOLDEN, 0] for s in (1, -1)]
        + [[s * _GOLDEN, 0, 1] for s in (1, -1)]
    )
    / np.hypot(1.0, _GOLDEN),
}
LARGEST_DIMENSION = max(_DIRECTIONS)


class EmbeddedChart(ForPotential):
    r"""The map $G(\theta) = w + DF(w)^+ (\theta - F(w))$ with the embedding F and the w of the linear part of theta.

    On the image of F it is the inverse of F, and its gradients are tangent to the image, so that $J J^\top = (DF^\top
    DF)^{-1}$ there and gradient flow from `start` stays on the image.

    Attributes:
        largest: w is covered for $|w_i|$ up to this number; outside G is NaN.
        error: the largest relative error of the metric, the largest eigenvalue of $(\nabla^2\phi)^{-1} DF^\top DF - 1$
            on a grid of this region.
    """

    made_for: Potential
    start: Any
    linear: Any
    covectors: Any
    parts: Any
    frequency: Any
    largest: float = eqx.field(static=True)
    error: float = eqx.field(static=True)

    def __init__(self, potential: Potential, w0: ndarray, largest: float) -> None:
        d = len(w0)
        self.made_for, self.largest = potential, largest
        axis = np.linspace(-largest, largest, _GRID[d])
        points = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
        with double_precision():
            hessians = np.asarray(_hessians(potential, np.concatenate([[w0], points])))
            values, vectors = np.linalg.eigh(hessians[0])
            root, inverse = (vectors * values**power @ vectors.T for power in (0.5, -0.5))
            smallest = float(np.min(np.linalg.eigvalsh(inverse @ hessians @ inverse)))
            self.linear = frozen(np.sqrt(_LINEAR * smallest) * root)
            self.covectors = frozen(_DIRECTIONS[d] @ root)
            squares = np.stack([np.outer(one, one).ravel() for one in self.covectors], axis=1)
            self.parts = frozen(np.linalg.pinv(squares))
            rest = (hessians - self.linear @ self.linear).reshape(len(hessians), -1) @ self.parts.T
            if not np.min(rest) > 0.0:
                _refuse(potential, largest, hessians @ np.linalg.inv(hessians[0]))
            self.frequency = np.float64(1.0)
            errors = np.asarray(_errors(self, points))
            self.frequency = frozen(np.maximum(np.sqrt(np.max(errors) / _WANTED), 1.0))
            self.error = float(np.max(np.asarray(_errors(self, points))))
            self.start = frozen(np.asarray(self.embedding(jnp.asarray(w0))))

    def formula(self, theta: Any) -> jax.Array:
        """Return G(theta) for a JAX array theta; NaN outside of the region."""
        d = jnp.shape(self.linear)[0]
        w = jnp.linalg.solve(jnp.asarray(self.linear), theta[:d])
        slope = jax.jacfwd(self.embedding)(w)
        found = w + jnp.linalg.solve(slope.T @ slope, slope.T @ (theta - self.embedding(w)))
        return jnp.where(jnp.max(jnp.abs(w)) <= self.largest, found, jnp.nan)

    def embedding(self, w: jax.Array) -> jax.Array:
        """Return F(w): the linear part, and a point of a spiral for each covector."""
        angle = self.frequency * (jnp.asarray(self.covectors) @ w)
        sizes = self.amplitudes(w) / self.frequency
        spirals = jnp.stack([sizes * jnp.cos(angle), sizes * jnp.sin(angle)])
        return jnp.concatenate([jnp.asarray(self.linear) @ w, spirals.ravel()])

    def amplitudes(self, w: jax.Array) -> jax.Array:
        """Return the a_k at w."""
        rest = _hessian(self.made_for, w) - self.linear @ self.linear
        return jnp.sqrt(jnp.asarray(self.parts) @ rest.ravel())

    def checked(self, theta: Any, name: str = "theta") -> Float64[ndarray, " D"]:
        array = leaf(theta, name, 1)
        if len(array) != len(self.start):
            raise InputError(
                f"{name} has {len(array)} entries, {len(self.start)} are expected, as in G.start"
            )
        return array

    def theta_of(self, w: Any) -> Float64[ndarray, " D"]:
        with double_precision():
            return frozen(np.asarray(self.embedding(jnp.asarray(w, dtype=np.float64))))


def _hessian(potential: Potential, w: jax.Array) -> jax.Array:
    return jax.vmap(lambda unit: potential.hessian_formula(w, unit))(jnp.eye(w.shape[0]))


@eqx.filter_jit
def _hessians(potential: Potential, points: Any) -> jax.Array:
    return jax.lax.map(lambda w: _hessian(potential, w), jnp.asarray(points))


@eqx.filter_jit
def _errors(chart: Any, points: Any) -> jax.Array:
    """Return the largest relative error of the metric DF^T DF at each point."""

    def one(w: jax.Array) -> jax.Array:
        slope, root = jax.jacfwd(chart.embedding)(w), jnp.linalg.cholesky(_hessian(chart.made_for, w))
        half = jax.scipy.linalg.solve_triangular(root, slope.T, lower=True)
        return jnp.max(jnp.abs(jnp.linalg.eigvalsh(half @ half.T) - 1.0))

    return jax.lax.map(one, jnp.asarray(points))


def _refuse(potential: Potential, largest: float, relative: Float64[ndarray, "p d d"]) -> None:
    """Raise the `InputError` that says how much the Hessian varies in the region."""
    values = np.real(np.linalg.eigvals(relative))
    raise InputError(
        f"the Hessian of {potential!r} varies too much for |w_i| <= {largest:g}: its curvatures relative to those at "
        f"w0 are between {np.min(values):.3g} and {np.max(values):.3g}, and curvatures of one point that differ by a "
        f"factor below about 2 are expected; type a smaller number, for instance largest={largest / 4:.3g}, or use "
        "ib.MirrorFlow, which integrates any potential"
    )
