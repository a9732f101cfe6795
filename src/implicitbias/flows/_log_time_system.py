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

    def _margins(self, u: jax.Array) -> jax.Array:
        return self.targets * u[len(self.targets) : -1]

    def _log_scale(self, u: jax.Array) -> jax.Array:
        """Return the logarithm of (t + t_0) / n."""
        return u[-1] + self.log_unit - jnp.log(self.count)

    def speed(self, u: jax.Array) -> jax.Array:
        """Return the derivative of nu in tau."""
        return self.targets * jnp.exp(self._log_scale(u) + self.margin_loss.log_slope(self._margins(u)))

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        n, speed = len(self.targets), self.speed(u)
        logs = self._log_scale(u) + self.margin_loss.log_curvature(self._margins(u))
        roots = jnp.maximum(jnp.exp(logs / 2), _LEAST_ROOT)
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
        shares = jnp.abs(self.speed(end))
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
    return LogTimeSystem(**fields, margin_loss=loss, log_unit=jnp.asarray(float(log_unit)))
