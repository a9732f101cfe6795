"""The system in dual variables, integrated in the logarithm of the time, for losses of margins on separable data."""

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias.flows._dual_system import DualSystem
from implicitbias.flows._system import Solve
from implicitbias.problems import MarginLoss

# Square roots of the second derivative of the loss are raised to this value, so that their inverses are finite.
_LEAST_ROOT = 1e-150
# The longest step that is taken regardless of the growth of the speed, as a share of tau.
_LATE_SHARE = 0.1


class LogTimeSystem(DualSystem):
    r"""The dual system in $\tau = \ln(1 + t / t_0)$, where the last entry of the inner variable is $\tau$.

    The equation is $d\nu_i / d\tau = -(t + t_0)\, \ell'(f_i) / n$. On separable data t leaves float64 and
    $\ell'$ becomes 0 in float64, but their product stays near 1 for support vectors. It is computed as the exponential
    of a sum of logarithms. The Jacobian has one more column than that of `DualSystem`: the field is proportional to
    $t + t_0 = t_0 e^\tau$, so its derivative in $\tau$ is the field itself.
    """

    margin_loss: MarginLoss
    log_unit: jax.Array

    def predictor(self, u: jax.Array) -> jax.Array:
        return self.primal_map.predictor(self.dual(u), jnp.zeros(()))

    def state(self, u: jax.Array) -> jax.Array:
        return self.primal_map.state(self.dual(u), jnp.zeros(()))

    def fits(self, u: jax.Array) -> jax.Array:
        """Return the entries f of the inner variable, (n,)."""
        return u[-1 - len(self.targets) : -1]

    def _logs(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the logarithm of (t + t_0) / n, and the margins."""
        return u[-1] + self.log_unit - jnp.log(self.count), self.targets * self.fits(u)

    def row_speed(self, u: jax.Array) -> jax.Array:
        """Return the derivative of nu in tau, (n,)."""
        scale, margins = self._logs(u)
        return self.targets * jnp.exp(scale + self.margin_loss.log_slope(margins))

    def row_roots(self, u: jax.Array) -> jax.Array:
        """Return the square roots of minus the derivatives of `row_speed` in f, (n,)."""
        scale, margins = self._logs(u)
        return jnp.maximum(jnp.exp((scale + self.margin_loss.log_curvature(margins)) / 2), _LEAST_ROOT)

    def speed(self, u: jax.Array) -> jax.Array:
        return self.row_speed(u)

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        n, speed, roots = len(self.targets), self.row_speed(u), self.row_roots(u)
        kernel = self.primal_map.kernel(self.rows, self.dual(u), jnp.zeros(()))
        factor = jax.scipy.linalg.cho_factor(jnp.eye(n) + gamma_step * roots[:, None] * kernel * roots)

        def solve(b: jax.Array) -> jax.Array:
            gap = b[n:-1] / gamma_step
            right = b[:n] + gamma_step * (speed * b[-1] - roots**2 * gap)
            nu = roots * jax.scipy.linalg.cho_solve(factor, right / roots)
            return jnp.concatenate([nu, kernel @ nu + gap, b[-1:]])

        return solve, self.field(u)

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        # The speed depends on the margins exponentially. Their errors are therefore compared too, relative to
        # max(1, margin) and with the share of each row in the speed. They are computed from w, because the entries f
        # of the inner variable also differ by the gap that the step corrects.
        shares = jnp.abs(self.row_speed(end))
        shares = shares / jnp.maximum(jnp.max(shares), 1e-300)
        fits = [self.rows.X @ self.predictor(point) for point in (end, embedded)]
        apart = jnp.abs(fits[0] - fits[1]) / jnp.maximum(1.0, jnp.abs(fits[0]))
        return jnp.maximum(super().error(u, end, embedded), jnp.max(shares * apart))

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        # While the gradient is constant, the speed in tau grows like e^tau, and a wait of h at the present speed
        # becomes ln(1 + h). This phase ends at a moderate tau. Later the speed falls, and a step of a share of tau,
        # which hardly lets it grow, is safe if it is at most half of the wait.
        wait = super().quiet_time(u, rtol)
        return jnp.maximum(jnp.log1p(wait), jnp.minimum(wait / 2, _LATE_SHARE * u[-1]))


class TallLogTimeSystem(LogTimeSystem):
    r"""The same system with $z = z_0 + x$ for an unknown x of length d in place of nu, for data with n > d.

    The inner variable is $(x, f, \tau)$ with $dx / d\tau = X^\top d\nu / d\tau$. Each step needs one factorisation of
    $I + \gamma h X^\top S X \frac{dw}{dz}$, (d, d).
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

    def dual_speed(self, u: jax.Array) -> jax.Array:
        return self.row_speed(u) @ self.rows.X

    def field(self, u: jax.Array) -> jax.Array:
        gap = self.rows.X @ self.predictor(u) - self.fits(u)
        return jnp.concatenate([self.dual_speed(u), gap, jnp.ones(1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        X, d, z, zero = self.rows.X, self.rows.X.shape[1], self.dual(u), jnp.zeros(())
        weights, speed = self.row_roots(u) ** 2, self.dual_speed(u)
        curvature = self.primal_map.times_slope((X.T * weights) @ X, z, zero)
        factor = jax.scipy.linalg.lu_factor(jnp.eye(d) + gamma_step * curvature)

        def solve(b: jax.Array) -> jax.Array:
            gap = b[d:-1] / gamma_step
            right = b[:d] + gamma_step * (speed * b[-1] - (weights * gap) @ X)
            x = jax.scipy.linalg.lu_solve(factor, right)
            return jnp.concatenate(
                [x, X @ self.primal_map.times_slope(jnp.eye(d), z, zero) @ x + gap, b[-1:]]
            )

        return solve, self.field(u)


def first_time(system: DualSystem, u: jax.Array) -> float:
    """Return the time in which the dual variable or the slowest loss changes by about 1 at the start."""
    n = len(system.targets)
    z = system.dual(u)
    speed = jnp.max(jnp.abs(system.speed(u) @ system.rows.X))
    roots = jax.vmap(system.loss.root)(u[n:-1, None], system.targets)[:, 0, 0]
    rates = roots**2 / system.count * jnp.diagonal(system.primal_map.kernel(system.rows, z, jnp.zeros(())))
    largest = float(jnp.maximum(speed, jnp.max(rates)))
    return 1.0 / largest if np.isfinite(largest) and largest > 0.0 else 1.0


def in_log_time(system: DualSystem, log_unit: float) -> LogTimeSystem:
    """Return the same system in the logarithm of the time, whose unit t_0 has this logarithm."""
    loss = system.loss.of_margins
    assert loss is not None  # The clock of the flow is logarithmic only for such losses.
    names = ("rows", "targets", "loss", "count", "z0", "floor", "weight_decay", "primal_map")
    fields = {name: getattr(system, name) for name in names}
    n, d = system.rows.X.shape
    kind = TallLogTimeSystem if n > d else LogTimeSystem
    return kind(**fields, margin_loss=loss, log_unit=jnp.asarray(float(log_unit)))
