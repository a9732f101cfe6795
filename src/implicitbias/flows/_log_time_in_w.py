"""The mirror flow of a steep potential, in w itself and in the logarithm of the time."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.errors import ImplicitBiasError
from implicitbias._core.status import Status
from implicitbias.flows._log_time_system import LONGEST_UNIT, least_sizes
from implicitbias.flows._margin_rows import MarginRows
from implicitbias.flows._margin_speeds import MarginSpeeds
from implicitbias.flows._primal_maps import Rows, on_device
from implicitbias.flows._system import Solve, System, mapped
from implicitbias.potentials import SteepPotential
from implicitbias.trajectories import Clock

# The largest logarithm of the rate at which a coordinate answers to the sum of the pulls, for columns of X of size 1.
# For cosh the pulls on coordinates inside of the l_infinity ball cancel almost exactly, and their rate grows like a
# power of t without a bound. Beyond this value a larger rate changes w by less than the tolerance.
_FASTEST_RATE = 15.0
# The size of an entry of w, as a share of its floor, below which the rate at the start does not count.
_SMALL = 1e-2
# The least diagonal entry of the matrix of a step: where a coordinate accelerates, the exact one could be 0.
_LEAST_DIAGONAL = 0.5


class LogTimeInW(System):
    r"""The mirror flow in $\tau = \ln(1 + t / t_0)$ for the unknown w.

    The inner variable is $(w, \tau)$ with $dw_i / d\tau = (B^\top U^\top p)_i\, e^{-g_i}$ for the speeds p of
    `MarginSpeeds` and the logarithm $g_i = \ln h''(w_i)$ of the curvature of the potential. Both may be outside of
    float64; their ratio is computed from logarithms. The Jacobian is
    $-E B^\top G B - \operatorname{diag}(g_i'\, dw_i / d\tau)$ with $E = \operatorname{diag}(e^{-g_i})$ and
    $G = U^\top S U$. Each step needs one factorisation of a (d, d) matrix.
    """

    speeds: MarginSpeeds
    rows: Rows
    w0: jax.Array
    floor: jax.Array
    potential: SteepPotential

    def start(self) -> jax.Array:
        """Return the inner variable at t = 0."""
        return jnp.concatenate([self.w0, jnp.zeros(1)])

    def state(self, u: jax.Array) -> jax.Array:
        return u[:-1]

    @property
    def has_duals(self) -> bool:
        return True

    def duals(self, rows: ndarray) -> ndarray:
        return mapped(_dual, self, rows)

    def _margins(self, u: jax.Array) -> jax.Array:
        return self.speeds.margins(self.rows.X @ u[:-1])

    def _rates(self, u: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the slopes of the rows relative to the largest one, (n, g), and the rates of the coordinates, (d,)."""
        logs = self.speeds.loss.log_slope(self._margins(u))
        largest = jnp.max(logs)
        whole = u[-1] + self.speeds.log_unit - jnp.log(float(len(logs))) + largest
        rates = whole - self.potential.log_curvature_formula(u[:-1])
        return jnp.exp(logs - largest), jnp.exp(jnp.minimum(rates, self._fastest()))

    def _fastest(self) -> jax.Array:
        # A rate acts on the margins with the square of its column of X.
        return _FASTEST_RATE + 2.0 * jnp.log(self.floor)

    def field(self, u: jax.Array) -> jax.Array:
        shares, rates = self._rates(u)
        return jnp.concatenate([rates * (self.speeds.pull(shares) @ self.rows.X), jnp.ones(1)])

    def factorize(self, u: jax.Array, gamma_step: jax.Array) -> tuple[Solve, jax.Array]:
        w, margins, field, rates = u[:-1], self._margins(u), self.field(u), self._rates(u)[1]
        bend = self.speeds.relative_to(margins).curvature(margins, jnp.zeros(()))
        inner = self.speeds.pull(bend(self.speeds.factor))
        growth = jnp.where(rates < jnp.exp(self._fastest()), field[:-1], 0.0)
        stretch = jax.jvp(self.potential.log_curvature_formula, (w,), (jnp.ones_like(w),))[1]
        # The rate is constant where it is at its largest value, for instance where w_i = 0 and h'' = 0.
        moving = jnp.where(growth == 0.0, 0.0, stretch * growth)
        diagonal = jnp.maximum(1.0 + gamma_step * moving, _LEAST_DIAGONAL)
        # Rows are divided by their rates where these are large, so that all rows have a similar size.
        unit = jnp.maximum(1.0, gamma_step * rates)
        # NaN refuses the step where rounding hides what the step should compute; `diagnosis` then gives the reason.
        diagonal = jnp.where(self._blurred(u), jnp.nan, diagonal / unit)
        coupling = self.rows.columns @ inner @ self.rows.X
        factor = jax.scipy.linalg.lu_factor(
            jnp.diag(diagonal) + (gamma_step * rates / unit)[:, None] * coupling
        )

        def solve(b: jax.Array) -> jax.Array:
            right = (b[:-1] + gamma_step * growth * b[-1]) / unit
            return jnp.concatenate([jax.scipy.linalg.lu_solve(factor, right), b[-1:]])

        return solve, field

    def _blurred(self, u: jax.Array) -> jax.Array:
        return self.speeds.blurred(jnp.abs(self.rows.X) @ jnp.abs(u[:-1]))

    def diagnosis(self, u: jax.Array) -> tuple[Status, str] | None:
        return self.speeds.diagnosis(jnp.stack([jnp.asarray(False), self._blurred(u), jnp.asarray(False)]))

    def error(self, u: jax.Array, end: jax.Array, embedded: jax.Array) -> jax.Array:
        w = [point[:-1] for point in (u, end, embedded)]
        apart = jnp.abs(w[1] - w[2]) / (jnp.maximum(jnp.abs(w[0]), jnp.abs(w[1])) + self.floor)
        seen = self.speeds.error(self._margins(end), self.rows.X @ w[1], self.rows.X @ w[2])
        jumped = self.speeds.too_fast(self._margins(u), self._margins(end))
        return jnp.where(jumped, jnp.inf, jnp.maximum(jnp.max(apart), seen))


def log_time_in_w(
    rows: MarginRows, potential: SteepPotential, w0: ndarray, clock: Clock | None, max_bytes: int
) -> tuple[LogTimeInW, Clock]:
    """Return the system with w = w0 at t = 0 and its clock, which follows from the speeds at the start if not given.

    Raises:
        ImplicitBiasError: a (d, d) matrix needs more than `max_bytes`.
    """
    d = len(w0)
    if 8 * d * d > max_bytes:
        raise ImplicitBiasError(
            f"the mirror flow of {type(potential).__name__} needs a matrix of {8 * d * d / 2**30:.1f} GiB for w with "
            f"{d} entries, more than the budget of {max_bytes / 2**30:.1f} GiB; type simulate(..., "
            f"solver=ib.GaussNewtonRosenbrock(max_bytes={8 * d * d}))"
        )
    if clock is None:
        clock = Clock(min(-_log_rate(rows, potential, w0), LONGEST_UNIT))
    unit = jnp.asarray(float(clock.log_unit or 0.0))
    system = LogTimeInW(
        speeds=MarginSpeeds(rows.factor, rows.loss, unit, jnp.asarray(jnp.inf)),
        rows=rows.rows,
        w0=jnp.asarray(w0),
        floor=least_sizes(rows),
        potential=on_device(potential),
    )
    return system, clock


def _log_rate(rows: MarginRows, potential: SteepPotential, w0: ndarray) -> float:
    """Return the logarithm of the fastest change of w or of the slowest loss at the start; 0 if nothing changes."""
    factor, B = np.asarray(rows.factor), np.asarray(rows.rows.X)
    margins = jnp.asarray(factor @ (B @ w0))
    slopes, bends = np.asarray(rows.loss.log_slope(margins)), np.asarray(rows.loss.log_curvature(margins))
    # At w_i = 0 the curvature may be 0, so that it is taken at a small size.
    sizes = jnp.maximum(jnp.abs(jnp.asarray(w0)), _SMALL * least_sizes(rows))
    curvature = np.asarray(potential.log_curvature_formula(sizes))
    largest, softest = float(np.max(slopes)), float(np.min(curvature))
    with np.errstate(divide="ignore"):
        pull = np.abs(np.tensordot(np.exp(slopes - largest), factor, 2) @ B)
        speed = largest + float(np.max(np.log(pull) - curvature))
        moved = np.sum(((factor @ B) ** 2) * np.exp(softest - curvature), axis=-1)
        rates = bends + np.log(moved) - softest
    fastest = max(speed, float(np.max(rates))) - float(np.log(len(factor)))
    return fastest if np.isfinite(fastest) else 0.0


def _dual(system: LogTimeInW, row: jax.Array) -> jax.Array:
    return system.potential.mirror_formula(row[:-1])
