"""The system of flows in dual variables, which has n unknowns for any dimension d."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.compiled import compiled
from implicitbias._core.errors import InputError
from implicitbias._core.traced_maps import TracedMap
from implicitbias.flows._primal_maps import PrimalMap, Rows, on_device
from implicitbias.flows._system import Solve, System, mapped
from implicitbias.problems import Loss, MeanLoss

# Square roots of the second derivative of the loss are raised to this value, so that their inverses are finite.
_LEAST_ROOT = 1e-150
# The error in z counts this many times: in the units of z, the tolerance is an error of the time of a jump.
_DUAL_WEIGHT = 15.0
# A step takes at most this many times 1 / lam. Where the flow follows the decay, the ends of longer steps are accurate,
# but dense output between them is not: its error was 18 rtol in a step of 4 / lam.
_DECAY_TIMES = 1.0


class DualSystem(System):
    r"""The system $\nu_i' = -\ell'(f_i) / n$ with $z = z_0 + X^\top \nu$ and the constraint $f = X w(z, \lambda t)$.

    The inner variable is $(\nu, f, t)$. The Jacobian in $\nu$ is $-S K$, where $K = X \frac{dw}{dz} X^\top$ and
    $S = \operatorname{diag}(R^2)$ is the second derivative of the mean loss in the predictions. Each step needs one
    Cholesky factorisation of $I + \gamma h R K R$. For least squares with n > d, X = QR is replaced by its triangular
    factor and y by $Q^\top y$, which gives the same z with d instead of n unknowns.
    """

    rows: Rows
    targets: jax.Array
    loss: Loss
    count: jax.Array
    z0: jax.Array
    floor: jax.Array
    weight_decay: jax.Array
    primal_map: PrimalMap

    def start(self) -> jax.Array:
        """Return the inner variable at t = 0."""
        n = len(self.targets)
        return jnp.concatenate(
            [jnp.zeros(n), self.rows.X @ self.primal_map.predictor(self.z0, jnp.zeros(())), jnp.zeros(1)]
        )

    def mass(self, size: int) -> jax.Array:
        index, n = jnp.arange(size), len(self.targets)
        return 1.0 * ((index < n) | (index == 2 * n))

    def dual(self, u: jax.Array) -> jax.Array:
        """Return the dual variable z."""
        return self.z0 + u[: len(self.targets)] @ self.rows.X

    def predictor(self, u: jax.Array) -> jax.Array:
        """Return w."""
        return self.primal_map.predictor(self.dual(u), self.weight_decay * u[-1])

    @property
    def has_duals(self) -> bool:
        return True

    def duals(self, rows: ndarray) -> ndarray:
        return mapped(_dual, self, rows)

    def state(self, u: jax.Array) -> jax.Array:
        return self.primal_map.state(self.dual(u), self.weight_decay * u[-1])

    def speed(self, u: jax.Array) -> jax.Array:
        """Return the derivative of nu in time."""
        f = u[len(self.targets) : -1]
        return -jax.vmap(self.loss.derivative)(f[:, None], self.targets)[:, 0] / self.count

    def dual_speed(self, u: jax.Array) -> jax.Array:
        """Return the derivative of z in time."""
        return self.speed(u) @ self.rows.X

    def roots(self, u: jax.Array) -> jax.Array:
        """Return the square roots of the second derivatives of the mean loss in the predictions."""
        f = u[len(self.targets) : -1]
        roots = jax.vmap(self.loss.root)(f[:, None], self.targets)[:, 0, 0] / jnp.sqrt(self.count)
        return jnp.maximum(roots, _LEAST_ROOT)

    def field(self, u: jax.Array) -> jax.Array:
        gap = self.rows.X @ self.predictor(u) - u[len(self.targets) : -1]
        return jnp.concatenate([self.speed(u), gap, jnp.ones(1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        n = len(self.targets)
        z, s, roots = self.dual(u), self.weight_decay * u[-1], self.roots(u)
        kernel = self.primal_map.kernel(self.rows, z, s)
        factor = jax.scipy.linalg.cho_factor(jnp.eye(n) + gamma_step * roots[:, None] * kernel * roots)
        drift = self.rows.X @ (self.weight_decay * self.primal_map.decay_slope(z, s))

        def solve(b: jax.Array) -> jax.Array:
            # The constraint gives f = K nu + gap. The matrix of the remaining system in nu is I + gamma_step S K,
            # which becomes symmetric after scaling by the roots.
            gap = b[n:-1] / gamma_step + drift * b[-1]
            right = b[:n] - gamma_step * roots**2 * gap
            nu = roots * jax.scipy.linalg.cho_solve(factor, right / roots)
            return jnp.concatenate([nu, kernel @ nu + gap, b[-1:]])

        return solve, self.field(u)

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        z = [self.dual(point) for point in (u, end, embedded)]
        w = [self.predictor(point) for point in (u, end, embedded)]
        found = dual_error(z, w, self.floor, jnp.asarray(1e-300), _DUAL_WEIGHT)
        # All entries of w may be far below the floor, and z may be much larger than 1.
        s = self.weight_decay * end[-1]
        return jnp.maximum(found, self.primal_map.state_error(z[1], z[2] - z[1], s))

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        z, s, speed = self.dual(u), self.weight_decay * u[-1], self.dual_speed(u)
        growing = self.primal_map.growing_speed(z, speed, s, self.weight_decay)
        # An entry alone would grow to about the size that stops its z, if it is not stopped before by others.
        roots = self.roots(u)
        stopped = jnp.abs(growing) / (jnp.max(roots) ** 2 * jnp.maximum(self.rows.squares, 1e-300))
        quiet = self.primal_map.growth_time(z, growing, s, self.floor, stopped, rtol)
        # Dense output follows what relaxes at the rate lam only if a step is not much longer than 1 / lam. At rest
        # there is nothing to follow.
        drift = self.weight_decay * self.primal_map.decay_slope(z, s)
        change = self.primal_map.times_slope(speed[None], z, s)[0] + drift
        moves = jnp.max(jnp.abs(change) / (jnp.abs(self.predictor(u)) + self.floor), initial=0.0)
        rests = moves <= rtol * self.weight_decay
        return jnp.where(rests, quiet, jnp.minimum(quiet, _DECAY_TIMES / self.weight_decay))


def dual_error(
    z: list[jax.Array], w: list[jax.Array], floor: jax.Array, least: jax.Array, weight: float = 1.0
) -> jax.Array:
    """Return the relative difference of the two ends of a step in w and in z, each given at its start and both ends.

    Below `least` the dual variable is rounding. The difference in z counts `weight` times.
    """
    seen = jnp.abs(w[1] - w[2]) / (jnp.maximum(jnp.abs(w[0]), jnp.abs(w[1])) + floor)
    # The error in w is not sufficient: two ends of a step in which a growing coordinate became much too small agree in
    # w, but they differ in z.
    size = jnp.maximum(jnp.max(jnp.abs(z[0])), jnp.max(jnp.abs(z[1])))
    unseen = jnp.max(jnp.abs(z[1] - z[2])) / jnp.maximum(size, least)
    return jnp.maximum(jnp.max(seen), weight * unseen)


def map_for_duals(linear: TracedMap | None, loss: Loss, any_rows: bool) -> TracedMap | None:
    """Return the linear map if it has dual variables and these are not many more than the parameters, else None.

    With `any_rows`, there may be any number of rows, because the caller replaces them by a basis of their span.
    """
    if linear is None or linear.stored is None:
        return None
    n, d = linear.stored.shape
    return linear if loss.quadratic or any_rows or n <= 2 * d else None


def dual_system(
    linear: TracedMap | None, mean_loss: MeanLoss, primal: PrimalMap, z0: Any = 0.0, weight_decay: float = 0.0
) -> tuple[DualSystem, jax.Array]:
    """Return the system with z = z0 at t = 0, and its inner variable there; call it inside `double_precision`."""
    if linear is None or linear.stored is None:
        raise InputError(
            "X is sparse, but mirror flows can be simulated only with a dense X; if it fits into memory, type "
            "ib.LeastSquares(X.toarray(), y) or ib.Classification(X.toarray(), y)"
        )
    given, targets = np.asarray(linear.stored), np.asarray(mean_loss.targets)
    n, d = given.shape
    X, size = given, float(np.sqrt(np.sum(targets**2))) or 1.0
    if n > d and mean_loss.loss.quadratic:
        Q, X = np.linalg.qr(given)
        targets = Q.T @ targets
    norms = np.sqrt(np.einsum("ij,ij->j", given, given))
    # The size of w_i if all coordinates contribute equally to the fit; w_i is not resolved far below this size.
    floor = size / (np.where(norms > 0.0, norms, np.inf) * np.sqrt(d))
    floor = np.where(norms > 0.0, floor, 1.0)
    # `jnp.asarray` compiles a program for each shape, which `device_put` does not.
    system = DualSystem(
        rows=Rows(*map(jax.device_put, (X, np.ascontiguousarray(X.T), norms**2))),
        targets=jax.device_put(targets),
        loss=mean_loss.loss,
        count=jax.device_put(np.float64(n)),
        z0=jax.device_put(np.array(np.broadcast_to(np.asarray(z0, float), (d,)))),
        floor=jax.device_put(floor),
        weight_decay=jax.device_put(np.float64(weight_decay)),
        primal_map=on_device(primal),
    )
    return system, _start(system)


@compiled
def _start(system: DualSystem) -> jax.Array:
    return system.start()


def _dual(system: DualSystem, row: jax.Array) -> jax.Array:
    return system.dual(row)
