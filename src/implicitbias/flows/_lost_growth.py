r"""Detection of growth that began in rounding errors.

The flow leaves a saddle along a growth mode. At its smallest, the speed of this mode may have been below the rounding
errors of the gradient, or its size below those of the parameters. These errors then decide when the flow leaves the
saddle, and all later times are wrong, although each step meets its tolerance.

The speed of the flow falls on the way to a saddle and rises when the saddle is left. Where the speed is least, the mode
along which the flow will leave has the largest part of it. This mode was smallest, compared with rounding errors, when
the parameters had just reached their present size; its size at that time follows from its rate.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from implicitbias.flows._growth_modes import Modes

# The flow has left a saddle if the speed has risen by this factor. The present size of the parameters is the one that
# they have had since they last grew by this factor.
_RISEN = 10.0
# A speed below this multiple of its rounding errors may rise without any growth.
_CLEAR = 100.0
# A mode with a larger relative rounding error is lost.
_LOST = 0.3


class Rounding(NamedTuple):
    """The norm of theta', and the sizes of rounding errors of theta' and of the state in one direction."""

    speed: Any
    of_speed: Any
    of_state: Any


class LostGrowth(NamedTuple):
    """What is known about rounding errors in the growth that a flow has gone through.

    Attributes:
        worst: the largest estimate of the relative error of the time of leaving a saddle, caused by rounding errors. It
            is infinite where the mode is lost.
        when: the time of the least speed at that saddle.
        high: the last maximum of the speed.
        low, low_time: the least speed since then, and its time.
        pending: the same error for the mode that had the largest speed at `low_time`; it counts once the speed rises.
        of_state, since: the rounding errors of the state when the state last had grown much, and the time.
        growth: the integral of the largest growth rate since that time.
        seen: the time of the last search for modes.
    """

    worst: Any
    when: Any
    high: Any
    low: Any
    low_time: Any
    pending: Any
    of_state: Any
    since: Any
    growth: Any
    seen: Any

    def after(self, t: jax.Array, modes: Modes, rounding: Rounding) -> "LostGrowth":
        """Return what is known after a search for modes at time t."""
        speed = rounding.speed
        risen = (speed > _RISEN * self.low) & (speed > _CLEAR * rounding.of_speed)
        worse = risen & (self.pending > self.worst)
        grown = rounding.of_state > _RISEN * self.of_state
        growth = jnp.where(grown, 0.0, self.growth + (t - self.seen) * jnp.max(modes.rates))
        since = jnp.where(grown, t, self.since)
        highest = risen | (speed >= self.high)
        lowest = highest | (speed < self.low)
        pending = _error_of_time(modes, rounding, t, since, growth)
        return LostGrowth(
            worst=jnp.where(worse, self.pending, self.worst),
            when=jnp.where(worse, self.low_time, self.when),
            high=jnp.where(highest, speed, self.high),
            low=jnp.where(lowest, speed, self.low),
            low_time=jnp.where(lowest, t, self.low_time),
            pending=jnp.where(lowest, pending, self.pending),
            of_state=jnp.where(grown, rounding.of_state, self.of_state),
            since=since,
            growth=growth,
            seen=t,
        )

    def note(self, when: str, rtol: float) -> str:
        """Return a note for the reader, or "" if the estimated error is at most rtol; `when` is the time in words."""
        if not float(self.worst) > rtol:
            return ""
        error = (
            f"Later times may have relative errors of {float(self.worst):.1e}, which is more than rtol = {rtol:g}."
            if np.isfinite(float(self.worst))
            else "Later times are decided by these errors and are wrong."
        )
        return (
            f"The flow left a saddle after {when} in a direction whose part in the parameters or the gradient had been "
            f"near the rounding errors of float64. {error} Use a larger start, or ib.HadamardProduct() or "
            "ib.SquareDifference(), which are exact from any start."
        )


def nothing_lost() -> LostGrowth:
    """Return what is known at the start, in NumPy."""
    zero = np.float64(0.0)
    return LostGrowth(zero, zero, zero, np.float64(np.inf), zero, zero, zero, zero, zero, zero)


def _error_of_time(
    modes: Modes, rounding: Rounding, t: jax.Array, since: jax.Array, growth: jax.Array
) -> jax.Array:
    """Return the relative error of a time of growth along the mode with the largest speed at time t.

    Args:
        modes: the modes at time t.
        rounding: the rounding errors at time t.
        t: the time.
        since: the time since which the mode may have grown.
        growth: the integral of the largest growth rate since then. It bounds the growth of a mode whose rate has
            changed.
    """
    first = jnp.argmax(jnp.where(modes.rates > 0.0, jnp.abs(modes.speeds), -1.0))
    rate, bend, found = modes.rates[first], modes.bend, modes.rates[first] > 0.0
    bent = bend > 0.0
    # Where no mode is found, the rounding errors of the whole speed are all that is known.
    speed = jnp.where(found, jnp.abs(modes.speeds[first]), rounding.speed)
    size = speed / jnp.where(found, rate * (1.0 - bend), 1.0)
    back = rate * (t - since)
    back = jnp.where(bent, jnp.log1p(bend * back) / jnp.where(bent, bend, 1.0), back)
    exponent = jnp.where(found, jnp.minimum(back, growth), 0.0)
    of_speed = rounding.of_speed * jnp.exp(exponent) / jnp.where(speed > 0.0, speed, 1.0)
    of_size = rounding.of_state * jnp.exp((1.0 - bend) * exponent) / jnp.where(size > 0.0, size, 1.0)
    error = jnp.maximum(of_speed, jnp.where(found, of_size, 0.0))
    # A relative error e of a mode that grows like e^{rate t} changes the time by e / rate. The time that a bent mode
    # takes is proportional to a power of its size.
    of_time = error / jnp.maximum(1.0, jnp.where(bent, 0.0, rate * t))
    return jnp.where(speed > 0.0, jnp.where(error > _LOST, jnp.inf, of_time), 0.0)
