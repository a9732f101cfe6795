r"""The gradient flow of a model with piecewise linear units, some of which are held at their kink.

At a pre-activation z_i = 0 the gradient of the objective jumps by q_i b_i, with q_i the derivative of the objective in
the output of the unit and b_i the gradient of z_i. Where q_i > 0, both sides push the parameters onto z_i = 0, and the
solution in the sense of Filippov stays there: the unit is *held*.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from numpy import ndarray

from implicitbias.flows._decayed_algebra import scaled_jacobian
from implicitbias.flows._gauss_newton import GaussNewtonSystem
from implicitbias.flows._gauss_newton_algebra import GaussNewtonMatrix
from implicitbias.flows._ros34pw2 import TIGHT
from implicitbias.flows._system import Prepared, Solve, System
from implicitbias.predictors import GatedPredictor, TracedJacobian, from_products

# The Gram matrix of the normals gets this multiple of its largest diagonal entry: normals may depend on each other.
_RIDGE = 1e-13


class Stand(NamedTuple):
    """The slopes of all units and the units that are held.

    Attributes:
        slopes: the slopes of all units, flat (r m,).
        places: the places (a,) of the held units in the flat array of all units.
        held: whether an entry of `places` is used, (a,).
    """

    slopes: Any
    places: Any
    held: Any


class Surface(NamedTuple):
    """The tangent space of the surface on which the held pre-activations are 0.

    Attributes:
        normals: the gradients B of the held pre-activations (a, p), zero in unused rows.
        factor: the lower Cholesky factor of B B^T, with ones on the diagonal for unused rows.
    """

    normals: jax.Array
    factor: jax.Array

    def pulls(self, v: jax.Array) -> jax.Array:
        """Return the coefficients (a,) of the normals in the part of v (p,) outside the surface."""
        first = self.lifts(self.normals @ v)
        return first + self.lifts(self.normals @ (v - first @ self.normals))

    def lifts(self, gap: jax.Array) -> jax.Array:
        """Return coefficients c (a,) with B B^T c = gap."""
        lifts: jax.Array = jax.scipy.linalg.cho_solve((self.factor, True), gap)
        return lifts

    def outside(self, v: jax.Array) -> jax.Array:
        """Return the part of v (p,) outside the surface."""
        return self.pulls(v) @ self.normals

    def tangent_jacobian(self, J: TracedJacobian) -> TracedJacobian:
        """Return the Jacobian of the predictions on the surface, J (I - Q Q^T)."""

        def tangent(v: jax.Array) -> jax.Array:
            return v - self.outside(v)

        def matrix() -> jax.Array:
            values = J.matrix()
            flat = values.reshape(-1, values.shape[-1])
            # Q = L^{-1} B has orthonormal rows, which span the normals.
            Q = jax.scipy.linalg.solve_triangular(self.factor, self.normals, lower=True)
            return (flat - (flat @ Q.T) @ Q).reshape(values.shape)

        return from_products(J.predictions, lambda v: J.mv(tangent(v)), lambda r: tangent(J.rmv(r)), matrix)


class Look(NamedTuple):
    """The situation of the units at a point.

    Attributes:
        z: the pre-activations, flat (r m,).
        q: the derivatives of the objective in the outputs of the units, flat (r m,).
        rate: the derivatives of the pre-activations in time, flat (r m,).
        force: minus the gradient of the objective with weight decay, not projected, (p,).
        normals: the gradients of the held pre-activations (a, p), zero in unused rows.
        pull: the coefficients (a,) of the normals in the projection of `force`.
    """

    z: jax.Array
    q: jax.Array
    rate: jax.Array
    force: jax.Array
    normals: jax.Array
    pull: jax.Array


class SlidingSystem(System):
    """The flow projected on the surface on which the held pre-activations are 0.

    Attributes:
        base: the system of the model with given slopes of its units; its predictor is a `GatedPredictor`.
        stand: the slopes of all units and the units that are held.
    """

    base: GaussNewtonSystem
    stand: Stand

    def at(self, stand: Stand) -> "SlidingSystem":
        """Return the system with other slopes and held units; call it in a traced function, because it is slow."""
        slopes = jnp.asarray(stand.slopes)
        predictor = self.gated.with_slopes(slopes.reshape(self.gated.slopes.shape))
        base = eqx.tree_at(lambda plain: plain.predictor, self.base, predictor)
        return SlidingSystem(base, Stand(slopes, jnp.asarray(stand.places), jnp.asarray(stand.held)))

    @property
    def gated(self) -> GatedPredictor:
        """The predictor of the model with given slopes."""
        predictor: Any = self.base.predictor
        return predictor

    def field(self, u: jax.Array) -> jax.Array:
        plain, p = self.base.field(u), self.base.shape.size
        return plain.at[:p].add(-self.surface(u[:p]).outside(plain[:p]))

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        prepared = self.prepare(u, gamma_step, (), TIGHT)
        return lambda b: prepared.solve(b)[0], prepared.field

    def prepare(self, u: jax.Array, gamma_step: jax.Array, memory: Any, rtol: Any) -> Prepared:
        base = self.base
        theta, f, tau = base.split(u)
        surface = self.surface(theta)
        J = self.gated.jacobian(base.shape, theta, dense=base.algebra.needs_entries)
        # The unknown is root * change, in which the decays of the entries become the identity.
        root = jnp.sqrt(1 + gamma_step * jnp.broadcast_to(base.weight_decay, theta.shape))
        scaled = self.with_factor(surface.normals / root)
        tangent = scaled.tangent_jacobian(scaled_jacobian(J, root))
        roots, accuracy = base.roots(f, tau), base.accuracy(theta, rtol)
        # The algebras in use here have no memory, so that of the plain system is handed on.
        solve, _ = base.algebra.solver(
            GaussNewtonMatrix(tangent, roots, gamma_step, jnp.ones(()), accuracy), ()
        )

        slope = J.rmv(base.pull(f, tau)) + base.weight_decay * theta
        force = surface.outside(slope) - slope

        def eliminate(b: jax.Array) -> tuple[jax.Array, jax.Array]:
            # The matrix does not change the part of b outside the surface; its predictions are added to the gap.
            right, gap, ahead = base.with_time(u, b, gamma_step, force)
            outside = surface.outside(right)
            gap = gap + J.mv(outside)
            right = (right - outside) / root
            change, predicted, iterations = solve(right - scaled.outside(right), gap)
            return jnp.concatenate(
                [change / root + outside, (predicted + gap).reshape(-1), ahead]
            ), iterations

        field = jnp.concatenate([force, (J.predictions - f).reshape(-1), jnp.ones_like(tau)])
        return Prepared(eliminate, field, memory)

    def look(self, u: jax.Array) -> Look:
        """Return the situation of the units at u."""
        theta, f, tau = self.base.split(u)
        slopes = self.gated.slopes
        (_, z), back = jax.vjp(
            lambda point, shifts: self.gated.evaluate(point, slopes, shifts), theta, jnp.zeros_like(slopes)
        )
        slope, q = back((self.base.pull(f, tau), jnp.zeros_like(z)))
        force, surface = -slope - self.base.weight_decay * theta, self.surface(theta)
        pull = surface.pulls(force)
        rate = jax.jvp(self.pre_activations, (theta,), (force - pull @ surface.normals,))[1]
        return Look(z.ravel(), q.ravel(), rate, force, surface.normals, pull)

    def pre_activations(self, theta: jax.Array) -> jax.Array:
        """Return the pre-activations of all units, flat (r m,)."""
        return self.gated.evaluate(theta, self.gated.slopes, None)[1].ravel()

    def displaced(self, theta: jax.Array, weights: jax.Array) -> jax.Array:
        """Return the sum of the gradients of all pre-activations with some weights, flat (r m,)."""
        total: jax.Array = jax.vjp(self.pre_activations, theta)[1](weights)[0]
        return total

    def settled(self, u: jax.Array, normals: jax.Array) -> jax.Array:
        """Return the point u moved onto the surface of the held units by two steps of Newton's method.

        The normals are those at u. The predictions among the unknowns change as the model's predictions do.
        """
        p, surface = self.base.shape.size, self.with_factor(normals)

        def evaluated(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
            predictions, z = self.gated.evaluate(theta, self.gated.slopes, None)
            return predictions.ravel(), z.ravel()[self.stand.places]

        def newton(_: Any, theta: jax.Array) -> jax.Array:
            gap = jnp.where(self.stand.held, evaluated(theta)[1], 0.0)
            moved: jax.Array = theta - surface.lifts(gap) @ normals
            return moved

        theta = jax.lax.fori_loop(0, 2, newton, u[:p])
        change = jax.jvp(lambda point: evaluated(point)[0], (theta,), (theta - u[:p],))[1]
        return jnp.concatenate([theta, u[p : p + len(change)] + change, u[p + len(change) :]])

    def surface(self, theta: jax.Array) -> Surface:
        """Return the surface of the held units at theta."""
        gradients = self.gated.normals(theta, self.stand.places)
        return self.with_factor(jnp.where(self.stand.held[:, None], gradients, 0.0))

    def with_factor(self, normals: jax.Array) -> Surface:
        """Return the surface with these normals."""
        gram = normals @ normals.T
        sizes = jnp.diag(gram)
        ridge = _RIDGE * jnp.max(sizes, initial=0.0)
        used = self.stand.held & (sizes > ridge)
        return Surface(normals, jnp.linalg.cholesky(gram + jnp.diag(jnp.where(used, ridge, 1.0))))

    def mass(self, size: int) -> jax.Array:
        return self.base.mass(size)

    def state(self, u: jax.Array) -> jax.Array:
        return self.base.state(u)

    def states(self, rows: ndarray) -> ndarray:
        return self.base.states(rows)

    def entry_name(self, index: int) -> str:
        return self.base.entry_name(index)

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        return self.base.error(u, end, embedded)
