"""The horizon of a potential that is computed from flows: the gauge of a large sublevel set, reached in logarithms."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from implicitbias._core.arrays import frozen
from implicitbias._core.errors import InputError
from implicitbias._core.ivp import integrated
from implicitbias._core.precision import double_precision
from implicitbias.gauges import ConicForm, Face, Gauge, KnownPoint, Polar
from implicitbias.potentials import LEVEL_SHARES, LEVEL_TOPS, extrapolated

_RTOL, _STEPS = 1e-12, 4000
# Directions in which w moves this much more slowly than in others are left out of a lift: w loses 1e-14 of its size.
_SLOW = 1e-7
# The largest relative distance of the end of a lift from the ray.
_OFF = 1e-9
# The first part of a flow moves theta by about this share of its size, so that no singularity is met.
_FIRST = 0.1


@dataclass(frozen=True, eq=False)
class InducedHorizon(Gauge):
    r"""The gauge of $\{w : R(w_0 + w) \le c\}$ at a large level c, with the length 1 along (1, ..., 1).

    R is a potential that is computed from flows of the gradients of w. Both kinds of flow are integrated in
    $\rho = \ln R$, so that a level of exp(600) is as easy to reach as one of exp(30): the lift of a ray gives the
    length of the ray in the set, and the flow of $\sum_i z_i \nabla G_i$ gives the point at which the mirror map is
    parallel to z. As c grows, the gauge converges to the horizon of R, for some potentials only like 1 / ln c.
    `estimate(w)` extrapolates the gauges of six levels to infinite c and returns an error bar.

    Args:
        potential: an induced potential, whose domain is the whole space.

    Reference:
        pesme2024mirror.

    Examples:
        >>> import implicitbias as ib
        >>> R = ib.induced_potential(
        ...     lambda theta: theta[0] ** 2 - 2 * theta[1] ** 2, ([1.0, 1.0], [1.0, 1.0])
        ... )
        >>> value, error = R.horizon().estimate(
        ...     [2.0, -1.0]
        ... )  # (w_+ + w_- / 2) / 2, with the length 1 along (1, 1)
        >>> abs(value - 1.25) <= error <= 1e-2
        True
    """

    potential: Any

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape (d,) of points."""
        return np.shape(self.potential.w0)

    def polar(self) -> Gauge:
        """Return the polar, which uses the flows of the gradients of w."""
        return Polar(self)

    def value_formula(self, w: Float64[ndarray, "..."]) -> float:
        """Return the length of the ray through (1, ..., 1) in the sublevel set, relative to that of the ray of w."""
        return float(self._values(w)[-1])

    def estimate(self, w: Any) -> tuple[float, float]:
        """Return the horizon at w, extrapolated to infinite levels, and an error bar.

        Raises:
            InputError: w has NaN or infinite entries, or another shape; or the potential does not reach the levels.
        """
        return extrapolated(self._values(self.checked(w)), 1.0 / self.log_levels)

    def subgradient(self, w: Any) -> Float64[ndarray, "..."]:
        """Return the gradient of the gauge at w, from the mirror map on the boundary of the sublevel set."""
        array = self.checked(w)
        if not array.any():
            return frozen(np.zeros_like(array))
        z = self._along(array / np.max(np.abs(array)), self.log_levels).dual
        z = z / np.max(np.abs(z))
        return frozen(z * (self.value_formula(array) / float(np.sum(z * array))))

    def face_formula(self, z: Float64[ndarray, "..."], tolerance: float) -> Face:
        """Return the point of the sublevel set that maximises <z, w>, at which the mirror map is parallel to z."""
        if not z.any():
            return KnownPoint(self, z, frozen(np.zeros_like(z)))
        unit = z / np.max(np.abs(z))
        with double_precision():
            touched = jax.tree.map(np.asarray, _touched(self.potential, unit, self.log_levels))
        if not touched.arrived:
            raise InputError(
                f"the flow of {self.potential!r} along z did not reach the sublevel set; use a map whose potential has "
                "a closed form, or pass a gauge that you expect: ib.max_margin(problem, ib.gauges.L1())"
            )
        point = (touched.w - np.asarray(self.potential.w0)) * np.exp(-self._unit[-1])
        return KnownPoint(self, z, frozen(point))

    def conic_formula(self, shape: tuple[int, ...]) -> ConicForm | None:
        """Return None, because a sublevel set has no conic form."""
        return None

    @cached_property
    def log_levels(self) -> Float64[ndarray, " levels"]:
        """The natural logarithms of the levels, in ascending order; the last one defines the gauge.

        Raises:
            InputError: the potential does not reach the levels along a ray.
        """
        w0 = np.asarray(self.potential.w0)
        units = np.eye(w0.size).reshape(w0.size, *w0.shape)
        rays = [*-units, *units, np.ones_like(w0)]
        # The smallest levels come first, because a flow that meets a boundary takes all steps before it gives up.
        failed = next(
            (ray for ray in rays if not self._along(ray, LEVEL_TOPS[-1] * LEVEL_SHARES).arrived), None
        )
        for top in LEVEL_TOPS if failed is None else ():
            if all(self._along(ray, top * LEVEL_SHARES).arrived for ray in rays):
                return frozen(top * LEVEL_SHARES)
        ray = np.asarray(failed).tolist()
        raise InputError(
            f"the horizon of {self.potential!r} cannot be computed: along the ray {ray} from w0 the flow ends before "
            "the potential reaches exp(35), and a domain that is the whole space is expected; the likely cause is a G "
            "whose w is bounded or has one sign, for instance theta**2: add the other sign, for instance "
            "theta[0]**2 - theta[1]**2"
        )

    @cached_property
    def _unit(self) -> Float64[ndarray, " levels"]:
        """The logarithms of the lengths of the ray through (1, ..., 1)."""
        return self._along(np.ones_like(np.asarray(self.potential.w0)), self.log_levels).logs

    def _values(self, w: Float64[ndarray, "..."]) -> Float64[ndarray, " levels"]:
        """Return the gauges of w at all levels."""
        if not w.any():
            return np.zeros(len(LEVEL_SHARES))
        size = float(np.max(np.abs(w)))
        ray = self._along(w / size, self.log_levels)
        if not ray.arrived:
            raise InputError(
                f"the length of the ray {(w / size).tolist()} in a sublevel set of {self.potential!r} was not found, "
                "because the lift of the ray did not reach its end; if the domain is the whole space, the likely cause "
                "is a corner of the set in the direction of the ray, at which the metric of w loses rank in float64, "
                "because w mixes the entries that grow by themselves; let G return these entries, and multiply X by "
                "the matrix that mixes them"
            )
        return size * np.exp(self._unit - ray.logs)

    def _along(self, ray: Float64[ndarray, "..."], log_levels: Float64[ndarray, " levels"]) -> "_Ray":
        with double_precision():
            return jax.tree.map(np.asarray, _lifted_ray(self.potential, ray, log_levels))


class _Ray(NamedTuple):
    """The lift of a ray: the logarithms of its lengths at all levels, the last dual point, and whether it arrived."""

    logs: Any
    dual: Any
    arrived: Any


class _Touched(NamedTuple):
    """The point of a sublevel set at which the mirror map has a direction, and whether it was reached."""

    w: Any
    arrived: Any


@eqx.filter_jit
def _lifted_ray(potential: Any, ray: Any, log_levels: Any) -> _Ray:
    """Return the lengths t of w0 + t ray at the levels R = c, by integration in ln R."""
    start = potential.layout()[1]
    ray = jnp.asarray(ray)
    units = jnp.eye(ray.size).reshape(ray.size, *ray.shape)

    def speed(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        # J J^T may have condition numbers of exp(600), so that singular values of J are used.
        rows = jax.vmap(lambda unit: potential.pulled(theta, unit))(units)
        left, sizes, _ = jnp.linalg.svd(rows, full_matrices=False)
        inverse = jnp.where(sizes > _SLOW * sizes[0], 1.0 / sizes, 0.0)
        dual = (left @ (inverse**2 * (left.T @ jnp.ravel(ray)))).reshape(ray.shape)
        return potential.pulled(theta, dual), dual

    def plain(_: Any, state: Any) -> Any:
        theta, mu, _ = state
        moved, dual = speed(theta)
        return first * moved, first * dual, first * jnp.sum(mu * ray)

    def scaled(rho: jax.Array, state: Any) -> Any:
        theta, mu, log = state
        moved, dual = speed(theta)
        # dt / d rho = R / (dR / dt), and dR / dt = <mu, ray>.
        share = jnp.exp(rho - log - jnp.log(jnp.sum(mu * ray)))
        t = jnp.exp(log) * share
        return t * moved, t * dual, share

    first = _FIRST * jnp.linalg.norm(start) / jnp.linalg.norm(speed(start)[0])
    (theta, mu, value), began = _integrated(plain, (start, jnp.zeros_like(ray), jnp.zeros(())), 0.0, 1.0)
    state, logs, arrived = _through(scaled, (theta, mu, jnp.log(first)), jnp.log(value), log_levels)
    w = jnp.asarray(potential.w0) + jnp.exp(state[2]) * ray
    off = jnp.max(jnp.abs(potential.predictor(state[0]) - w)) / jnp.max(jnp.abs(w))
    return _Ray(logs[2], state[1], began & arrived & (off <= _OFF))


@eqx.filter_jit
def _touched(potential: Any, z: Any, log_levels: Any) -> _Touched:
    """Return w on the flow of sum_i z_i grad G_i where R = c at the last level, by integration in ln R."""
    start = potential.layout()[1]
    z = jnp.asarray(z)

    def plain(share: Any, state: Any) -> Any:
        moved = potential.pulled(state[0], z)
        return first * moved, first**2 * share * jnp.sum(moved**2)

    def scaled(rho: jax.Array, state: Any) -> Any:
        theta, log = state
        moved = potential.pulled(theta, z)
        # d tau / d rho = R / (dR / d tau), and dR / d tau = tau |J^T z|^2.
        share = jnp.exp(rho - 2.0 * log - 2.0 * jnp.log(jnp.linalg.norm(moved)))
        return jnp.exp(log) * share * moved, share

    first = _FIRST * jnp.linalg.norm(start) / jnp.linalg.norm(potential.pulled(start, z))
    (theta, value), began = _integrated(plain, (start, jnp.zeros(())), 0.0, 1.0)
    state, _, arrived = _through(scaled, (theta, jnp.log(first)), jnp.log(value), log_levels)
    return _Touched(potential.predictor(state[0]), began & arrived)


def _through(field: Any, state: Any, rho: jax.Array, log_levels: Any) -> tuple[Any, Any, jax.Array]:
    """Return the last state, the states at all levels, and whether all were reached."""

    def piece(carry: Any, level: jax.Array) -> Any:
        state, rho, ok = carry
        end, arrived = _integrated(field, state, rho, level)
        return (end, level, ok & arrived), end

    levels = jnp.asarray(log_levels)
    (state, _, arrived), states = jax.lax.scan(piece, (state, rho, jnp.asarray(True)), levels)
    return state, states, arrived


def _integrated(field: Any, state: Any, begin: Any, end: Any) -> tuple[Any, jax.Array]:
    """Return the state at `end`, and whether it was reached. A small entry may be exact relative to its own size."""
    length = end - begin

    def shifted(time: jax.Array, state: Any) -> Any:
        return jax.tree.map(lambda part: length * part, field(begin + time * length, state))

    size = jnp.max(jnp.abs(state[0]))
    return integrated(
        shifted, state, rtol=_RTOL, atol=_RTOL * jnp.where(size < 1.0, size, 1.0), max_steps=_STEPS
    )
