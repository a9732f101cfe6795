"""The speeds at which the rows of a classification pull, computed from logarithms, in the logarithm of the time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from implicitbias._core.modules import PlainModule
from implicitbias._core.status import Status
from implicitbias.flows._margin_rows import EPSILON, MarginRows
from implicitbias.problems import MarginLoss

# The rounding errors of the growth of margins that are accepted, relative to 1, if some directions of w have less than
# a share of the largest speed and the sum of all speeds is less than a share of them.
_COARSE, _SLOW, _CANCELLED = 1e-3, 1e-8, 1e-8
# The largest rise of the logarithm of the largest slope of a row over a step, in addition to ln n.
_MOST_RISE = 3.0
# The share of the terms of a sum below which the sum counts as rounding.
_NOISE = 64 * EPSILON
# The rounding error of a margin that is accepted: the speeds are exponentials of the margins.
_BLURRED = 1.0

_PARTLY_SEPARABLE = (
    "the pulls of some rows cancel, and their rounding errors hide the growth of the other margins. Only a part of the "
    "data seems to be separable; type ib.max_margin(problem, potential), which then raises an InfeasibleError with the "
    "combination of rows that proves it"
)
_TOO_LONG = (
    "w is so large that rounding errors of the margins reach 1, and the speeds are exponentials of the margins. The "
    "direction of w has converged about as far as float64 can tell; type ib.max_margin(problem, potential) for its "
    "limit"
)


class MarginSpeeds(PlainModule):
    r"""The speeds $p_{ic} = -(t + t_0)\, \partial \ell / \partial m_{ic} / n$ as functions of margins and $\tau$.

    Attributes:
        factor: U, (n, g, r), of the margins $m = U b$ with $b = B w$.
        loss: the loss of the g margins of a row.
        log_unit: ln t_0.
        log_fastest: the largest accepted logarithm of a speed. Larger speeds are divided by a common factor.
    """

    factor: jax.Array
    loss: MarginLoss
    log_unit: jax.Array
    log_fastest: jax.Array

    def margins(self, scores: jax.Array) -> jax.Array:
        """Return the margins (n, g) for scores b = B w."""
        return self.factor @ scores

    def pull(self, speeds: jax.Array) -> jax.Array:
        """Return U^T p for p (n, g), or U^T P for P (n, g, m) as (m, r)."""
        return jnp.tensordot(jnp.moveaxis(speeds, (0, 1), (-2, -1)), self.factor, 2)

    def clear_pull(self, speeds: jax.Array) -> jax.Array:
        """Return U^T p for p (n, g), with 0 in place of entries that are rounding errors of their terms."""
        whole, terms = self.pull(speeds), jnp.tensordot(speeds, jnp.abs(self.factor), 2)
        return jnp.where(jnp.abs(whole) > _NOISE * terms, whole, 0.0)

    def log_scale(self, margins: jax.Array, tau: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the logarithm of (t + t_0) / n, lowered where speeds would overflow, and by how much it is lowered."""
        whole = tau + self.log_unit - jnp.log(float(len(self.factor)))
        excess = jnp.maximum(0.0, whole + jnp.max(self.loss.log_slope(margins)) - self.log_fastest)
        return whole - excess, excess

    def at(self, margins: jax.Array, tau: jax.Array) -> jax.Array:
        """Return the speeds p, (n, g)."""
        return jnp.exp(self.log_scale(margins, tau)[0] + self.loss.log_slope(margins))

    def growing(self, margins: jax.Array, tau: jax.Array) -> jax.Array:
        """Return the derivative of U^T p in tau: itself, and 0 where the speeds are kept from overflowing."""
        lowered = self.log_scale(margins, tau)[1] > 0.0
        return jnp.where(lowered, 0.0, self.pull(self.at(margins, tau)))

    def curvature(self, margins: jax.Array, tau: jax.Array) -> Callable[[jax.Array], jax.Array]:
        """Return the function V (n, g, m) -> S V for minus the derivative S of the speeds in the margins."""
        scale = self.log_scale(margins, tau)[0]
        weights = jnp.exp(scale + self.loss.log_curvature(margins))
        if margins.shape[1] == 1:
            return lambda V: weights[..., None] * V
        # Two margins of one row have the second derivative -p_c p_c'.
        shares = jnp.exp(scale / 2 + self.loss.log_slope(margins))

        def bend(V: jax.Array) -> jax.Array:
            along = jnp.sum(shares[..., None] * V, axis=1, keepdims=True)
            return (weights + shares**2)[..., None] * V - shares[..., None] * along

        return bend

    def too_fast(self, before: jax.Array, after: jax.Array) -> jax.Array:
        """Return whether the largest slope of a row grows over a step by more than a flow allows.

        The loss decreases along a mirror flow, so the largest slope grows at most by a factor near n. At large margins
        the relative error of a margin does not see that a row became too fast.
        """
        rise = jnp.max(self.loss.log_slope(after)) - jnp.max(self.loss.log_slope(before))
        return rise > jnp.log(float(len(self.factor))) + _MOST_RISE

    def error(self, margins: jax.Array, scores: jax.Array, embedded: jax.Array) -> jax.Array:
        """Return the difference of two ends in margins, relative to max(1, margin) and weighted by shares of speed."""
        logs = self.loss.log_slope(margins)
        ends = self.margins(scores), self.margins(embedded)
        apart = jnp.abs(ends[0] - ends[1]) / jnp.maximum(1.0, jnp.abs(ends[0]))
        return jnp.max(jnp.exp(logs - jnp.max(logs)) * apart)

    def relative_to(self, margins: jax.Array) -> "MarginSpeeds":
        """Return the speeds divided by a factor with which the largest speed at tau = 0 and these margins is 1."""
        unit = jnp.log(float(len(self.factor))) - jnp.max(self.loss.log_slope(margins))
        return MarginSpeeds(self.factor, self.loss, unit, self.log_fastest)

    def blurred(self, spread: jax.Array) -> jax.Array:
        """Return whether the margins have rounding errors near 1; `spread` (r,) sums the sizes of the terms of B w."""
        return EPSILON * jnp.max(jnp.abs(self.factor) @ spread) > _BLURRED

    def lost(self, margins: jax.Array, tau: jax.Array, kernel: jax.Array, spread: jax.Array) -> jax.Array:
        """Return whether cancellation hides the speeds of rows, and whether rounding errors of the margins do.

        The third entry is whether rounding errors of a step would hide them, if steps are refused for another reason.
        """
        speeds, size = self.at(margins, tau), jnp.abs(self.factor)
        moved = jnp.sum((self.factor @ kernel) * self.factor, axis=-1)
        noise = EPSILON * jnp.max(speeds) * jnp.max(moved)
        terms = jnp.tensordot(speeds, size, 2)
        total = jnp.abs(self.pull(speeds))
        cancelled = (jnp.max(total) < _CANCELLED * jnp.max(terms)) & (noise > _COARSE)
        mixed = jnp.min(speeds) < _SLOW * jnp.max(speeds)
        hidden = jax.lax.cond(
            cancelled & mixed,
            lambda: self._leave_a_direction(speeds / jnp.max(speeds)),
            lambda: jnp.asarray(False),
        )
        return jnp.stack([hidden, self.blurred(spread), noise > 1.0])

    def _leave_a_direction(self, shares: jax.Array) -> jax.Array:
        """Return whether the fast rows leave a direction of w free, in which only the slow rows pull.

        On data that are not separable in any direction there may be rows of large margins too. Their fast rows
        determine all of w, so that nothing is hidden.
        """
        rows = self.factor.reshape(-1, self.factor.shape[-1])
        sizes, vectors = jnp.linalg.eigh(rows.T @ rows)
        kept = sizes > _NOISE * len(rows) * sizes[-1]
        basis = vectors * jnp.where(kept, 1.0 / jnp.sqrt(jnp.where(kept, sizes, 1.0)), 0.0)
        inner = basis.T @ ((rows * shares.ravel()[:, None]).T @ rows) @ basis
        return jnp.linalg.eigvalsh(inner + jnp.diag(1.0 - kept))[0] < _SLOW

    def diagnosis(self, lost: jax.Array) -> tuple[Status, str] | None:
        """Return the status and a reason for the reader if `lost` has found one."""
        reasons = [
            text for found, text in zip(lost, (_PARTLY_SEPARABLE, _TOO_LONG, _TOO_LONG), strict=True) if found
        ]
        return (Status.ROUNDING, reasons[0]) if reasons else None


def log_rates(rows: MarginRows, w: ndarray, kernel: ndarray) -> tuple[ndarray, float]:
    """Return the logarithms of minus the slopes of the loss at w (n, g), and that of the fastest change at the start.

    The fastest change is that of the dual variable or of the slowest loss, in 1 / t; it is not finite if nothing
    changes. The speeds themselves may be outside of float64.
    """
    factor = np.asarray(rows.factor)
    margins = jnp.asarray(factor @ (np.asarray(rows.rows.X) @ w))
    slopes, bends = np.asarray(rows.loss.log_slope(margins)), np.asarray(rows.loss.log_curvature(margins))
    largest = float(np.max(slopes))
    with np.errstate(divide="ignore", over="ignore"):
        pull = np.tensordot(np.exp(slopes - largest), factor, 2) @ np.asarray(rows.rows.X)
        speed = largest + float(np.log(np.max(np.abs(pull))))
        rates = bends + np.log(np.einsum("igr,rs,igs->ig", factor, kernel, factor, optimize=True))
    return slopes, max(speed, float(np.max(rates))) - float(np.log(len(factor)))
