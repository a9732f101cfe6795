"""The system in dual variables, integrated in the logarithm of the time, for losses of margins on separable data."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.status import Status
from implicitbias.flows._dual_system import dual_error
from implicitbias.flows._margin_rows import MarginRows
from implicitbias.flows._margin_speeds import MarginSpeeds, log_rates
from implicitbias.flows._primal_maps import PrimalMap, Rows, on_device
from implicitbias.flows._system import Solve, System, mapped
from implicitbias.trajectories import Clock

# The longest step that is taken regardless of the growth of the speed, as a share of tau.
_LATE_SHARE = 0.1
# On data that are not separable, all speeds in tau grow like t. At this logarithm, relative to the start, w is at its
# limit in float64. From there on the speeds are constant, so that they do not overflow.
_FASTEST = 300.0
# The size of an entry of w, as a share of its floor, whose slope stands for an infinite one at w_i = 0.
_SMALL = 1e-2
# The share of the dual variable after the first time that counts as rounding.
_ROUNDING = 1e-8
# The largest logarithm of the unit of time: after a start of large margins it could be larger than any end time.
LONGEST_UNIT = 600.0


class LogTimeSystem(System):
    r"""The mirror flow in $\tau = \ln(1 + t / t_0)$ with $z = z_0 + B^\top c$ for an unknown c (r,).

    The margins are $m = U B w(z)$ (see `MarginRows`), and the inner variable is $(c, m, \tau)$ with
    $dc / d\tau = U^\top p$, where $p_{ic} = -(t + t_0)\, \partial \ell / \partial m_{ic} / n$. On separable data t
    leaves float64 and the derivative of the loss becomes 0 in float64, but their product stays near 1 for support
    vectors. It is computed as the exponential of a sum of logarithms.

    The Jacobian in c is $-G K$ with $G = U^\top S U$, $K = B \frac{dw}{dz} B^\top$ and the second derivative S of the
    loss in the margins. Each step needs one factorisation of $I + \gamma h G K$, (r, r). The field is proportional to
    $t + t_0 = t_0 e^\tau$, so its derivative in $\tau$ is the field itself.
    """

    speeds: MarginSpeeds
    rows: Rows
    z0: jax.Array
    floor: jax.Array
    primal_map: PrimalMap
    dual_floor: jax.Array
    z_apart: jax.Array

    def start(self) -> jax.Array:
        """Return the inner variable at t = 0."""
        margins = self.speeds.margins(self.rows.X @ self.primal_map.predictor(self.z0, jnp.zeros(())))
        return jnp.concatenate([jnp.zeros(len(self.rows.X)), margins.ravel(), jnp.zeros(1)])

    def mass(self, size: int) -> jax.Array:
        index = jnp.arange(size)
        return 1.0 * ((index < len(self.rows.X)) | (index == size - 1))

    def dual(self, u: jax.Array) -> jax.Array:
        """Return the dual variable z."""
        return self.z0 + u[: len(self.rows.X)] @ self.rows.X

    def predictor(self, u: jax.Array) -> jax.Array:
        """Return w."""
        return self.primal_map.predictor(self.dual(u), jnp.zeros(()))

    def state(self, u: jax.Array) -> jax.Array:
        return self.primal_map.state(self.dual(u), jnp.zeros(()))

    @property
    def has_duals(self) -> bool:
        return True

    def duals(self, rows: ndarray) -> ndarray:
        return mapped(_dual, self, rows)

    def kernel(self, u: jax.Array) -> jax.Array:
        """Return B (dw / dz) B^T, (r, r)."""
        z = self.primal_map.sloped(self.dual(u), self.z_apart)
        return self.primal_map.kernel(self.rows, z, jnp.zeros(()))

    def kept_margins(self, u: jax.Array) -> jax.Array:
        """Return the entries m of the inner variable, (n, g)."""
        return u[len(self.rows.X) : -1].reshape(self.speeds.factor.shape[:2])

    def field(self, u: jax.Array) -> jax.Array:
        margins = self.kept_margins(u)
        gap = self.speeds.margins(self.rows.X @ self.predictor(u)) - margins
        pull = self.speeds.pull(self.speeds.at(margins, u[-1]))
        return jnp.concatenate([pull, gap.ravel(), jnp.ones(1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        r, margins, tau = len(self.rows.X), self.kept_margins(u), u[-1]
        kernel = self.kernel(u)
        growth = self.speeds.growing(margins, tau)
        curvature = self.speeds.curvature(margins, tau)
        # NaN refuses the step where rounding hides what the step should compute; `diagnosis` then gives the reason.
        unit = jnp.where(jnp.any(self._lost(u, kernel)[:2]), jnp.nan, 1.0)
        matrix = unit * jnp.eye(r) + gamma_step * self.speeds.pull(curvature(self.speeds.factor)).T @ kernel
        factor = jax.scipy.linalg.lu_factor(matrix)

        def solve(b: jax.Array) -> jax.Array:
            gap = b[r:-1].reshape(margins.shape) / gamma_step
            bent = self.speeds.pull(curvature(gap[..., None])[..., 0])
            c = jax.scipy.linalg.lu_solve(factor, b[:r] + gamma_step * (growth * b[-1] - bent))
            return jnp.concatenate([c, (self.speeds.margins(kernel @ c) + gap).ravel(), b[-1:]])

        return solve, self.field(u)

    def _lost(self, u: jax.Array, kernel: jax.Array) -> jax.Array:
        """Return the findings of `MarginSpeeds.lost` at u."""
        z, zero, size = self.dual(u), jnp.zeros(()), jnp.abs(self.rows.X)
        moved = self.primal_map.times_slope(size, self.primal_map.sloped(z, self.z_apart), zero) @ jnp.abs(z)
        spread = size @ jnp.abs(self.predictor(u)) + moved
        return self.speeds.lost(self.kept_margins(u), u[-1], kernel, spread)

    def diagnosis(self, u: jax.Array) -> tuple[Status, str] | None:
        return self.speeds.diagnosis(self._lost(u, self.kernel(u)))

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        points = (u, end, embedded)
        z, w = [self.dual(point) for point in points], [self.predictor(point) for point in points]
        # The margins are computed from w, because the entries m of the inner variable also differ by the gap that the
        # step corrects.
        seen = self.speeds.error(self.kept_margins(end), self.rows.X @ w[1], self.rows.X @ w[2])
        jumped = self.speeds.too_fast(self.kept_margins(u), self.kept_margins(end))
        return jnp.where(jumped, jnp.inf, jnp.maximum(dual_error(z, w, self.floor, self.dual_floor), seen))

    def quiet_time(self, u: jax.Array, rtol: jax.Array) -> jax.Array:
        # While the gradient is constant, the speed in tau grows like e^tau, and a wait of h at the present speed
        # becomes ln(1 + h). This phase ends at a moderate tau. Later the speed falls, and a step of a share of tau,
        # which hardly lets it grow, is safe if it is at most half of the wait.
        speed = self.speeds.clear_pull(self.speeds.at(self.kept_margins(u), u[-1])) @ self.rows.X
        wait = _quiet_time(self.primal_map, self.dual(u), speed, jnp.zeros(()), rtol * self.floor)
        return jnp.maximum(jnp.log1p(wait), jnp.minimum(wait / 2, _LATE_SHARE * u[-1]))


def log_time_system(
    rows: MarginRows, primal: PrimalMap, z0: ndarray, clock: Clock | None = None
) -> tuple[LogTimeSystem, Clock]:
    """Return the system with z = z0 at t = 0 and its clock, which follows from the speeds at the start if not given.

    Call this function inside `double_precision`.
    """
    primal, zero = on_device(primal), jnp.zeros(())
    w = primal.predictor(jnp.asarray(z0), zero)
    floor = least_sizes(rows)
    apart = _finite_slopes(primal, floor)
    kernel = np.asarray(primal.kernel(rows.rows, primal.sloped(jnp.asarray(z0), apart), zero))
    slopes, fastest = log_rates(rows, np.asarray(w), kernel)
    if clock is None:
        clock = Clock(min(-fastest if np.isfinite(fastest) else 0.0, LONGEST_UNIT))
    n = len(rows.factor)
    # The largest logarithm of p_ic if the clock starts at the first time.
    largest = (-fastest if np.isfinite(fastest) else 0.0) - float(np.log(n)) + float(np.max(slopes))
    # The terms of z_j after the first time without their cancellation; the exponent is below that of the largest float.
    pull = np.tensordot(np.exp(slopes - np.max(slopes)), np.abs(np.asarray(rows.factor)), 2)
    dual = float(np.max(pull @ np.abs(np.asarray(rows.rows.X)))) * np.exp(min(largest, LONGEST_UNIT))
    speeds = MarginSpeeds(
        rows.factor, rows.loss, jnp.asarray(float(clock.log_unit or 0.0)), jnp.asarray(largest + _FASTEST)
    )
    system = LogTimeSystem(
        speeds=speeds,
        rows=rows.rows,
        z0=jnp.asarray(z0),
        floor=floor,
        primal_map=primal,
        dual_floor=jnp.asarray(max(_ROUNDING * dual, 1e-300)),
        z_apart=apart,
    )
    return system, clock


def _quiet_time(
    primal: PrimalMap, z: jax.Array, speed: jax.Array, s: jax.Array, small: jax.Array
) -> jax.Array:
    """Return how long the coordinates w_i below `small` stay so at the present speed of z."""
    # The limit is half of `small`. A step that ends at the quiet time leaves a coordinate at almost `small`; it then
    # counts as visible, so that the next step may let it grow beyond `small`.
    unseen = jnp.abs(primal.predictor(z, s)) < small / 2
    low, high = primal.reach(small, s)
    times = jnp.where(speed > 0.0, high - z, low - z) / jnp.where(speed == 0.0, 1.0, speed)
    return jnp.min(jnp.where(unseen & (speed != 0.0), times, jnp.inf), initial=jnp.inf)


def _finite_slopes(primal: PrimalMap, floor: jax.Array) -> jax.Array:
    """Return the z_i whose slope dw / dz stands for that at z_i = 0: 0, or a small size where that slope is infinite.

    The slope of potentials of singular values and of sums of l_p potentials may be infinite at 0 if p > 2. A step may
    use another one, as its Jacobian is inexact.
    """
    zeros, zero = jnp.zeros_like(floor), jnp.zeros(())
    slopes = primal.times_slope(jnp.ones((1, len(floor))), zeros, zero)[0]
    return jnp.where(jnp.isfinite(slopes), 0.0, primal.small_dual(_SMALL * floor))


def least_sizes(rows: MarginRows) -> jax.Array:
    """Return the size of each w_i if all coordinates contribute equally to margins near 1; far below, w_i is noise."""
    n, size = len(rows.factor), len(rows.sizes)
    norms = np.where(rows.sizes > 0.0, rows.sizes, np.inf)
    return jnp.asarray(np.where(rows.sizes > 0.0, np.sqrt(n) / (norms * np.sqrt(size)), 1.0))


def _dual(system: LogTimeSystem, row: jax.Array) -> jax.Array:
    return system.dual(row)
