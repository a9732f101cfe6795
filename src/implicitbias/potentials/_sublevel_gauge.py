"""The horizon of a potential without a closed form: the gauge of a large sublevel set, and its limit with an error."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.precision import double_precision
from implicitbias.gauges import ConicForm, Face, Gauge, KnownPoint, Polar
from implicitbias.potentials._ray_lengths import log_lengths_formula

# Natural logarithms of the largest level. The first one is used that the potential reaches without an overflow.
LEVEL_TOPS = (600.0, 300.0, 150.0, 75.0, 35.0)
# All levels, as shares of the logarithm of the largest one.
LEVEL_SHARES = np.array([2.0 / 15.0, 0.2, 0.3, 0.45, 2.0 / 3.0, 1.0])
_DIMENSION = 3  # in which a potential for any dimension is examined


@dataclass(frozen=True, eq=False)
class SublevelGauge(Gauge):
    r"""The gauge of the sublevel set $\{\phi \le c\}$ at a large level c, with the length 1 along (1, ..., 1).

    As c grows it converges to the horizon of $\phi$, for some potentials only like 1 / ln c. `estimate(w)` extrapolates
    the gauges of six levels to infinite c and returns an error bar.

    Args:
        potential: the potential.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import jax.numpy as jnp, implicitbias as ib
        >>> phi = ib.Potential.from_function(lambda w: jnp.sum(jnp.cosh(w)))
        >>> gauge = phi.horizon()
        >>> value, error = gauge.estimate([2.0, -1.0, 0.5])
        >>> abs(value - 2.0) <= error <= 1e-2
        True
    """

    potential: Any

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape (d,) of points, or None if the potential accepts any dimension."""
        length = self.potential.length()
        return None if length is None else (length[1],)

    def polar(self) -> Gauge:
        """Return the polar, which uses the inverse mirror map."""
        return Polar(self)

    def value_formula(self, w: Float64[ndarray, " d"]) -> float:
        """Return the length of the ray through (1, ..., 1) in the sublevel set, relative to that of the ray of w."""
        return float(self._values(w)[-1])

    def estimate(self, w: Any) -> tuple[float, float]:
        """Return the horizon at w, extrapolated to infinite levels, and an error bar.

        Raises:
            InputError: w has NaN or infinite entries, or another shape.
        """
        return extrapolated(self._values(self.checked(w)), 1.0 / self.log_levels)

    def subgradient(self, w: Any) -> Float64[ndarray, " d"]:
        """Return the gradient of the gauge at w, from the mirror map on the boundary of the sublevel set."""
        array = self.checked(w)
        if not array.any():
            return frozen(np.zeros_like(array))
        at = array * np.exp(self._logs(array)[-1])
        z = np.asarray(self.potential.mirror(at))
        z = z / np.max(np.abs(z))
        return frozen(z * (self.value_formula(array) / float(z @ array)))

    def face_formula(self, z: Float64[ndarray, " d"], tolerance: float) -> Face:
        """Return the point of the sublevel set that maximises <z, w>, at which the mirror map is parallel to z."""
        if not z.any():
            return KnownPoint(self, z, frozen(np.zeros_like(z)))
        unit = z / np.max(np.abs(z))
        low, high = -700.0, 700.0  # logarithms of the size of the mirror map
        for _ in range(60):
            middle = (low + high) / 2.0
            with np.errstate(all="ignore"):
                value = self._level(self._point(np.exp(middle) * unit))
            low, high = (middle, high) if value <= self.log_levels[-1] else (low, middle)
        point = self._point(np.exp(low) * unit)
        if not np.all(np.isfinite(point)) or not point.any():
            raise InputError(
                f"the inverse mirror map of {type(self.potential).__name__} was not found on the boundary of the "
                "sublevel set; use a potential whose horizon is known, such as ib.PNorm(p)"
            )
        return KnownPoint(self, z, frozen(point / self.value_formula(point)))

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return None, because a sublevel set has no conic form."""
        return None

    def _point(self, z: Float64[ndarray, " d"]) -> Float64[ndarray, " d"]:
        """Return the point of a dual variable, or NaN where it has none."""
        with double_precision():
            return np.array(self.potential.inverse_mirror_formula(jnp.asarray(z)))

    def _level(self, w: Float64[ndarray, " d"]) -> float:
        with np.errstate(all="ignore"):
            value = float(self.potential.value(w)) if np.all(np.isfinite(w)) else np.inf
        return np.inf if np.isnan(value) else float(np.log(max(value, 1e-300)))

    def _values(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " levels"]:
        """Return the gauges of w at all levels."""
        if not w.any():
            return np.zeros(len(LEVEL_SHARES))
        unit = float(np.max(np.abs(w)))
        return unit * np.exp(self._logs(np.ones(len(w))) - self._logs(w / unit))

    def _logs(self, w: Float64[ndarray, " d"]) -> Float64[ndarray, " levels"]:
        """Return the logarithms of the largest t with phi(t w) <= c for all levels c, by bisection."""
        with double_precision():
            return np.asarray(self._bisection(jnp.asarray(w), jnp.exp(jnp.asarray(self.log_levels))))

    @cached_property
    def log_levels(self) -> Float64[ndarray, " levels"]:
        """The natural logarithms of the levels, in ascending order; the last one defines the gauge.

        Raises:
            InputError: the potential does not reach the levels, for instance because it is bounded along a ray.
        """
        d = _DIMENSION if self.shape is None else self.shape[0]
        rays = [np.ones(d), *np.eye(d), *-np.eye(d)]
        for top in LEVEL_TOPS:
            levels = top * LEVEL_SHARES
            if all(self._reached(ray, levels) for ray in rays):
                return frozen(levels)
        raise InputError(
            f"the horizon of {type(self.potential).__name__} cannot be computed: along a ray the potential exceeds "
            "float64 or stays bounded before it reaches exp(35); write it without intermediate results that overflow, "
            "for instance jnp.hypot(w, 1.0) in place of jnp.sqrt(1 + w**2)"
        )

    def _reached(self, ray: Float64[ndarray, " d"], levels: Float64[ndarray, " levels"]) -> bool:
        """Return whether the potential takes all these levels along a ray."""
        with double_precision():
            logs = np.asarray(self._bisection(jnp.asarray(ray), jnp.exp(jnp.asarray(levels))))
        got = np.array([self._level(np.exp(log) * ray) for log in logs])
        return bool(np.all(np.abs(got - levels) <= 1e-6 * levels))

    @cached_property
    def _bisection(self) -> Any:
        return jax.jit(log_lengths_formula(self.potential))


def extrapolated(values: Float64[ndarray, " levels"], x: Float64[ndarray, " levels"]) -> tuple[float, float]:
    """Return the limit of gauges at levels c with x = 1 / ln c as x goes to 0, and an error bar.

    The gauges are treated as polynomials in x. The best order is the one that changes the value least, and the error
    bar is ten times the largest change of the two orders before it.
    """
    table, ends = values.copy(), [float(values[-1])]
    for order in range(1, len(values)):
        table = (x[:-order] * table[1:] - x[order:] * table[:-1]) / (x[:-order] - x[order:])
        ends.append(float(table[-1]))
    changes = np.abs(np.diff(ends))
    best = int(np.argmin(changes)) + 1
    rounding = 1e-13 * abs(ends[0]) * 2.0**best
    return ends[best], 10.0 * float(np.max(changes[max(best - 2, 0) : best])) + rounding
