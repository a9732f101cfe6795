"""The system in dual variables, integrated in the logarithm of the time, for losses of margins on separable data."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias.flows._dual_system import DualSystem
from implicitbias.flows._system import Solve
from implicitbias.problems import MarginLoss
from implicitbias.trajectories import Clock

EPSILON = float(np.finfo(np.float64).eps)
# Square roots of the second derivative of the loss are raised to this value, so that their inverses are finite.
_LEAST_ROOT = 1e-150
# The longest step that is taken regardless of the growth of the speed, as a share of tau.
_LATE_SHARE = 0.1
# On data that are not separable, all speeds in tau grow like t. At this logarithm, relative to the start, w is at its
# limit in float64. From there on the speeds are constant, so that they do not overflow.
_FASTEST = 300.0
# The rounding errors of the speeds that are accepted, relative to 1, if some rows have less than a share of the speed.
_COARSE, _SLOW = 1e-4, 1e-8
# The share of the dual variable after the first time that counts as rounding.
_ROUNDING = 1e-8
# The largest logarithm of the unit of time: after a start of large margins it could be larger than any end time.
_LONGEST_UNIT = 600.0


class LogTimeSystem(DualSystem):
    r"""The dual system in $\tau = \ln(1 + t / t_0)$, where the last entry of the inner variable is $\tau$.

    The equation is $d\nu_i / d\tau = -(t + t_0)\, \ell'(f_i) / n$. On separable data t leaves float64 and
    $\ell'$ becomes 0 in float64, but their product stays near 1 for support vectors. It is computed as the exponential
    of a sum of logarithms. The Jacobian has one more column than that of `DualSystem`: the field is proportional to
    $t + t_0 = t_0 e^\tau$, so its derivative in $\tau$ is the field itself.

    On data that are not separable, $\nu$ would grow like t in the null space of $X^\top$, and z would drown in its
    rounding errors. `basis` is an orthonormal basis of the range of X on which $\nu$ is projected, which leaves
    z = z_0 + X^T nu unchanged; it is None if the rows of X are independent.
    """

    margin_loss: MarginLoss
    log_unit: jax.Array
    log_fastest: jax.Array
    basis: jax.Array | None
    dual_floor: jax.Array

    def predictor(self, u: jax.Array) -> jax.Array:
        return self.primal_map.predictor(self.dual(u), jnp.zeros(()))

    def state(self, u: jax.Array) -> jax.Array:
        return self.primal_map.state(self.dual(u), jnp.zeros(()))

    def fits(self, u: jax.Array) -> jax.Array:
        """Return the entries f of the inner variable, (n,)."""
        return u[-1 - len(self.targets) : -1]

    def _margins(self, u: jax.Array) -> jax.Array:
        return self.targets * self.fits(u)

    def _log_scale(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the logarithm of (t + t_0) / n, lowered where speeds would overflow, and by how much it is lowered."""
        whole = u[-1] + self.log_unit - jnp.log(self.count)
        slope = jnp.max(self.margin_loss.log_slope(self._margins(u)))
        excess = jnp.maximum(0.0, whole + slope - self.log_fastest)
        return whole - excess, excess

    def _in_range(self, nu: jax.Array) -> jax.Array:
        return nu if self.basis is None else self.basis @ (self.basis.T @ nu)

    def speed(self, u: jax.Array) -> jax.Array:
        """Return the derivative of nu in tau, before the projection on the range of X."""
        return self.targets * jnp.exp(self._log_scale(u)[0] + self.margin_loss.log_slope(self._margins(u)))

    def field(self, u: jax.Array) -> jax.Array:
        n, whole = len(self.targets), super().field(u)
        return whole.at[:n].set(self._in_range(whole[:n]))

    def roots(self, u: jax.Array) -> jax.Array:
        """Return the square roots of minus the derivatives of `speed` in f, (n,)."""
        scale = self._log_scale(u)[0]
        logs = scale + self.margin_loss.log_curvature(self._margins(u))
        return jnp.maximum(jnp.exp(logs / 2), _LEAST_ROOT)

    def growing(self, u: jax.Array, speed: jax.Array) -> jax.Array:
        """Return the derivative in tau of a speed: the speed itself, and 0 where it is kept from overflowing."""
        return jnp.where(self._log_scale(u)[1] > 0.0, 0.0, speed)

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        n, growth, roots = len(self.targets), self.growing(u, self.speed(u)), self.roots(u)
        kernel = self.primal_map.kernel(self.rows, self.dual(u), jnp.zeros(()))
        matrix = gamma_step * roots[:, None] * kernel * roots
        # Where the rows are dependent, the rounding errors of a large matrix may make it indefinite. The multiple of
        # the identity that prevents it acts on the null space, which the projection removes. It also acts on rows of
        # tiny speed, whose margins may still grow if a part of the data is separable: such a step is refused.
        coarse = 4.0 * EPSILON * jnp.trace(matrix)
        mixed = jnp.min(roots) ** 2 < _SLOW * jnp.max(roots) ** 2
        unit = 1.0 if self.basis is None else jnp.where(mixed & (coarse > _COARSE), jnp.nan, 1.0 + coarse)
        factor = jax.scipy.linalg.cho_factor(unit * jnp.eye(n) + matrix)

        def solve(b: jax.Array) -> jax.Array:
            gap = b[n:-1] / gamma_step
            # Without this projection the large part in the null space would leave its rounding errors in the rest.
            right = self._in_range(b[:n] + gamma_step * (growth * b[-1] - roots**2 * gap))
            nu = self._in_range(roots * jax.scipy.linalg.cho_solve(factor, right / roots))
            return jnp.concatenate([nu, kernel @ nu + gap, b[-1:]])

        return solve, self.field(u)

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        # The speed depends on the margins exponentially. Their errors are therefore compared too, relative to
        # max(1, margin) and with the share of each row in the speed. They are computed from w, because the entries f
        # of the inner variable also differ by the gap that the step corrects.
        shares = jnp.abs(self.speed(end))
        shares = shares / jnp.maximum(jnp.max(shares), 1e-300)
        fits = [self.rows.X @ self.predictor(point) for point in (end, embedded)]
        apart = jnp.abs(fits[0] - fits[1]) / jnp.maximum(1.0, jnp.abs(fits[0]))
        return jnp.maximum(super().error(u, end, embedded), jnp.max(shares * apart))

    def least_dual(self) -> jax.Array:
        return self.dual_floor

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        # While the gradient is constant, the speed in tau grows like e^tau, and a wait of h at the present speed
        # becomes ln(1 + h). This phase ends at a moderate tau. Later the speed falls, and a step of a share of tau,
        # which hardly lets it grow, is safe if it is at most half of the wait.
        wait = super().quiet_time(u, rtol)
        return jnp.maximum(jnp.log1p(wait), jnp.minimum(wait / 2, _LATE_SHARE * u[-1]))


class TallLogTimeSystem(LogTimeSystem):
    r"""The same system with $z = z_0 + x$ for an unknown x of length d in place of nu, for data with n > d.

    The inner variable is $(x, f, \tau)$ with $dx / d\tau = X^\top d\nu / d\tau$, so that the null space of $X^\top$
    does not occur. Each step needs one factorisation of $I + \gamma h X^\top S X \frac{dw}{dz}$, (d, d).
    """

    def start(self) -> jax.Array:
        d = self.rows.X.shape[1]
        fits = self.rows.X @ self.primal_map.predictor(self.z0, jnp.zeros(()))
        return jnp.concatenate([jnp.zeros(d), fits, jnp.zeros(1)])

    def mass(self, size: int) -> jax.Array:
        index, d = jnp.arange(size), self.rows.X.shape[1]
        return 1.0 * ((index < d) | (index == size - 1))

    def dual(self, u: jax.Array) -> jax.Array:
        return self.z0 + u[: self.rows.X.shape[1]]

    def field(self, u: jax.Array) -> jax.Array:
        gap = self.rows.X @ self.predictor(u) - self.fits(u)
        return jnp.concatenate([self.dual_speed(u), gap, jnp.ones(1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        X, d, z, zero = self.rows.X, self.rows.X.shape[1], self.dual(u), jnp.zeros(())
        weights, growth = self.roots(u) ** 2, self.growing(u, self.dual_speed(u))
        curvature = self.primal_map.times_slope((X.T * weights) @ X, z, zero)
        # If a part of the data is not separable, the speeds of its rows cancel in dx / dtau and grow like t. A step is
        # refused where their rounding errors would hide the growth of the margins of the other rows.
        moved = self.primal_map.times_slope(X, z, zero)
        noise = EPSILON * jnp.max(jnp.abs(self.speed(u))) * jnp.max(jnp.sum(moved * X, axis=1))
        mixed = jnp.min(weights) < _SLOW * jnp.max(weights)
        unit = jnp.where(mixed & (noise > _COARSE), jnp.nan, 1.0)
        factor = jax.scipy.linalg.lu_factor(unit * jnp.eye(d) + gamma_step * curvature)

        def solve(b: jax.Array) -> jax.Array:
            gap = b[d:-1] / gamma_step
            right = b[:d] + gamma_step * (growth * b[-1] - (weights * gap) @ X)
            x = jax.scipy.linalg.lu_solve(factor, right)
            return jnp.concatenate([x, moved @ x + gap, b[-1:]])

        return solve, self.field(u)


def log_first_time(system: DualSystem, u: jax.Array) -> float:
    """Return the logarithm of the time in which the dual variable or the slowest loss changes by about 1 at the start.

    It is 0 if nothing changes. The speeds themselves may be outside of float64.
    """
    loss, n = _margin_loss(system), len(system.targets)
    margins = system.targets * u[n:-1]
    slopes = np.asarray(loss.log_slope(margins))
    largest = float(np.max(slopes))
    kernel = system.primal_map.kernel(system.rows, system.dual(u), jnp.zeros(()))
    with np.errstate(divide="ignore", over="ignore"):
        pull = (np.exp(slopes - largest) * np.asarray(system.targets)) @ np.asarray(system.rows.X)
        speed = largest + float(np.log(np.max(np.abs(pull))))
        rates = np.asarray(loss.log_curvature(margins)) + np.log(np.asarray(jnp.diagonal(kernel)))
    fastest = max(speed, float(np.max(rates))) - float(np.log(system.count))
    return -fastest if np.isfinite(fastest) else 0.0


def log_clock(system: DualSystem, u: jax.Array) -> Clock:
    """Return the clock of the system from this start."""
    return Clock(min(log_first_time(system, u), _LONGEST_UNIT))


def in_log_time(system: DualSystem, u: jax.Array, log_unit: float) -> LogTimeSystem:
    """Return the same system in the logarithm of the time, whose unit t_0 has this logarithm."""
    loss, n = _margin_loss(system), len(system.targets)
    slopes = np.asarray(loss.log_slope(system.targets * u[n:-1]))
    # The largest logarithm of the derivative of nu_i in tau if the clock starts at the first time.
    largest = log_first_time(system, u) - float(np.log(system.count)) + float(np.max(slopes))
    # The terms of z_j after the first time without their cancellation; its exponent is below that of the largest float.
    pull = np.exp(slopes - np.max(slopes)) @ np.abs(np.asarray(system.rows.X))
    dual = float(np.max(pull)) * np.exp(min(largest, _LONGEST_UNIT))
    names = ("rows", "targets", "loss", "count", "z0", "floor", "weight_decay", "primal_map")
    fields = {name: getattr(system, name) for name in names}
    X = np.asarray(system.rows.X)
    tall = X.shape[0] > X.shape[1]
    kind = TallLogTimeSystem if tall else LogTimeSystem
    return kind(
        **fields,
        margin_loss=loss,
        log_unit=jnp.asarray(float(log_unit)),
        log_fastest=jnp.asarray(largest + _FASTEST),
        basis=None if tall else _basis_of_range(X),
        dual_floor=jnp.asarray(max(_ROUNDING * dual, 1e-300)),
    )


def _margin_loss(system: DualSystem) -> MarginLoss:
    loss = system.loss.of_margins
    assert loss is not None  # The clock of the flow is logarithmic only for such losses.
    return loss


def _basis_of_range(X: ndarray) -> jax.Array | None:
    """Return an orthonormal basis of the range of X as columns, or None if the rows of X are independent."""
    norms = np.sqrt(np.einsum("ij,ij->j", X, X))
    left, singular, _ = np.linalg.svd(X[:, norms > 0.0] / norms[norms > 0.0], full_matrices=False)
    rank = int(np.sum(singular > max(X.shape) * EPSILON * np.max(singular, initial=0.0)))
    return None if rank == len(X) else jnp.asarray(left[:, :rank])
